"""What every provider and every engine must do: a test class for each, enrolled by subclassing with two fixtures."""
