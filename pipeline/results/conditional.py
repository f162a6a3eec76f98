"""Writing to an object store under a condition, which pyarrow cannot and `obstore` can."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, NamedTuple

from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.object_store import PATIENCE, region_of
from gauntlet.pipeline.results.store_address import Address, profile

MISSING = (
    "a run on an object store needs obstore, which keeps a second driver away from it: "
    "pip install 'gauntlet[cluster]'"
)
LONGEST = timedelta(seconds=60)
"""For which a request is tried again."""


class Seen(NamedTuple):
    """What an object held, and what tells this writing of it from all others."""

    content: bytes
    version: dict[str, str]


class ConditionalStore:
    """The objects of a run, each written only where it is as its writer believes.

    A request whose answer was lost is sent again, and then finds what it has written itself. So
    writers give every content something of their own: who finds just that has written it.

    Args:
        address: the run's.

    Raises:
        BadInput: when `obstore` is not installed.
    """

    def __init__(self, address: Address) -> None:
        try:
            import obstore
        except ImportError:
            raise BadInput(Problem(address.text, MISSING)) from None
        self._api, self._prefix = obstore, address.prefix
        with _as_os_errors():
            self._store = _store(address)

    def create(self, name: str, content: bytes) -> bool:
        """Write an object that is not there yet; return whether it is this one.

        Raises:
            OSError: when nobody knows.
        """
        with _as_os_errors():
            try:
                self._api.put(self._store, self._key(name), content, mode="create")
            except self._refusals:
                found = self.read(name)
                return found is not None and found.content == content
        return True

    def replace(self, name: str, content: bytes, seen: Seen) -> bool:
        """Write an object in place of what was seen; return whether that was there still.

        Raises:
            OSError: when nobody knows.
        """
        refusals: tuple[type[Exception], ...] = (*self._refusals, FileNotFoundError)
        with _as_os_errors():
            try:
                self._api.put(self._store, self._key(name), content, mode=seen.version)
            except refusals:
                found = self.read(name)
                return found is not None and found.content == content
        return True

    def read(self, name: str) -> Seen | None:
        """Return what an object holds, None if it is not there.

        Raises:
            OSError: when it cannot be read.
        """
        with _as_os_errors():
            try:
                found = self._api.get(self._store, self._key(name))
            except FileNotFoundError:
                return None
            version = {key: found.meta[key] for key in ("e_tag", "version") if found.meta[key]}
            return Seen(bytes(found.bytes()), version)

    def delete(self, name: str) -> None:
        """Delete an object if it is there, and nothing else: pyarrow leaves a mark for its folder.

        Raises:
            OSError: when that is not possible.
        """
        with suppress(FileNotFoundError), _as_os_errors():
            self._api.delete(self._store, self._key(name))

    def age(self, name: str) -> float | None:
        """Return how many seconds ago an object was written, by the store's clock; None if gone.

        Raises:
            OSError: when the store does not say.
        """
        now = f".now-{uuid.uuid4().hex}"
        with _as_os_errors():
            try:
                self._api.put(self._store, self._key(now), b"")
                times = [self._api.head(self._store, self._key(n)) for n in (now, name)]
            except FileNotFoundError:
                return None
            finally:
                self._api.delete(self._store, self._key(now))
        seconds: float = (times[0]["last_modified"] - times[1]["last_modified"]).total_seconds()
        return seconds

    @property
    def _refusals(self) -> tuple[type[Exception], ...]:
        errors = self._api.exceptions
        return errors.AlreadyExistsError, errors.PreconditionError

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}".lstrip("/")


def _store(address: Address) -> Any:
    from obstore import store

    endpoint = address.endpoint
    common: dict[str, Any] = {
        "client_options": {
            "allow_http": address.protocol == "http",
            "connect_timeout": f"{PATIENCE:g}s",
            "timeout": f"{6 * PATIENCE:g}s",
        },
        "retry_config": {"max_retries": 6, "retry_timeout": LONGEST},
    }
    match address.scheme:
        case "s3":
            where = {} if endpoint is None else {"endpoint": endpoint}
            where |= _keys_of_profile()
            return store.S3Store(address.bucket, **where, region=region_of(address), **common)
        case "gs":
            where = {} if endpoint is None else {"base_url": endpoint}
            return store.GCSStore(address.bucket, **where, **common)
        case _:
            where = {} if endpoint is None else {"endpoint": endpoint}
            return store.AzureStore(address.bucket, **where, **common)


def _keys_of_profile() -> dict[str, str]:
    """Return the keys in the files of AWS, which obstore does not read, unless others are given."""
    if "AWS_ACCESS_KEY_ID" in os.environ:
        return {}
    names = {
        "aws_access_key_id": "access_key_id",
        "aws_secret_access_key": "secret_access_key",
        "aws_session_token": "session_token",
    }
    return {ours: value for theirs, ours in names.items() if (value := profile().get(theirs))}


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Raise what goes wrong as errors of storage, in a line: obstore adds its insides."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(_line(error)) from None
    except OSError:
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "obstore":
            raise
        raise OSError(_line(error)) from None


def _line(error: Exception) -> str:
    return " ".join(str(error).partition("\n\nDebug source")[0].split())
