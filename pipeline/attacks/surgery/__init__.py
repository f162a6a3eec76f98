"""Surgery: parts that change how a surrogate computes or back-propagates (specification 2.5)."""
