"""Updates beyond plain steps and momentum."""
