"""Addresses of runs on object stores: bucket, prefix, and where the store answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from configparser import ConfigParser, Error
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from gauntlet.pipeline.problems import BadInput, Problem

SCHEMES = {"s3": "S3", "gs": "Google Cloud Storage", "az": "Azure Blob Storage"}
_EXPECTED = "expected s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
_OPTIONS = ("endpoint_override", "scheme", "region")


def is_remote(location: str) -> bool:
    """Return whether a location is an address, not a path."""
    return "://" in location


def below(location: str, name: str) -> str:
    """Return where something in a folder lies; what an address ends with stays at its end."""
    if not is_remote(location):
        return f"{location.rstrip('/')}/{name}"
    folder, mark, options = location.partition("?")
    return f"{folder.rstrip('/')}/{name}{mark}{options}"


@dataclass(frozen=True)
class Address:
    """Where a run lies on an object store; never with credentials.

    Attributes:
        scheme: a name in `SCHEMES`.
        bucket: in Azure the container.
        prefix: of the names of the run's objects, without slashes around.
        endpoint: URL of the store, where it is not the scheme's own service.
        region: of the bucket, where it was said.
    """

    scheme: str
    bucket: str
    prefix: str
    endpoint: str | None = None
    region: str | None = None

    @classmethod
    def read(cls, location: str) -> Self:
        """Return the address that a person wrote; what it leaves out, the environment may say.

        Raises:
            BadInput: when it is none, or has credentials in it.
        """
        try:
            parts = urlsplit(location)
        except ValueError:
            what = f"cannot be opened: {_EXPECTED}"
            raise BadInput(Problem(location.partition("?")[0], what)) from None
        # A key may have a slash in it, after which nothing is the host's.
        if "@" in parts.netloc or (":" in parts.netloc and "@" in parts.path):
            bare = f"{parts.scheme}://{location.partition('?')[0].rpartition('@')[2]}"
            what = (
                "has credentials in it, which would be written wherever the address is: give them "
                "by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile"
            )
            raise BadInput(Problem(bare, what))
        plain = location.partition("?")[0]
        prefix = parts.path.strip("/")
        if parts.scheme not in SCHEMES or not parts.netloc or parts.fragment:
            raise BadInput(Problem(plain, f"cannot be opened: {_EXPECTED}"))
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := sorted(options.keys() - set(_OPTIONS)):
            # Their values are not repeated: one may be a key.
            what = f"unknown option {', '.join(unknown)}; known: {', '.join(_OPTIONS)}"
            raise BadInput(Problem(plain, what))
        endpoint, region = _endpoint(options), options.get("region")
        if parts.scheme == "s3":
            endpoint = endpoint or _first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
            region = region or _first("AWS_REGION", "AWS_DEFAULT_REGION") or profile().get("region")
        if endpoint is not None and "@" in endpoint:
            what = "its endpoint has credentials in it: give them by the environment, or a profile"
            raise BadInput(Problem(plain, what))
        return cls(parts.scheme, parts.netloc, prefix, endpoint, region)

    @property
    def path(self) -> str:
        """Bucket and prefix, as pyarrow wants them."""
        return f"{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def host(self) -> str | None:
        """Of the endpoint, with its port."""
        return None if self.endpoint is None else urlsplit(self.endpoint).netloc

    @property
    def protocol(self) -> str:
        """By which the endpoint is asked: http or https."""
        return "https" if self.endpoint is None else urlsplit(self.endpoint).scheme

    @property
    def text(self) -> str:
        """The whole address, for a process with another environment."""
        options = {"endpoint_override": self.host, "region": self.region}
        if self.endpoint is not None:
            options["scheme"] = self.protocol
        given = urlencode({name: value for name, value in options.items() if value}, safe=":")
        return f"{self.scheme}://{self.path}{given and '?'}{given}"


def profile() -> Mapping[str, str]:
    """Return what the files of AWS say of the profile in use; empty if there are none."""
    name = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE") or "default"
    config = os.environ.get("AWS_CONFIG_FILE", "~/.aws/config")
    credentials = os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
    section = name if name == "default" else f"profile {name}"
    found: dict[str, str] = {}
    for file, heading in ((config, section), (credentials, name)):
        parser = ConfigParser(interpolation=None)
        try:
            parser.read(Path(file).expanduser(), encoding="utf-8")
        except (Error, OSError, UnicodeError):
            continue
        if parser.has_section(heading):
            found |= dict(parser[heading])
    return found


def _endpoint(options: Mapping[str, str]) -> str | None:
    given = options.get("endpoint_override")
    if not given:
        return None
    return given if "://" in given else f"{options.get('scheme') or 'https'}://{given}"


def _first(*names: str) -> str | None:
    return next((value for name in names if (value := os.environ.get(name))), None)
