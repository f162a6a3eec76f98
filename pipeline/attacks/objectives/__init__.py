"""Objectives: the scalar of each example that an attack raises."""
