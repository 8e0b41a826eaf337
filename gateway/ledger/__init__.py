"""What each call used and cost: the one price function, the rows, where they are kept, and what is read from them."""
