"""Where the surrogates are asked, if not where the attack stands."""
