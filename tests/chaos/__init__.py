"""Processes that are killed and lines that lose answers: nothing is charged twice, and no task is lost."""
