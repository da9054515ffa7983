"""Keywords in picture files: read from wherever programs put them, in real files."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from pathlib import Path

import pillow_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin, TiffImagePlugin

from photoclip import xmp
from photoclip.images import facts
from photoclip.images.keywords import keywords_in, keywords_of
from photoclip.images.messages import KEYWORD_LETTERS, KEYWORDS
from tests.sidecar_shapes import DIGIKAM, PADDED

IPTC_UTF8 = b"\x1c\x01\x5a\x00\x03\x1b%G"


def iptc(*keywords: bytes) -> bytes:
    return b"".join(b"\x1c\x02\x19" + struct.pack(">H", len(one)) + one for one in keywords)


def windows(text: str) -> Image.Exif:
    exif = Image.Exif()
    exif[0x9C9E] = text.encode("utf-16-le") + b"\0\0"
    return exif


def photoshop(block: bytes) -> bytes:
    """Return the segment of a JPEG file that holds an IPTC block."""
    resource = b"8BIM\x04\x04\x00\x00" + struct.pack(">I", len(block)) + block + b"\0" * (len(block) % 2)
    body = b"Photoshop 3.0\0" + resource
    return b"\xff\xed" + struct.pack(">H", len(body) + 2) + body


def saved(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(file, kind, **options)
    return file.getvalue()


def jpeg(block: bytes = b"", **options: object) -> bytes:
    data = saved("JPEG", **options)
    return data[:2] + photoshop(block) + data[2:] if block else data


def in_file(data: bytes) -> tuple[str, ...]:
    with Image.open(io.BytesIO(data)) as picture:
        return keywords_of(picture)


# -- where they stand -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG", "TIFF", "AVIF", "HEIF"])
def test_xmp_is_read_from_every_format(kind: str) -> None:
    pillow_heif.register_heif_opener()
    options: dict[str, object] = {"xmp": DIGIKAM}
    if kind == "PNG":
        notes = PngImagePlugin.PngInfo()
        notes.add_itxt("XML:com.adobe.xmp", DIGIKAM.decode(), zip=True)
        options = {"pnginfo": notes}
    elif kind == "TIFF":
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[700] = DIGIKAM
        options = {"tiffinfo": tags}
    assert in_file(saved(kind, **options)) == ("Animals/Dog", "garden")


def test_iptc_is_read_from_jpeg_and_tiff() -> None:
    block = IPTC_UTF8 + iptc("Küste".encode(), b"sea", b"", b" SEA ")
    assert in_file(jpeg(block)) == ("Küste", "sea")
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[33723] = block
    assert in_file(saved("TIFF", tiffinfo=tags)) == ("Küste", "sea")


def test_iptc_that_names_no_encoding_is_utf8_if_it_can_be() -> None:
    assert in_file(jpeg(iptc("Küste".encode()))) == ("Küste",)
    assert in_file(jpeg(iptc("Küste 5 €".encode("cp1252")))) == ("Küste 5 €",)
    assert in_file(jpeg(IPTC_UTF8 + iptc(b"K\xfcste"))) == ("K\ufffdste",)


def test_long_iptc_entries_are_stepped_over() -> None:
    long = b"\x1c\x02\x78\x80\x04" + struct.pack(">I", 40_000) + b"x" * 40_000
    assert in_file(jpeg(long + iptc(b"sea"))) == ("sea",)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_windows_writes_is_read(kind: str) -> None:
    assert in_file(saved(kind, exif=windows("sea; Küste;;sea"))) == ("sea", "Küste")


def test_a_raw_file_that_is_built_like_tiff_is_read_by_its_tags() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[700], tags[33723] = DIGIKAM, iptc(b"sea")
    data = saved("TIFF", tiffinfo=tags)
    assert keywords_in(facts.tiff_tags(io.BytesIO(data))) == ("Animals/Dog", "garden", "sea")
    assert keywords_in(Image.Exif()) == ()


# -- what becomes of them -------------------------------------------------------------------------


def test_each_keyword_is_there_once_in_its_first_spelling() -> None:
    data = jpeg(iptc(b"DOG", b"animals", b"Garden", b"sea"), xmp=DIGIKAM, exif=windows("Sea;garden;sky"))
    assert in_file(data) == ("Animals/Dog", "garden", "sea", "sky")


def test_ours_are_left_out_wherever_another_program_has_copied_them() -> None:
    data = jpeg(iptc(b"Plants", b"Rose", b"garden"), xmp=xmp.with_labels(DIGIKAM, ["Plants/Rose"]))
    assert in_file(data) == ("Animals/Dog", "garden")


def test_there_is_an_end_to_them() -> None:
    assert len(in_file(jpeg(iptc(*(b"%d" % number for number in range(1000)))))) == KEYWORDS
    long = in_file(jpeg(iptc(*(b"%d" % number * 60 for number in range(100, 350)))))
    assert sum(map(len, long)) in range(KEYWORD_LETTERS - 200, KEYWORD_LETTERS + 1)


def test_no_picture_is_refused_for_what_it_says() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "bbbb">]>' + DIGIKAM
    assert in_file(jpeg(xmp=bomb)) == ()
    assert in_file(jpeg(xmp=DIGIKAM[:900])) == ()
    assert in_file(jpeg(xmp=PADDED + b"\0\0")) == ()
    assert in_file(jpeg(iptc(b"sea") + b"\x1c\x02\x19\xff\xff")) == ("sea",)
    assert in_file(jpeg(iptc(b"sea\0\x1b[31m\n"))) == ("sea [31m",)
    assert in_file(saved("PNG")) == ()


@given(st.binary(max_size=80), st.binary(max_size=80), st.one_of(st.binary(max_size=40), st.integers(0, 9)))
def test_garbage_is_no_keyword_and_no_error(block: bytes, xmp_packet: bytes, tag: bytes | int) -> None:
    picture = Image.new("RGB", (4, 4))
    picture.info = {"xmp": xmp_packet, "photoshop": {0x0404: iptc(b"sea") + block}}
    picture.getexif()[0x9C9E] = tag
    assert "sea" in keywords_of(picture)
    picture.info = {"xmp": 7, "photoshop": "no", "exif": block}
    keywords_of(picture)


# -- what exiftool writes -------------------------------------------------------------------------


@pytest.mark.exiftool
@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(
    "where", ["XMP-dc:Subject", "XMP-lr:HierarchicalSubject", "IPTC:Keywords", "XPKeywords"]
)
def test_what_exiftool_writes_is_read(tmp_path: Path, kind: str, where: str) -> None:
    if kind in ("PNG", "WEBP") and where == "IPTC:Keywords":
        pytest.skip("these formats have no place for IPTC")
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(saved(kind))
    texts = ["sea & sky", "Küste", "😀"]
    options = [f"-{where}={text}" for text in texts]
    if where == "XPKeywords":
        texts[2] = "☂"  # exiftool writes no pairs of surrogates here
        options = [f"-{where}={';'.join(texts)}"]
    elif where.endswith("HierarchicalSubject"):
        options, texts = [f"-{where}=Places|Küste"], ["Places/Küste"]
    elif where == "IPTC:Keywords":
        options.append("-IPTC:CodedCharacterSet=UTF8")
    command = ["exiftool", "-q", "-overwrite_original", *options, str(path)]
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    assert in_file(path.read_bytes()) == tuple(texts)
