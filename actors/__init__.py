"""Ray: models on actors, placement, orchestration."""
