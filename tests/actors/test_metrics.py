"""What actors count, as a Prometheus server would scrape it from a node."""

from __future__ import annotations

import re
import threading
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
import ray

from gauntlet.actors.launch import launch
from gauntlet.actors.metrics import COUNTERS
from gauntlet.actors.session import connect, disconnect
from tests.actors.test_sessions import PATIENCE
from tests.toys.runs import loaded

UNITS, EXAMPLES, STEPS, SURROGATES = 24, 2 * 24, 4, 2
SAMPLE = re.compile(r"^ray_gauntlet_(\w+)_total\{(.*)\} (\S+)$", re.MULTILINE)


def scraped() -> dict[str, float]:
    """The counters on this machine's metrics endpoint, summed over processes."""
    found = dict.fromkeys(COUNTERS, 0.0)
    (node,) = [node for node in ray.nodes() if node["Alive"]]
    if not node["MetricsExportPort"]:
        return found
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        for name, tags, value in SAMPLE.findall(answer.read().decode()):
            assert 'run="small"' in tags
            found[name] += float(value)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["packed", "pinned"])
def test_a_run_is_counted_where_prometheus_reads(
    placement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opentelemetry.exporter.prometheus", reason="needs gauntlet[cluster]")
    resources = {"batch": 2, "threads": 1, "placement": placement, "part_seconds": 0.5}
    monkeypatch.setenv("RAY_metrics_report_interval_ms", "100")
    given = loaded(tmp_path, resources=resources)
    connect(None)
    try:
        seen = dict.fromkeys(COUNTERS, 0.0)
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.2):
                with suppress(OSError, ValueError, ray.exceptions.RayError):  # it begins, or ends
                    for name, value in scraped().items():
                        seen[name] = max(seen[name], value)

        watching = threading.Thread(target=watch)
        watching.start()
        launch(given.plan, str(tmp_path / "run"), permission=given.permission)
        over.set()
        watching.join(PATIENCE)
    finally:
        disconnect()
    # Processes report every tenth of a second: what they count last may not have been scraped.
    assert 0 < seen["units"] <= UNITS
    assert 0 < seen["examples"] <= EXAMPLES
    assert 0 < seen["gradients"] <= EXAMPLES * STEPS * SURROGATES
    assert seen["bytes"] > 0
    waited = (seen["surrogate_waiting_seconds"] > 0, seen["hub_waiting_seconds"] > 0)
    assert waited == ((True, True) if placement == "pinned" else (False, False))
