"""Pictures of every mode, which must look right, and pictures that are far more than they seem."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageCms

from tests.faults import formats
from tests.faults.formats import (
    BLUE,
    GREEN,
    HEIGHT,
    PNG_ROWS,
    RED,
    ROWS,
    WIDTH,
    YELLOW,
    chunk,
    four_corners,
    png,
    png_header,
    saved,
    segment,
    tiff,
)
from tests.faults.specimens import ANY, EITHER, FOUR, PHOTO, REFUSED, Corpus, Seen, grey

MILLION = 1_000_000
SCANS = 30_000


def modes(corpus: Corpus) -> None:
    for endings, picture, seen in _eight_bits():
        for ending in endings.split():
            corpus.put(f"mode {picture.mode}", ending, saved(picture, ending, **_best(ending)), PHOTO, seen)
    for endings, values, shown in _deep():
        for ending in endings.split():
            corpus.put(
                f"{values.dtype} grey", ending, saved(Image.fromarray(values), ending), PHOTO, grey(*shown)
            )
    palette = four_corners().quantize(4)
    first = palette.getpixel((2, 2))
    white = Seen(quarters=((255, 255, 255), GREEN, BLUE, YELLOW))
    alphas = bytes(0 if index == first else 255 for index in range(4))
    corpus.put(
        "palette with one clear colour", "png", saved(palette, "png", transparency=first), PHOTO, white
    )
    corpus.put("palette with alphas", "png", saved(palette, "png", transparency=alphas), PHOTO, white)
    corpus.put(
        "palette with one clear colour", "gif", saved(palette, "gif", transparency=first), PHOTO, white
    )
    for compression in ("packbits", "tiff_deflate", "tiff_lzw", "tiff_adobe_deflate", "jpeg"):
        more = {"compression": compression, **({"quality": 95} if compression == "jpeg" else {})}
        corpus.put(f"TIFF {compression}", "tif", saved(four_corners(), "tif", **more), PHOTO, FOUR)
    ink = four_corners((1, 0, 0, 1), "1")
    for compression in ("group3", "group4"):
        corpus.put(f"fax {compression}", "tif", saved(ink, "tif", compression=compression), PHOTO, _INK)
    corpus.put("big TIFF", "tif", saved(four_corners(), "tif", big_tiff=True), PHOTO, FOUR)
    wide = np.frombuffer(ROWS, np.uint8).astype(">u2") * 257
    deep = b"".join(
        b"\0" + wide[3 * WIDTH * row : 3 * WIDTH * (row + 1)].astype(">u2").tobytes() for row in range(HEIGHT)
    )
    corpus.put("48-bit colour", "png", png(header=png_header(WIDTH, HEIGHT, 16), rows=deep), PHOTO, FOUR)
    corpus.put("48-bit colour", "ppm", b"P6 48 32 65535\n" + wide.astype(">u2").tobytes(), PHOTO, FOUR)
    for order in "<>":
        corpus.put(
            f"48-bit colour {order}",
            "tif",
            tiff(data=wide.astype(order + "u2").tobytes(), order=order),
            PHOTO,
            FOUR,
        )
        corpus.put(f"24-bit colour {order}", "tif", tiff(order=order), PHOTO, FOUR)
    plain = np.frombuffer(ROWS, np.uint8).reshape(-1, 3)
    clear = np.full((HEIGHT, WIDTH, 4), 65535, ">u2")
    clear[:, :, :3] = wide.reshape(HEIGHT, WIDTH, 3)
    clear[: HEIGHT // 2, : WIDTH // 2, 3] = 0
    deep = b"".join(b"\0" + row.tobytes() for row in clear)
    corpus.put("64-bit colour", "png", png(header=png_header(WIDTH, HEIGHT, 16, 6), rows=deep), PHOTO, white)
    corpus.put("seven passes", "png", formats.interlaced_png(), PHOTO, FOUR)
    bright = bytes(four_corners(_GREYS, "L").tobytes())
    one: dict[int, formats.Entry | None] = {258: (3, 1, 8), 277: (3, 1, 1)}
    corpus.put(
        "zero is white",
        "tif",
        tiff({**one, 262: (3, 1, 0)}, bright),
        PHOTO,
        grey(*(255 - value for value in _GREYS)),
    )
    corpus.put("zero is black", "tif", tiff({**one, 262: (3, 1, 1)}, bright), PHOTO, grey(*_GREYS))
    for bits, kind in ((64, np.float64), (16, np.float16), (64, np.int64)):
        floats = (np.frombuffer(bright, np.uint8) / 255).astype(kind).tobytes()
        changes = {**one, 258: (3, 1, bits), 262: (3, 1, 1), 339: (3, 1, 3 if kind is not np.int64 else 2)}
        corpus.put(f"grey of {kind.__name__}", "tif", tiff(changes, floats), ANY, grey(*_GREYS))
    for bits in (1, 2, 4):
        few = four_corners().quantize(2 if bits == 1 else 4)
        right = FOUR if bits > 1 else None
        corpus.put(f"palette of {bits} bits", "png", saved(few, "png", bits=bits), PHOTO, right)
    corpus.put("planes one after the other", "tif", _planar(plain), PHOTO, FOUR)
    corpus.put(
        "ascii", "ppm", b"P3\n# a comment\n48 32 255\n" + " ".join(map(str, ROWS)).encode(), PHOTO, FOUR
    )
    corpus.put(
        "of 1,000",
        "ppm",
        b"P6 48 32 1000\n" + (plain.astype(int) * 1000 // 255).astype(">u2").tobytes(),
        PHOTO,
        FOUR,
    )


_INK = grey(255, 0, 0, 255)
_GREYS = (40, 110, 180, 250)


def _best(ending: str) -> dict[str, object]:
    options: dict[str, dict[str, object]] = {"webp": {"lossless": True}, "jpg": {"quality": 95}}
    return options.get(ending, {})


def _eight_bits() -> Iterable[tuple[str, Image.Image, Seen]]:
    clear = four_corners().convert("RGBA")
    clear.paste((0, 0, 0, 0), (0, 0, WIDTH // 2, HEIGHT // 2))
    half = Seen(quarters=((255, 255, 255), GREEN, BLUE, YELLOW))
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(four_corners(), *profiles, outputMode="LAB")
    assert lab is not None
    yield "png tif bmp gif pbm jpg", four_corners((255, 0, 0, 255), "1"), _INK
    yield "png tif bmp gif pgm jpg jp2 webp avif", four_corners(_GREYS, "L"), grey(*_GREYS)
    yield (
        "png tif jp2",
        four_corners([(0, 0), (110, 255), (180, 255), (0, 128)], "LA"),
        grey(255, 110, 180, 127),
    )
    yield "png tif bmp gif", four_corners().quantize(16), FOUR
    yield "tif", four_corners().quantize(4).convert("PA"), FOUR
    yield "png tif webp jp2 avif heic gif", clear, half
    yield "png tif jpg", four_corners().convert("RGB"), FOUR
    yield "jp2 j2k ppm heic avif jfif dib", four_corners(), FOUR
    yield "tif jpg", four_corners().convert("CMYK"), FOUR
    yield "tif jpg", four_corners().convert("YCbCr"), FOUR
    yield "tif", lab, FOUR


def _deep() -> Iterable[tuple[str, np.ndarray, tuple[int, ...]]]:
    shares = np.asarray(four_corners((0, 85, 170, 255), "L")) / 255
    shown = (0, 85, 170, 255)
    yield "png tif jp2", (shares * 65535).astype(np.uint16), shown
    yield "tif", (shares * 65535).astype(">u2"), shown
    yield "tif", (shares * 65535).astype(np.int32), shown
    yield "tif", (shares * (2**31 - 1)).astype(np.int32), shown
    yield "tif", shares.astype(np.float32), shown
    yield "tif", (shares * 255).astype(np.float32), shown
    broken = shares.astype(np.float32)
    broken[0, :4], broken[1, :2] = (np.nan, np.inf, -np.inf, np.nan), (np.nan, -0.0)
    yield "tif", broken, shown
    yield "tif", np.full((HEIGHT, WIDTH), np.nan, np.float32), (0, 0, 0, 0)


def _planar(pixels: np.ndarray) -> bytes:
    """Return a TIFF whose three colours lie one after the other."""
    places = struct.pack("<3I", 512, 512 + len(pixels), 512 + 2 * len(pixels)) + struct.pack(
        "<3I", *[len(pixels)] * 3
    )
    changes: dict[int, formats.Entry | None] = {284: (3, 1, 2), 273: (4, 3, 420), 279: (4, 3, 432)}
    content = bytearray(tiff(changes, pixels.T.tobytes()))
    content[420 : 420 + len(places)] = places
    return bytes(content)


_PLAIN = Seen(4000, 4000, ((128, 128, 128),) * 4)


def bombs(corpus: Corpus) -> None:
    jpeg, png_data = corpus.whole["JPEG"][1], zlib.compress(bytes(1000))
    corpus.put("GIF of 160 megapixels", "gif", formats.empty_gif(16000, 10000), REFUSED)
    corpus.put("GIF of 99 megapixels", "gif", formats.empty_gif(9900, 10000), ANY)
    corpus.put("PNG of 178 megapixels", "png", _packed(13375, 13331, 8, 2), REFUSED)
    corpus.put("grey PNG of 178 megapixels", "png", _packed(13375, 13331, 8, 0), REFUSED, slow=True)
    corpus.put("PNG of 99 megapixels", "png", _packed(9950, 9950, 8, 2), ANY, slow=True)
    corpus.put("tiny JPEG of 169 megapixels", "jpg", formats.jpeg_of_size(jpeg, 13000, 13000), ANY)
    corpus.put(f"JPEG of {SCANS} scans", "jpg", formats.endless_jpeg(SCANS), EITHER, _PLAIN, slow=True)
    for width, height, right in (
        (16320, 12240, PHOTO),
        (12000, 9008, PHOTO),
        (16384, 16384, ANY),
        (32000, 32000, REFUSED),
    ):
        seen = Seen(width, height, ((128, 128, 128),) * 4)
        corpus.put(
            f"JPEG of {width} x {height}", "jpg", formats.grey_jpeg(width, height), right, seen, slow=True
        )
    for depth, colour, megapixels in (
        (8, 6, 64),
        (8, 6, 99),
        (16, 2, 64),
        (16, 0, 99),
        (8, 3, 99),
        (1, 0, 99),
    ):
        side = round((megapixels * MILLION) ** 0.5) // 8 * 8
        content = _packed(side, side, depth, colour)
        corpus.put(f"PNG of {megapixels} megapixels of {depth} bits {colour}", "png", content, ANY, slow=True)
    for what, width, height in (("4 gigapixels", 65535, 65535), ("2^62 pixels", 2**31 - 1, 2**31 - 1)):
        corpus.put(
            what, "png", formats.PNG_SIGN + png_header(width, height) + chunk(b"IDAT", png_data), REFUSED
        )
        corpus.put(what, "bmp", formats.bmp(width, height), REFUSED)
        corpus.put(what, "tif", tiff({256: (4, 1, width), 257: (4, 1, height)}), REFUSED)
        corpus.put(what, "ppm", b"P6 %d %d 255\n" % (width, height) + ROWS, REFUSED)
        corpus.put(what, "pbm", b"P4 %d %d\n" % (width, height) + ROWS, REFUSED)
        for kind in ("JPEG 2000", "AVIF", "HEIC"):
            ending, content = corpus.whole[kind]
            corpus.put(f"{what} {kind}", ending, _with_sizes(content, width, height), REFUSED)
    corpus.put("4 gigapixels", "gif", formats.empty_gif(65535, 65535), REFUSED)
    corpus.put("4 gigapixels", "jpg", formats.jpeg_of_size(jpeg, 65535, 65535), REFUSED)
    corpus.put(
        "4 gigapixels progressive",
        "jpg",
        formats.jpeg_of_size(corpus.whole["progressive JPEG"][1], 65500, 65500),
        REFUSED,
    )
    corpus.put("281 terapixels", "webp", _webp_canvas(2**24, 2**24), REFUSED)
    corpus.put("number of 10,000 digits", "ppm", b"P6 " + b"9" * 10000 + b" 32 255\n" + ROWS, REFUSED)
    corpus.put(
        "text of 200 MB", "png", png(chunk(b"zTXt", b"Comment\0\0" + formats.zeros(200 * MILLION))), ANY, FOUR
    )
    corpus.put("international text of 200 MB", "png",
               png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + formats.zeros(200 * MILLION))), ANY,
               FOUR)  # fmt: skip
    corpus.put(
        "profile of 200 MB", "png", png(chunk(b"iCCP", b"icc\0\0" + formats.zeros(200 * MILLION))), ANY, FOUR
    )
    corpus.put("10,000 texts", "png", png(*[chunk(b"tEXt", b"Comment\0x")] * 10_000), ANY, FOUR)
    corpus.put(
        "20,000 comments", "jpg", formats.jpeg_with(jpeg, *[segment(0xFE, b"x")] * 20_000), EITHER, FOUR
    )
    corpus.put("profile of 255 parts", "jpg", formats.jpeg_with(
        jpeg, *[segment(0xE2, b"ICC_PROFILE\0" + bytes([part, 255]) + bytes(60_000)) for part in range(1,
        100)]), EITHER, FOUR)  # fmt: skip
    corpus.put("rows for a million more", "png", png(rows=PNG_ROWS + bytes(3 * MILLION)), EITHER, FOUR)
    corpus.put("strip that unpacks to 500 MB", "tif",
               tiff({259: (3, 1, 8)}, zlib.compress(ROWS) + formats.zeros(500 * MILLION)), EITHER,
               FOUR)  # fmt: skip
    corpus.put("5,000 frames", "gif", _frames(corpus.whole["GIF"][1], 5000), PHOTO, FOUR)
    corpus.put("60,000 frames", "gif", _frames(corpus.whole["GIF"][1], 60_000), PHOTO, FOUR, slow=True)
    corpus.put(
        "300 pages",
        "tif",
        saved(four_corners(), "tif", save_all=True, append_images=[Image.new("1", (1, 1))] * 300),
        PHOTO,
        FOUR,
    )
    for width, height in ((1, 65000), (65000, 1)):
        strip = Image.new("RGB", (width, height), RED)
        seen = Seen(width, height, (RED,) * 4)
        for ending in ("png", "jpg", "tif", "gif", "bmp", "ppm"):
            corpus.put(f"strip {width} x {height}", ending, saved(strip, ending), PHOTO, seen)
    corpus.put("one pixel", "png", saved(Image.new("RGB", (1, 1), RED), "png"), PHOTO, Seen(1, 1, (RED,) * 4))


def _packed(width: int, height: int, depth: int, colour: int) -> bytes:
    """Return a black PNG that says and holds so many pixels."""
    row = 1 + {0: 1, 2: 3, 3: 1, 6: 4}[colour] * width * depth // 8
    data = chunk(b"IDAT", formats.zeros(row * height // MILLION * MILLION + MILLION))
    palette = chunk(b"PLTE", bytes(6)) if colour == 3 else b""
    return formats.PNG_SIGN + png_header(width, height, depth, colour) + palette + data + chunk(b"IEND", b"")


def _with_sizes(content: bytes, width: int, height: int) -> bytes:
    """Return a picture in boxes that says, wherever it says so, that it has another size."""
    for sign, first, second in ((b"ispe\0\0\0\0", width, height), (b"ihdr", height, width)):
        place = content.find(sign)
        if place >= 0:
            place += len(sign)
            content = content[:place] + struct.pack(">II", first, second) + content[place + 8 :]
    place = content.find(b"\xff\x51")
    if place >= 0:
        content = content[: place + 6] + struct.pack(">II", width, height) + content[place + 14 :]
    return content


def _webp_canvas(width: int, height: int) -> bytes:
    inner = saved(four_corners(), "webp", lossless=True)[12:]
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + size + inner
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _frames(gif: bytes, count: int) -> bytes:
    begin = gif.index(b",\0\0\0\0")
    return gif[:-1] + gif[begin:-1] * (count - 1) + b";"
