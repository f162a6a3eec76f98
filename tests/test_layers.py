"""The direction of the layers: jobs -> actors -> pipeline."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from gauntlet import pipeline

ROOT = Path(pipeline.__file__).parent.parent


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [("pipeline", {"ray", "actors", "jobs"}), ("actors", {"jobs"})],
)
def test_imports_point_downwards(package, forbidden):
    files = sorted((ROOT / package).rglob("*.py"))
    assert len(files) > 5
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            bad = {name.split(".")[0] for name in names} & forbidden
            assert not bad, f"{path.relative_to(ROOT)} imports {bad}"


def test_the_library_works_without_ray():
    script = (
        "import sys; sys.modules['ray'] = None\n"
        "import torch; from gauntlet import Attack, attack\n"
        "net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3))\n"
        "x = torch.full((2, 3, 4, 4), 0.5)\n"
        "adv = attack([net], x, torch.tensor([0, 1]), Attack(base='di-ti-mi', combine='rgea'))\n"
        "assert (adv - x).abs().max() > 0.02\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
