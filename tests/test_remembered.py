"""Runs that remember: the same groups as from scratch, with less to look at."""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from photoclip import Library
from photoclip.duplicates import Pictures, candidates, pictures, remembered
from photoclip.duplicates.candidates import NEIGHBOURS, Pairs
from photoclip.duplicates.looking import Judged, SecondCheck
from photoclip.duplicates.remembered import Compared, Past
from photoclip.indexing import IndexOptions
from tests.conftest import Shell
from tests.pictures import cropped, resized, save_copies, scene

SCENES, COPIES = 9, 5


def rendering(picture: Image.Image) -> bytes:
    return picture.convert("L").resize((32, 32), Image.Resampling.BOX).tobytes()


def noisy(picture: Image.Image) -> Image.Image:
    noise = np.random.default_rng(1).normal(0, 2, (picture.height, picture.width, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def embedding(of: int, copy: int) -> np.ndarray:
    row = np.random.default_rng(of).normal(0, 1, 24) + np.random.default_rng(100 + copy).normal(0, 0.2, 24)
    return (row / np.linalg.norm(row)).astype(np.float32)


EDITS = (lambda one: one, noisy, resized, cropped, lambda one: one.rotate(2, Image.Resampling.BICUBIC))
WORLD = [
    (of, embedding(of, copy), rendering(edit(scene(of))))
    for of in range(SCENES)
    for copy, edit in enumerate(EDITS)
]
# The same pixels with other metadata, too.
WORLD += WORLD[:3]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pairs were looked at, call by call."""
    counted: list[int] = []
    judged = SecondCheck.__call__

    def counting(check: SecondCheck, first: np.ndarray, second: np.ndarray) -> object:
        counted.append(len(first))
        return judged(check, first, second)

    monkeypatch.setattr(SecondCheck, "__call__", counting)
    return counted


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is new, only that is compared with all."""
    monkeypatch.setattr(pictures, "_MUCH", 1.0)


def run(places: Sequence[int], past: Compared | None) -> tuple[list[set[int]], Compared]:
    """Return the groups among some of the world, as sets of its places, and what was compared."""
    rows = np.stack([WORLD[place][1] for place in places]) if places else np.empty((0, 24), np.float32)
    some = Pictures(rows, [WORLD[place][2] for place in places], past)
    groups = sorted(sorted(places[member] for member in group) for group in some.groups())
    return [set(group) for group in groups], some.compared()


# -- the same groups --------------------------------------------------------------------------------

libraries = st.lists(
    st.lists(st.integers(0, len(WORLD) - 1), unique=True, max_size=len(WORLD)), min_size=2, max_size=4
)


@pytest.mark.usefixtures("always")
@settings(max_examples=25, deadline=None)
@given(libraries)
def test_a_run_that_remembers_finds_the_groups_of_one_that_does_not(steps: list[list[int]]) -> None:
    past = None
    for places in steps:
        groups, past = run(places, past)
        assert groups == run(places, None)[0]


@pytest.mark.usefixtures("always")
@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False))
def test_photo_after_photo_the_groups_are_those_of_all_at_once(order: random.Random) -> None:
    places = order.sample(range(len(WORLD)), len(WORLD))
    past = None
    for count in range(30, len(WORLD) + 1, 3):
        groups, past = run(places[:count], past)
    assert groups == run(places, None)[0]
    assert [len(group) for group in groups] == [COPIES + (number < 1) * 3 for number in range(SCENES)]


def test_what_was_looked_at_is_not_looked_at_again(looks: list[int]) -> None:
    places = list(range(len(WORLD)))
    _, past = run(places, None)
    before = sum(looks)
    assert before > 20
    run(places, past)
    assert sum(looks) == before
    _, past = run([place for place in places if place != 8], past)
    assert sum(looks) == before
    run(places, past)
    assert before < sum(looks) < before + 10


def test_only_few_new_pictures_are_compared_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    compared_with_all: list[int] = []
    near_new = candidates._near_new

    def counting(vectors: np.ndarray, earlier: candidates.Earlier, *rest: Any) -> Pairs:
        compared_with_all.append(len(earlier.new))
        return near_new(vectors, earlier, *rest)

    monkeypatch.setattr(candidates, "_near_new", counting)
    places = list(range(len(WORLD)))
    _, past = run(places[:20], None)
    groups, past = run(places[:-6], past)
    assert compared_with_all == []
    assert groups == run(places[:-6], None)[0]
    assert run(places, past)[0] == run(places, None)[0]
    assert all(0 < count <= 6 for count in compared_with_all)
    assert len(compared_with_all) == 2


def test_who_lost_most_of_those_near_to_it_is_compared_again() -> None:
    count = NEIGHBOURS + 3
    hub = np.zeros(count - 1, np.intp)
    near = Pairs(hub, np.arange(1, count), np.ones(count - 1, np.float32))
    names = [bytes([number] * 16) for number in range(count)]
    compared = Compared(names, np.ones(count, bool), near, near, Judged.none())
    for lost in range(NEIGHBOURS):
        places = {name: place for place, name in enumerate(names[: count - lost])}
        left = np.arange(len(places))
        for earlier in (
            Past(compared, places, len(left)).outline(left),
            Past(compared, places, len(left)).embedding(left),
        ):
            assert len(earlier.pairs.first) == count - 1 - lost
            assert earlier.new.tolist() == ([0] if lost > NEIGHBOURS // 2 else [])


# -- the file ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compared() -> Compared:
    return run(list(range(len(WORLD))), None)[1]


def same(one: Compared | None, other: Compared) -> bool:
    return one is not None and remembered._packed(one) == remembered._packed(other)


def test_what_is_written_is_what_is_read(compared: Compared, tmp_path: Path) -> None:
    path = remembered.place_of(str(tmp_path), 3)
    assert remembered.read(path) is None
    remembered.write(path, compared)
    found = remembered.read(path)
    assert found is not None
    assert same(found, compared)
    assert found.digests == compared.digests
    assert len(found.digests) == len(WORLD) - 3
    assert os.stat(path).st_mode & 0o777 == 0o600
    before = os.stat(path)
    remembered.write(path, compared)
    assert os.stat(path).st_mtime_ns == before.st_mtime_ns
    assert os.listdir(tmp_path / "duplicates") == ["3.pairs"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_file_is_not_believed(
    tmp_path_factory: pytest.TempPathFactory, compared: Compared, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "1.pairs"
    remembered.write(str(path), compared)
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1) | st.integers(0, 80))
    change = data.draw(st.integers(1, 255))
    path.write_bytes(whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :])
    assert remembered.read(str(path)) is None
    path.write_bytes(whole[:place])
    assert remembered.read(str(path)) is None
    path.write_bytes(whole + b"\0")
    assert remembered.read(str(path)) is None


def test_a_file_made_by_other_rules_is_not_believed(
    compared: Compared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "1.pairs")
    for name, value in (("_RULES", bytes(16)), ("_VERSION", 999)):
        with monkeypatch.context() as patch:
            patch.setattr(remembered, name, value)
            remembered.write(path, compared)
            assert remembered.read(path) is not None
        assert remembered.read(path) is None
    remembered.write(path, compared)
    assert remembered.read(path) is not None


def test_where_nothing_can_be_written_nothing_is(compared: Compared, tmp_path: Path) -> None:
    (tmp_path / "duplicates").write_text("in the way")
    path = remembered.place_of(str(tmp_path), 1)
    remembered.write(path, compared)
    assert remembered.read(path) is None
    remembered.write(str(tmp_path), compared)  # a folder
    assert remembered.read(str(tmp_path)) is None


def write_often(path: str, count: int) -> None:
    one, other = (run(list(range(some)), None)[1] for some in (count, count + 1))
    for _ in range(30):
        remembered.write(path, one)
        remembered.write(path, other)


def test_two_that_write_at_once_leave_a_whole_file(tmp_path: Path) -> None:
    path = str(tmp_path / "1.pairs")
    remembered.write(path, run([0], None)[1])
    writers = [
        multiprocessing.get_context("fork").Process(target=write_often, args=(path, count))
        for count in (10, 14)
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert remembered.read(path) is not None
    assert [writer.exitcode for writer in writers] == [0, 0]
    found = remembered.read(path)
    assert found is not None
    assert len(found.digests) in (11, 15)
    assert os.listdir(tmp_path) == ["1.pairs"]


# -- in a library -----------------------------------------------------------------------------------


def groups_of(library: Path, among: list[Path] | None = None) -> list[set[str]]:
    with Library.open(library) as opened:
        found = opened.duplicates(among=among)
    return [{os.fsdecode(os.path.basename(photo.path)) for photo in group.photos} for group in found]


def test_a_library_that_grows_and_shrinks_has_the_groups_of_a_new_one(
    photos: Path, tmp_path: Path, looks: list[int]
) -> None:
    def index(library: Path) -> Path:
        with Library.open_or_create(library) as opened:
            opened.index([photos], IndexOptions(model="fake", jobs=1))
        return library

    for number in range(14):
        scene(number).save(photos / f"{number}.png")
        if number % 2:
            save_copies(scene(number), photos, str(number))
    grown = index(tmp_path / "library")
    assert len(groups_of(grown)) == 7
    looked = sum(looks)
    assert len(groups_of(grown)) == 7
    assert sum(looks) == looked
    save_copies(scene(2), photos / "0", "2")
    os.rename(photos / "5.png", photos / "a.png")
    (photos / "1.png").unlink()
    (photos / "3-resized.png").unlink()
    assert groups_of(index(grown)) == groups_of(index(tmp_path / "new"))
    assert len(groups_of(grown)) == 8


def test_a_file_that_is_gone_or_damaged_changes_no_group(
    shell: Shell, photos: Path, looks: list[int]
) -> None:
    for number in range(4):
        save_copies(scene(number), photos, str(number))
    shell.index(photos)
    report = shell("dupes").fine().out
    path = Path(remembered.place_of(str(shell.library), 1))
    whole = path.read_bytes()
    for damage in (whole[:-1], b"", whole[:200] + b"\1\1\1" + whole[203:]):
        path.write_bytes(damage)
        looks.clear()
        assert shell("dupes").fine().out == report
        assert sum(looks) > 0
        assert len(path.read_bytes()) == len(whole)
        assert remembered.read(str(path)) is not None
    path.unlink()
    assert shell("dupes").fine().out == report
    assert shell("check").fine().err == shell("check").fine().err
    assert shell("status").fine()


def test_a_part_of_a_library_neither_uses_nor_writes_what_is_remembered(
    shell: Shell, photos: Path, looks: list[int]
) -> None:
    for number in range(4):
        save_copies(scene(number), photos, str(number))
    shell.index(photos)
    path = Path(remembered.place_of(str(shell.library), 1))
    some = sorted(photos.iterdir())[:-1]
    assert len(groups_of(shell.library, some)) == 4
    assert not path.exists()
    assert len(groups_of(shell.library, sorted(photos.iterdir()))) == 4
    whole = path.read_bytes()
    looks.clear()
    groups_of(shell.library, some)
    assert sum(looks) > 0
    assert path.read_bytes() == whole
