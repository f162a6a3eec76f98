"""`python -m gauntlet`: the command line."""

from gauntlet.jobs.cli.app import main

if __name__ == "__main__":
    main()
