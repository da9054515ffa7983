"""The merge list of the text tower: the first of CLIP's own merges, which are in the order of frequency."""

from __future__ import annotations

import gzip
from pathlib import Path

from photoclip.encoders import builtin

MERGES = 16_000


def write() -> None:
    """Write ``merges.txt.gz`` of the built-in model from the list that OpenCLIP carries."""
    import open_clip

    whole = Path(open_clip.__file__).with_name("bpe_simple_vocab_16e6.txt.gz")
    lines = (
        gzip.decompress(whole.read_bytes()).decode().split("\n")[: MERGES + 1]
    )  # after a line on the version
    builtin.MERGES_PATH.write_bytes(gzip.compress("\n".join(lines).encode(), compresslevel=9, mtime=0))
