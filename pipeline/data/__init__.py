"""Examples: what is attacked, read lazily and checked before any work."""
