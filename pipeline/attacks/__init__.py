"""The attack engine: one loop, and the parts that are put into it."""
