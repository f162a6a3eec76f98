"""Credentials in an address: whoever says or stores an address does so without them."""

from __future__ import annotations

import re

# What stands before the @ of an authority. A password may hold a slash, as keys of S3 do, and an @:
# after a colon that begins no port all is taken for it.
_BEFORE_HOST = re.compile(r"(?<=://)(?:[^\s'\"/@]*:(?!\d+/)[^\s'\"]*|[^\s'\"/?#@]*)@")
HIDDEN = "***@"


def without_credentials(text: str) -> str:
    """Return a text in which no address has a user or a password."""
    return _BEFORE_HOST.sub(HIDDEN, text) if "://" in text else text
