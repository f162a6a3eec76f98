"""Whether the data is what the models were made for: a look before any work."""
