"""Models: sources, checkpoints, adapters, defences (ARCHITECTURE section 4)."""
