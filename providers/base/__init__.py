"""What every vendor file is written against: the contract, its errors, its settings."""
