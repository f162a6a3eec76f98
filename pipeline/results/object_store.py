"""Opening an object store: how it is reached, and in a line why it is not."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from typing import Any

import pyarrow as pa
from pyarrow import fs

from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.store_address import SCHEMES, Address

PATIENCE = 5.0
"""Seconds that a store has to take a connection; an answer may take several times as long."""
_GLANCES, _ATTEMPTS = 2, 6
"""How often a request is tried when a store is opened, and when work would be lost with it."""
_NO_BUCKET = "there is no bucket {bucket} at {store}: create it, or check its name and the endpoint"
# What errors of pyarrow and obstore have in them -> what is said of them.
_SAID = {
    ("NO_SUCH_BUCKET", "NoSuchBucket", "' not found"): _NO_BUCKET,
    (
        *("INVALID_ACCESS_KEY_ID", "InvalidAccessKeyId", "INVALID_CLIENT_TOKEN_ID"),
        *("SIGNATURE_DOES_NOT_MATCH", "SignatureDoesNotMatch", "UNRECOGNIZED_CLIENT"),
        *("ExpiredToken", "InvalidToken", "401 Unauthorized", "OAuth2"),
    ): "{store} does not take the credentials: check {credentials}",
    (
        *("ACCESS_DENIED", "AccessDenied", "403 Forbidden", "PERMISSION_DENIED"),
        *("HTTP response code: 403", "HTTP status code: 403"),
    ): "the credentials have no right to do this: docs/storage.md lists the rights that are "
    "needed; {credentials} are used",
    (
        *("PermanentRedirect", "AuthorizationHeaderMalformed", "PERMANENT_REDIRECT"),
        *("301 Moved Permanently", "HTTP status 301"),
    ): "the bucket lies in another region: add ?region=REGION, or set AWS_REGION",
    (
        *("NETWORK_CONNECTION", "error sending request", "REQUEST_TIMEOUT", "curlCode"),
        *("Could not connect", "Couldn't connect", "Could not resolve"),
    ): "nothing answers at {store}: check the network, and the endpoint "
    "(?endpoint_override=HOST:PORT&scheme=http, or AWS_ENDPOINT_URL)",
}
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile in ~/.aws",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


@lru_cache(maxsize=16)
def opened(address: Address) -> Any:
    """Return the store that an address names, as a file system of pyarrow, once it has answered.

    Raises:
        BadInput: when it does not: with why, and what can be done.
    """
    try:
        glance = _system(address, _GLANCES)
        # It says why it refuses to list; but not that there is no bucket.
        glance.get_file_info(fs.FileSelector(address.path, allow_not_found=True))
    except (OSError, pa.ArrowException) as error:
        raise BadInput(Problem(address.text, explained(address, str(error)))) from None
    with suppress(
        OSError, pa.ArrowException
    ):  # the right to list may be one to list below the prefix
        if glance.get_file_info(address.bucket).type == fs.FileType.NotFound:
            raise BadInput(Problem(address.text, _told(_NO_BUCKET, address)))
    return _system(address, _ATTEMPTS)


@lru_cache(maxsize=16)
def region_of(address: Address) -> str:
    """Return the region of a bucket of S3; stores of other makers mostly want this one named.

    Raises:
        OSError: when AWS does not say it.
    """
    if address.region is not None:
        return address.region
    return (
        "us-east-1" if address.endpoint is not None else str(fs.resolve_s3_region(address.bucket))
    )


def explained(address: Address, error: str) -> str:
    """Return what an error of a store means and what can be done, in one line."""
    line = error.strip().partition("\n")[0]
    line = line if len(line) <= 300 else f"{line[:297]}..."
    for signs, what in _SAID.items():
        if any(sign in error for sign in signs):
            return f"{_told(what, address)} ({line})"
    return f"{_told('{store}', address)} cannot be used: {line}"


def _told(what: str, address: Address) -> str:
    return what.format(
        bucket=address.bucket,
        store=address.host or SCHEMES[address.scheme],
        credentials=_CREDENTIALS[address.scheme],
    )


def _system(address: Address, attempts: int) -> Any:
    where = {} if address.host is None else {"scheme": address.protocol}
    match address.scheme:
        case "s3":
            return fs.S3FileSystem(
                **where,
                endpoint_override=address.host,
                region=region_of(address),
                connect_timeout=PATIENCE,
                request_timeout=6 * PATIENCE,
                retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=attempts),
                # What is small is then written in one request.
                allow_delayed_open=True,
            )
        case "gs":
            limit = timedelta(seconds=attempts * PATIENCE)
            return fs.GcsFileSystem(**where, endpoint_override=address.host, retry_time_limit=limit)
        case _:
            account = os.environ.get("AZURE_STORAGE_ACCOUNT_NAME")
            if not account:
                raise OSError("no account: AZURE_STORAGE_ACCOUNT_NAME is not set")
            at = {} if address.host is None else {"blob_storage_authority": address.host}
            key = os.environ.get("AZURE_STORAGE_ACCOUNT_KEY")
            return fs.AzureFileSystem(account, key, **at, blob_storage_scheme=address.protocol)
