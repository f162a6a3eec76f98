"""Gradient filters: what happens to one surrogate's gradient before it is combined."""
