"""The script that measures attacks on a GPU, on the CPU and without Ray."""

import subprocess
import sys


def test_the_bench_runs_without_ray_and_gradients_agree():
    script = (
        "import sys; sys.modules['ray'] = None\n"
        "from bench.gpu import main\n"
        "main(['--device', 'cpu', '--small'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line.strip("│ ").split("│") for line in done.stdout.splitlines() if "│" in line]
    cells = {row[1].strip(): [cell.strip() for cell in row[2:]] for row in lines}
    least = {name: float(row[-2]) for name, row in cells.items()}
    assert least["float32"] == 1
    assert least["folded, channels_last"] > 0.99999
    assert 0.5 < least["folded, bf16 autocast"] < 0.99999
    assert least["folded, bf16 weights"] < 0.99999
    assert all(float(row[0]) > 0 and float(row[1]) > 0 for row in cells.values())
