"""What a person runs: job files, the command line, progress and reports."""

if __name__ == "jobs":  # A second copy of every class would live under the bare name.
    raise ImportError(
        "write `import gauntlet.jobs` or `from gauntlet import ...`: nothing of Gauntlet is "
        "imported as `jobs`"
    )
