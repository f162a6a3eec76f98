"""Where examples come from: one file a source, which holds all there is to know of it."""
