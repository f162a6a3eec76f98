"""Credentials in an address: whoever says or stores an address does so without them."""

from __future__ import annotations

import re

# What stands before the @ of an authority. The key of an S3 user may hold slashes: after a colon
# that begins no port they are taken for such a key's.
_BEFORE_HOST = re.compile(r"(?<=://)(?:[^\s'\"/?#@]*|[^\s'\"/@]*:(?!\d+/)[^\s'\"@]*)@")
HIDDEN = "***@"


def without_credentials(text: str) -> str:
    """Return a text in which no address has a user or a password."""
    return _BEFORE_HOST.sub(HIDDEN, text) if "://" in text else text
