"""The networks of the bundled job `quickstart`, with their weights."""
