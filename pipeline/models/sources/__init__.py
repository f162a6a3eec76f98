"""Where networks come from, by the beginning of a spec's ``source``; one file each."""
