"""Who can be asked for media: one file a vendor. ``ls`` is the list."""
