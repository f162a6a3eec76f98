"""Jobs that come with the package, and what the quickstart needs."""
