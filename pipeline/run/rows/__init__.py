"""The rows of a run's tables, a file a table; `results/schema.py` says what their columns mean."""
