"""An object store on this machine that keeps S3's protocol, and fails as it is told to."""

from __future__ import annotations

import io
import json
import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import Any
from urllib.request import Request, urlopen

import pytest

pytest.importorskip("obstore", reason="runs on object stores need obstore: gauntlet[cluster]")
pytest.importorskip("moto.server", reason="the object store of the tests is moto's: moto[server]")

import boto3
import obstore  # noqa: F401  (its threads start before any server's)
from moto import settings
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

KEYS = {"AWS_ACCESS_KEY_ID": "AKIATESTS", "AWS_SECRET_ACCESS_KEY": "never-to-be-written"}
BUCKET = "bucket"

CONDITIONS = {"HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH"}

Fault = Callable[["Asked"], str | None]


class Asked:
    """A request, before it is answered.

    Attributes:
        method: of HTTP.
        path: bucket and key.
        query: what follows the question mark.
        conditional: whether the request has a condition.
        authorization: with which key it was signed.
    """

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self.method, self.path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.query = environ["QUERY_STRING"]
        self.conditional = bool(CONDITIONS & environ.keys())
        self.authorization = environ.get("HTTP_AUTHORIZATION", "")

    @property
    def text(self) -> str:
        return f"{self.method} {self.path}" + (f"?{self.query}" if self.query else "")


class Store:
    """moto's S3 behind a door that loses, delays and refuses requests.

    Attributes:
        asked: the requests so far.
        fault: says of a request what happens to it: "503"; "lost", before it was heard; "mute",
            done, but its answer lost; "slow", done after some seconds; None for nothing.
        keeps_conditions: whether it writes under conditions, as some stores do not.
    """

    fault: Fault
    keeps_conditions: bool

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self.heal()
        self.asked: list[Asked] = []
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @cached_property
    def s3(self) -> Any:
        """A client of its own, to which the same happens."""
        return self.client("s3")

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://{self.host}",
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    def objects(self, prefix: str) -> dict[str, bytes]:
        """The objects under a prefix, by the rest of their names."""
        found = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        keys = [entry["Key"] for page in found for entry in page.get("Contents", ())]
        return {key.removeprefix(prefix).lstrip("/"): self._content(key) for key in keys}

    def _content(self, key: str) -> bytes:
        content: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return content

    def heal(self) -> None:
        """Let nothing happen to requests any more."""
        self.fault, self.keeps_conditions = (lambda asked: None), True

    def age(self, key: str, by: timedelta) -> None:
        """Make an object older."""
        (account,) = s3_backends
        found = s3_backends[account]["aws"].buckets[BUCKET].keys[key]
        found.last_modified -= by

    def user(self, *actions: str) -> tuple[str, str]:
        """A new user who may do some things with every object: its key and secret."""
        name, iam = f"user-{uuid.uuid4().hex}", self.client("iam")
        allowed = {"Effect": "Allow", "Action": [*actions], "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [allowed]}
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Who asks is looked at in this context: signature, and rights."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
            yield

    def empty(self) -> None:
        """Forget everything, which moto keeps for the whole process."""
        urlopen(Request(f"http://{self.host}/moto-api/reset", method="POST")).close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        asked = Asked(environ)
        self.asked.append(asked)
        fault = self.fault(asked)
        if not self.keeps_conditions:
            environ = {name: environ[name] for name in environ.keys() - CONDITIONS}
        if fault is None:
            return self._app(environ, start)
        if fault == "slow":
            time.sleep(4)
            return self._app(environ, start)
        content = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if fault == "503":
            start("503 Slow Down", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code><Message>Please slow down</Message></Error>"]
        if fault == "mute":
            environ["wsgi.input"] = io.BytesIO(content)
            list(self._app(environ, lambda *status: None))
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        start("500 Gone", [])
        return []


@contextmanager
def serving() -> Iterator[Store]:
    """A store with one bucket, which the environment says how to reach."""
    store = Store()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL", f"http://{store.host}")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.delenv("AWS_PROFILE", raising=False)
        store.empty()
        store.s3.create_bucket(Bucket=BUCKET)
        try:
            yield store
        finally:
            store.close()


def nth(fault: str, numbers: Iterable[int], of: Callable[[Asked], bool]) -> Fault:
    """Return what happens to the n-th requests of a kind, the first of which is 0."""
    wanted, lock, seen = {*numbers}, threading.Lock(), iter(range(10**9))

    def happens(asked: Asked) -> str | None:
        if not of(asked):
            return None
        with lock:
            return fault if next(seen) in wanted else None

    return happens
