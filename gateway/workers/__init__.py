"""Several processes that serve together: who they are to each other, and the parent that keeps them running."""
