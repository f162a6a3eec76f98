"""Combination rules: k gradients to one direction, per example."""
