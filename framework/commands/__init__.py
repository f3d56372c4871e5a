"""What a user types, and the same from Python."""
