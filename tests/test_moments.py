"""Same moment, and similar: bursts are found, another view is none of them, and groups do not chain."""

from __future__ import annotations

import random
import shutil
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from photoclip import Library
from photoclip.duplicates import find_duplicates
from photoclip.duplicates.clocks import Clocks
from photoclip.duplicates.moments import ALIKE, OVERLAP, SOMEWHAT_ALIKE, Shots
from photoclip.duplicates.shifted import Shifted
from photoclip.errors import BadUsage
from photoclip.evidence import usual_similarity
from photoclip.indexing import IndexOptions
from photoclip.records import DuplicateGroup, Level, PhotoFacts
from tests.pictures import paint, resized, scene

DATE_TIME, MODEL = 306, 272


def shot(number: int, across: float = 0, down: float = 0) -> Image.Image:
    """Return what a camera sees of a scene: a part of it, moved by shares of that part."""
    whole = scene(number, 400, 300)
    left, top = 80 + 240 * across, 60 + 180 * down
    return whole.crop((round(left), round(top), round(left) + 240, round(top) + 180))


def rendering(picture: Image.Image) -> bytes:
    return picture.convert("L").resize((32, 32), Image.Resampling.BOX).tobytes()


def save(picture: Image.Image, path: Path, second: float | None = None, camera: str | None = "D90") -> None:
    exif = Image.Exif()
    if second is not None:
        exif[DATE_TIME] = f"2024:05:01 10:{int(second) // 60:02}:{int(second) % 60:02}"
    if camera is not None:
        exif[MODEL] = camera
    picture.save(path, quality=95, exif=exif)


def facts(taken_at: str | None, camera: str | None = None) -> PhotoFacts:
    return PhotoFacts(32, 32, "JPEG", taken_at, camera)


# -- photos in a library ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A burst of three with a copy and a twin, the same view an hour later, and what belongs to nothing."""
    place = tmp_path_factory.mktemp("album")
    for number, move in enumerate(((0, 0), (0.24, 0), (0.12, 0.2))):
        save(shot(1, *move), place / f"burst-{number}.jpg", number)
    save(resized(shot(1)), place / "burst-0-small.jpg", 0)
    shutil.copy(place / "burst-0.jpg", place / "burst-0-twin.jpg")
    save(shot(2), place / "turned-round.jpg", 3)
    save(shot(1, 0.2, -0.22), place / "later.jpg", 1800)
    save(shot(1, -0.16, 0.1), place / "other-camera.jpg", 1, "A phone")
    save(shot(1, -0.1, -0.22), place / "undated.jpg", None)
    for number, colour in enumerate(("red", "green", "blue", "yellow", "black", "white")):
        paint(place / f"{colour}.png", colour, number)
    return place


@pytest.fixture(scope="module")
def library(album: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("library")
    with Library.open_or_create(place) as library:
        library.index([album], IndexOptions(model="fake", jobs=1))
    return place


def groups_at(place: Path, level: Level, **options: object) -> list[DuplicateGroup]:
    with Library.open(place) as library:
        return find_duplicates(library.inner, level=level, **options)  # type: ignore[arg-type]


def names(group: DuplicateGroup) -> set[str]:
    return {Path(photo.path.decode()).stem for photo in group.photos}


BURST = {"burst-0", "burst-0-small", "burst-0-twin", "burst-1", "burst-2"}


def test_a_burst_is_one_moment_with_its_copies_and_nothing_else(library: Path) -> None:
    (same,) = groups_at(library, "same picture")
    assert same.level == "same picture"
    assert {"burst-0", "burst-0-small", "burst-0-twin"} <= names(same)
    assert not names(same) & {"burst-1", "burst-2"}
    (moment,) = groups_at(library, "same moment")
    assert (moment.level, names(moment)) == ("same moment", BURST)
    assert 0 < moment.similarity <= 1


def test_what_is_similar_needs_no_date(library: Path) -> None:
    (group,) = (group for group in groups_at(library, "similar", least=0.9) if names(group) & BURST)
    assert group.level == "similar"
    assert names(group) >= BURST | {"later", "other-camera", "undated"}
    assert group.similarity >= 0.9


def test_a_shorter_moment_cuts_a_burst_into_pieces(library: Path) -> None:
    groups = groups_at(library, "same moment", within=1)
    assert all(len({int(photo.facts.taken_at[-2:]) for photo in group.photos}) <= 2 for group in groups)
    assert set().union(*map(names, groups)) <= BURST
    (copies,) = groups_at(library, "same moment", within=0)
    assert copies.level == "same picture"
    for nonsense in (-1, float("nan"), float("inf")):
        with pytest.raises(BadUsage, match="moment"):
            groups_at(library, "same moment", within=nonsense)


def test_progress_comes_to_an_end_in_each_step(library: Path) -> None:
    steps: list[tuple[int, int]] = []
    groups_at(library, "similar", progress=lambda done, total: steps.append((done, total)))
    assert all(0 < done <= total for done, total in steps)
    assert steps[-1][0] == steps[-1][1]
    assert len({total for _, total in steps}) >= 2


def test_only_some_photos_are_looked_at(library: Path, album: Path) -> None:
    among = frozenset(str(album / name).encode() for name in ("burst-1.jpg", "burst-2.jpg", "later.jpg"))
    (group,) = groups_at(library, "same moment", among=among)
    assert names(group) == {"burst-1", "burst-2"}


def test_groups_of_equal_bytes_say_so_at_every_level(tmp_path: Path) -> None:
    save(shot(1), tmp_path / "one.jpg", 0)
    shutil.copy(tmp_path / "one.jpg", tmp_path / "two.jpg")
    save(shot(2), tmp_path / "three.jpg", 0)
    with Library.open_or_create(tmp_path / "library") as library:
        library.index([tmp_path], IndexOptions(model="fake", jobs=1))
        for level in ("identical", "same picture", "same moment"):
            (group,) = find_duplicates(library.inner, level=level)  # type: ignore[arg-type]
            assert (group.level, names(group)) == ("identical", {"one", "two"})


def test_what_was_denied_is_of_no_moment_and_not_similar(album: Path, tmp_path: Path) -> None:
    with Library.open_or_create(tmp_path) as library:
        library.index([album], IndexOptions(model="fake", jobs=1))
        library.deny([album / "burst-0-twin.jpg", album / "burst-1.jpg"])
        for level in ("same picture", "same moment", "similar"):
            for group in find_duplicates(library.inner, level=level):  # type: ignore[arg-type]
                assert not {"burst-0", "burst-1"} <= names(group)


@settings(max_examples=4, deadline=None)
@given(order=st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order_of_indexing(
    library: Path, album: Path, tmp_path_factory: pytest.TempPathFactory, order: random.Random
) -> None:
    paths = sorted(album.iterdir())
    order.shuffle(paths)
    cut = order.randrange(1, len(paths))
    place = tmp_path_factory.mktemp("again")
    with Library.open_or_create(place) as again:
        for part in (paths[:cut], paths[cut:]):
            again.index(part, IndexOptions(model="fake", jobs=1))
    for level in ("same moment", "similar"):
        expected = groups_at(library, level)  # type: ignore[arg-type]
        found = groups_at(place, level)  # type: ignore[arg-type]
        assert [(one.level, one.photos) for one in found] == [(one.level, one.photos) for one in expected]


# -- groups, as mathematics -------------------------------------------------------------------------

VIEWS, MOVES = 3, ((0, 0), (0.12, 0), (0.06, 0.1), (0.2, 0.1))
RENDERINGS = [rendering(shot(view, *move)) for view in range(VIEWS) for move in MOVES]


def rows_of(pictures: list[int]) -> np.ndarray:
    """Return an embedding of each picture: near those of the same view, never the same."""
    rows = np.stack([np.random.default_rng(picture // len(MOVES)).normal(0, 1, 24) for picture in pictures])
    rows += np.stack([np.random.default_rng(99 + picture).normal(0, 0.25, 24) for picture in pictures])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


photos = st.lists(
    st.tuples(
        st.integers(0, len(RENDERINGS) - 1),
        st.one_of(st.none(), st.integers(0, 30)),
        st.sampled_from([None, "A", "B"]),
        st.sampled_from(["", "+01:00", "+02:00"]),
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(photos, st.sets(st.tuples(st.integers(0, 19), st.integers(0, 19))), st.integers(0, 12))
def test_each_two_of_a_group_hold_its_level(
    some: list[tuple[int, int | None, str | None, str]], denied: set[tuple[int, int]], within: int
) -> None:
    taken = [None if at is None else f"2024-05-01T10:00:{at:02}{zone}" for _, at, _, zone in some]
    cameras = [camera for _, _, camera, _ in some]
    pictures = [picture for picture, *_ in some]
    denied = {pair for pair in denied if pair[0] < pair[1] < len(some)}
    rows = rows_of(pictures)
    clocks = Clocks.of([facts(at, camera) for at, camera in zip(taken, cameras, strict=True)])
    shots = Shots(rows, [RENDERINGS[picture] for picture in pictures], clocks, 0.1, denied)
    overlap = Shifted(RENDERINGS)

    def of_a_moment(one: int, other: int) -> bool:
        here, there = some[one], some[other]
        return (
            here[1] is not None
            and there[1] is not None
            and abs(here[1] - there[1]) <= within
            and (here[2] is None or there[2] is None or here[2] == there[2])
            and (not here[3] or not there[3] or here[3] == there[3])
            and rows[one] @ rows[other] >= 0.1 + SOMEWHAT_ALIKE * 0.9
            and overlap(np.array([here[0]]), np.array([there[0]]))[0] >= OVERLAP
        )

    moments = shots.moments(within)
    similar = shots.similar(moments, within)
    for groups in (moments, similar):
        assert sorted(member for group in groups for member in group) == list(range(len(some)))
        assert not any({*pair} <= {*group} for pair in denied for group in groups)
    assert all(of_a_moment(*pair) for group in moments for pair in combinations(group, 2))
    assert all(any({*moment} <= {*group} for group in similar) for moment in moments)
    for group in similar:
        for one, other in combinations(group, 2):
            assert of_a_moment(one, other) or rows[one] @ rows[other] >= 0.1 + ALIKE * 0.9
    for first, second in combinations(moments, 2):  # nothing is left that could have been joined
        across = [(min(a, b), max(a, b)) for a in first for b in second]
        assert not all(of_a_moment(*pair) and pair not in denied for pair in across)


def test_the_line_follows_what_a_model_holds_for_usual() -> None:
    """A model that adds the same to every embedding says the same about all pairs."""
    rows = rows_of(list(range(len(RENDERINGS))))
    added = np.concatenate((rows, np.full((len(rows), 1), 2, np.float32)), axis=1) / np.sqrt(
        5, dtype=np.float32
    )
    clocks = Clocks.of([facts("2024-05-01T10:00:00")] * len(rows))
    said = []
    for some in (rows, added):
        shots = Shots(some, RENDERINGS, clocks, usual_similarity([some[:5], some[5:]]))
        moments = shots.moments()
        said.append((moments, shots.similar(moments)))
    assert said[0] == said[1]
    assert [len(group) for group in said[0][0]] == [len(MOVES)] * VIEWS


def test_a_long_burst_is_cut_where_time_is_up_and_pieces_are_similar() -> None:
    count = 30
    rows = rows_of([0] * count)
    clocks = Clocks.of([facts(f"2024-05-01T10:00:{number:02}.5") for number in range(count)])
    shots = Shots(rows, [RENDERINGS[0]] * count, clocks, 0.1)
    moments = shots.moments(within=10)
    assert all(group == list(range(group[0], group[-1] + 1)) for group in moments), "a piece has a hole"
    assert max(map(len, moments)) <= 11
    assert len(moments) <= 6
    assert shots.similar(moments, within=10) == [list(range(count))]


def test_thousands_of_scans_of_one_second_are_told_apart_by_what_they_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at = 0
    judged = Shifted.__call__

    def counting(shifted: Shifted, first: np.ndarray, second: np.ndarray) -> object:
        nonlocal looked_at
        looked_at += len(first)
        return judged(shifted, first, second)

    monkeypatch.setattr(Shifted, "__call__", counting)
    count = 3000
    random_rows = np.random.default_rng(5).normal(0, 1, (count // 2, 48))
    rows = np.concatenate(
        (random_rows, random_rows + np.random.default_rng(6).normal(0, 0.1, random_rows.shape))
    )
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    pictures = np.random.default_rng(7).integers(0, 255, (count // 2, 1024), dtype=np.uint8)
    renderings = [picture.tobytes() for picture in pictures] * 2
    clocks = Clocks.of([facts("1974-01-01T00:00:00")] * count)
    moments = Shots(rows, renderings, clocks, 0.0).moments()
    assert [group for group in moments if len(group) > 1] == [
        [one, one + count // 2] for one in range(count // 2)
    ]
    assert looked_at < 60_000


def test_nothing_and_one_photo_have_no_groups() -> None:
    nothing = Shots(np.empty((0, 8), np.float32), [], Clocks.of([]), 0.0)
    assert nothing.similar(nothing.moments()) == []
    alone = Shots(rows_of([0]), RENDERINGS[:1], Clocks.of([facts(None)]), 0.0)
    assert alone.similar(alone.moments()) == [[0]]
    assert usual_similarity([]) == 0.0
    assert usual_similarity([rows_of([0])]) == pytest.approx(0, abs=1e-6)


# -- clocks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "within", "agree"),
    [
        ("2024-05-01T10:00:00", "2024-05-01T10:00:10", 10, True),
        ("2024-05-01T10:00:00", "2024-05-01T10:00:11", 10, False),
        ("2024-05-01T10:00:00.9", "2024-05-01T10:00:01.100000", 0.2, True),
        ("2024-05-01T10:00:00.9", "2024-05-01T10:00:01.100001", 0.2, False),
        ("2024-05-01T10:00:00.05", "2024-05-01T10:00:00.5", 0.4, False),
        ("2023-12-31T23:59:59", "2024-01-01T00:00:00", 1, True),
        ("2024-05-01T10:00:00+02:00", "2024-05-01T10:00:00", 0, True),
        ("2024-10-27T02:30:00.5+02:00", "2024-10-27T02:30:00.5+01:00", 10, False),
        ("2024-05-01T10:00:00.25-05:00", "2024-05-01T10:00:01-05:00", 1, True),
        (None, "2024-05-01T10:00:00", 10, False),
        (None, None, 10, False),
    ],
)
def test_times_are_compared_as_cameras_write_them(
    one: str | None, other: str | None, within: float, agree: bool
) -> None:
    clocks = Clocks.of([facts(one), facts(other)])
    for pair in ((0, 1), (1, 0)):
        first, second = (np.array([place]) for place in pair)
        assert clocks.agree(first, second, within).tolist() == [agree]


def test_two_cameras_at_one_second_are_two_moments() -> None:
    clocks = Clocks.of([facts("2024-05-01T10:00:00", camera) for camera in ("A", "A", "B", None)])
    first, second = np.triu_indices(4, 1)
    agree = clocks.agree(first, second, 10).tolist()
    assert dict(zip(zip(first.tolist(), second.tolist(), strict=True), agree, strict=True)) == {
        (0, 1): True, (0, 2): False, (0, 3): True, (1, 2): False, (1, 3): True, (2, 3): True
    }  # fmt: skip


# -- shifted pictures -------------------------------------------------------------------------------


def test_a_shift_of_a_quarter_is_seen_through_and_another_view_is_not() -> None:
    moved = [rendering(shot(view, *move)) for view in range(6) for move in ((0, 0), (0.25, 0), (-0.1, 0.15))]
    first, second = np.triu_indices(len(moved), 1)
    agreement = Shifted(moved)(first, second)
    one_view = first // 3 == second // 3
    assert agreement[one_view].min() > 0.7 > agreement[~one_view].max()
    assert np.allclose(agreement, Shifted(moved)(second, first), atol=1e-5)
    assert agreement.max() <= 1 + 1e-5


def test_brightness_does_not_count_and_blank_pictures_agree_with_nothing() -> None:
    picture = shot(1)
    seen = [
        rendering(picture),
        rendering(picture.point(lambda value: value * 0.6 + 30)),
        bytes(1024),
        bytes([9] * 1024),
    ]
    agreement = Shifted(seen)(np.array([0, 0, 2]), np.array([1, 2, 3]))
    assert agreement[0] > 0.99
    assert agreement[1:].tolist() == [0, 0]
