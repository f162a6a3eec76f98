"""The science: attacks, models, data, evaluation, results. Needs neither Ray nor a cluster."""

if __name__ == "pipeline":  # A second copy of every class would live under the bare name.
    raise ImportError(
        "write `import gauntlet.pipeline` or `from gauntlet import ...`: nothing of Gauntlet is "
        "imported as `pipeline`"
    )
