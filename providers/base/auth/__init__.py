"""Signing in, where two vendors or more do it alike, on top of the vendors' own libraries."""
