"""What a notebook has: attacks on your own models, their evaluation, and comparisons."""
