"""Bad and odd files, hundreds of them, the same for the same seed, and what is right to make of each."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import random
import socket
import sqlite3
import struct
import wave
import zipfile
from pathlib import Path

from PIL import Image

from tests.faults import formats, lies, oddities
from tests.faults.formats import four_corners, saved
from tests.faults.specimens import ANY, BROKEN, EITHER, FOUR, LEFT_OUT, PHOTO, REFUSED, Corpus, Specimen

SPARSE_BYTES = 3 * 10**9


def make(folder: Path, seed: int) -> list[Specimen]:
    """Put the files into ``folder`` and return what they are. Takes a few seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    corpus = Corpus(os.fsencode(folder), random.Random(seed))
    for fill in (
        _whole, _cut, _overwritten, _turned, oddities.modes, oddities.bombs, lies.lying_pngs,
        lies.lying_jpegs,
        lies.lying_tiffs, lies.lying_others, lies.lying_facts, _wrong_endings, _no_pictures, _rare_formats,
        _odd_names, _odd_files,
    ):  # fmt: skip
        fill(corpus)
    return corpus.specimens


def _whole(corpus: Corpus) -> None:
    for kind, (ending, content) in corpus.whole.items():
        corpus.put(f"intact {kind}", ending, content, PHOTO, FOUR)


def _cut(corpus: Corpus) -> None:
    for kind, (ending, content) in corpus.whole.items():
        length = len(content)
        shares = [length // 4, length // 2, 3 * length // 4, length - 2, length - 1]
        for place in sorted({1, 2, 12, *formats.parts(content), *shares}):
            corpus.put(f"{kind} cut at {place} of {length}", ending, content[:place], EITHER, FOUR)
        corpus.put(f"empty {kind}", ending, b"", BROKEN)


def _overwritten(corpus: Corpus) -> None:
    """Zeros and noise where data was: decoders of what has no checksum show what there is."""
    for kind, (ending, content) in corpus.whole.items():
        half, page = len(content) // 2, len(content) // 5
        noise = corpus.chance.randbytes(len(content))
        seen = FOUR if kind == "PNG" else None
        for what, start, end in (("second half", half, len(content)), ("page", half, half + page)):
            zeroed = content[:start] + bytes(end - start) + content[end:]
            noisy = content[:start] + noise[start:end] + content[end:]
            corpus.put(f"{kind}, {what} zero", ending, zeroed, EITHER, seen)
            corpus.put(f"{kind}, {what} random", ending, noisy, ANY, seen)
        corpus.put(f"{kind}, all random", ending, noise, REFUSED)
        for number in range(2):
            head, data = (
                _flipped(corpus, content, 0, min(64, half)),
                _flipped(corpus, content, half, len(content)),
            )
            corpus.put(f"{kind}, header bits {number}", ending, head, ANY, seen)
            corpus.put(f"{kind}, data bits {number}", ending, data, ANY, seen)


def _flipped(corpus: Corpus, content: bytes, start: int, end: int) -> bytes:
    changed = bytearray(content)
    for _ in range(3):
        changed[corpus.chance.randrange(start, end)] ^= 1 << corpus.chance.randrange(8)
    return bytes(changed)


_STORED_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip


def _turned(corpus: Corpus) -> None:
    for orientation in range(1, 9):
        turn = _STORED_AS.get(orientation)
        stored = four_corners() if turn is None else four_corners().transpose(turn)
        facts = Image.Exif()
        facts[0x0112] = orientation
        block = facts.tobytes()  # some writers take the entry out of an Image.Exif
        for ending in ("jpg", "png", "webp", "tif", "avif", "heic"):
            corpus.put(f"orientation {orientation}", ending, saved(stored, ending, exif=block), PHOTO, FOUR)
    for what, kind, count, value in (
        ("0", 3, 1, 0), ("9", 3, 1, 9), ("255", 3, 1, 255), ("65535", 3, 1, 65535), ("text", 2, 2, ord("6")),
        ("of 1,000,000,000 values", 3, 10**9, 8), ("rational", 5, 1, 8), ("of unknown type", 99, 1, 6),
    ):  # fmt: skip
        block = formats.exif([(0x0112, kind, count, value)])
        corpus.put(
            f"orientation {what}", "jpg", saved(four_corners(), "jpg", exif=block, quality=90), PHOTO, FOUR
        )
        corpus.put(f"orientation {what}", "png", saved(four_corners(), "png", exif=block), PHOTO, FOUR)


_ENDINGS = ["jpg", "png", "gif", "webp", "tif", "bmp", "jp2", "avif", "heic", "ppm"]


def _wrong_endings(corpus: Corpus) -> None:
    """Every format under the ending of every other: the content counts."""
    contents = dict(reversed(corpus.whole.values()))
    for true in _ENDINGS:
        for false in _ENDINGS:
            if true != false:
                corpus.put(f"{true} that is called {false}", false, contents[true], PHOTO, FOUR)
        for false in ("dng", "cr2", "jxl"):
            corpus.put(f"{true} that is called {false}", false, contents[true], ANY, FOUR)
        for false in ("txt", "mp4", "xyz", "jpg-", "bak"):
            corpus.put(f"{true} that is called {false}", false, contents[true], LEFT_OUT)


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 48 32
%%EndComments
(%pipe%touch SIGN) (w) file closefile (SIGN) (w) file closefile 0 0 48 32 rectfill showpage
%%EOF
"""
"""Leaves a file SIGN behind where it is run."""


def _no_pictures(corpus: Corpus) -> None:
    """What is no picture, whatever it is called."""
    archive, sound = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("photo.jpg", corpus.whole["JPEG"][1])
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "none"))
        file.writeframes(bytes(2000))
    box = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"isom", 512, b"isom", b"mp41")
    contents = {
        "text": b"not a picture\n" * 20, "HTML": b"<!DOCTYPE html><html><body>404</body></html>",
        "a script": b"#!/bin/sh\ntouch SIGN\n", "an archive": archive.getvalue(), "a sound": sound.getvalue(),
        "PDF": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF", "EPS": EPS,
        "EPS with a preview": b"\xc5\xd0\xd3\xc6" + struct.pack("<6I", 32, len(EPS), 0, 0, 0,
        0) + b"\xff\xff\0\0" + EPS,
        "a video": box + b"\0\0\0\x08mdat" + bytes(500), "a film": b"\x1aE\xdf\xa3" + bytes(300),
        "an old film": b"RIFF\0\1\0\0AVI LIST" + bytes(300), "a QuickTime film": box.replace(b"isom",
        b"qt  ") + bytes(300),
        "a program": b"\x7fELF" + bytes(500), "XML": b"<?xml version='1.0'?><a/>", "a table": b"a,b\n1,2\n",
        "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='http://127.0.0.1/x'/></svg>",
        "JSON": b'{"a": 1}', "something packed": gzip.compress(corpus.whole["PNG"][1]),
        "a pickle": pickle.dumps(EPS),
        "Photoshop": b"8BPS\0\1" + bytes(200), "zeros": bytes(5000), "ones": b"\xff" * 5000,
        "one zero": b"\0",
        "noise": corpus.chance.randbytes(5000), "a line end": b"\n", "a byte order mark": b"\xef\xbb\xbf",
        "a database": _database(corpus), "WMF": b"\xd7\xcd\xc6\x9a\0\0" + bytes(100),
        "EMF": b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(60),
        "FITS": b"SIMPLE  =                    T".ljust(2880), "JPEG XL": b"\xff\x0a" + bytes(100),
        "boxed JPEG XL": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100), "MPEG": b"\0\0\1\xba" + bytes(300),
    }  # fmt: skip
    for what, content in contents.items():
        for ending in ("jpg", "png"):
            corpus.put(f"{what} that is called {ending}", ending, content, REFUSED)
    for what in ("text", "HTML", "EPS", "a video", "zeros", "noise"):
        for ending in ("tif", "heic", "gif", "webp", "jp2", "bmp", "avif"):
            corpus.put(f"{what} that is called {ending}", ending, contents[what], REFUSED)


def _database(corpus: Corpus) -> bytes:
    with sqlite3.connect(":memory:") as db:
        db.execute("CREATE TABLE photos (path)")
        content = (
            db.serialize() if hasattr(db, "serialize") else b"SQLite format 3\0" + corpus.chance.randbytes(84)
        )
    db.close()
    return content


def _rare_formats(corpus: Corpus) -> None:
    """Pictures that Pillow could read, under a name that promises another."""
    for ending in ("ico", "tga", "pcx", "sgi", "dds", "icns", "msp", "xbm", "qoi"):
        mode = "1" if ending in ("msp", "xbm") else "RGB"
        size = (128, 128) if ending == "icns" else (48, 32)
        content = saved(four_corners(size=size).convert(mode), ending)
        corpus.put(
            f"{ending} that is called jpg",
            "jpg",
            content,
            ANY,
            FOUR if mode == "RGB" and size == (48, 32) else None,
        )


def _odd_names(corpus: Corpus) -> None:
    """A good picture under names that make it a photo, or none."""
    content = corpus.whole["JPEG"][1]
    for name, right in (
        ("UPPER.JPG", PHOTO), ("Mixed.JpEg", PHOTO), ("two.dots.jpg", PHOTO), ("-rf.jpg", PHOTO), ("x.jfif",
        PHOTO),
        ("new\nline.jpg", PHOTO), ("a" * 251 + ".jpg", PHOTO), (" .jpg", PHOTO), ("100% [b]=.jpg", PHOTO),
        ("~x.jpe", PHOTO),
        ("no ending", LEFT_OUT), ("jpg", LEFT_OUT), (".jpg", LEFT_OUT), (".hidden.jpg", LEFT_OUT),
        ("x.jpg.part", LEFT_OUT),
        ("._x.jpg", LEFT_OUT), ("x.jpg~", LEFT_OUT), ("x.", LEFT_OUT), ("x.jpg ", LEFT_OUT),
        ("x.crdownload", LEFT_OUT),
    ):  # fmt: skip
        _add_named(corpus, name.encode(), content, right)
    _add_named(corpus, b"not-utf-8-\xff\xfe.jpg", content, PHOTO)


def _add_named(corpus: Corpus, name: bytes, content: bytes, right: frozenset[str]) -> None:
    path = os.path.join(corpus.folder, name)
    with open(path, "wb") as file:
        file.write(content)
    corpus.add(path, f"a good picture called {os.fsdecode(name)!r}", right, FOUR if right == PHOTO else None)


def _odd_files(corpus: Corpus) -> None:
    """What is no regular file, or one that may not be read, or one of billions of nothing."""
    nothing = LEFT_OUT | BROKEN
    good = corpus.put("a good picture with links to it", "jpg", corpus.whole["JPEG"][1], PHOTO, FOUR)
    for what, target in (
        ("a link", good), ("a link to nothing", b"nowhere.jpg"), ("a link to itself", b""),
        ("a link to a folder", b"."),
        ("a link to an endless device", b"/dev/zero"), ("a link to nothing at all", b"/dev/null"),
    ):  # fmt: skip
        path = corpus.name(what, "jpg")
        os.symlink(target or path, path)
        corpus.add(path, what, nothing | PHOTO if target == good else nothing, FOUR)
    path = corpus.name("a second name", "jpg")
    os.link(good, path)
    corpus.add(path, "a second name", PHOTO, FOUR)
    path = corpus.name("a pipe", "jpg")
    os.mkfifo(path)
    corpus.add(path, "a pipe", nothing)
    path = corpus.name("a folder", "jpg")
    os.mkdir(path)
    corpus.add(path, "a folder", nothing)
    path = corpus.put("3 GB of nothing", "jpg", corpus.whole["JPEG"][1], REFUSED)
    os.truncate(path, SPARSE_BYTES)
    path = corpus.put("a long hole behind", "jpg", corpus.whole["JPEG"][1], EITHER, FOUR)
    os.truncate(path, 5_000_000)
    if os.geteuid() != 0:  # who may read everything
        path = corpus.put("a forbidden file", "jpg", corpus.whole["JPEG"][1], BROKEN)
        os.chmod(path, 0)
    with socket.socket(socket.AF_UNIX) as listener:
        path = os.path.join(corpus.folder, b"s.jpg")
        if len(path) < 100:  # a limit of sockets, not ours
            listener.bind(path)
            corpus.add(path, "a socket", nothing)
