"""Ray: models on actors, placement, orchestration."""

if __name__ == "actors":  # A second copy of every class would live under the bare name.
    raise ImportError(
        "write `import gauntlet.actors` or `from gauntlet import ...`: nothing of Gauntlet is "
        "imported as `actors`"
    )
