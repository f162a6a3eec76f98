"""The shipped rows are what the code says, and the commands that print them wait for no code."""

from __future__ import annotations

import subprocess
import sys

from gauntlet.jobs.reference.faces_page import markdown
from gauntlet.jobs.reference.index import PATH, shipped
from gauntlet.jobs.reference.renew import COMMAND, DOCS, text
from tests.jobs.cli.test_run_job import gauntlet

HEAVY = ("torch", "ray", "pandas", "scipy", "matplotlib")
COMMANDS = ("methods", "methods rgea", "methods PGD-l2", "models", "schema")


def test_the_shipped_index_is_up_to_date() -> None:
    assert PATH.read_text(encoding="utf-8") == text(), f"run: {COMMAND}"


def test_the_page_of_face_networks_is_up_to_date() -> None:
    assert (DOCS / "faces.md").read_text(encoding="utf-8") == markdown(), f"run: {COMMAND}"


def test_commands_that_print_rows_load_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from gauntlet.jobs.cli.app import app\n"
        f"for words in {COMMANDS}:\n"
        "    app(words.split(), standalone_mode=False)\n"
        "    print('\\f')\n"
        f"    heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "    print(words, heavy, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [f"{words} []" for words in COMMANDS]
    assert all(len(said) > 200 for said in done.stdout.split("\f")[:-1])


def test_names_of_libraries_are_listed_on_request_only() -> None:
    libraries = ["timm/NAME", "torchvision/NAME"]
    assert [row.form for row in shipped().sources if row.names is None] == libraries
    few, every = gauntlet("models").output, gauntlet("models", "--all").output
    for name in ("resnet50", "vit_base_patch16_224"):
        assert f" {name}," not in few
        assert f" {name}," in every
    assert few.count("gauntlet models --all") == len(libraries)


def test_models_are_searched_by_a_word_in_any_case() -> None:
    lines = gauntlet("models", "list", "EfficientNet_B0").stdout.splitlines()
    assert "torchvision/efficientnet_b0" in lines
    assert "timm/efficientnet_b0" in lines
    assert all("efficientnet_b0" in line for line in lines)
    assert "file:PATH  architecture: zoo-vgg" in gauntlet("models", "list", "vgg").stdout
    none = gauntlet("models", "list", "nonesuch")
    assert none.exit_code == 2
    assert "no model has 'nonesuch' in its name" in none.stderr
