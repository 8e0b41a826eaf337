"""One use-case each, with no HTTP in it."""
