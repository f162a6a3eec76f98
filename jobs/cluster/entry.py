"""What a submitted job starts with on the cluster, which may have another Gauntlet or none.

This file travels with the job. It names nothing of the package before it has compared versions.
"""

import runpy
import socket
import sys
from importlib import metadata
from pathlib import Path

REFUSED = 2


def main(wanted: str, *arguments: str) -> None:
    """Run the command line with some arguments, if the version here is the one that is wanted."""
    try:
        here = metadata.version("gauntlet")
    except metadata.PackageNotFoundError:
        here = ""
    if here != wanted:
        has = f"has Gauntlet {here}" if here else f"has no Gauntlet for {sys.executable}"
        print(f"node {socket.gethostname()} {has}, the job was submitted with {wanted}: "
              "install that on every node")  # fmt: skip
        raise SystemExit(REFUSED)
    # The job's folder is searched for modules by what the job may run, and not before libraries.
    job = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != job]
    sys.argv[:] = ["gauntlet", *arguments]
    runpy.run_module("gauntlet", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
