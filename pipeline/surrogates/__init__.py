"""What is fitted to a surrogate before an attack uses it."""
