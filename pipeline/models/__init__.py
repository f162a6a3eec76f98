"""Models: sources, checkpoints, adapters, defences (architecture 4)."""
