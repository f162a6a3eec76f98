"""What a person runs: job files, the command line, progress and reports."""
