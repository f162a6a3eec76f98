"""Whether a run is what it says: its record whole, and some of its units done once more."""
