"""What the two cache files share: a stamp that says what they belong to, and a safe way to replace them.

The header, 128 bytes, little-endian:

    offset  bytes  meaning
         0      8  magic, tells a matrix from a graph
         8      4  format version, 3
        12      4  dimension of the rows
        16      8  generation of the catalogue
        24      8  count of content ids
        32     32  SHA-256 of the library id, the model and the weights hash
        64      8  bytes of the first section
        72      8  bytes of the second section
        80      4  CRC-32 of the first section
        84      4  CRC-32 of the second section
        88     36  zeros
       124      4  CRC-32 of bytes 0 to 123

The checksums guard against accidents (a cut file, a lost page), not against malice: CRC-32 reads 200 MB in
0.1 s where SHA-256 takes 0.15 s with hardware help and four times that without.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import zlib
from collections.abc import Iterator
from importlib import import_module
from typing import BinaryIO, NamedTuple

from photoclip.errors import CacheNotWritten

HEADER_SIZE = 128
MATRIX, GRAPH = b"PCMATRIX", b"PCGRAPH\0"
"""How the headers of the two kinds of files begin."""

HNSW_FROM = 100_000
"""From how many rows on a graph can be worth its load; see ``graph.prefer_graph``."""

_VERSION = 3
_FIELDS = struct.Struct("<8sIIqq32sQQII36x")
_CHECKSUM = struct.Struct("<I")
_CHUNK = 1 << 20


class Stamp(NamedTuple):
    """What a cache file must agree with to be used.

    ``library_id`` and ``weights_hash`` are hex; ``dimension`` is the length of a row; ``generation`` is
    the catalogue's counter, raised by every transaction that changes embeddings; ``rows`` is how many
    content ids have a row.
    """

    library_id: str
    model: str
    weights_hash: str
    dimension: int
    generation: int
    rows: int

    def identity(self) -> bytes:
        """Return 32 bytes that differ between libraries, models and weights."""
        parts = (self.library_id, self.model, self.weights_hash)
        return _sha256("\0".join(parts).encode("utf-8", "surrogateescape"))


def _sha256(content: bytes) -> bytes:
    """Return the SHA-256 of a few bytes without loading OpenSSL, as the standard library's ``random`` does:
    that would take a search 5 ms."""
    for module in ("_sha2", "_sha256", "hashlib"):  # of Python 3.12, of those before, of every one
        with contextlib.suppress(ImportError):
            digest: bytes = import_module(module).sha256(content).digest()
            return digest
    raise AssertionError("hashlib is always there")


class Section(NamedTuple):
    """A run of bytes in a cache file: how many, and their CRC-32."""

    size: int
    checksum: int


def pack_header(magic: bytes, stamp: Stamp, first: Section, second: Section) -> bytes:
    """Return the 128 bytes that describe a cache file of two sections."""
    fields = _FIELDS.pack(
        magic,
        _VERSION,
        stamp.dimension,
        stamp.generation,
        stamp.rows,
        stamp.identity(),
        first.size,
        second.size,
        first.checksum,
        second.checksum,
    )
    return fields + _CHECKSUM.pack(zlib.crc32(fields))


def unpack_header(header: bytes, magic: bytes, stamp: Stamp) -> tuple[Stamp, Section, Section] | None:
    """Return the stamp and the two sections a header describes, or None on any doubt.

    The header must be whole and of this ``magic``, format version, library, model, weights and dimension
    as in ``stamp``; the generation and the count returned are the file's own.
    """
    if len(header) != HEADER_SIZE or zlib.crc32(header[:-4]) != _CHECKSUM.unpack(header[-4:])[0]:
        return None
    fields = _FIELDS.unpack(header[:-4])
    found, version, dimension, generation, count, identity, size_1, size_2, checksum_1, checksum_2 = fields
    if (found, version, dimension, identity) != (magic, _VERSION, stamp.dimension, stamp.identity()):
        return None
    written = stamp._replace(generation=generation, rows=count)
    return written, Section(size_1, checksum_1), Section(size_2, checksum_2)


def matrix_stamp(path: str, expected: Stamp) -> Stamp | None:
    """Return ``expected`` with the generation and the count of the file at ``path``.

    None when there is no such file, or it is of another library, model or dimension, or damaged.
    """
    try:
        with open(path, "rb") as file:
            header = unpack_header(file.read(HEADER_SIZE), MATRIX, expected)
    except OSError:
        return None
    return header and header[0]


def graph_stamp(path: str, expected: Stamp) -> Stamp | None:
    """Return ``expected`` with the generation and the count of the graph at ``path``.

    None when there is no such file, or it is of another library, model or dimension, or damaged.
    """
    try:
        sealed = sealed_graph(path, expected)
    except OSError:
        return None
    return sealed and sealed[0]


def sealed_graph(path: str, stamp: Stamp) -> tuple[Stamp, bytes, Section] | None:
    """Return the stamp, the pairs of identical rows and the section of a graph file; None on any doubt."""
    with open(f"{path}.stamp", "rb") as file:
        header = unpack_header(file.read(HEADER_SIZE), GRAPH, stamp)
        copies = file.read()
    if header is None or header[1] != Section(len(copies), zlib.crc32(copies)):
        return None
    if os.path.getsize(path) != header[2].size:
        return None
    return header[0], copies, header[2]


def section_of(file: BinaryIO) -> Section:
    """Read ``file`` from where it stands to its end and return its size and checksum."""
    size = checksum = 0
    while chunk := file.read(_CHUNK):
        size += len(chunk)
        checksum = zlib.crc32(chunk, checksum)
    return Section(size, checksum)


@contextlib.contextmanager
def replacing(path: str) -> Iterator[str]:
    """Yield the name of a new empty file (mode 0600) that takes the place of ``path`` at the end.

    The new file is forced to disk before the rename and the folder after it, so that a crash leaves the
    old file or the new one, never a mixture. On any error the old file stays as it was. Temporary files
    of writers that were killed are removed first; the caller sees to it that there is one writer at a time.

    Raises CacheNotWritten when the system refuses (full disk, no permission); the cause is chained.
    """
    folder, name = os.path.split(os.path.abspath(path))
    temporary = f"{path}.{os.urandom(4).hex()}.tmp"
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, mode=0o700)
        _remove_leftovers(folder, name)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            yield temporary
            _force_to_disk(temporary)
            os.rename(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        _force_to_disk(folder)
    except OSError as error:
        raise CacheNotWritten(
            f"the vectors could not be written to {path}: {error.strerror or error}",
            "nothing is lost: photoclip makes this file again as soon as there is room for it",
        ) from error


def check_size(path: str, expected: int) -> None:
    """Raise OSError unless the file at ``path`` holds ``expected`` bytes."""
    found = os.path.getsize(path)
    if found != expected:
        raise OSError(f"only {found:,} of {expected:,} bytes reached the disk")


def _remove_leftovers(folder: str, name: str) -> None:
    leftover = re.compile(re.escape(name) + r"\.\w+\.tmp")
    for entry in os.listdir(folder):
        if leftover.fullmatch(entry):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, entry))


def _force_to_disk(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
