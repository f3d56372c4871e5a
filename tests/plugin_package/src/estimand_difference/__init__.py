"""Plugins of another distribution."""
