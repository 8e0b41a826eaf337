"""Where outputs are kept until they expire."""
