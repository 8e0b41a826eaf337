"""Pure decisions: who is asked for a request. No clock, no network."""
