"""Counts of what was fuzzed, at the end of a run that was asked for many inputs."""

from __future__ import annotations

from _pytest.terminal import TerminalReporter

from tests.fuzz.inputs import COUNTS, EXAMPLES, FEW


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    if EXAMPLES == FEW:
        return
    terminalreporter.write_line("| input | tried | refused | accepted |\n|---|---|---|---|")
    for kind, found in COUNTS.items():
        refused, accepted = found["refused"], found["accepted"]
        terminalreporter.write_line(
            f"| {kind} | {refused + accepted:,} | {refused:,} | {accepted:,} |"
        )
