"""The script that drives a hub and its surrogates on a device, on the CPU and without Ray."""

import subprocess
import sys


def test_the_exchange_runs_without_ray_and_gives_the_same_numbers():
    script = (
        "import sys; sys.modules['ray'] = None\n"
        "from bench.gpu_exchange import main\n"
        "if __name__ == '__main__':\n"
        "    main('--device cpu --k 2 --batch 3 --pixels 16 --steps 3 --rounds 1'.split())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if "hub on cpu" in line]
    assert len(said) == 3
    assert all(line.endswith("equal to the last bit") for line in said)
