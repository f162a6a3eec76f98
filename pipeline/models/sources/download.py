"""Getting published weights: the cache first, then the network, then a precise error."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlparse

import torch

from gauntlet.pipeline.models.checkpoint import open_checkpoint
from gauntlet.pipeline.models.file_format import identify
from gauntlet.pipeline.models.sources.source import Missing
from gauntlet.pipeline.models.sources.transfer import SECONDS, download
from gauntlet.pipeline.problems import BadInput, Problem


def hub_folder() -> Path:
    """Return the folder where torch keeps downloaded checkpoints."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def offline() -> bool:
    """Return whether the environment forbids downloads."""
    switches = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(switch.upper() in ("1", "ON", "YES", "TRUE") for switch in switches)


def cached_url(url: str) -> Path | None:
    """Return the file of a URL in torch's cache, or None."""
    path = hub_folder() / Path(urlparse(url).path).name
    return path if path.is_file() else None


def fetch_url(source: str, url: str) -> Path:
    """Return the file of a URL, downloading it into torch's cache if it is not there.

    Raises:
        BadInput: when it cannot be downloaded, or its hash is not the one in its name.
    """
    if (cached := cached_url(url)) is not None:
        return cached
    path = hub_folder() / Path(urlparse(url).path).name
    if offline():
        raise unavailable(source, url, path, "HF_HUB_OFFLINE is set")
    try:
        download(url, path, checksum(path.name))
    except (OSError, ValueError) as error:
        raise unavailable(source, url, path, str(error)) from None
    return path


def cached_hub(repository: str, names: tuple[str, ...]) -> Path | None:
    """Return a file of a Hugging Face repository in its cache, or None.

    Args:
        repository: ``owner/name`` or ``owner/name@revision``.
        names: acceptable file names, best first.
    """
    from huggingface_hub import try_to_load_from_cache

    owner_name, _, revision = repository.partition("@")
    for name in names:
        found = try_to_load_from_cache(owner_name, name, revision=revision or None)
        if isinstance(found, str):
            return Path(found)
    if not revision:
        # A file put there by hand comes without the cache's record of revisions.
        for name in names:
            by_hand = sorted(_hub_cache(owner_name).glob(f"snapshots/*/{name}"))
            if by_hand:
                return by_hand[0]
    return None


def fetch_hub(source: str, repository: str, names: tuple[str, ...]) -> Path:
    """Return a file of a Hugging Face repository, downloading it if it is not in the cache.

    Raises:
        BadInput: when none of the names can be downloaded.
    """
    if (cached := cached_hub(repository, names)) is not None:
        return cached
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    owner_name, _, revision = repository.partition("@")
    url, by_hand = _hub_places(repository, names)
    if offline():
        raise unavailable(source, url, by_hand, "HF_HUB_OFFLINE is set")
    # The hub's own client tries again for half a minute when there is no network at all.
    if (reason := _unreachable(url)) is not None:
        raise unavailable(source, url, by_hand, reason)
    for name in names:
        try:
            return Path(
                hf_hub_download(owner_name, name, revision=revision or None, etag_timeout=SECONDS)
            )
        except EntryNotFoundError:
            continue
        except Exception as error:
            reason = str(error).strip().split("\n")[0]
            raise unavailable(source, url, by_hand, reason) from None
    raise unavailable(source, url, by_hand, f"{repository} has no {' or '.join(names)}")


def url_problems(source: str, url: str) -> list[Problem]:
    """Return what is wrong with the cached file of a URL; its absence only when offline."""
    path = hub_folder() / Path(urlparse(url).path).name
    return _cache_problems(source, url, cached_url(url), path)


def checksum(name: str) -> str:
    """Return how a file's SHA-256 begins, by the end of its name: torch's ``net-0123abcd.pth``."""
    found = re.search(r"-([0-9a-f]{8,})\.", name)
    return found[1] if found else ""


def missing_url(url: str, size: int | None = None) -> list[Missing]:
    """Return the file of a URL unless it is in torch's cache.

    Args:
        url: its address.
        size: bytes, as the publisher says.
    """
    if cached_url(url) is not None:
        return []
    path = hub_folder() / Path(urlparse(url).path).name
    return [Missing(url, path, sha256=checksum(path.name), size=size)]


def missing_hub(repository: str, names: tuple[str, ...]) -> list[Missing]:
    """Return the best of a repository's files unless one of them is in the cache."""
    if cached_hub(repository, names) is not None:
        return []
    return [Missing(*_hub_places(repository, names))]


def hub_problems(source: str, repository: str, names: tuple[str, ...]) -> list[Problem]:
    """Return what is wrong with a cached file of a repository; its absence only when offline."""
    url, by_hand = _hub_places(repository, names)
    return _cache_problems(source, url, cached_hub(repository, names), by_hand)


def _cache_problems(source: str, url: str, cached: Path | None, place: Path) -> list[Problem]:
    if cached is None:
        if not offline():
            return []
        return list(unavailable(source, url, place, "HF_HUB_OFFLINE is set").problems)
    try:
        if cached.suffix == ".npz":  # arrays of other frameworks, which timm reads itself
            identify(cached)
        else:
            open_checkpoint(cached)
    except BadInput as error:
        again = "; delete it, and it is downloaded again"
        return [Problem("source", f"{problem}{again}") for problem in error.problems]
    return []


def unavailable(source: str, url: str, path: Path, reason: str) -> BadInput:
    """Return the error about weights that are neither cached nor to be had."""
    return BadInput(
        Problem(
            "source",
            f"the weights of {source} are not on this machine and cannot be downloaded ({reason}); "
            f"fetch {url} where there is a network and put it at {path}",
        )
    )


def _hub_places(repository: str, names: tuple[str, ...]) -> tuple[str, Path]:
    """Return where a repository's file can be fetched, and where to put it by hand."""
    from huggingface_hub import hf_hub_url

    owner_name, _, revision = repository.partition("@")
    url = hf_hub_url(owner_name, names[0], revision=revision or None)
    return url, _hub_cache(owner_name) / "snapshots" / (revision or "main") / names[0]


def _hub_cache(repository: str) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"


def _unreachable(url: str) -> str | None:
    """Return why a server cannot be reached, or None when it answers anything at all."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=SECONDS):
            return None
    except urllib.error.HTTPError:
        return None
    except OSError as error:
        return str(error)
