"""Generators: seed -> data with known truth. Nothing they make is a real observation."""
