"""Verdicts, thresholds, distances and the statistics that go with every rate."""
