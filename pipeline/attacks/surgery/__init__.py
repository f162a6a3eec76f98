"""Surgery: parts that change how a surrogate computes or back-propagates (METHODS 2.5)."""
