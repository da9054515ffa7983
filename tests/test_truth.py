"""Judging tags by what the user says, and suggesting thresholds."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path

import pytest

from photoclip.errors import BadUsage
from photoclip.records import TagSuggestion
from photoclip.tagging.truth import Truth, judge, read_truth, suggest
from tests.conftest import Made, MakeShell

NAMES = (
    "Animals/Dog",
    "Animals/Cat",
    "beach",
    "salt, pepper",
    "-x",
    "Fruit/Orange",
    "Colours/Orange",
    "Animals",
)


def read(text: str, names: tuple[str, ...] = NAMES) -> dict[bytes, set[str]]:
    truth = read_truth(text, "truth.csv", b"/photos", names)
    assert truth.names == names
    return {path: set(labels) for path, labels in truth.shown.items()}


def tagged(*labels: str) -> list[TagSuggestion]:
    return [TagSuggestion(label, 0.3, 0.9) for label in labels]


# -- reading --------------------------------------------------------------------------------------


def test_paths_are_absolute_or_relative_to_the_folder() -> None:
    assert read("path,labels\na.jpg,beach\n/else/b.jpg,beach\nsub/../c.jpg,beach\n") == {
        b"/photos/a.jpg": {"beach"}, b"/else/b.jpg": {"beach"}, b"/photos/c.jpg": {"beach"},
    }  # fmt: skip


@pytest.mark.parametrize(
    "cell", ["beach;Colours/Orange", "beach | colours / orange", '"beach, Colours/ORANGE"']
)
def test_labels_are_joined_by_semicolons_bars_or_commas(cell: str) -> None:
    assert read(f"path,labels\na.jpg,{cell}\n") == {b"/photos/a.jpg": {"beach", "Colours/Orange"}}


def test_several_lines_of_a_photo_add_up() -> None:
    assert read("path,label\na.jpg,beach\nb.jpg,\na.jpg,cat\n") == {
        b"/photos/a.jpg": {"beach", "Animals/Cat", "Animals"}, b"/photos/b.jpg": set(),
    }  # fmt: skip


def test_a_photo_that_shows_a_label_shows_the_levels_above_it() -> None:
    assert read("path,labels\na.jpg,dog\n") == {b"/photos/a.jpg": {"Animals", "Animals/Dog"}}
    assert read("path,labels\na.jpg,dog\n", ("Animals/Dog",)) == {b"/photos/a.jpg": {"Animals/Dog"}}


def test_a_label_with_a_comma_is_one_label() -> None:
    assert read('path,labels\na.jpg,"salt, pepper"\nb.jpg,"beach;salt, pepper"\n') == {
        b"/photos/a.jpg": {"salt, pepper"}, b"/photos/b.jpg": {"beach", "salt, pepper"},
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffPath , LABELS\r\na.jpg,beach\r\n",
        "path;labels\na.jpg;beach\n",
        "path\tnote\tlabels\na.jpg\tmine\tbeach\n",
        "labels,stars,path\n\nbeach,5,a.jpg\n,,\n",
        '{"path": "a.jpg", "tags": [{"label": "beach", "similarity": 0.3, "probability": 0.9}]}\n',
        '\n{"path": "a.jpg", "tags": ["beach"]}',
    ],
)
def test_what_spreadsheets_and_photoclip_write_is_read(text: str) -> None:
    assert read(text) == {b"/photos/a.jpg": {"beach"}}


def test_names_that_are_not_utf8_are_read_by_their_bytes() -> None:
    name = b"/photos/\xff.jpg"
    line = json.dumps({"path": "/photos/?.jpg", "path_b64": base64.b64encode(name).decode(), "tags": []})
    assert read(line) == {name: set()}
    assert read("path,labels\n\udcff.jpg,\n") == {name: set()}


def test_what_looks_like_a_formula_is_data() -> None:
    assert read("path,labels\n=cmd.jpg,'-x\n-b.jpg,-x\n") == {
        b"/photos/=cmd.jpg": {"-x"}, b"/photos/-b.jpg": {"-x"},
    }  # fmt: skip


def test_a_line_break_of_another_script_does_not_end_a_row() -> None:
    assert read("path,labels\na\u2028b.jpg,beach\n") == {"/photos/a\u2028b.jpg".encode(): {"beach"}}


@pytest.mark.parametrize(
    ("text", "line", "reason", "hint"),
    [
        ("", 1, "path,labels", ""),
        ("a.jpg,beach\n", 1, "path,labels", ""),
        ("path,labels,labels\n", 1, "path,labels", ""),
        ("path,labels\na.jpg,beach\nb.jpg,beech\n", 3, "'beech' is no label", "'beach'"),
        ("path,labels\na.jpg,dogs\n", 2, "'dogs' is no label", "'Animals/Dog'"),
        ("path,labels\na.jpg,orange\n", 2, "Fruit/Orange or Colours/Orange", "whole label"),
        ("path,labels\na.jpg,beach,cat\n", 2, "3 values, but 2 columns", "double quotes"),
        ("path,labels\na.jpg\n", 2, "1 values, but 2 columns", ""),
        ('path,labels\n"a\nb.jpg",cat\n"a"x,cat\n', 4, "not a row", ""),
        ('path,labels\na.jpg,cat\n"a.jpg,cat\n', 3, "not a row", ""),
        ("path,labels\n,cat\n", 2, "the path is empty", ""),
        ("path,labels\na\0.jpg,cat\n", 2, "NUL", ""),
        ('{"path": "a.jpg", "tags": []}\n{"path"', 2, "not a JSON object", ""),
        ('{"path": "a.jpg", "tags": []}\n3\n', 2, "not an object", "tags"),
        ('{"tags": []}', 1, "no path", ""),
        ('{"path": "a.jpg"}', 1, "no list of tags", ""),
        ('{"path": "a.jpg", "tags": [{"name": "cat"}]}', 1, "a tag without a label", ""),
        ('{"path_b64": "!", "tags": []}', 1, "not base64", ""),
        ('{"path": "\\ud800", "tags": []}', 1, "no text", ""),
        ('\n{"path": "a.jpg", "tags": ["bird"]}', 2, "'bird' is no label", ""),
    ],
)
def test_a_bad_line_is_an_error_that_says_where_and_why(text: str, line: int, reason: str, hint: str) -> None:
    with pytest.raises(BadUsage) as error:
        read(text)
    assert f"truth.csv, line {line}: " in str(error.value)
    assert reason in str(error.value)
    assert hint in error.value.hint


def test_a_truth_without_a_photo_is_an_error() -> None:
    with pytest.raises(BadUsage, match=r"truth\.csv names no photo"):
        read("path,labels\n")


# -- judging --------------------------------------------------------------------------------------


def test_tags_are_right_wrong_or_missed() -> None:
    truth = Truth(
        ("dog", "cat", "sea", "elk"),
        {b"a": frozenset({"dog"}), b"b": frozenset({"dog"}), b"c": frozenset({"cat"}), b"d": frozenset()},
    )
    verdict = judge(
        truth, {b"a": tagged("dog", "cat"), b"b": [], b"c": tagged("cat", "sea"), b"d": tagged("dog")}
    )
    dog, cat, sea, elk = verdict.labels
    assert (dog.shown, dog.right, dog.wrong, dog.missed) == (2, 1, 1, 1)
    assert (dog.precision, dog.recall, dog.f1) == (0.5, 0.5, 0.5)
    assert (cat.precision, cat.recall) == (0.5, 1.0)
    assert cat.f1 == pytest.approx(2 / 3)
    assert (sea.precision, sea.recall, sea.f1) == (0.0, None, None)
    assert (elk.precision, elk.recall, elk.f1) == (None, None, None)
    assert verdict.macro_f1 == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert verdict.wrong_without == 1
    together = verdict.together
    assert (together.shown, together.right, together.wrong) == (3, 2, 3)
    assert together.f1 == pytest.approx(0.5)
    assert verdict.photos == 4


def test_photos_that_the_library_lacks_are_named_and_not_judged() -> None:
    truth = Truth(("dog",), {b"a": frozenset({"dog"}), b"gone": frozenset({"dog"})})
    verdict = judge(truth, {b"a": tagged("dog"), b"not asked about": tagged("dog")})
    assert verdict.unknown == (b"gone",)
    assert verdict.photos == 1
    assert verdict.labels[0].f1 == 1.0
    assert verdict.labels[0].wrong == 0


def test_a_truth_of_no_known_photo_has_no_figures() -> None:
    verdict = judge(Truth(("dog",), {b"gone": frozenset({"dog"})}), {})
    assert (verdict.photos, verdict.macro_f1, verdict.together.f1) == (0, None, None)


def test_a_tag_counts_for_the_levels_above_it() -> None:
    truth = read_truth("path,labels\na.jpg,dog\n", "truth.csv", b"/", NAMES)
    verdict = judge(truth, {b"/a.jpg": tagged("Animals/Dog")})
    assert {one.label: one.right for one in verdict.labels if one.shown} == {"Animals/Dog": 1, "Animals": 1}
    verdict = judge(truth, {b"/a.jpg": tagged("Animals/Cat")})
    assert {one.label: (one.right, one.wrong) for one in verdict.labels if one.right or one.wrong} == {
        "Animals/Cat": (0, 1), "Animals": (1, 0),
    }  # fmt: skip


# -- better thresholds ----------------------------------------------------------------------------


def photos(shown: list[float], others: list[float]) -> tuple[Truth, dict[bytes, dict[str, float]]]:
    """Photos with these probabilities of the label, those that show it and others, in a mixed order."""
    values = [(value, True) for value in shown] + [(value, False) for value in others]
    random.Random(0).shuffle(values)
    paths = [b"%04d" % number for number in range(len(values))]
    truth = {
        path: frozenset({"dog"} if shows else ()) for path, (_, shows) in zip(paths, values, strict=True)
    }
    return Truth(("dog",), truth), {
        path: {"dog": value} for path, (value, _) in zip(paths, values, strict=True)
    }


def spread(low: float, high: float, count: int) -> list[float]:
    return [low + (high - low) * place / count for place in range(count)]


def test_a_threshold_that_all_photos_speak_for_is_suggested() -> None:
    found = suggest(*photos(spread(0.2, 0.4, 20), spread(0.0, 0.1, 60)), {"dog": 0.5})["dog"]
    assert 0.1 <= found.threshold <= 0.22
    assert (found.f1_now, found.f1_then) == (0.0, 1.0)


def test_a_threshold_that_is_right_already_stays() -> None:
    assert suggest(*photos(spread(0.6, 0.9, 20), spread(0.0, 0.3, 60)), {"dog": 0.5}) == {}


def test_two_photos_are_too_few_for_a_threshold() -> None:
    assert suggest(*photos([0.2, 0.3], spread(0, 0.1, 60)), {"dog": 0.5}) == {}
    assert suggest(*photos([0.2, 0.3, 0.25], spread(0, 0.1, 60)), {"dog": 0.5})
    assert suggest(*photos(spread(0.2, 0.4, 20), [0.1, 0.1]), {"dog": 0.5}) == {}


def test_no_threshold_is_made_of_noise() -> None:
    for seed in range(20):
        chance = random.Random(seed)
        values = [[chance.random() for _ in range(count)] for count in (5, 60)]
        found = suggest(*photos(*values), {"dog": 0.02})
        assert all(one.f1_then - one.f1_now < 0.25 for one in found.values())


def test_a_single_photo_does_not_move_a_threshold() -> None:
    shown, others = spread(0.6, 0.9, 12), spread(0.0, 0.3, 60)
    assert suggest(*photos([0.31, *shown], others), {"dog": 0.5}) == {}
    assert suggest(*photos([*spread(0.31, 0.4, 12), *shown], others), {"dog": 0.5})


def test_what_is_expected_is_measured_on_photos_that_had_no_say() -> None:
    truth, values = photos(spread(0.05, 0.45, 12), spread(0.0, 0.3, 40))
    found = suggest(truth, values, {"dog": 0.5})["dog"]
    tagged = {path for path, one in values.items() if one["dog"] >= found.threshold}
    shows = {path for path, labels in truth.shown.items() if labels}
    hindsight = 2 * len(tagged & shows) / (len(tagged) + len(shows))
    assert found.f1_now < found.f1_then < hindsight


def test_photos_that_the_library_lacks_have_no_say() -> None:
    truth, values = photos(spread(0.2, 0.4, 20), spread(0.0, 0.1, 60))
    more = Truth(truth.names, {**truth.shown, b"gone": frozenset({"dog"})})
    assert suggest(more, values, {"dog": 0.5}) == suggest(truth, values, {"dog": 0.5})


# -- on the command line --------------------------------------------------------------------------


def test_check_lists_every_label_and_says_what_it_could_not_judge(
    colours: Made, tmp_path: Path, shell_for: MakeShell
) -> None:
    shell = shell_for(colours.copy_to(tmp_path))
    labels = tmp_path / "labels.txt"
    labels.write_text("red\ngreen\nviolet\n", "utf-8")
    rows = shell("tag", "--labels", labels, "--write", "none", "-f", "jsonl").fine().rows
    photo = {Path(row["path"]).name: row["path"] for row in rows}
    truth = tmp_path / "truth.csv"
    lines = ["path,labels", f"{photo['red-0.png']},red", f"{photo['green-3.png']},", "gone.jpg,red"]
    truth.write_text("\n".join(lines), "utf-8")
    answer = shell("tag", "--labels", labels, "--check", truth, "-f", "jsonl").fine()
    red, green, violet = answer.rows
    assert red == {
        "label": "red", "photos": 1, "right": 1, "wrong": 0, "missed": 0,
        "precision": 1.0, "recall": 1.0, "f1": 1.0, "threshold": None, "f1_then": None,
    }  # fmt: skip
    assert (green["photos"], green["wrong"], green["precision"], green["f1"]) == (0, 1, 0.0, None)
    assert (violet["wrong"], violet["precision"]) == (0, None)
    assert "2 photos judged, which show 1 of 3 labels" in answer.err
    assert "gone.jpg" in answer.err
    table = shell("tag", "--labels", labels, "--check", truth).fine()
    assert b"precision" in table.out
    assert b"threshold" not in table.out


def test_a_corrected_answer_of_photoclip_is_a_truth(
    colours: Made, tmp_path: Path, shell_for: MakeShell
) -> None:
    shell = shell_for(colours.copy_to(tmp_path))
    for kind in ("jsonl", "csv"):
        answer = shell("tag", "--labels", "-", "--write", "none", "-f", kind, stdin=b"red\n-blue\n").fine()
        truth = tmp_path / f"truth.{kind}"
        truth.write_bytes(answer.out)
        rows = (
            shell("tag", "--labels", "-", "--check", truth, "-f", "jsonl", stdin=b"red\n-blue\n").fine().rows
        )
        assert rows[0]["f1"] == 1.0
        assert all(row["wrong"] == row["missed"] == 0 for row in rows)


def test_check_has_no_paths_to_list(colours: Made, tmp_path: Path, shell_for: MakeShell) -> None:
    shell = shell_for(colours.copy_to(tmp_path))
    truth = tmp_path / "truth.csv"
    truth.write_text("path,labels\na.jpg,red\n", "utf-8")
    answer = shell("tag", "--labels", "-", "--check", truth, "-f", "paths", stdin=b"red\n")
    assert answer.code == 2
    assert "no paths" in answer.err
