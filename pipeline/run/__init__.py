"""A run: plan, engine, stream of units, tables."""
