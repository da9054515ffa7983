"""Files whose headers lie, and whose facts are nonsense around a good picture."""

from __future__ import annotations

import struct
import zlib

from PIL import Image

from tests.faults import formats
from tests.faults.formats import (
    HEIGHT,
    PNG_ROWS,
    RED,
    ROWS,
    WIDTH,
    Entry,
    chunk,
    four_corners,
    png,
    png_header,
    saved,
    segment,
    tiff,
)
from tests.faults.specimens import ANY, EITHER, FOUR, PHOTO, REFUSED, Corpus

_END = chunk(b"IEND", b"")
_DATA = chunk(b"IDAT", zlib.compress(PNG_ROWS))
_SIGN = formats.PNG_SIGN


def lying_pngs(corpus: Corpus) -> None:
    """Checksums, lengths, sizes, kinds and the order of chunks."""
    good = png_header()
    for what, width, height in (
        ("no width", 0, HEIGHT),
        ("no height", WIDTH, 0),
        ("negative", 2**32 - 48, 32),
    ):
        corpus.put(what, "png", png(header=png_header(width, height)), REFUSED)
    corpus.put("more rows than data", "png", png(header=png_header(WIDTH, 4 * HEIGHT)), ANY)
    corpus.put("fewer rows than data", "png", png(header=png_header(WIDTH, 2)), ANY)
    for depth, colour in ((8, 1), (8, 5), (8, 7), (3, 2), (0, 2), (255, 2), (4, 2), (16, 3), (32, 0), (8, 3)):
        header = png_header(WIDTH, HEIGHT, depth, colour)
        corpus.put(f"depth {depth} colour {colour}", "png", png(header=header), REFUSED)
    for place, what in ((2, "compression"), (3, "filter method"), (4, "interlacing")):
        more = [8, 2, 0, 0, 0]
        more[place] = 9
        corpus.put(f"unknown {what}", "png", png(header=png_header(WIDTH, HEIGHT, *more)), ANY, FOUR)
    corpus.put("unknown row filter", "png", png(rows=b"\x09" + PNG_ROWS[1:]), ANY, FOUR)
    for what, body in (
        ("wrong header checksum", chunk(b"IHDR", good[8:21], 1) + _DATA + _END),
        ("wrong data checksum", good + chunk(b"IDAT", zlib.compress(PNG_ROWS), 1) + _END),
        ("wrong text checksum", good + chunk(b"tEXt", b"Comment\0x", 1) + _DATA + _END),
        ("wrong end checksum", good + _DATA + chunk(b"IEND", b"", 1)),
        ("no end", good + _DATA),
        ("two headers", good + good + _DATA + _END),
        ("rubbish behind", good + _DATA + _END + b"rubbish" * 100),
        ("unknown chunk", good + chunk(b"prVt", b"x" * 100) + _DATA + _END),
        ("unknown critical chunk", good + chunk(b"PrVt", b"x" * 100) + _DATA + _END),
        ("data in pieces of 3", good + _pieces(3) + _END),
        ("empty data chunks", good + chunk(b"IDAT", b"") * 50 + _DATA + _END),
        ("colour of clear pixels cut", good + chunk(b"tRNS", b"\0") + _DATA + _END),
        ("gamma of nothing", good + chunk(b"gAMA", b"\0\0\0\0") + _DATA + _END),
        ("animation of no frames", good + chunk(b"acTL", bytes(8)) + _DATA + _END),
        ("animation of 2^31 frames", good + chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)) + _DATA + _END),
        ("long text", good + chunk(b"tEXt", b"Comment\0" + b"x" * 500_000) + _DATA + _END),
    ):
        corpus.put(what, "png", _SIGN + body, EITHER, FOUR)
    for what, body in (
        ("header of 12 bytes", chunk(b"IHDR", good[8:20]) + _DATA + _END),
        ("no header", _DATA + _END),
        ("data before the header", _DATA + good + _END),
        ("no data", good + _END),
        ("empty data", good + chunk(b"IDAT", b"") + _END),
        ("data that is not compressed", good + chunk(b"IDAT", PNG_ROWS) + _END),
        ("chunk of 4 GB", good + b"\xff\xff\xff\xff" + _DATA[4:] + _END),
        ("chunk beyond the end", good + struct.pack(">I", len(_DATA) + 1000) + _DATA[4:] + _END),
        ("palette of 1 byte", png_header(WIDTH, HEIGHT, 8, 3) + chunk(b"PLTE", b"x") + _DATA + _END),
        ("chunk without a name", good + chunk(b"\0\0\0\0", b"x" * 10) + _DATA + _END),
    ):
        corpus.put(what, "png", _SIGN + body, ANY, FOUR)
    corpus.put(
        "signature with line ends of text",
        "png",
        _SIGN.replace(b"\r\n", b"\n") + good + _DATA + _END,
        REFUSED,
    )


def _pieces(size: int) -> bytes:
    data = zlib.compress(PNG_ROWS)
    return b"".join(chunk(b"IDAT", data[place : place + size]) for place in range(0, len(data), size))


def lying_jpegs(corpus: Corpus) -> None:
    """Segments that are too long, too short, too many or missing."""
    jpeg, progressive = corpus.whole["JPEG"][1], corpus.whole["progressive JPEG"][1]
    other = saved(four_corners((RED,) * 4), "jpg", quality=90)
    sized, with_segments = formats.jpeg_of_size, formats.jpeg_with
    for what, content in (
        ("rubbish behind", jpeg + b"rubbish" * 1000),
        ("zeros behind", jpeg + bytes(100_000)),
        ("another picture behind", jpeg + other),
        ("a video behind", jpeg + b"\0\0\0\x18ftypmp42" + bytes(1000)),
        ("an archive behind", jpeg + b"PK\x03\x04" + bytes(100)),
        ("another picture in a comment", with_segments(jpeg, segment(0xFE, other))),
        ("empty comment", with_segments(jpeg, segment(0xFE, b""))),
        ("fill bytes", with_segments(jpeg, b"\xff" * 100)),
        (
            "every application segment",
            with_segments(jpeg, *[segment(0xE1 + n, b"x" * 50) for n in range(13)]),
        ),
        ("thumbnail of another", with_segments(jpeg, segment(0xE0, b"JFXX\0\x10" + other))),
        (
            "many pictures, none there",
            with_segments(jpeg, segment(0xE2, b"MPF\0II*\0\x08\0\0\0" + b"\xff" * 30)),
        ),
        ("no end", jpeg[:-2]),
        ("no end of many scans", progressive[:-2]),
    ):
        corpus.put(what, "jpg", content, EITHER if what.startswith("no end") else PHOTO, FOUR)
    for what, content in (
        ("rubbish before", b"rubbish" + jpeg),
        ("comment of length 0", with_segments(jpeg, segment(0xFE, b"x", 0))),
        ("comment of length 1", with_segments(jpeg, segment(0xFE, b"x", 1))),
        ("comment of length 65535", with_segments(jpeg, segment(0xFE, b"x", 65535))),
        ("no width", sized(jpeg, 0, HEIGHT)),
        ("no height", sized(jpeg, WIDTH, 0)),
        ("no tables", jpeg.replace(b"\xff\xdb", b"\xff\xec")),
        ("no codes", jpeg.replace(b"\xff\xc4", b"\xff\xec")),
        ("no start", jpeg[2:]),
        ("two starts", b"\xff\xd8" + jpeg),
        ("no frame", jpeg.replace(b"\xff\xc0", b"\xff\xec")),
        ("lossless", jpeg.replace(b"\xff\xc0", b"\xff\xc3")),
        ("arithmetic", jpeg.replace(b"\xff\xc0", b"\xff\xc9")),
        ("many scans in name only", jpeg.replace(b"\xff\xc0", b"\xff\xc2")),
        ("12 bits", jpeg.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c")),
        ("5 colours", jpeg.replace(b"\xff\xc0\0\x11\x08\0\x20\0\x30\3", b"\xff\xc0\0\x11\x08\0\x20\0\x30\5")),
        (
            "no colours",
            jpeg.replace(b"\xff\xc0\0\x11\x08\0\x20\0\x30\3", b"\xff\xc0\0\x11\x08\0\x20\0\x30\0"),
        ),
        ("samples of nothing", jpeg.replace(b"\1\x22\0\2\x11", b"\1\0\0\2\0")),
        ("samples of 15", jpeg.replace(b"\1\x22\0\2\x11", b"\1\xff\0\2\x11")),
        ("twice as high", sized(jpeg, WIDTH, 2 * HEIGHT)),
        ("much larger", sized(jpeg, 5000, 5000)),
        ("half as wide", sized(jpeg, WIDTH // 2, HEIGHT)),
        ("only a start and an end", b"\xff\xd8\xff\xd9"),
        ("only markers", b"\xff\xd8" + b"\xff\xda" * 10_000),
        ("restart markers everywhere", jpeg[:-2] + b"\xff\xd0\xff\xd1" * 1000 + b"\xff\xd9"),
        ("a million bytes of ff", b"\xff\xd8" + b"\xff" * 1_000_000),
    ):
        corpus.put(what, "jpg", content, ANY)


def lying_tiffs(corpus: Corpus) -> None:
    """Directories without end, strips that are elsewhere, and numbers that cannot be."""
    end = 2**31 - 5
    entries: list[tuple[str, dict[int, Entry | None]]] = [
        ("strip beyond the end", {273: (4, 1, 10**9)}),
        ("strip at the last address", {273: (4, 1, 2**32 - 1)}),
        ("strip longer than the file", {279: (4, 1, end), 278: (4, 1, HEIGHT), 257: (4, 1, 4 * HEIGHT)}),
        ("no strip", {273: None}),
        ("strip of nothing", {279: (4, 1, 0)}),
        ("no width", {256: None}),
        ("width 0", {256: (4, 1, 0)}),
        ("height 0", {257: (4, 1, 0)}),
        ("rows per strip 0", {278: (4, 1, 0)}),
        ("9 bits", {258: (3, 1, 9)}),
        ("bits of nothing", {258: (3, 1, 0)}),
        ("bits of 3 of 1,000,000,000", {258: (3, 10**9, 400)}),
        ("0 samples", {277: (3, 1, 0)}),
        ("60,000 samples", {277: (3, 1, 60_000)}),
        ("unknown compression", {259: (3, 1, 65000)}),
        ("LZW that is none", {259: (3, 1, 5)}),
        ("deflate that is none", {259: (3, 1, 8)}),
        ("JPEG that is none", {259: (3, 1, 7)}),
        ("old JPEG", {259: (3, 1, 6)}),
        ("fax that is none", {259: (3, 1, 4), 258: (3, 1, 1), 277: (3, 1, 1), 262: (3, 1, 0)}),
        ("unknown photometric", {262: (3, 1, 4000)}),
        ("palette without colours", {262: (3, 1, 3)}),
        ("text of 1,000,000,000 letters", {270: (2, 10**9, 8)}),
        ("1,000,000,000 strips", {273: (4, 10**9, 8)}),
        ("directory within that is itself", {330: (4, 1, 8)}),
        ("EXIF that is itself", {34665: (4, 1, 8)}),
        ("places that are the directory", {34853: (4, 1, 8)}),
        ("entries of type 77", {60000: (77, 5, 5)}),
        ("tiles of nothing", {322: (4, 1, 0), 323: (4, 1, 0), 324: (4, 1, 512)}),
        ("tile larger than all", {322: (4, 1, 2**30), 323: (4, 1, 2**30), 324: (4, 1, 512), 325: (4, 1,
        512)}),
        ("rows upside down", {274: (3, 1, 77)}),
        ("resolution of nothing", {282: (5, 1, 2**31), 283: (5, 1, 0)}),
        ("sample format of 99", {339: (3, 1, 99)}),
        ("negative numbers", {339: (3, 1, 2)}),
        ("predictor 99", {317: (3, 1, 99)}),
    ]  # fmt: skip
    for what, changes in entries:
        corpus.put(what, "tif", tiff(changes), ANY)
    corpus.put("next directory is this one", "tif", tiff(after=8), EITHER, FOUR)
    corpus.put("next directory beyond the end", "tif", tiff(after=10**9), EITHER, FOUR)
    corpus.put("unknown entries", "tif", tiff(dict.fromkeys(range(60000, 60018), (4, 1, 7))), EITHER, FOUR)
    for what, content in (
        ("directory of 65,535 entries", b"II*\0\x08\0\0\0\xff\xff" + ROWS),
        ("directory beyond the end", b"II*\0" + struct.pack("<I", 10**9) + ROWS),
        ("directory at 0", b"II*\0\0\0\0\0" + ROWS),
        ("directory of nothing", b"II*\0\x08\0\0\0\0\0\0\0\0\0"),
        ("empty big directory", b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**63) + ROWS),
        ("big directory of offsets of 3", b"II+\0\x03\0\0\0" + struct.pack("<QQ", 16, 1) + ROWS),
        ("only a sign", b"MM\0*"),
    ):
        corpus.put(what, "tif", content, REFUSED)


def lying_others(corpus: Corpus) -> None:
    """GIF, BMP, WebP, PPM, JPEG 2000, HEIC and AVIF."""
    gif, webp = corpus.whole["GIF"][1], corpus.whole["lossless WebP"][1]
    corpus.put("from the top", "bmp", formats.bmp(height=-HEIGHT), PHOTO, FOUR)
    corpus.put("from the bottom", "bmp", formats.bmp(), PHOTO, FOUR)
    for what, content in (
        ("width 0", formats.bmp(width=0)), ("height 0", formats.bmp(height=0)),
        ("negative width", formats.bmp(width=-WIDTH)), ("lowest height", formats.bmp(height=-(2**31))),
        ("7 bits", formats.bmp(bits=7)), ("0 bits", formats.bmp(bits=0)), ("1 bit", formats.bmp(bits=1)),
        ("unknown compression", formats.bmp(compression=77)), ("runs in 24 bits", formats.bmp(compression=1)),
        ("masks in 24 bits", formats.bmp(compression=3)), ("a JPEG within", formats.bmp(compression=4)),
        ("pixels beyond the end", formats.bmp(offset=10**9)), ("pixels at 0", formats.bmp(offset=0)),
        ("header of 1,000 bytes", formats.bmp().replace(b"\x28\0\0\0", b"\xe8\3\0\0", 1)),
        ("header of 0 bytes", formats.bmp().replace(b"\x28\0\0\0", bytes(4), 1)),
        ("runs without end", formats.bmp(bits=8, compression=1)[:54] + bytes(1024) + b"\xff\x01" * 5000),
        ("twice as high", formats.bmp(height=2 * HEIGHT)),
    ):  # fmt: skip
        corpus.put(what, "bmp", content, ANY)
    for what, content, right in (
        ("no end", gif[:-1], EITHER), ("rubbish behind", gif + b"rubbish" * 50, PHOTO),
        ("old version", gif.replace(b"GIF89a", b"GIF87a"), PHOTO),
        ("comments", gif[:-1] + b"\x21\xfe\x04text\0" * 1000 + b";", PHOTO),
    ):  # fmt: skip
        corpus.put(what, "gif", content, right, FOUR)
    frame = gif.index(b",\0\0\0\0")
    for what, content in (
        ("unknown version", gif.replace(b"GIF89a", b"GIF99a")), ("no frame", gif[:frame] + b";"),
        ("screen of 0 x 0", gif[:6] + bytes(4) + gif[10:]), ("code size 0", formats.empty_gif(8, 8, 0)),
        ("code size 255", formats.empty_gif(8, 8, 255)), ("frame of 0 x 0",
        gif[: frame + 5] + bytes(4) + gif[frame + 9 :]),
        ("frame beside the screen", gif[: frame + 1] + b"\xff\xff\xff\xff" + gif[frame + 5 :]),
        ("no colours", gif[:10] + b"\0" + gif[11:]), ("unknown blocks",
        gif[:frame] + b"\x21\x99\xff" + gif[frame:]),
        ("screen of 1 x 1", gif[:6] + b"\1\0\1\0" + gif[10:]),
    ):  # fmt: skip
        corpus.put(what, "gif", content, ANY)
    for size in (0, 1, 12, 2**31, 2**32 - 2):
        corpus.put(f"length {size}", "webp", webp[:4] + struct.pack("<I", size) + webp[8:], ANY, FOUR)
    corpus.put("chunk of 4 GB", "webp", webp[:16] + b"\xff\xff\xff\xfe" + webp[20:], ANY, FOUR)
    corpus.put("unknown chunk", "webp", webp[:12] + b"XXXX" + webp[16:], REFUSED)
    corpus.put("rubbish behind", "webp", webp + b"rubbish" * 50, EITHER, FOUR)
    for what, head in (("highest value 0", b"P6 48 32 0\n"), ("highest value 70000", b"P6 48 32 70000\n"),
                       ("negative", b"P6 -48 32 255\n"), ("no numbers", b"P6 x y z\n"), ("only a sign",
                       b"P6\n"),
                       ("kind 9", b"P9 48 32 255\n"), ("no width", b"P6 0 32 255\n"), ("words",
                       b"P3 48 32 255\nred ")):  # fmt: skip
        corpus.put(what, "ppm", head + ROWS, REFUSED)
    for kind in ("JPEG 2000", "AVIF", "HEIC"):
        ending, content = corpus.whole[kind]
        for what, length in (
            ("of length 0", 0),
            ("of length 1", 1),
            ("of length 7", 7),
            ("of 4 GB", 2**32 - 1),
        ):
            corpus.put(
                f"{kind}, first box {what}", ending, struct.pack(">I", length) + content[4:], ANY, FOUR
            )
        corpus.put(f"{kind}, rubbish behind", ending, content + b"rubbish" * 50, EITHER, FOUR)
        corpus.put(f"{kind}, empty boxes behind", ending, content + b"\0\0\0\x08free" * 1000, EITHER, FOUR)
    for kind, brands in (
        ("HEIC", (b"mif1", b"heix", b"qt  ", b"xxxx")),
        ("AVIF", (b"mif1", b"heic", b"avis", b"xxxx")),
    ):
        ending, content = corpus.whole[kind]
        for brand in brands:
            corpus.put(f"{kind} as {brand.decode()}", ending, content[:8] + brand + content[12:], ANY, FOUR)
        place = content.index(b"iloc") + 4
        corpus.put(
            f"{kind}, data elsewhere",
            ending,
            content[: place + 16] + b"\xff" * 4 + content[place + 20 :],
            ANY,
        )


def lying_facts(corpus: Corpus) -> None:
    """Whatever a good picture says about itself, it stays a good picture."""
    loop = formats.exif([(0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0xA005, 4, 1, 8), (0x014A, 4, 1, 8)], after=8)
    blocks = {
        "nothing": b"", "one byte": b"E", "only its sign": b"Exif\0\0", "a loop": loop,
        "noise": b"Exif\0\0" + corpus.chance.randbytes(300),
        "noise behind a header": b"Exif\0\0II*\0\x08\0\0\0" + corpus.chance.randbytes(300),
        "65,535 entries": b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(600),
        "a directory beyond the end": b"Exif\0\0II*\0" + struct.pack("<I", 2**31),
        "a text of 1,000,000,000 letters": formats.exif([(0x010F, 2, 10**9, 8), (0x9286, 7, 10**9, 8)]),
        "a time of a million letters": formats.exif([(0x0132, 2, 40_000, 26)], b"9" * 40_000),
        "fractions of nothing": formats.exif([(0x8825, 4, 1, 26)], struct.pack("<HHHII", 1, 2, 5, 3,
        26) + bytes(24)),
        "escape codes": formats.exif([(0x010F, 2, 30, 26)], b"\x1b]0;owned\x07\x1b[31m<b>=1+1\0" + bytes(8)),
        "another thumbnail": formats.exif([(0x0201, 4, 1, 26), (0x0202, 4, 1, 10**9)],
        saved(Image.new("RGB", (9, 9)), "jpg")),
        "a byte order of its own": b"Exif\0\0XX*\0\x08\0\0\0\0\0",
    }  # fmt: skip
    picture = four_corners()
    for what, block in blocks.items():
        jpeg = formats.jpeg_with(saved(picture, "jpg", quality=90), segment(0xE1, block))
        corpus.put(f"EXIF is {what}", "jpg", jpeg, PHOTO, FOUR)
        corpus.put(
            f"EXIF is {what}", "png", png(chunk(b"eXIf", block.removeprefix(b"Exif\0\0"))), PHOTO, FOUR
        )
        corpus.put(
            f"EXIF is {what}", "webp", saved(picture, "webp", lossless=True, exif=block or b"x"), PHOTO, FOUR
        )
    for what, profile in (("one byte", b"x"), ("noise", corpus.chance.randbytes(400)), ("zeros", bytes(128)),
                          ("a header without tags", struct.pack(">I",
                          128) + b"lcms\4\x20\0\0mntrRGB XYZ " + bytes(108))):  # fmt: skip
        for ending in ("jpg", "png", "webp", "tif", "avif", "heic"):
            content = saved(picture, ending, icc_profile=profile)
            corpus.put(f"profile is {what}", ending, content, PHOTO, FOUR)
    entities = b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10))
    for what, text in (
        ("not XML", b"<<<"),
        ("ten thousand million words", b"<!DOCTYPE x [" + entities + b"]><x>&a9;</x>"),
    ):
        xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + text)
        corpus.put(
            f"XMP is {what}", "jpg", formats.jpeg_with(saved(picture, "jpg", quality=90), xmp), PHOTO, FOUR
        )
        corpus.put(
            f"XMP is {what}", "png", png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + text)), PHOTO, FOUR
        )
    huge = segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\xff\xff\xff\xff")
    corpus.put(
        "Photoshop block of 4 GB",
        "jpg",
        formats.jpeg_with(saved(picture, "jpg", quality=90), huge),
        PHOTO,
        FOUR,
    )
    short = segment(0xEE, b"Adobe")  # which Pillow will not have
    corpus.put(
        "Adobe block of 5 bytes",
        "jpg",
        formats.jpeg_with(saved(picture, "jpg", quality=90), short),
        EITHER,
        FOUR,
    )
