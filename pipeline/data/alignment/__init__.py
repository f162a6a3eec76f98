"""Putting photographs of people into the form that face networks take: aligned by five points."""
