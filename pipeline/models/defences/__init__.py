"""Defences: input transforms in front of a model, one file each."""
