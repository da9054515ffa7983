"""Deciding: the formula against plain Python, and what always holds for the tags that come of it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from photoclip import Library
from photoclip.errors import BadUsage
from photoclip.labels import Group, Label, LabelList, open_labels
from photoclip.records import TagSuggestion
from photoclip.tagging.deciding import (
    CERTAIN,
    LEAST,
    Calibration,
    Found,
    Judge,
    Sides,
    blocks_of,
    least_evidence,
    probabilities,
)
from photoclip.tagging.run import Run
from photoclip.tagging.wording import sides_of
from photoclip.vectors import Matrix
from tests.conftest import Shell
from tests.pictures import paint

Rows = NDArray[np.float32]
SCALE = 20.0


def unit(rows: NDArray[np.floating]) -> Rows:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def drawn(seed: int, count: int, dimension: int = 12) -> Rows:
    return unit(np.random.default_rng(seed).normal(size=(count, dimension)))


def sides(labels: Rows, neutral: Rows, kin: NDArray[np.bool_] | None = None, others: int = 0) -> Sides:
    same = np.eye(len(labels), dtype=bool) if kin is None else kin
    return Sides(labels, (slice(None),), (neutral,), same, others)


def library(rows: Rows) -> Matrix:
    return Matrix.of(np.arange(1, len(rows) + 1, dtype=np.int64), rows)


# -- the formula ----------------------------------------------------------------------------------


def dot(one: Rows, other: Rows) -> float:
    return sum(float(x) * float(y) for x, y in zip(one, other, strict=True))


def plainly(labels: Rows, neutral: Rows, photos: Rows, kin: NDArray[np.bool_]) -> tuple[list, list, list]:
    """Return E, photo by photo and label by label, the rivalry and the lines, as the docstrings say it."""
    scale = SCALE / 2
    pairs = [(a, b) for a in range(len(neutral)) for b in range(len(neutral)) if a != b]
    usual = sum(dot(neutral[a], neutral[b]) for a, b in pairs) / len(pairs)

    def like(one: Rows, other: Rows) -> float:
        return min(max((dot(one, other) - usual) / (1 - usual), 0), 1)

    def own(label: Rows, photo: Rows) -> float:
        weights = [(1 - like(label, b)) ** 2 for b in neutral]
        sums = sum(w * math.exp(scale * dot(b, photo)) for w, b in zip(weights, neutral, strict=True))
        return scale * dot(label, photo) - math.log(sums / sum(weights))

    e0 = [[own(label, photo) for label in labels] for photo in photos]
    columns = [[row[j] - sum(r[j] for r in e0) / len(e0) for row in e0] for j in range(len(labels))]
    rivalry = [[0.0] * len(labels) for _ in labels]
    for j, one in enumerate(columns):
        for k, other in enumerate(columns):
            lengths = math.sqrt(sum(x * x for x in one) * sum(x * x for x in other))
            together = sum(x * y for x, y in zip(one, other, strict=True)) / lengths
            alternatives = min(max((together - 0.4) / 0.6, 0), 1) ** 2 * (1 - like(labels[j], labels[k]))
            rivalry[j][k] = 0.0 if kin[j][k] else alternatives
    e = [
        [
            row[j] - math.log(1 + 0.08 * sum(c * math.exp(x) for c, x in zip(rivalry[j], row, strict=True)))
            for j in range(len(labels))
        ]
        for row in e0
    ]
    opening = max(0.45 * math.log(len(photos)) + 0.3, 1.75)
    few = max(1, min(8, math.ceil(0.02 * len(photos))))
    lines = []
    for j in range(len(labels)):
        best = sorted((row[j] for row in e), reverse=True)
        line = max(1.75, 0.45 * sum(max(x, 1.75) for x in best[:few]) / few)
        lines.append(max(line, min(opening, line + opening - best[0])) if best[0] >= 1.75 else opening)
    return e, rivalry, lines


@pytest.mark.parametrize("others", [0, 3])
@pytest.mark.parametrize("seed", range(3))
def test_evidence_rivalry_and_lines_are_those_of_the_formula(seed: int, others: int) -> None:
    usual = drawn(seed + 300, 1)
    neutral, photos = drawn(seed, 9), unit(drawn(seed + 100, 120) + usual)
    labels = drawn(seed + 200, 9)
    labels[1:3] = unit(labels[0] + labels[1:3] / 2)  # some that go together
    labels[3] = -usual  # one that no photo shows, and one that a single photo does
    labels[4] = photos[7] = unit(labels[4:5] - (labels[4] @ usual[0]) * usual)
    kin = np.eye(9, dtype=bool)
    kin[0, 2] = kin[2, 0] = True
    evidence, rivalry, lines = plainly(labels, neutral, photos, kin)
    count = 9 - others
    evidence, lines = [row[:count] for row in evidence], lines[:count]
    judge = Judge(sides(labels, neutral, kin, others), SCALE)
    calibration, likely = judge.calibrate(library(photos))
    every = judge.find([(np.arange(120), photos)], calibration.rivalry, -np.inf)
    np.testing.assert_allclose(every.evidence.reshape(120, count), evidence, atol=2e-4)
    np.testing.assert_allclose(calibration.rivalry, rivalry, atol=1e-4)
    np.testing.assert_allclose(calibration.line, lines, atol=2e-4)
    np.testing.assert_allclose(every.similarities.reshape(120, count), photos @ labels[:count].T, atol=1e-6)
    assert calibration.rivalry[0, 1] > 0.01 > calibration.rivalry[0, 2] == 0
    assert lines[3] == 0.45 * math.log(120) + 0.3
    assert len(set(np.round(lines, 4))) > 2
    assert calibration.photos == 120
    assert set(zip(likely.ids.tolist(), likely.labels.tolist(), strict=True)) == {
        (photo + 1, label)
        for photo in range(120)
        for label in range(count)
        if evidence[photo][label] >= LEAST
    }


def test_a_label_is_decided_alike_alone_and_among_labels_that_have_nothing_to_do_with_it() -> None:
    neutral, photos = drawn(1, 30, 40), drawn(2, 200, 40)
    labels = drawn(3, 12, 40)
    alone = Judge(sides(labels[:1], neutral), SCALE).calibrate(library(photos))[0]
    judge = Judge(sides(labels, neutral), SCALE)
    together = judge.calibrate(library(photos))[0]
    assert together.rivalry[0].max() < 0.02
    assert together.line[0] == pytest.approx(alone.line[0], abs=0.02)


def test_alternatives_compete_and_a_label_and_its_own_level_do_not() -> None:
    neutral = np.eye(12, dtype=np.float32)[4:]
    labels = unit(np.eye(12)[:3] + [[0] * 3 + [2] + [0] * 8] * 3)  # three kinds of one thing
    photos = unit(np.abs(drawn(5, 300)) + np.eye(12)[3] * np.linspace(0, 3, 300)[:, None])
    kin = np.eye(3, dtype=bool)
    kin[0, 1] = kin[1, 0] = True
    free = Judge(sides(labels, neutral, kin), SCALE).calibrate(library(photos))[0].rivalry
    assert (free[0, 1], free[1, 0], *free.diagonal()) == (0, 0, 0, 0, 0)
    assert min(free[0, 2], free[1, 2], free[2, 0]) > 0.1
    bound = Judge(sides(labels, neutral), SCALE).calibrate(library(photos))[0].rivalry
    assert bound[0, 1] > 0.1
    judge = Judge(sides(labels, neutral), SCALE)
    with_them = judge.find([(np.arange(300), photos)], bound, -np.inf).evidence
    without = judge.find([(np.arange(300), photos)], np.zeros_like(bound), -np.inf).evidence
    assert (with_them < without).all()


def test_the_strongest_rival_is_what_takes_away_most() -> None:
    judge = Judge(sides(drawn(1, 5), drawn(2, 9)), SCALE)
    rivalry = np.abs(drawn(3, 5, 5))
    np.fill_diagonal(rivalry, 0)
    rivalry[4] = 0
    photo = drawn(4, 1)
    own = judge.find([(np.zeros(1, np.int64), photo)], np.zeros_like(rivalry), -np.inf).evidence
    expected = [int(np.argmax([rivalry[j, k] * math.exp(own[k]) for k in range(5)])) for j in range(4)]
    assert judge.strongest_rivals(photo[0], rivalry).tolist() == [*expected, -1]


def test_a_level_of_a_label_is_its_kin_in_any_case(colourful: Shell) -> None:
    names = ["Animals/Dog/Puppy", "animals", "Animals/Dog", "Animals/Cat", "Dog"]
    labels = LabelList(tuple(map(Label.of, names)))
    with Library.open(colourful.library) as opened:
        kin = sides_of(opened.inner, opened.inner.model(), labels, "cpu").kin
    pairs = {(names[a], names[b]) for a, b in np.argwhere(kin) if a < b}
    assert pairs == {
        ("Animals/Dog/Puppy", "animals"),
        ("Animals/Dog/Puppy", "Animals/Dog"),
        ("animals", "Animals/Dog"),
        ("animals", "Animals/Cat"),
    }
    assert (kin == kin.T).all()


def test_labels_with_examples_are_compared_with_words_that_look_like_photos(colours_apart: Shell) -> None:
    labels = open_labels(str(exemplary(colours_apart, "example.png")))
    with Library.open(colours_apart.library) as opened:
        inner = opened.inner
        found = sides_of(inner, inner.model(), labels, "cpu")
        matrix = inner.matrix(inner.model())
        usual = unit(matrix.rows_of(matrix.ids).sum(axis=0, keepdims=True))
    assert [columns.tolist() for columns in found.columns] == [[0], [1]]
    np.testing.assert_allclose(found.neutral[1], unit(found.neutral[0] + usual), atol=1e-6)


# -- numbers --------------------------------------------------------------------------------------


@given(st.floats(1e-5, 1 - 1e-5))
def test_least_evidence_is_the_inverse_of_probability(probability: float) -> None:
    found = Found(*np.array([[1], [0]]), np.zeros(1, np.float32), np.array([least_evidence(probability)]))
    assert probabilities(found, np.array([LEAST], np.float32))[0] == pytest.approx(probability, abs=1e-5)


def test_probability_is_that_of_a_bare_tag_at_the_line_and_rises_with_evidence() -> None:
    found = Found(*np.zeros((2, 5), np.int64), np.zeros(5, np.float32), np.array([-90, 1, 2, 3, 90.0]))
    found_at = probabilities(found, np.array([2.0], np.float32))
    assert found_at[2] == pytest.approx(CERTAIN)
    assert (np.diff(found_at) > 0).all()
    assert (found_at[0], found_at[-1]) == (pytest.approx(0, abs=1e-9), 1)
    assert (least_evidence(0), least_evidence(1), least_evidence(CERTAIN)) == (-np.inf, np.inf, LEAST)


def test_a_calibration_comes_back_from_its_bytes() -> None:
    given = Calibration(np.float32([1.75, 2.5]), np.float32([[0, 0.25], [1e-7, 0]]), 100_000)
    back = Calibration.unpacked(given.packed())
    assert [back.line.tolist(), back.rivalry.tolist(), back.photos] == [
        given.line.tolist(),
        given.rivalry.tolist(),
        100_000,
    ]
    assert (back.line.dtype, back.rivalry.dtype) == (np.float32, np.float32)


@given(st.integers(0, 99), st.floats(-2, 4), st.booleans())
def test_what_is_found_in_parts_is_what_is_found_at_once(seed: int, least: float, always: bool) -> None:
    photos, labels = drawn(seed, 23), drawn(seed + 1, 6)
    judge = Judge(sides(labels, drawn(7, 9)), SCALE)
    sets = [np.array([5, 2, 3])] if always else []
    rivalry = np.zeros((6, 6), np.float32)
    matrix = library(photos)
    whole = judge.find([(matrix.ids, photos)], rivalry, least, sets)
    parts = judge.find((one for i in (1, 7, 23) for one in blocks_of(matrix, matrix.ids[i - 1 : i])), rivalry,
                       least, sets)  # fmt: skip
    for one, other in zip(whole.among(np.array([1, 7, 23])), parts, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    if always:
        shown = {(int(i), int(j)) for i, j in zip(whole.ids, whole.labels, strict=True)}
        best = photos @ labels[[2, 3, 5]].T
        assert {(i + 1, (2, 3, 5)[int(row.argmax())]) for i, row in enumerate(best)} <= shown


# -- what is settled ------------------------------------------------------------------------------

NAMES = ("f", "a", "e", "b", "d", "c")
GROUPS = st.sampled_from(
    [
        (),
        (Group("one", ("f", "a", "e"), True),),
        (Group("most", ("f", "a", "e"), False),),
        (Group("one", ("c", "d"), True), Group("most", ("a", "e"), False)),
    ]
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Run, Found, NDArray[np.float32]]:
    """Draw a run, and numbers for each of four photos and each label."""
    run = Run.__new__(Run)
    groups = draw(GROUPS)
    run.labels = LabelList(tuple(map(Label.of, NAMES)), groups)
    run.thresholds = np.array(draw(st.lists(st.sampled_from([0, 0.2, 0.3, 0.7, 1]), min_size=6, max_size=6)))
    run._top = draw(st.sampled_from([None, 1, 2, 5]))
    run._groups = [(np.array([NAMES.index(n) for n in g.labels]), g.exactly_one) for g in groups]
    numbers = st.lists(st.sampled_from([-9, 0.5, 1, 2, 2.5, 3, 12]), min_size=24, max_size=24)
    evidence = np.array(draw(numbers), np.float32)
    cosines = np.array(draw(st.lists(st.sampled_from([0.1, 0.2, 0.3]), min_size=24, max_size=24)), np.float32)
    found = Found(np.repeat([3, 5, 8, 9], 6), np.tile(np.arange(6), 4), cosines, evidence)
    return run, found, np.array([1.75, 2, 2.5, 3, 1.75, 2], np.float32)


@given(cases())
def test_what_is_settled_keeps_to_groups_thresholds_and_top(case: tuple[Run, Found, Rows]) -> None:
    run, found, line = case
    settled = run.settled(
        found, Calibration(line, np.zeros((6, 6), np.float32), 4), np.array([3, 5, 8, 9, 11])
    )
    sure = probabilities(found, line).reshape(4, 6)
    cosines = found.similarities.reshape(4, 6)
    assert settled.keys() == {3, 5, 8, 9, 11}
    assert settled[11] == ()
    for row, photo in enumerate((3, 5, 8, 9)):
        fits = {j for j in range(6) if sure[row, j] >= run.thresholds[j] - 1e-6}
        for labels, exactly_one in run._groups:
            inside = set(labels.tolist())
            # exactly one: the most similar; at most one: the surest of those that fit. Equals: the first.
            if exactly_one:
                best = {max(sorted(inside), key=lambda j, row=row: cosines[row, j])}
            else:
                best = (
                    {max(sorted(inside & fits), key=lambda j, row=row: sure[row, j])}
                    if inside & fits
                    else set()
                )
            fits = fits - inside | best
        expected = [
            TagSuggestion(NAMES[j], round(float(cosines[row, j]), 6), round(float(sure[row, j]), 6))
            for j in fits
        ]
        expected.sort(key=lambda tag: (-tag.probability, tag.label))
        assert settled[photo] == tuple(expected[: run._top])


GROUPED = """
[labels]
"red" = []
"blue" = []
"green" = []
"warm" = []
[groups.colour]
KIND = ["red", "blue", "green"]
"""


@pytest.mark.parametrize(("kind", "counts"), [("exactly-one", {1}), ("at-most-one", {0, 1})])
def test_a_photo_carries_no_two_of_a_group(colours_apart: Shell, kind: str, counts: set[int]) -> None:
    labels = colours_apart.library.parent / "labels.toml"
    labels.write_text(GROUPED.replace("KIND", kind))
    for least in ("0", "0.3"):
        line = ("tag", "--labels", labels, "--min", least, "-f", "jsonl")
        rows = colours_apart(*line).fine().rows
        found = [[tag["label"] for tag in row["tags"] if tag["label"] != "warm"] for row in rows]
        assert {len(some) for some in found} == (counts if least == "0.3" else {1})
        named = {Path(row["path"]).stem.split("-")[0]: some for row, some in zip(rows, found, strict=True)}
        assert (named["red"], named["blue"], named["green"]) == (["red"], ["blue"], ["green"])
        one = ("--among", "-", "--explain", colours_apart.library.parent / "photos" / "pink-3.png")
        explained = (
            colours_apart("tag", "--labels", labels, "--min", least, *one[2:], "-f", "jsonl").fine().rows
        )
        pink = next(row["tags"] for row in rows if "pink" in row["path"])
        assert {r["label"] for r in explained if r["tagged"]} == {tag["label"] for tag in pink}


def test_others_compete_and_are_never_tags(colours_apart: Shell) -> None:
    labels = colours_apart.library.parent / "labels.toml"
    labels.write_text("[labels]\nred = []\nwarm = []\n")
    line = ("tag", "--labels", labels, "--min", "0", "-f", "jsonl")
    alone = colours_apart(*line).fine().rows
    labels.write_text('others = ["pink", "orange", "bright"]\n[labels]\nred = []\nwarm = []\n')
    answer = colours_apart(*line).fine()
    assert "10 pictures new to this list" in answer.err
    assert all({tag["label"] for tag in row["tags"]} == {"red", "warm"} for row in answer.rows)
    assert all(row["tags"][0]["label"] == "red" for row in answer.rows if "red" in row["path"])
    assert [row["path"] for row in answer.rows] == [row["path"] for row in alone]
    for photo in ("red-0.png", "white-4.png"):
        explain = ("tag", "--labels", labels, "--explain", colours_apart.library.parent / "photos" / photo)
        rows = colours_apart(*explain, "-f", "jsonl").fine().rows
        assert {row["label"] for row in rows} == {"red", "warm"}


def test_an_explanation_knows_of_top(colours_apart: Shell) -> None:
    photo = colours_apart.library.parent / "photos" / "red-0.png"
    line = ("tag", "--labels", "-", "--explain", photo, "--min", "0", "-f", "jsonl")
    labels = b"red\nblue\nwarm\n"
    rows = colours_apart(*line, "--top", "2", stdin=labels).fine().rows
    assert [row["tagged"] for row in rows] == [True, True, False]
    assert [row["tagged"] for row in colours_apart(*line, stdin=labels).rows] == [True] * 3
    assert (
        colours_apart("tag", "--labels", "-", "--explain", photo.with_name("no.png"), stdin=labels).code == 2
    )
    assert colours_apart("tags", "--json").rows == []


# -- labels with examples -------------------------------------------------------------------------


@pytest.fixture
def colours_apart(shell: Shell, photos: Path) -> Shell:
    """A shell with photos in five colours, two of each, and a photo that is not in the library."""
    for number, colour in enumerate(("red", "blue", "green", "pink", "white") * 2):
        paint(photos / f"{colour}-{number}.png", colour, number)
    shell.index(photos)
    paint(photos.parent / "example.png", "pink", 200)
    return shell


def exemplary(shell: Shell, example: str) -> Path:
    labels = shell.library.parent / "labels.toml"
    labels.write_text(f'[labels]\nred = []\n[labels.grandmother]\nexamples = ["{example}"]\n')
    return labels


@pytest.mark.parametrize("example", ["example.png", "photos/pink-3.png"])
def test_a_label_with_an_example_finds_photos_that_look_like_it(colours_apart: Shell, example: str) -> None:
    labels = exemplary(colours_apart, example)
    rows = colours_apart("tag", "--labels", labels, "-f", "jsonl").fine().rows
    found = {Path(row["path"]).stem: [tag["label"] for tag in row["tags"]] for row in rows}
    assert {name for name in found if found[name] == ["grandmother"]} == {"pink-3", "pink-8"}
    assert {name for name in found if found[name] == ["red"]} == {"red-0", "red-5"}
    assert colours_apart("tag", "--labels", labels).fine().err.endswith("nothing new\n")


def test_another_picture_in_the_place_of_an_example_makes_decisions_anew(colours_apart: Shell) -> None:
    labels = exemplary(colours_apart, "example.png")
    colours_apart("tag", "--labels", labels).fine()
    paint(labels.parent / "example.png", "blue", 201)
    answer = colours_apart("tag", "--labels", labels, "-f", "jsonl").fine()
    assert "10 pictures new to this list" in answer.err
    found = {Path(r["path"]).stem for r in answer.rows if "grandmother" in str(r["tags"])}
    assert found == {"blue-1", "blue-6"}


def test_an_example_that_is_missing_is_an_error_of_the_list(colours_apart: Shell) -> None:
    labels = exemplary(colours_apart, "nowhere.png")
    with pytest.raises(BadUsage):
        open_labels(str(labels))
    answer = colours_apart("tag", "--labels", labels)
    assert (answer.code, answer.out) == (2, b"")
    assert "line 4" in answer.err
    assert "nowhere.png" in answer.err
    assert colours_apart("tags", "--json").rows == []


def test_an_example_that_is_no_picture_is_named(colours_apart: Shell) -> None:
    (colours_apart.library.parent / "words.txt").write_text("no picture")
    answer = colours_apart("tag", "--labels", exemplary(colours_apart, "words.txt"))
    assert (answer.code, answer.out) == (6, b"")
    assert "words.txt" in answer.err
    assert "Traceback" not in answer.err
    assert colours_apart("tags", "--json").rows == []
