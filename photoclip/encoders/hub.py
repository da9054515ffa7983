"""The cache of the Hugging Face hub on this machine, and the one place that fetches anything into it."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from photoclip.errors import ModelUnavailable

Progress = Callable[[int, int], None]
"""Called during a download with the bytes that are here and the bytes there will be."""


def cached(repository: str, filename: str) -> str | None:
    """Return the path of a file of ``repository`` (``ORG/NAME``) in the cache, or None. No network."""
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(repository, filename)
    except ValueError as error:
        raise ModelUnavailable(f"{repository!r} is no name of a repository: ORG/NAME") from error
    return found if isinstance(found, str) else None


def download(repository: str, filename: str, progress: Progress) -> str | None:
    """Fetch one file into the cache and return its path, or None when the repository has no such file.

    A connection that breaks is taken up where it broke. What the hub gives a SHA-256 for must have it.
    Raise ModelUnavailable when the file cannot be had or is not what the hub says it is.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    with network(allowed=True), _in_words(repository):
        try:
            metadata = get_hf_file_metadata(hf_hub_url(repository, filename))
        except EntryNotFoundError:
            return None
        bar = _progress_bar(metadata.size or 0, progress)
        path: str = hf_hub_download(repository, filename, tqdm_class=bar)
    checksum = metadata.etag or ""
    # Large files have their SHA-256 as ETag; small ones the hash of a git object.
    if re.fullmatch("[0-9a-f]{64}", checksum) and sha256(path) != checksum:
        os.remove(os.path.realpath(path))
        raise ModelUnavailable(
            f"{filename} of {repository} arrived damaged and was removed", "run the same command again"
        )
    return path


def download_matching(repository: str, patterns: list[str]) -> None:
    """Fetch the small files of ``repository`` whose names match ``patterns`` (globs) into the cache.

    Raise ModelUnavailable when they cannot be had.
    """
    from huggingface_hub import snapshot_download

    with network(allowed=True), _in_words(repository):
        snapshot_download(repository, allow_patterns=patterns, tqdm_class=_progress_bar(0, lambda *_: None))


@contextmanager
def network(*, allowed: bool) -> Iterator[None]:
    """Let the hub's library use the network, or keep it off, for a while.

    It reads HF_HUB_OFFLINE once, when it is imported, and asks its own constant from then on; so the
    environment alone would decide by who came first.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = not allowed
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def sha256(path: str) -> str:
    """Return the SHA-256 of the file ``path``, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _in_words(repository: str) -> Iterator[None]:
    """Translate what the hub's library and the network raise, and keep its log off the user's terminal."""
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    threshold = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    except GatedRepoError as error:
        raise ModelUnavailable(
            f"{repository} is for people who accepted its terms",
            f"accept them at https://huggingface.co/{repository}, then run `hf auth login`",
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelUnavailable(f"the hub has no repository {repository}") from error
    except HFValidationError as error:
        raise ModelUnavailable(f"{repository!r} is no name of a repository: ORG/NAME") from error
    except Exception as error:
        # The library's errors, its HTTP client's and the disk's have no common ancestor.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelUnavailable(
            f"{repository} could not be downloaded: {reason}", "check the connection, then run it again"
        ) from error
    finally:
        logging.disable(threshold)


def _progress_bar(total: int, progress: Progress) -> type[Any]:
    """Return a class that the hub's library takes for tqdm and that reports to ``progress``."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, initial: int = 0, **options: Any) -> None:
            super().__init__(*args, disable=True, **{**options, "total": total})
            self.here = initial

        def update(self, n: float | None = 1) -> None:
            self.here += int(n or 0)
            progress(self.here, total)

        def update_transfer(self, n: float | None = 1) -> None:
            """Bytes on the wire: compressed, so of no use to a person who waits."""

    return Bar
