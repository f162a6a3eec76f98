"""The command line: a file for each group of commands, and what each command does."""
