"""Keys, tokens and passwords reach neither a run's folder nor anything that is printed."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from gauntlet.actors.address import resolve
from gauntlet.jobs.cli.app import app
from gauntlet.jobs.cli.exit_status import end
from gauntlet.pipeline.problems import BadInput
from tests.toys.jobs import write

SECRET = "wJalrX/MARKED+bPx"
"""As keys of S3 are: with a slash."""
VARIABLES = {
    **dict.fromkeys(
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "RAY_AUTH_TOKEN",
         "HF_TOKEN", "GITHUB_TOKEN", "AZURE_STORAGE_ACCOUNT_KEY", "WANDB_API_KEY"), SECRET
    ),
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), f"http://me:{SECRET}@127.0.0.1:9"),
    "RAY_ADDRESS": f"ray://me:{SECRET}@127.0.0.1:9",
}  # fmt: skip


def gauntlet(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "400"})


WITH_CREDENTIALS = [
    f"s3://KEY:{SECRET}@bucket/run",
    f"s3://{SECRET.replace('/', '')}@bucket/run",
    f"s4://KEY:{SECRET}@bucket/run",
    f"s3://bucket/run?secret_access_key={SECRET}",
    f"s3://bucket/run?endpoint_override=KEY:{SECRET}@127.0.0.1:9",
    f"s3://bucket/run?endpoint_override=http://KEY:{SECRET}@127.0.0.1:9",
    f"https://me:{SECRET}@host/run",
]


def test_a_run_folder_with_credentials_is_refused_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job, to = write(tmp_path).name, ("--address", "http://127.0.0.1:9")
    some = WITH_CREDENTIALS[0]
    for command in (
        *(("status", address) for address in WITH_CREDENTIALS),
        *(("run", job, "--out", some), ("resume", some), ("report", some), ("compact", some)),
        *(("submit", job, *to, "--out", some), ("submit", job, *to, "--set", f"output={some}")),
    ):
        found = gauntlet(*command)
        assert found.exit_code == 2, (command, found.output)
        assert "MARKED" not in found.output


@pytest.mark.parametrize("scheme", ["ray://", "http://", "ftp://", ""])
def test_a_password_in_a_cluster_s_address_is_not_repeated(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    address, job = f"{scheme}me:{SECRET}@127.0.0.1:9", write(tmp_path).name
    monkeypatch.setenv("RAY_ADDRESS", address)
    for command in (
        ("run", job, "--address", address, "--out", "run"),
        ("run", job, "--address", "auto", "--out", "run"),
        ("submit", job, "--address", address, "--out", "/run"),
        ("attach", "raysubmit_1", "--address", address),
    ):
        found = gauntlet(*command)
        assert found.exit_code == 2, found.output
        assert "MARKED" not in found.output
        assert "Traceback" not in found.output


@pytest.mark.parametrize("address", ["http://127.0.0.1:8265", f"https://me:{SECRET}@head"])
def test_a_run_is_told_that_the_dashboard_is_for_submitting(address: str) -> None:
    with pytest.raises(BadInput) as caught:
        resolve(address)
    assert str(caught.value) == (
        "--address: an http(s) address is the dashboard's, which submit takes; expected HOST:PORT"
    )


@pytest.mark.parametrize(
    "change", [f"output=s3://KEY:{SECRET}@bucket/run", f"data.path=https://me:{SECRET}@host/x"]
)
def test_no_change_with_a_password_is_submitted(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = write(tmp_path).name
    to = ("--address", "http://127.0.0.1:9", "--out", "s3://bucket/run")
    found = gauntlet("submit", job, *to, "--set", change)
    assert found.exit_code == 2
    assert "has credentials in it" in found.output
    assert "MARKED" not in found.output


def test_an_output_with_a_password_is_not_submitted_even_when_another_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = write(tmp_path)
    job.write_text(f"{job.read_text()}\noutput: s3://KEY:{SECRET}@bucket/run\n")
    to = ("--address", "http://127.0.0.1:9", "--out", "s3://bucket/run")
    found = gauntlet("submit", job.name, *to)
    assert found.exit_code == 2
    assert "has credentials in it" in found.output
    assert "MARKED" not in found.output


def test_a_traceback_is_printed_without_a_password(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        raise RuntimeError(f"no answer from http://me:{SECRET}@host:1")

    with pytest.raises(typer.Exit):
        end(command)
    said = capsys.readouterr().err
    assert "RuntimeError: no answer from http://***@host:1" in said
    assert "MARKED" not in said


def test_a_job_that_names_an_address_with_a_password_is_answered_without_it(tmp_path: Path) -> None:
    source = f"https://me:{SECRET}@host/net.pt"
    for change in (('"import:tests.toys.jobs:network"', f'"{source}"'),
                   ("path: ", f"path: {source} #")):  # fmt: skip
        found = gauntlet("check", str(write(tmp_path, change)))
        assert found.exit_code == 2
        assert "MARKED" not in found.output


def carried_out(folder: Path, placement: str) -> bytes:
    """What a run left, and what it and those who read it said, whatever the environment holds."""
    run, job = str(folder / "run"), str(write(folder))
    said = b""
    for command in (
        ("run", job, "--out", run, "--placement", placement),
        *(("status", run), ("resume", run)),
        ("report", run, "--csv", f"{run}/rates.csv", "--html", f"{run}/page.html"),
    ):
        done = gauntlet(*command)
        assert done.exit_code == 0, done.output
        said += done.output.encode()
    left = [path for path in folder.rglob("*") if path.is_file()]
    assert len(left) > 8
    return said + b"".join(path.read_bytes() for path in left)


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["in-process", "packed"])
def test_no_byte_of_a_run_is_from_the_environment_s_secrets(
    placement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    assert b"MARKED" not in carried_out(tmp_path, placement)
