"""Durations, as people say them."""

from __future__ import annotations


def in_words(seconds: float) -> str:
    """Return a duration, such as ``2 h 05 min``, ``3 min 20 s`` or ``7 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
