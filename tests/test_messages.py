"""What a decode worker and its parent say to each other, and workers that are no longer themselves."""

from __future__ import annotations

import json
import os
import pickle
import socket
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoclip.images import DecodePool, messages, workers
from photoclip.images.messages import Malformed, Outcome
from photoclip.records import (
    DecodedPhoto,
    FileStamp,
    PhotoFacts,
    Preprocessing,
    Problem,
    ScannedFile,
)
from photoclip.xmp import one_line
from tests.test_decode_workers import no_process_left, photos, task

MODEL = Preprocessing(size=4, resize="longest", mean=(0.1, 0.2, 1 / 3), fill=9)
PIXELS = 4 * 4 * 3
HASH = b"\xfe" * 32
FILE = ScannedFile(b"/\xff\n\x00.jpg", FileStamp(1, -2, 3, 4))

hashes = st.binary(min_size=32, max_size=32)
numbers = st.integers(-(1 << 63), (1 << 63) - 1)
texts = st.text(st.characters(categories=["L", "N", "P", "S", "M"], include_characters=" "), max_size=200)
facts = st.builds(
    PhotoFacts,
    width=st.integers(1, 1 << 31),
    height=st.integers(1, 1 << 31),
    format=texts,
    taken_at=st.none() | texts,
    camera=st.none() | texts,
    lens=st.none() | texts,
    latitude=st.none() | st.floats(-90, 90),
    longitude=st.none() | st.floats(-180, 180),
    orientation=st.integers(1, 8),
).filter(lambda found: all(text is None or text.isprintable() for text in (found.format, found.taken_at)))
files = st.builds(ScannedFile, path=st.binary(max_size=300), stamp=st.builds(FileStamp, *[numbers] * 4))


def back(outcome: Outcome, path: bytes = FILE.path, preprocessing: Preprocessing | None = MODEL) -> Outcome:
    message = bytearray(messages.pack_outcome(outcome))
    assert len(message) <= messages.longest_outcome(preprocessing)
    answer = messages.unpack_answer(message, path, preprocessing)
    assert not isinstance(answer, bytes)
    return answer


# --- there and back --------------------------------------------------------------------------------


@given(file=files)
def test_a_task_comes_through_with_any_bytes_in_its_path(file: ScannedFile) -> None:
    assert messages.unpack_task(bytearray(messages.pack_task(file))) == file


@pytest.mark.parametrize("preprocessing", [None, MODEL, Preprocessing(224)])
def test_the_settings_come_through(preprocessing: Preprocessing | None) -> None:
    message = bytearray(messages.pack_settings(preprocessing, 5_000_000_000))
    assert messages.unpack_settings(message) == (preprocessing, 5_000_000_000)


@given(found=facts, content_hash=hashes, pixels=st.binary(min_size=PIXELS, max_size=PIXELS))
def test_a_photo_comes_through(found: PhotoFacts, content_hash: bytes, pixels: bytes) -> None:
    photo = DecodedPhoto(content_hash, found, pixels, pixels[:32] * 32)
    assert back(photo) == photo


@given(st.lists(st.text().map(one_line).filter(bool), max_size=250))
def test_keywords_come_through_as_they_were_cleaned(words: list[str]) -> None:
    photo = DecodedPhoto(HASH, PhotoFacts(1, 1, "PNG"), bytes(PIXELS), bytes(1024), tuple(words))
    assert back(photo) == photo


@pytest.mark.parametrize("words", [["\U00010000" * 40] * 250, ["\U00010000" * 10_000]], ids=["many", "long"])
def test_as_many_keywords_as_are_kept_come_through(words: list[str]) -> None:
    photo = DecodedPhoto(HASH, PhotoFacts(1, 1, "PNG"), bytes(PIXELS), bytes(1024), tuple(words))
    assert back(photo) == photo


def test_a_photo_without_pixels_comes_through() -> None:
    photo = DecodedPhoto(HASH, PhotoFacts(1, 1, "PNG"), b"", bytes(1024))
    assert back(photo, preprocessing=None) == photo


@given(reason=texts.filter(bool), waits_for=st.sampled_from(["", "run", "rawpy"]), file=files)
def test_a_problem_comes_through(reason: str, waits_for: str, file: ScannedFile) -> None:
    problem = Problem(file.path, "unsupported", reason, waits_for)
    assert back(problem, file.path) == problem


def test_hashes_and_vanished_files_come_through() -> None:
    assert messages.unpack_answer(bytearray(messages.pack_hash(HASH)), FILE.path, MODEL) == HASH
    assert back(None) is None


# --- what is believed ------------------------------------------------------------------------------


def said(head: object, *parts: bytes) -> bytearray:
    """Return a message with this head, as a worker could send it that is no longer itself."""
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return bytearray(struct.pack(">I", len(text)) + text + b"".join(parts))


def photo_with(keywords: object = ("dog",), **changed: object) -> bytearray:
    told = {
        "width": 1, "height": 1, "format": "PNG", "taken_at": None, "camera": None, "lens": None,
        "latitude": None, "longitude": None, "orientation": 1,
    }  # fmt: skip
    head = {"is": "photo", "facts": told | changed, "keywords": keywords}
    return said(head, HASH, bytes(1024), bytes(PIXELS))


def test_the_photo_that_the_next_test_spoils_is_a_right_one() -> None:
    assert isinstance(messages.unpack_answer(photo_with(), FILE.path, MODEL), DecodedPhoto)


@pytest.mark.parametrize(
    "message",
    [
        b"", b"\0", b"\0\0\0\0", b"\xff\xff\xff\xff", said(b"{"), said(b"[]"), said(b"null"), said(b"\xff"),
        said(b"[" * 9000), said({}), said({"is": "photo"}), said({"is": "gone"}, b"more"),
        said({"is": "gone", "x": 1}),
        said({"is": "known"}, HASH), said({"is": "hash"}, HASH[:31]), said({"is": ["hash"]}, HASH),
        said({"is": "hash", "x": 1}, HASH),
        said({"is": "problem", "kind": "fatal", "reason": "x", "waits_for": ""}),
        said({"is": "problem", "kind": "unreadable", "reason": "", "waits_for": ""}),
        said({"is": "problem", "kind": "unreadable", "reason": "\x1b[31m", "waits_for": ""}),
        said({"is": "problem", "kind": "unreadable", "reason": "\ud800", "waits_for": ""}),
        said({"is": "problem", "kind": "unreadable", "reason": "x" * 2000, "waits_for": ""}),
        said({"is": "problem", "kind": "unreadable", "reason": 5, "waits_for": ""}),
        said({"is": "problem", "kind": "unreadable", "reason": "x", "waits_for": "", "path": "/etc"}),
        photo_with()[:-1], photo_with() + b"\0", photo_with(width=0), photo_with(width=True),
        photo_with(width=1 << 40), photo_with(width=1.5), photo_with(height="1"), photo_with(format=None),
        photo_with(format="a\nb"), photo_with(camera="\ud800"), photo_with(lens=["x"]),
        photo_with(latitude=91),
        photo_with(latitude=float("nan")), photo_with(longitude=float("inf")), photo_with(longitude=10**400),
        photo_with(orientation=9), photo_with(extra=1),
        photo_with("dog"), photo_with(None), photo_with({"dog": 1}), photo_with([1]), photo_with([""]),
        photo_with([" "]), photo_with(["a\nb"]), photo_with(["\x1b[31m"]), photo_with(["\ud800"]),
        photo_with(["\u202e"]), photo_with(["\u2028"]), photo_with(["a"] * 251),
        photo_with(["x" * 5000] * 2 + ["y"]),
        said({"is": "photo", "facts": []}, bytes(1056 + PIXELS)),
        pickle.dumps(DecodedPhoto(HASH, PhotoFacts(1, 1, "PNG"), b"", b"")),
    ],
)  # fmt: skip
def test_nothing_else_is_taken_for_an_outcome(message: bytes | bytearray) -> None:
    with pytest.raises(Malformed):
        messages.unpack_answer(bytearray(message), FILE.path, MODEL)


@given(st.binary(max_size=200))
def test_garbage_is_malformed_and_nothing_worse(garbage: bytes) -> None:
    with pytest.raises(Malformed):
        messages.unpack_answer(bytearray(garbage), FILE.path, MODEL)


@given(st.data())
def test_a_damaged_outcome_is_malformed_or_still_one(data: st.DataObject) -> None:
    message = photo_with(camera="Canon", latitude=1.5)
    place = data.draw(st.integers(0, 250))
    message[place] = data.draw(st.integers(0, 255))
    try:
        outcome = messages.unpack_answer(message, FILE.path, MODEL)
    except Malformed:
        return
    assert isinstance(outcome, DecodedPhoto)
    assert back(outcome) == outcome


# --- on the way ------------------------------------------------------------------------------------


def test_a_message_comes_whole_however_it_is_cut_on_the_way() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for piece in (b"\0\0", b"\0\5he", b"l", b"lo"):
            theirs.sendall(piece)
        assert messages.receive(ours, 5, time.monotonic() + 5) == b"hello"
        messages.send(theirs, b"")
        assert messages.receive(ours, 5) == b""


@pytest.mark.parametrize("beginning", [b"", b"\0\0\0\5", b"\0\0\0\5hel"])
def test_half_a_message_is_waited_for_until_the_deadline_or_the_end(beginning: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(beginning)
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                messages.receive(ours, 5, began + 0.1)
            assert 0.1 <= time.monotonic() - began < 1
        with pytest.raises(EOFError):
            messages.receive(ours, 5)


def test_a_message_that_is_too_long_is_not_waited_for() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"\xff\xff\xff\xff")
        with pytest.raises(Malformed):
            messages.receive(ours, 5)


def test_nobody_waits_for_a_reader_that_never_reads() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TimeoutError):
        messages.send(ours, bytes(10_000_000), time.monotonic() + 0.1)


# --- workers that are no longer themselves ---------------------------------------------------------

_IMPOSTOR = """
import os, signal, socket, struct, sys, time
sys.path[:] = {{!a}}
channel = socket.socket(fileno={{}})
from photoclip.images import messages
messages.receive(channel, messages.LONGEST)
messages.send(channel, messages.READY)
messages.receive(channel, messages.LONGEST)
{}
"""


def asked_of(impostor: str, monkeypatch: pytest.MonkeyPatch, folder: Path, seconds: float = 30) -> Outcome:
    """Return the outcome of one photo when every worker behaves like this."""
    monkeypatch.setattr(workers, "_PROGRAM", _IMPOSTOR.format(impostor.replace("{", "{{").replace("}", "}}")))
    with no_process_left(), DecodePool(1, MODEL, seconds=seconds) as pool:
        ((_, outcome),) = pool.run([task(photos(folder, 1)[0])])
    return outcome


_HARM = "class Harm:\n    def __reduce__(self): return os.mkdir, ({!r},)\n"


@pytest.mark.parametrize(
    "impostor",
    [
        "import pickle; messages.send(channel, pickle.dumps({'a': 1}))",
        "channel.sendall(b'\\xff' * 100000)",
        "channel.sendall(struct.pack('>I', 3) + b'abc')",
        "sys.exit(0)",
        "channel.sendall(b'\\0\\0\\1\\0 half'); os.kill(os.getpid(), signal.SIGKILL)",
    ],
)
def test_a_worker_that_talks_nonsense_counts_as_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, impostor: str
) -> None:
    outcome = asked_of(impostor + "\ntime.sleep(60)", monkeypatch, tmp_path)
    assert outcome == Problem(os.fsencode(tmp_path / "000.jpg"), "unreadable", "it crashed the decoder")


def test_a_pickle_from_a_worker_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    harm = _HARM.format(str(tmp_path / "harm"))
    asked_of(harm + "import pickle; messages.send(channel, pickle.dumps(Harm()))", monkeypatch, tmp_path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("beginning", ["", "channel.sendall(b'\\0\\0\\1\\0 half'); "])
def test_a_worker_that_is_stopped_in_mid_sentence_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beginning: str
) -> None:
    began = time.monotonic()
    outcome = asked_of(beginning + "os.kill(os.getpid(), signal.SIGSTOP)", monkeypatch, tmp_path, 0.5)
    assert outcome == Problem(
        os.fsencode(tmp_path / "000.jpg"), "unreadable", "it took longer than 0.5 seconds to decode"
    )
    assert time.monotonic() - began < 5


def test_the_second_try_has_the_time_that_the_first_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = asked_of("time.sleep(0.4)\nsys.exit(1)", monkeypatch, tmp_path, 0.6)
    assert isinstance(outcome, Problem)
    assert outcome.reason == "it took longer than 0.6 seconds to decode"


def test_a_worker_that_drips_is_not_waited_for_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drip = "channel.sendall(b'\\0\\0\\1\\0')\nfor _ in range(250): channel.sendall(b'x'); time.sleep(0.1)"
    began = time.monotonic()
    outcome = asked_of(drip, monkeypatch, tmp_path, 0.5)
    assert isinstance(outcome, Problem)
    assert "0.5 seconds" in outcome.reason
    assert time.monotonic() - began < 5
