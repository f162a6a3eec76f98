"""Updates: how the combined direction becomes a step."""
