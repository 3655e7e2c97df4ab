"""What is wrong with data, in sentences."""
