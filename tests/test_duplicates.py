"""Duplicates: every copy with its original, and nothing else."""

from __future__ import annotations

import io
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont, ImageOps

from photoclip import Library
from photoclip.duplicates import Pictures, candidates, complete_link, same_picture
from photoclip.duplicates.candidates import outlines_of
from photoclip.duplicates.groups import bundles, tie
from photoclip.duplicates.looking import SecondCheck
from photoclip.duplicates.same import same_pictures
from photoclip.duplicates.turning import turns
from photoclip.indexing import IndexOptions
from photoclip.records import Photo
from tests.conftest import Made, MakeShell, Shell, evidence
from tests.pictures import cropped, resized, save_copies, scene

SCENES = 4


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Drawn pictures, three copies of each, and one of them with the same bytes elsewhere."""
    place = tmp_path_factory.mktemp("scenes")
    (place / "photos").mkdir()
    for number in range(SCENES):
        picture = scene(number)
        picture.save(place / "photos" / f"{number}-original.png")
        save_copies(picture, place / "photos" / "copies", str(number))
    shutil.copy(place / "photos" / "0-original.png", place / "photos" / "0-twin.png")
    with Library.open_or_create(place / "library") as library:
        library.index([place / "photos"], IndexOptions(model="fake", jobs=1))
    return Made(place / "library", place / "photos")


@pytest.fixture
def duplicates(scenes: Made, shell_for: MakeShell) -> Shell:
    return shell_for(scenes.library)


def names_of(groups: list[dict[str, list[dict[str, str]]]]) -> list[set[str]]:
    return [{Path(photo["path"]).name for photo in group["photos"]} for group in groups]


# -- what belongs together ------------------------------------------------------------------------


def test_every_copy_is_grouped_with_its_original_and_with_no_other(duplicates: Shell) -> None:
    groups = names_of(duplicates("dupes", "-f", "json").fine().json)
    assert len(groups) == SCENES
    for number in range(SCENES):
        wanted = {
            f"{number}-{end}" for end in ("original.png", "resized.png", "recompressed.jpg", "cropped.jpg")
        }
        assert wanted | ({"0-twin.png"} if number == 0 else set()) in groups


def test_the_level_identical_groups_equal_bytes_only(duplicates: Shell) -> None:
    (group,) = duplicates("dupes", "--level", "identical", "-f", "json").fine().json
    assert (group["level"], group["similarity"]) == ("identical", 1.0)
    assert names_of([group]) == [{"0-original.png", "0-twin.png"}]


def test_a_group_says_level_similarity_and_photos_the_best_first(duplicates: Shell) -> None:
    for group in duplicates("dupes", "-f", "jsonl").fine().rows:
        assert list(group) == ["level", "similarity", "photos"]
        assert group["level"] == "same picture"
        assert 0.5 < group["similarity"] <= 1
        assert {"path", "width", "height", "size", "hash"} <= set(group["photos"][0])
        sizes = [photo["width"] * photo["height"] for photo in group["photos"]]
        assert sizes == sorted(sizes, reverse=True)
        assert "copies" not in group["photos"][0]["path"]


def test_in_a_pipe_groups_are_runs_of_paths_that_end_with_an_empty_line(duplicates: Shell) -> None:
    out = duplicates("dupes").fine().out
    assert out.endswith(b"\n\n")
    runs = [run.split(b"\n") for run in out[:-2].split(b"\n\n")]
    assert sorted(len(run) for run in runs) == [4] * (SCENES - 1) + [5]
    assert all(os.path.isfile(path) for run in runs for path in run)
    nul = duplicates("dupes", "--level", "identical", "-0").fine().out
    assert nul == duplicates("dupes", "--level", "identical").out.replace(b"\n", b"\0")
    assert nul.endswith(b"\0\0")


def test_groups_do_not_depend_on_the_order_of_indexing(
    duplicates: Shell, scenes: Made, tmp_path: Path
) -> None:
    paths = sorted(scenes.photos.rglob("*.*"))
    random.Random(3).shuffle(paths)
    with Library.open_or_create(tmp_path / "library") as library:
        for part in (paths[:9], paths[9:]):
            library.index(part, IndexOptions(model="fake", jobs=1))
        again = [[photo.path for photo in group.photos] for group in library.duplicates()]
    with Library.open(scenes.library) as library:
        assert [[photo.path for photo in group.photos] for group in library.duplicates()] == again


def test_folders_and_lists_choose_the_photos(duplicates: Shell, scenes: Made) -> None:
    inside = names_of(duplicates("dupes", scenes.photos / "copies", "-f", "json").fine().json)
    assert {len(group) for group in inside} == {3}
    listed = b"\n".join(
        os.fsencode(scenes.photos / name) for name in ("0-original.png", "0-twin.png", "1-original.png")
    )
    assert names_of(duplicates("dupes", "--among", "-", "-f", "json", stdin=listed).fine().json) == [
        {"0-original.png", "0-twin.png"}
    ]
    assert duplicates("dupes", scenes.photos, "--among", "-").code == 2


def test_a_library_without_duplicates_has_none(shell: Shell, photos: Path) -> None:
    for number in range(4):
        scene(100 + number).save(photos / f"{number}.png")
    shell.index(photos)
    answer = shell("dupes").fine()
    assert answer.out == b""
    assert shell("dupes", "--fail-empty").code == 9
    assert shell("dupes", "-f", "json").fine().json == []


def test_the_same_outlines_in_another_colour_are_another_picture(colourful: Shell) -> None:
    groups = colourful("dupes", "-f", "json").fine().json
    # The reds differ by one level in one pixel: that is one picture; green, blue and yellow are not.
    assert names_of(groups) == [{"red-0.png", "red-0-copy.png", "red-1.png", "red-2.png"}]


def test_dupes_only_reports(duplicates: Shell, scenes: Made) -> None:
    before = evidence(scenes.photos)
    duplicates("dupes").fine()
    assert evidence(scenes.photos) == before


# -- groups, as mathematics -----------------------------------------------------------------------

members = st.integers(0, 12)
similarities = st.floats(0.75, 1, allow_nan=False).map(lambda value: round(value, 2))
pairs = st.dictionaries(
    st.tuples(members, members).filter(lambda pair: pair[0] < pair[1]), similarities, max_size=60
)


@given(pairs, st.randoms())
def test_groups_are_complete_do_not_overlap_and_know_no_order(
    confirmed: dict[tuple[int, int], float], order: random.Random
) -> None:
    groups = complete_link(confirmed)
    together = [member for group in groups for member in group]
    assert len(together) == len(set(together)), "one photo in two groups"
    for group in groups:
        assert len(group) > 1
        assert all((a, b) in confirmed for a in group for b in group if a < b), "a chain"
    for a, b in confirmed:  # nothing is left that could have been joined: both single
        assert a in together or b in together
    shuffled = list(confirmed.items())
    order.shuffle(shuffled)
    assert complete_link(dict(shuffled)) == groups


@given(pairs)
def test_no_two_groups_could_still_be_one(confirmed: dict[tuple[int, int], float]) -> None:
    groups = complete_link(confirmed)
    for place, first in enumerate(groups):
        for second in groups[place + 1 :]:
            assert not all((min(a, b), max(a, b)) in confirmed for a in first for b in second)


def test_a_chain_of_pairs_makes_no_group_of_three() -> None:
    assert complete_link({(1, 2): 0.99, (2, 3): 0.98}) == [[1, 2]]
    assert complete_link({(1, 2): 0.98, (2, 3): 0.99}) == [[2, 3]]
    assert complete_link({(1, 2): 0.98, (2, 3): 0.99, (1, 3): 0.8}) == [[1, 2, 3]]


@given(pairs, pairs)
def test_two_join_only_if_all_across_them_hold(
    confirmed: dict[tuple[int, int], float], nearly: dict[tuple[int, int], float]
) -> None:
    asked: list[tuple[int, int]] = []

    def hold(some: list[tuple[int, int]]) -> bool:
        asked.extend(some)
        return all(pair in nearly for pair in some)

    for group in complete_link(confirmed, hold):
        inside = {(a, b) for a in group for b in group if a < b}
        assert all(pair in confirmed or pair in nearly for pair in inside)
        assert any(pair in confirmed for pair in inside)
    assert not set(asked) & confirmed.keys()


# -- candidates -----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 9), st.integers(0, 99), st.sampled_from((-1.0, 0.2)))
def test_candidates_are_the_nearest_of_either_and_no_others(
    count: int, k: int, seed: int, least: float
) -> None:
    choose = np.random.default_rng(seed)
    rows, queries = choose.normal(0, 1, (2, count, 6)).astype(np.float32)
    rows, queries = (some / np.linalg.norm(some, axis=1, keepdims=True) for some in (rows, queries))
    for asked in (None, queries):
        products = (rows if asked is None else asked) @ rows.T
        np.fill_diagonal(products, -2)
        nearest = np.argsort(-products, axis=1)[:, : min(k, count - 1)]
        wanted = {
            (min(place, other), max(place, other))
            for place in range(count)
            for other in nearest[place].tolist()
            if products[place, other] >= least
        }
        first, second = candidates._pairs_among_nearest(rows, k, None, least, asked)
        assert set(zip(first.tolist(), second.tolist(), strict=True)) == wanted


def test_candidates_of_thousands_are_the_nearest_of_nearly_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_RANKED_AT_ONCE", 10_000)
    rows = np.random.default_rng(0).normal(0, 1, (5000, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    first, second = candidates._pairs_among_nearest(rows, 8, None)
    found = set(zip(first.tolist(), second.tolist(), strict=True))
    products = rows @ rows.T
    np.fill_diagonal(products, -2)
    nearest = np.argpartition(-products, 8, axis=1)[:, :8]
    wanted = {(min(a, b), max(a, b)) for a, others in enumerate(nearest.tolist()) for b in others}
    assert len(wanted & found) > 0.99 * len(wanted)
    assert len(found - wanted) < 0.01 * len(wanted)


def test_a_pair_that_does_not_hold_may_hold_beside_a_third() -> None:
    confirmed = {(0, 1): 1.0, (0, 2): 0.9, (2, 3): 0.8}

    def over(some: list[tuple[int, int]], members: list[int]) -> bool:
        return all(tie(pair, members, confirmed) is not None for pair in some)

    assert complete_link(confirmed, lambda _: False, over) == [[0, 1, 2]], "0 is no tie of 1 and 3"
    assert tie((1, 3), range(4), confirmed) is None
    assert tie((0, 3), range(4), {**confirmed, (0, 1): 0.7, (1, 3): 0.7}) == 2, "the surer one"


# -- groups of pictures ---------------------------------------------------------------------------


def shaken(picture: Image.Image, seed: int, strength: float) -> Image.Image:
    """Return the picture with noise of ``strength`` levels."""
    noise = np.random.default_rng(seed).normal(0, strength, (picture.height, picture.width, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def embedding(of: int, copy: int) -> np.ndarray:
    """Return a row of unit length near that of the other copies of the same picture."""
    row = np.random.default_rng(of).normal(0, 1, 32) + np.random.default_rng(1000 + copy).normal(0, 0.2, 32)
    return (row / np.linalg.norm(row)).astype(np.float32)


COPIES = [
    (of, copy, how(scene(of)))
    for of in range(6)
    for copy, how in enumerate(
        (
            lambda picture: picture,
            lambda picture: shaken(picture, 1, 3),
            lambda picture: shaken(picture, 2, 3),
            resized,
            cropped,
            lambda picture: picture.rotate(2, Image.Resampling.BICUBIC),
        )
    )
]
WORLD = [(of, embedding(of, copy), picture) for of, copy, picture in COPIES]


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_groups_of_pictures_are_a_partition_whatever_their_order(order: random.Random) -> None:
    places = list(range(len(WORLD)))
    order.shuffle(places)
    rows = np.stack([WORLD[place][1] for place in places])
    groups = Pictures(rows, [rendering(WORLD[place][2]) for place in places]).groups()
    named = sorted(sorted(places[member] for member in group) for group in groups)
    members = [member for group in named for member in group]
    assert len(members) == len(set(members))
    assert named == [list(range(6 * of, 6 * of + 6)) for of in range(6)]


def test_a_thousand_copies_are_one_group_without_a_thousand_times_a_thousand_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = 0
    judged = SecondCheck.__call__

    def counting(check: SecondCheck, first: np.ndarray, second: np.ndarray) -> object:
        nonlocal looks
        looks += len(first)
        return judged(check, first, second)

    monkeypatch.setattr(SecondCheck, "__call__", counting)
    picture = scene(3, 96, 64)
    renderings = [rendering(shaken(picture, seed, 4)) for seed in range(1000)] + [rendering(scene(4))]
    rows = np.stack([embedding(3, copy) for copy in range(1000)] + [embedding(4, 0)])
    assert Pictures(rows, renderings).groups() == [list(range(1000))]
    assert looks < 20_000


def test_in_a_bundle_no_two_are_further_apart_than_twice_the_angle() -> None:
    rows = np.random.default_rng(0).normal((1, 0, 0), 0.1, (300, 3))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    found = bundles(list(range(300)), [(rows, 0.99)])
    assert sorted(member for members in found.values() for member in members) == list(range(300))
    assert all(first == min(members) for first, members in found.items())
    for members in found.values():
        assert (rows[members] @ rows[members].T).min() >= np.cos(2 * np.arccos(0.99)) - 1e-6


def test_nothing_and_one_picture_have_no_groups() -> None:
    assert Pictures(np.empty((0, 8), np.float32), []).groups() == []
    assert Pictures(embedding(1, 0)[None], [rendering(scene(1))]).groups() == []


def test_blank_pictures_are_not_the_same_picture_unless_they_are_equal() -> None:
    rows = np.stack([embedding(0, 0), embedding(0, 1), embedding(0, 1)])
    assert Pictures(rows, [bytes(1024), bytes([9] * 1024), bytes([9] * 1024)]).groups() == [[1, 2]]


# -- the second check -----------------------------------------------------------------------------


def rendering(picture: Image.Image) -> bytes:
    return picture.convert("L").resize((32, 32), Image.Resampling.BOX).tobytes()


def test_the_second_check_holds_both_ways_and_for_brightness() -> None:
    for number in range(5):
        picture = scene(number)
        for copy in (resized(picture), cropped(picture), picture.point(lambda v: v * 0.7 + 20)):
            assert same_picture(rendering(picture), rendering(copy))
            assert same_picture(rendering(copy), rendering(picture))


def test_the_second_check_sees_through_turns_frames_and_writing() -> None:
    for number in range(5):
        picture = scene(number)
        framed = ImageOps.expand(picture, 12, "white")
        written = picture.copy()
        ImageDraw.Draw(written).text((120, 130), "© 2026", (255, 255, 255), ImageFont.load_default(16))
        straightened = picture.rotate(3, Image.Resampling.BICUBIC).crop((12, 9, 228, 151))
        for copy in (framed, written, straightened, picture.rotate(-2), picture.convert("L")):
            assert same_picture(rendering(picture), rendering(copy))


def test_a_pair_is_judged_the_same_alone_and_among_others_in_either_order() -> None:
    pictures = [rendering(picture) for _, _, picture in COPIES]
    check = SecondCheck(pictures)
    first, second = (part.ravel() for part in np.triu_indices(len(pictures), 1))
    together = check(first, second)
    turned = check(second[::-1], first[::-1])
    assert np.allclose(together.detail, turned.detail[::-1], atol=1e-3)
    for place in range(0, len(first), 97):
        alone = check(first[place : place + 1], second[place : place + 1])
        assert alone.detail[0] == pytest.approx(together.detail[place], abs=1e-3)
        assert alone.same[0] == together.same[place]


def test_two_copies_are_compared_as_they_lie_over_a_third() -> None:
    for number in range(5):
        picture = scene(number)
        left, right = (
            picture.rotate(way * 4, Image.Resampling.BICUBIC).crop((16, 12, 224, 148)) for way in (1, -1)
        )
        other = scene(number + 100)
        check = SecondCheck([rendering(one) for one in (picture, left, right, other)])
        one, two, none, over = (np.array([place]) for place in (1, 2, 3, 0))
        assert not check(one, two).nearly, "turned by 8 degrees"
        assert check.over(one, two, over).nearly
        assert check.over(two, one, over).nearly
        assert not check.over(one, none, over).nearly


def test_the_second_check_tells_different_pictures_and_mirrors_apart() -> None:
    for number in range(8):
        picture = rendering(scene(number))
        assert not same_picture(picture, rendering(scene(number + 100)))
        assert not same_picture(picture, rendering(scene(number).transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
    assert not same_picture(bytes(1024), bytes(range(256)) * 4)


# -- mirrored and turned copies -------------------------------------------------------------------

TRANSPOSES = [*Image.Transpose]
ROTATIONS = [one for one in TRANSPOSES if one.name.startswith("ROTATE")]


def saved_again(picture: Image.Image) -> Image.Image:
    """Return the picture at 60 % of its size, as a JPEG has it."""
    file = io.BytesIO()
    resized(picture).save(file, "JPEG", quality=60)
    return Image.open(file)


def groups_when(pictures: list[Image.Image], **asked: bool) -> list[list[int]]:
    """Return the groups of pictures whose embeddings say little, but nothing against it."""
    base = np.random.default_rng(0).normal(0, 1, 32)
    rows = np.stack(
        [base + np.random.default_rng(1 + copy).normal(0, 0.7, 32) for copy in range(len(pictures))]
    )
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = Pictures(rows.astype(np.float32), [rendering(one) for one in pictures], ways=turns(**asked))
    return found.groups()


def test_the_ways_a_copy_may_lie_are_those_of_a_sheet_of_paper() -> None:
    picture = scene(1).convert("L").resize((32, 32))
    stored = np.asarray(picture)[None]
    names = {np.asarray(picture.transpose(way)).tobytes(): way.name for way in TRANSPOSES}

    def named(**asked: bool) -> set[str]:
        return {names[way.of_pictures(stored).tobytes()] for way in turns(**asked)}

    assert named(mirrored=False, turned=False) == set()
    assert named(mirrored=True, turned=False) == {"FLIP_LEFT_RIGHT"}
    assert named(mirrored=False, turned=True) == {"ROTATE_90", "ROTATE_180", "ROTATE_270"}
    assert named(mirrored=True, turned=True) == {way.name for way in TRANSPOSES}


def test_the_outline_of_a_turned_picture_follows_from_its_own() -> None:
    stored = np.stack([np.asarray(scene(number).convert("L").resize((32, 32))) for number in range(5)])
    for way in turns(mirrored=True, turned=True):
        turned = [picture.tobytes() for picture in way.of_pictures(stored)]
        found = way.of_outlines(outlines_of([picture.tobytes() for picture in stored]))
        assert np.allclose(found, outlines_of(turned), atol=1e-4)


@pytest.mark.parametrize("way", TRANSPOSES)
def test_a_copy_that_is_mirrored_or_turned_is_found_when_asked_for(way: Image.Transpose) -> None:
    originals = [scene(number) for number in range(12)]
    copies = [saved_again(picture.transpose(way)) for picture in originals[:3]]
    pairs = [[number, 12 + number] for number in range(3)]
    asked_for = {
        "mirrored": way is Image.Transpose.FLIP_LEFT_RIGHT,
        "turned": way in ROTATIONS,
    }
    for mirrored in (False, True):
        for turned in (False, True):
            found = groups_when(originals + copies, mirrored=mirrored, turned=turned)
            is_meant = (
                (mirrored and asked_for["mirrored"])
                or (turned and asked_for["turned"])
                or (mirrored and turned)
            )
            assert found == (pairs if is_meant else [])


def test_copies_that_lie_in_every_way_are_one_group() -> None:
    world = [edit(scene(number)) for number in (1, 2, 3) for edit in (lambda one: one, saved_again, cropped)]
    world += [picture.transpose(way) for picture in world for way in TRANSPOSES]
    of = [place // 3 if place < 9 else (place - 9) // len(TRANSPOSES) // 3 for place in range(len(world))]
    wanted = [[place for place, one in enumerate(of) if one == number] for number in range(3)]
    assert sorted(groups_when(world, mirrored=True, turned=True)) == wanted


def test_different_pictures_stay_apart_however_they_are_turned() -> None:
    assert groups_when([scene(number) for number in range(40)], mirrored=True, turned=True) == []


def test_a_library_is_asked_for_mirrored_copies_and_remembers_nothing_of_it(
    shell: Shell, photos: Path
) -> None:
    for number in range(4):
        scene(number).save(photos / f"{number}.png")
    saved_again(ImageOps.mirror(scene(2))).save(photos / "mirrored.png")
    shell.index(photos)
    with Library.open(shell.library) as library:
        for asked, count in (({}, 0), ({"mirrored": True}, 1), ({"turned": True}, 0)):
            contents: dict[int, list[Photo]] = {}
            for content_id, photo in library.inner.store.photos():
                contents.setdefault(content_id, []).append(photo)
            found = same_pictures(library.inner, contents, None, **asked)
            names = [{os.path.basename(photo.path) for photo in group.photos} for group in found]
            assert names == [{b"2.png", b"mirrored.png"}] * count
            assert len(contents) == 5 - 2 * count


# -- the built-in model ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo_groups(demo: Made, tmp_path_factory: pytest.TempPathFactory) -> list[set[str]]:
    """The groups among the demo photographs and three copies of each, as sets of names."""
    place = tmp_path_factory.mktemp("demo-copies")
    for path in sorted(demo.photos.iterdir()):
        with Image.open(path) as picture:
            save_copies(picture, place / "copies", path.stem)
    with Library.open_or_create(demo.copy_to(place)) as library:
        library.index([place / "copies"], IndexOptions(device="cpu"))
        return [
            {os.path.basename(photo.path).decode() for photo in group.photos}
            for group in library.duplicates()
        ]


def test_every_copy_of_a_demo_photograph_is_with_its_original(
    demo: Made, demo_groups: list[set[str]]
) -> None:
    apart = []
    for path in demo.photos.iterdir():
        group = next((group for group in demo_groups if path.name in group), set())
        ends = ("resized.png", "recompressed.jpg", "cropped.jpg")
        apart += [f"{path.stem}-{end}" for end in ends if f"{path.stem}-{end}" not in group]
    # A cropped wall of bricks: its courses are finer than 32 pixels can hold.
    assert set(apart) <= {"brick-cropped.jpg"}


def test_no_two_demo_photographs_are_together(demo_groups: list[set[str]]) -> None:
    # The stereo pair motorcycle_left and motorcycle_right are two photos of one moment.
    for group in demo_groups:
        assert len({name.partition("-")[0].partition(".")[0] for name in group}) == 1, group
