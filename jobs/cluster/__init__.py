"""Runs that a cluster does by itself: what is sent there, and what is heard of it."""
