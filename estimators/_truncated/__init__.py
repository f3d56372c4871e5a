"""Truncated regression: from a request to its result."""
