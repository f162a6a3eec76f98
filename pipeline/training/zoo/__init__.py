"""How the bundled face networks are trained and what they were found to be worth."""
