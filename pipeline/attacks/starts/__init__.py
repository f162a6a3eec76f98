"""Starts: where an attack begins; at the clean image unless one is named."""
