"""Tests of the durable task."""
