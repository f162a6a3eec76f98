"""The record of a run: a chain of entries that says which files hold which rows."""
