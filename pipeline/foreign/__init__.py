"""What others made, on the same bench: attacks of other libraries, and finished images."""
