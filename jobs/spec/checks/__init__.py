"""What no single field of a job can know: whether its parts fit each other, one file a subject."""
