from __future__ import annotations

import io
import threading

from gauntlet.jobs.cli.bars import LogProgress, TerminalProgress, shown_on
from gauntlet.jobs.reports.terminal import Terminal


def test_log_says_start_end_and_every_ten_seconds() -> None:
    now = [0.0]
    out = io.StringIO()
    progress = LogProgress(Terminal(file=out, width=100), clock=lambda: now[0])
    progress.stage("attack", 1000)
    for _ in range(10):
        now[0] += 3
        progress.advance("attack", 100)
    progress.note("2 inputs set aside")
    assert out.getvalue().splitlines() == [
        "attack: 1,000 examples",
        "attack: 400/1,000 examples, 33.3/s, 18 s left",
        "attack: 800/1,000 examples, 33.3/s, 6 s left",
        "attack: 1,000/1,000 examples, 33.3/s",
        "2 inputs set aside",
    ]


def test_log_takes_a_new_total_and_ignores_unknown_stages() -> None:
    out = io.StringIO()
    progress = LogProgress(Terminal(file=out, width=100), clock=lambda: 0.0)
    progress.stage("pairs", 10, "pairs")
    progress.stage("pairs", 2, "pairs")
    progress.advance("other", 1)
    progress.advance("pairs", 2)
    assert out.getvalue().splitlines() == ["pairs: 10 pairs", "pairs: 2/2 pairs"]


def test_terminal_shows_rate_and_time_left_and_counts_from_threads() -> None:
    out = io.StringIO()
    console = Terminal(file=out, force_terminal=True, width=120)
    with shown_on(console) as progress:
        assert isinstance(progress, TerminalProgress)
        progress.stage("attack", 400)

        def advance() -> None:
            for _ in range(100):
                progress.advance("attack", 1)

        threads = [threading.Thread(target=advance) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        progress.note("placement: [packed]")
    assert "400/400" in out.getvalue()
    assert "examples/s" in out.getvalue()
    assert "placement: [packed]" in out.getvalue()


def test_lines_where_there_is_no_terminal() -> None:
    with shown_on(Terminal(file=io.StringIO())) as progress:
        assert isinstance(progress, LogProgress)
