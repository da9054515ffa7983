"""Picture files for the corpus: as Pillow writes them, by hand where no encoder would, and their parts."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterable

from PIL import Image

Colour = tuple[int, int, int]
RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 200, 30), (30, 30, 220), (230, 220, 40)
CORNERS = (RED, GREEN, BLUE, YELLOW)
"""Above left and right, below left and right: every turn, and every lost half, looks different."""
WIDTH, HEIGHT = 48, 32


def four_corners(
    colours: Iterable[object] = CORNERS, mode: str = "RGB", size: tuple[int, int] = (WIDTH, HEIGHT)
) -> Image.Image:
    """Return a picture whose quarters have these colours."""
    width, height = size
    picture = Image.new(mode, size)
    for place, colour in enumerate(colours):
        left, top = place % 2 * (width // 2), place // 2 * (height // 2)
        picture.paste(colour, (left, top, left + (width + 1) // 2, top + (height + 1) // 2))  # type: ignore[arg-type]
    return picture


def saved(picture: Image.Image, ending: str, **options: object) -> bytes:
    """Return the picture as a file of the format that goes with ``ending``."""
    buffer = io.BytesIO()
    if ending == "heic":
        import pillow_heif

        pillow_heif.from_pillow(picture).save(buffer, **options)
    else:
        Image.init()
        picture.save(buffer, Image.EXTENSION[f".{ending}"], **options)
    return buffer.getvalue()


def whole_files() -> dict[str, tuple[str, bytes]]:
    """Return (ending, content) of an intact file of every kind, by its name."""
    picture = four_corners()
    options: dict[str, tuple[str, dict[str, object]]] = {
        "JPEG": ("jpg", {"quality": 90, "comment": b"a comment"}),
        "progressive JPEG": ("jpg", {"quality": 90, "progressive": True}),
        "PNG": ("png", {"dpi": (72, 72)}),
        "GIF": ("gif", {}),
        "animated GIF": ("gif", {"save_all": True, "append_images": [picture.rotate(180)]}),
        "WebP": ("webp", {"quality": 95}),
        "lossless WebP": ("webp", {"lossless": True}),
        "animated WebP": ("webp", {"save_all": True, "append_images": [picture.rotate(180)]}),
        "TIFF": ("tif", {}),
        "LZW TIFF": ("tif", {"compression": "tiff_lzw"}),
        "BMP": ("bmp", {}),
        "JPEG 2000": ("jp2", {}),
        "AVIF": ("avif", {"quality": 95, "speed": 10}),
        "PPM": ("ppm", {}),
        "MPO": ("mpo", {"save_all": True, "append_images": [picture.rotate(180)], "quality": 90}),
    }
    files = {kind: (ending, saved(picture, ending, **more)) for kind, (ending, more) in options.items()}
    return {**files, "HEIC": ("heic", saved(four_corners(), "heic", quality=95))}


_BOXES = rb"ftyp|meta|hdlr|pitm|iloc|iinf|infe|iprp|ipco|ispe|hvcC|av1C|pixi|colr|ipma|mdat|jp2h|ihdr|jp2c"
_PARTS = {
    b"\xff\xd8": rb"\xff[\xc0-\xfe]",
    b"\x89P": rb"IHDR|pHYs|IDAT|IEND",
    b"GI": rb"\x21[\xf9\xff]|,\0\0\0\0|;$",
    b"RI": rb"VP8.|ANIM|ANMF",
    b"\0\0": _BOXES + rb"|\xff[\x51\x52\x5c\x64\x90\x93\xd9]",
}


def parts(content: bytes) -> list[int]:
    """Return where the markers, chunks or boxes of a file begin."""
    found = re.finditer(_PARTS.get(content[:2], rb"(?!)"), content, re.DOTALL)
    return [place for place in (match.start() for match in found) if 2 < place < len(content)]


# -- PNG --------------------------------------------------------------------------------------------

PNG_SIGN = b"\x89PNG\r\n\x1a\n"
ROWS = four_corners().tobytes()
"""The pixels of the four corners, RGB, row by row."""
PNG_ROWS = b"".join(b"\0" + ROWS[3 * WIDTH * row : 3 * WIDTH * (row + 1)] for row in range(HEIGHT))


def chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    """Return a chunk of a PNG, with a right checksum unless another is given."""
    right = zlib.crc32(kind + content)
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", right if checksum is None else checksum)
    )


def png_header(width: int = WIDTH, height: int = HEIGHT, *more: int) -> bytes:
    """Return the chunk of width, height, depth, colour, compression, filter and interlace."""
    rest = (*more, *(8, 2, 0, 0, 0)[len(more) :])
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, *rest))


def png(*chunks: bytes, header: bytes = b"", rows: bytes = PNG_ROWS) -> bytes:
    """Return a PNG of ``rows`` with more chunks before them."""
    data = chunk(b"IDAT", zlib.compress(rows))
    return PNG_SIGN + (header or png_header()) + b"".join(chunks) + data + chunk(b"IEND", b"")


_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def interlaced_png() -> bytes:
    """Return a PNG in seven passes, each of every so many columns and rows from some on."""
    pixels = [[ROWS[3 * (WIDTH * row + at) :][:3] for at in range(WIDTH)] for row in range(HEIGHT)]
    rows = b"".join(
        b"\0" + b"".join(row[left::across])
        for left, top, across, down in _PASSES
        for row in pixels[top::down]
    )
    return png(header=png_header(WIDTH, HEIGHT, 8, 2, 0, 0, 1), rows=rows)


def zeros(length: int) -> bytes:
    """Return at once what zlib makes of ``length`` zero bytes (a multiple of a million)."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)
    end = b"\x03\0" + struct.pack(">HH", length % 65521, 1)
    return b"\x78\x9c" + block * (length // 1_000_000) + end


# -- TIFF, BMP, GIF, JPEG ---------------------------------------------------------------------------

_BITS, _DATA = 400, 512
Entry = tuple[int, int, int]


def tiff(
    changes: dict[int, Entry | None] | None = None, data: bytes = ROWS, order: str = "<", after: int = 0
) -> bytes:
    """Return a TIFF of three samples; ``changes`` are other entries (type, count, value) by tag, None: no
    such entry. The directory is at byte 8, 16-bit numbers for BitsPerSample at 400, the data at 512."""
    tags: dict[int, Entry | None] = {
        256: (4, 1, WIDTH), 257: (4, 1, HEIGHT), 258: (3, 3, _BITS), 259: (3, 1, 1), 262: (3, 1, 2),
        273: (4, 1, _DATA), 277: (3, 1, 3), 278: (4, 1, HEIGHT), 279: (4, 1, len(data)), **(changes or {}),
    }  # fmt: skip
    kept = sorted((tag, entry) for tag, entry in tags.items() if entry is not None)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(kept))
    for tag, (kind, count, value) in kept:
        short = kind == 3 and count == 1
        head += struct.pack(order + "HHI", tag, kind, count)
        head += struct.pack(order + "HH", value, 0) if short else struct.pack(order + "I", value)
    head = (head + struct.pack(order + "I", after)).ljust(_BITS, b"\0")
    depth = 16 if len(data) == 2 * len(ROWS) else 8
    return (head + struct.pack(order + "3H", depth, depth, depth)).ljust(_DATA, b"\0") + data


def bmp(
    width: int = WIDTH, height: int = HEIGHT, bits: int = 24, compression: int = 0, offset: int = 54
) -> bytes:
    """Return a BMP whose rows are the four corners, from the bottom (from the top if height < 0)."""
    step = -1 if height > 0 else 1
    rows = [ROWS[3 * WIDTH * row : 3 * WIDTH * (row + 1)] for row in range(HEIGHT)][::step]
    data = b"".join(
        row[at + 2 - one : at + 3 - one] for row in rows for at in range(0, len(row), 3) for one in range(3)
    )
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, offset) + info + data


def empty_gif(width: int, height: int, code_size: int = 2) -> bytes:
    """Return the smallest GIF that says it has this size: it has no pixels."""
    size = struct.pack("<HH", width, height)
    return b"GIF89a" + size + b"\0\0\0,\0\0\0\0" + size + b"\0" + bytes([code_size]) + b"\x02\x4c\x01\0;"


def segment(marker: int, content: bytes, length: int | None = None) -> bytes:
    """Return a segment of a JPEG, with a right length unless another is given."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2 if length is None else length) + content


def jpeg_with(content: bytes, *segments: bytes) -> bytes:
    """Return a JPEG with more segments at its beginning."""
    return content[:2] + b"".join(segments) + content[2:]


def jpeg_of_size(content: bytes, width: int, height: int) -> bytes:
    """Return a JPEG that says it has another size."""
    place = next(match.start() for match in re.finditer(rb"\xff[\xc0\xc2]\0[\x0b\x11]\x08", content))
    return content[: place + 5] + struct.pack(">HH", height, width) + content[place + 9 :]


def grey_jpeg(width: int, height: int) -> bytes:
    """Return at once an intact JPEG of one grey (128); both sides are multiples of 16.

    Every block says the same in six bits: no change of brightness (00), and nothing more (1010).
    """
    whole = saved(Image.new("L", (8, 8), 128), "jpg")
    scan = whole.index(b"\xff\xda")
    head = jpeg_of_size(whole[: scan + 10], width, height)
    return head + b"\x28\xa2\x8a" * (width * height // 256) + b"\xff\xd9"


def endless_jpeg(scans: int) -> bytes:
    """Return a small progressive JPEG that takes more than a minute of one call to decode.

    Each scan adds one bit of precision to nothing, which is legal as often as one likes.
    """
    content = saved(Image.new("L", (4000, 4000), 128), "jpg", progressive=True, quality=50)
    begins = [match.start() for match in re.finditer(rb"\xff\xda", content)]
    second = content[begins[1] : content.index(b"\xff\xc4", begins[1])]
    return content[: begins[2]] + second * scans + b"\xff\xd9"


def exif(entries: Iterable[tuple[int, int, int, int]], tail: bytes = b"", after: int = 0) -> bytes:
    """Return an EXIF block of entries (tag, type, count, value), the directory being at byte 8."""
    entries = list(entries)
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries))
    block += b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"Exif\0\0" + block + struct.pack("<I", after) + tail
