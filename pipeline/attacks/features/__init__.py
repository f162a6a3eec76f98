"""Objectives on what a network thinks in its middle (METHODS 2.6)."""
