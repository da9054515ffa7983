"""Decode workers: real processes, and files that hang, bloat and change; processes that are killed."""

from __future__ import annotations

import itertools
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import psutil
import pytest
from PIL import Image

from photoclip.images import DecodePool, UnreadablePhoto, decode, decode_safely, workers
from photoclip.images.messages import Outcome
from photoclip.records import DecodedPhoto, FileStamp, KnownContent, Preprocessing, Problem, ScannedFile

MODEL = Preprocessing(size=32)


def task(path: Path | bytes) -> ScannedFile:
    return ScannedFile(os.fsencode(path), FileStamp.of(os.stat(path)))


def photos(folder: Path, count: int) -> list[Path]:
    """Save photos of one colour each."""
    paths = [folder / f"{number:03}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        Image.new("RGB", (60, 40), (number, 2 * number % 256, 99)).save(path)
    return paths


def slow_jpeg(path: Path) -> Path:
    """Save a progressive JPEG with thousands of scans: 160 kB that take minutes of one call to decode.

    Each scan adds one bit of precision to nothing, which is legal as often as one likes.
    """
    Image.new("L", (4000, 4000), 128).save(path, progressive=True, quality=50)
    content = path.read_bytes()
    scans = [place for place in range(len(content) - 1) if content[place : place + 2] == b"\xff\xda"]
    second = content[scans[1] : content.index(b"\xff\xc4", scans[1])]
    path.write_bytes(content[: scans[2]] + second * 4000 + b"\xff\xd9")
    return path


def black_png(path: Path, width: int, height: int) -> Path:
    """Save a PNG of little more than nothing that unpacks to ``width`` x ``height`` x 3 bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    rows = zlib.compress(bytes((3 * width + 1) * height), 1)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


def outcomes(pool: DecodePool, tasks: Iterable[ScannedFile]) -> list[Outcome]:
    return [outcome for _, outcome in pool.run(tasks)]


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def wait_for(condition, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())


@contextmanager
def no_process_left() -> Iterator[None]:
    """Check that all workers, zombies included, are gone within a second of the end of the block."""
    before = set(children())
    try:
        yield
    finally:
        assert wait_for(lambda: set(children()) <= before, 1.0), children()


def test_photos_come_back_in_order_as_if_decoded_here(tmp_path: Path) -> None:
    paths = photos(tmp_path, 100)
    with DecodePool(2, MODEL) as pool:
        found = list(pool.run(task(path) for path in paths))
    assert [file.path for file, _ in found] == [os.fsencode(path) for path in paths]
    assert [outcome for _, outcome in found] == [decode(os.fsencode(path), MODEL) for path in paths]


def test_known_content_is_not_decoded(tmp_path: Path) -> None:
    first, second = photos(tmp_path, 2)
    known = decode(os.fsencode(first), None).content_hash
    with DecodePool(1, MODEL, lambda file, content_hash: content_hash == known) as pool:
        same, other = outcomes(pool, [task(first), task(second)])
    assert same == KnownContent(known)
    assert isinstance(other, DecodedPhoto)


def test_a_file_that_is_gone_or_changed_since_it_was_listed_is_told_apart(tmp_path: Path) -> None:
    gone, grown, touched, good = photos(tmp_path, 4)
    tasks = [task(path) for path in (gone, grown, touched, good)]
    gone.unlink()
    grown.write_bytes(grown.read_bytes() + b"\0")
    os.utime(touched, ns=(1, 1))
    with DecodePool(2, MODEL) as pool:
        found = outcomes(pool, tasks)
    changed = "it changed while it was read"
    assert found[0] is None
    assert found[1] == Problem(os.fsencode(grown), "unreadable", changed, "run")
    assert found[2] == Problem(os.fsencode(touched), "unreadable", changed, "run")
    assert isinstance(found[3], DecodedPhoto)


def test_bad_files_are_problems_and_nothing_reaches_the_terminal(tmp_path: Path, capfd) -> None:
    cut, html, raw, good = photos(tmp_path, 4)
    cut.write_bytes(cut.read_bytes()[:-200])
    html.write_text("<html>not found</html>")
    raw.write_bytes(b"FUJIFILMCCD-RAW of some future camera")
    with DecodePool(2, MODEL) as pool:
        found = outcomes(pool, map(task, (cut, html, raw, good)))
    assert [getattr(outcome, "kind", "") for outcome in found] == [
        "unreadable",
        "unreadable",
        "unsupported",
        "",
    ]
    assert [getattr(outcome, "reason", "") for outcome in found][:2] == [
        "the file is cut short",
        "not a picture (looks like HTML)",
    ]
    assert capfd.readouterr() == ("", "")


def damaged(path: Path, content: bytes, random: Random) -> Path:
    """Save ``content`` with a few bytes changed, or cut short."""
    changed = bytearray(content)
    reach = random.choice((200, len(changed)))  # half of the damage to the headers
    for _ in range(random.choice((1, 5, 40))):
        changed[random.randrange(min(reach, len(changed)))] = random.randrange(256)
    path.write_bytes(changed[: random.choice((None, random.randrange(len(changed))))])
    return path


def test_damaged_files_of_every_format_end_as_photo_or_problem_and_kill_no_worker(tmp_path: Path) -> None:
    random, picture, paths = Random(1), Image.effect_noise((90, 60), 50), []
    for ending in ("jpg", "png", "gif", "webp", "tif", "bmp", "jp2", "avif", "ppm", "heic"):
        source = tmp_path / f"source.{ending}"
        if ending == "heic":
            pytest.importorskip("pillow_heif").from_pillow(picture).save(source)
        else:
            picture.save(source)
        content = source.read_bytes()
        paths += [damaged(tmp_path / f"{ending}{number}.jpg", content, random) for number in range(30)]
    with DecodePool(2, MODEL) as pool:
        found = outcomes(pool, map(task, paths))
        reasons = {outcome.reason for outcome in found if isinstance(outcome, Problem)}
        photos = sum(isinstance(outcome, DecodedPhoto) for outcome in found)
    assert 0 < photos < len(found)
    assert reasons
    assert not any(word in reason for reason in reasons for word in ("crashed", "longer", "Error", "object"))


def test_a_file_that_takes_too_long_is_a_problem_of_its_own(tmp_path: Path) -> None:
    slow, *good = slow_jpeg(tmp_path / "slow.jpg"), *photos(tmp_path, 10)
    assert slow.stat().st_size < 200_000
    started = time.monotonic()
    with no_process_left(), DecodePool(2, MODEL, seconds=1.0) as pool:
        problem, *rest = outcomes(pool, map(task, [slow, *good]))
    assert problem == Problem(os.fsencode(slow), "unreadable", "it took longer than 1 seconds to decode")
    assert all(isinstance(outcome, DecodedPhoto) for outcome in rest)
    assert time.monotonic() - started < 5


def test_a_small_file_has_its_outcome_within_ten_seconds() -> None:
    assert workers.SECONDS + workers._END_SECONDS <= 10


def test_a_file_that_needs_too_much_memory_is_a_problem_of_its_own(tmp_path: Path) -> None:
    large, *good = black_png(tmp_path / "a.png", 9000, 9000), *photos(tmp_path, 5)
    with DecodePool(1, MODEL, memory_limit_bytes=300_000_000) as pool:
        problem, *rest = outcomes(pool, map(task, [large, *good]))
    assert problem == Problem(
        os.fsencode(large), "unreadable", "it needs more memory than one photo may take"
    )
    assert all(isinstance(outcome, DecodedPhoto) for outcome in rest)


def test_the_usual_limits_allow_what_phones_and_scanners_make(tmp_path: Path) -> None:
    phone, scanner = tmp_path / "200-megapixels.jpg", tmp_path / "floating.tif"
    Image.new("RGB", (16320, 12240), "red").save(phone)
    Image.new("F", (6000, 4000), 0.5).save(scanner)
    with DecodePool(2, MODEL) as pool:
        found = outcomes(pool, map(task, (phone, scanner)))
    assert [outcome.facts.width for outcome in found if isinstance(outcome, DecodedPhoto)] == [16320, 6000]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_killed_worker_costs_no_photo(tmp_path: Path, number: signal.Signals) -> None:
    with no_process_left(), DecodePool(2, MODEL) as pool:
        found = []
        for count, (_, outcome) in enumerate(pool.run(map(task, photos(tmp_path, 200)))):
            found.append(outcome)
            if count in (20, 120):  # further apart than the pool looks ahead
                for child in children():
                    child.send_signal(number)
    assert len(found) == 200
    assert all(isinstance(outcome, DecodedPhoto) for outcome in found)


def test_a_file_that_kills_every_worker_is_a_problem(tmp_path: Path) -> None:
    slow, *good = slow_jpeg(tmp_path / "slow.jpg"), *photos(tmp_path, 3)
    over = threading.Event()

    def kill_whoever_works_long() -> None:
        while not over.wait(0.05):
            for child in children():
                if child.cpu_times().user > 0.8:
                    child.kill()

    killer = threading.Thread(target=kill_whoever_works_long)
    with DecodePool(1, MODEL, seconds=30) as pool:
        killer.start()
        try:
            problem, *rest = outcomes(pool, map(task, [slow, *good]))
        finally:
            over.set()
            killer.join()
    assert problem == Problem(os.fsencode(slow), "unreadable", "it crashed the decoder")
    assert all(isinstance(outcome, DecodedPhoto) for outcome in rest)


def test_tasks_may_be_endless_and_are_read_a_bounded_number_ahead(tmp_path: Path) -> None:
    (path,) = photos(tmp_path, 1)
    read = itertools.count()
    endless = (task(path) for _ in iter(lambda: next(read), None))
    with no_process_left(), DecodePool(2, MODEL) as pool:
        results = pool.run(endless)
        for _ in range(20):
            assert isinstance(next(results)[1], DecodedPhoto)
        time.sleep(0.2)
        assert next(read) < 200
        results.close()


def test_leaving_early_ends_busy_workers_within_a_second(tmp_path: Path) -> None:
    slow = slow_jpeg(tmp_path / "slow.jpg")
    with pytest.raises(KeyboardInterrupt), no_process_left(), DecodePool(2, MODEL) as pool:
        results = pool.run(map(task, [*photos(tmp_path, 1), slow, slow, slow]))
        next(results)
        assert wait_for(lambda: sum(child.cpu_times().user > 0.5 for child in children()) == 2, 20)
        left = time.monotonic()
        raise KeyboardInterrupt
    assert time.monotonic() - left < 1


def test_workers_do_not_mind_ctrl_c(tmp_path: Path) -> None:
    with DecodePool(1, MODEL) as pool:
        paths = photos(tmp_path, 3)
        results = pool.run(map(task, paths))
        next(results)
        (worker,) = children()
        worker.send_signal(signal.SIGINT)
        assert len(list(results)) == 2
        assert children() == [worker]


_PARENT = """
import os, sys
from photoclip.images import DecodePool
from photoclip.records import FileStamp, Preprocessing, ScannedFile
status = os.stat(sys.argv[1])
stamp = FileStamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
slow = ScannedFile(os.fsencode(sys.argv[1]), stamp)
with DecodePool(2, Preprocessing(32), seconds=100) as pool:
    list(pool.run([slow] * 4))
"""


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    # The program has no `if __name__ == "__main__"`: starting workers must not run it again.
    program = [sys.executable, "-c", _PARENT, slow_jpeg(tmp_path / "slow.jpg")]
    with subprocess.Popen(program) as parent:
        watched = psutil.Process(parent.pid)
        assert wait_for(
            lambda: sum(child.cpu_times().user > 0.5 for child in watched.children(recursive=True)) == 2, 30
        )
        workers = watched.children(recursive=True)
        parent.kill()
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE]


def test_workers_load_neither_torch_nor_numpy(tmp_path: Path) -> None:
    program = "import sys, photoclip.images.serving; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "open_clip", "typer", "rich"} & set(loaded.stdout.split())


def test_one_photo_can_be_decoded_within_the_same_limits(tmp_path: Path) -> None:
    (path,) = photos(tmp_path, 1)
    assert decode_safely(os.fsencode(path), MODEL) == decode(os.fsencode(path), MODEL)
    path.write_text("words")
    with pytest.raises(UnreadablePhoto, match="looks like text"):
        decode_safely(os.fsencode(path), MODEL)
    with pytest.raises(FileNotFoundError):
        decode_safely(b"/nowhere.jpg", MODEL)
