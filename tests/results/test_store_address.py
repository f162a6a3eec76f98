"""Addresses of object stores: what they name, where they answer, and what they must not hold."""

from __future__ import annotations

import pytest

from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results.storage import Storage
from gauntlet.pipeline.results.store_address import Address, below

VARIABLES = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION")


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.mark.parametrize(
    ("location", "address"),
    [
        ("s3://bucket/runs/first/", Address("s3", "bucket", "runs/first")),
        ("gs://bucket", Address("gs", "bucket", "")),
        (
            "s3://b/p?endpoint_override=host:9000&scheme=http&region=eu-west-1",
            Address("s3", "b", "p", "http://host:9000", "eu-west-1"),
        ),
        ("s3://b/p?endpoint_override=minio.lab", Address("s3", "b", "p", "https://minio.lab")),
    ],
)
def test_an_address_is_read_and_written(location, address):
    assert Address.read(location) == address
    assert Address.read(address.text) == address


def test_what_an_address_leaves_out_the_environment_says(monkeypatch, tmp_path):
    (tmp_path / "config").write_text("[profile lab]\nregion = us-west-2\n")
    monkeypatch.setenv("AWS_PROFILE", "lab")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://host:9000")
    assert Address.read("s3://b/p") == Address("s3", "b", "p", "http://host:9000", "us-west-2")
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    found = Address.read("s3://b/p?endpoint_override=other:1")
    assert (found.endpoint, found.region) == ("https://other:1", "eu-north-1")
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name)
    elsewhere = Address.read(found.text)
    assert elsewhere == found, "a worker on another node, whose environment says nothing"
    assert Address.read("gs://b/p").endpoint is None


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("s3://KEY:HUSH@bucket/p", "s3://bucket/p: has credentials in it"),
        ("s3://HUSH@bucket/p", "s3://bucket/p: has credentials in it"),
        ("s3://bucket/p?secret_key=HUSH", "s3://bucket/p: unknown option secret_key; known: end"),
        ("s3://bucket/p?endpoint_override=http://k:HUSH@host:9000", "s3://bucket/p: its endpoint"),
        ("s3://[x/p", "s3://[x/p: cannot be opened"),
        ("s3:///p", "s3:///p: cannot be opened: expected s3://BUCKET/PREFIX"),
        ("ftp://host/p", "ftp://host/p: cannot be opened: expected s3://BUCKET/PREFIX"),
    ],
)
def test_what_is_no_address_is_refused_without_its_secrets(location, says):
    with pytest.raises(BadInput) as caught:
        Storage(location)
    assert str(caught.value).startswith(says)
    assert "HUSH" not in str(caught.value)


def test_what_lies_below_an_address_keeps_its_end():
    assert below("runs/", "first") == "runs/first"
    assert below("s3://b/runs/?scheme=http", "first") == "s3://b/runs/first?scheme=http"
