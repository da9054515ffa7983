"""Queries of several parts: what adds, what takes away, how much each counts, and what each contributed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoclip import Library
from photoclip.encoders.fake import COLOURS, FakeEncoder
from photoclip.errors import BadUsage
from photoclip.searching import Part
from tests.conftest import Made, MakeShell, Shell, command, environment
from tests.pictures import paint


def direction(weights: dict[str, float]) -> Any:
    """Return the unit vector of texts, each by its weight."""
    rows = FakeEncoder().encode_texts(list(weights))
    total = np.array(list(weights.values())) @ rows
    return total / np.linalg.norm(total)


def test_parts_add_up_by_their_weights(colours: Made) -> None:
    with Library.open(colours.library) as library:
        hits = library.search("red", plus=["0.5:blue", "bright"], minus=["2:green"])
        query = direction({"red": 1, "blue": 0.5, "bright": 1, "green": -2})
        for hit in hits:
            known = library.inner.store.embedding_at(hit.photo.path, library.inner.model().id)
            assert known is not None
            expected = np.frombuffer(known[1], "<f4") @ query
            assert hit.similarity == pytest.approx(float(expected), abs=1e-5)
        assert len(hits) == 7


def test_minus_turns_away(colourful: Shell) -> None:
    toward = colourful("search", "red", "-n", "4").fine().names
    away = colourful("search", "--minus", "red", "-n", "7").fine().names
    assert set(away[-4:]) == set(toward)


def test_a_picture_may_count_less(colours: Made, colourful: Shell) -> None:
    blue = colours.photos / "blue-4.png"
    much = colourful("search", "red", "--like", f"5:{blue}", "-n", "1").fine().names
    little = colourful("search", "red", "--like", f"0.2:{blue}", "-n", "1").fine().names
    assert (much, little[0][:3]) == (["blue-4.png"], "red")


def test_a_file_with_a_weight_in_its_name_is_that_file(
    shell: Shell, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("red", "blue"):
        paint(photos / f"{name}.png", name)
    shell.index(photos)
    paint(tmp_path / "2:x.png", "blue", 3)
    monkeypatch.chdir(tmp_path)
    assert shell("similar", "2:x.png", "-n", "1").fine().names == ["blue.png"]
    assert shell("similar", "2:2:x.png", "-n", "1").fine().names == ["blue.png"]
    assert shell("similar", "2:gone.png", "-n", "1").code == 6


@pytest.mark.parametrize(
    ("text", "what", "weight"),
    [
        ("0.5:at night", "at night", 0.5),
        (".5:x", "x", 0.5),
        ("3:10 to Yuma", "10 to Yuma", 3.0),
        ("10 to Yuma", "10 to Yuma", 1.0),
        ("-1:x", "-1:x", 1.0),
        ("two: x", "two: x", 1.0),
        ("2:a\nb", "a\nb", 2.0),
        ("٢:x", "٢:x", 1.0),
    ],
)
def test_a_weight_is_a_number_before_a_colon(text: str, what: str, weight: float) -> None:
    assert Part.text(text) == Part(what, weight)
    assert Part.text(text, -1) == Part(what, -weight)


@pytest.mark.parametrize("text", ["0:x", "0.0:x", "1000000:x", "9" * 400 + ":x"])
def test_a_weight_of_nothing_or_of_far_too_much_is_refused(colourful: Shell, text: str) -> None:
    answer = colourful("search", "red", "--plus", text)
    assert answer.code == 2
    assert "a weight lies" in answer.err


def test_a_description_of_its_own_has_no_weight(colourful: Shell) -> None:
    assert colourful("search", "3:10 red").fine().paths


def test_parts_that_cancel_each_other_out_are_no_query(colourful: Shell) -> None:
    answer = colourful("search", "red", "--minus", "red")
    assert (answer.code, answer.out) == (2, b"")
    assert "cancel" in answer.err


weights = st.sampled_from([0.2, 0.5, 1.0, 3.0])


@given(
    st.dictionaries(
        st.sampled_from(sorted(COLOURS)), st.tuples(weights, st.booleans()), min_size=1, max_size=4
    )
)
def test_contributions_add_up_to_the_similarity(colours: Made, parts: dict[str, tuple[float, bool]]) -> None:
    plus = [f"{weight}:{text}" for text, (weight, adds) in parts.items() if adds]
    minus = [f"{weight}:{text}" for text, (weight, adds) in parts.items() if not adds]
    with Library.open(colours.library) as library:
        try:
            hits = library.search(plus=plus, minus=minus, explained=True)
        except BadUsage:
            return
        for hit in hits:
            assert hit.similarity == pytest.approx(sum(part.contribution for part in hit.parts), abs=1e-5)
            assert {part.part: part.weight for part in hit.parts} == {
                text: weight if adds else -weight for text, (weight, adds) in parts.items()
            }


def test_explain_says_what_each_part_contributed(colours: Made, colourful: Shell) -> None:
    picture = colours.photos / "blue-4.png"
    answer = colourful("search", "red", "--minus", "0.5:green", "--like", picture, "--explain", "-f", "jsonl")
    for row in answer.fine().rows:
        assert [part.get("text", part.get("like")) for part in row["parts"]] == ["red", "green", str(picture)]
        assert [part["weight"] for part in row["parts"]] == [1.0, -0.5, 1.0]
        assert row["similarity"] == pytest.approx(sum(p["contribution"] for p in row["parts"]), abs=1e-5)
    table = colourful("search", "red", "--minus", "green", "--explain", "-f", "table").fine().out.decode()
    assert "because" in table
    assert "red +" in table


# -- filters on the command line ------------------------------------------------------------------


def test_a_filter_alone_is_a_query(colours: Made, colourful: Shell) -> None:
    everything = colourful("search", "--in", colours.photos).fine()
    assert everything.paths == sorted(everything.paths)
    assert len(everything.paths) == 7
    assert (
        colourful("search", "--in", colours.photos, "--reverse", "-n", "2").paths == everything.paths[:-3:-1]
    )
    rows = colourful("search", "--min-side", "1", "-f", "jsonl").fine().rows
    assert {(row["similarity"], row["margin"], row["relevant"]) for row in rows} == {(None, None, None)}
    assert colourful("search", "--camera", "nobody").fine().paths == []
    assert colourful("search", "--camera", "nobody", "--fail-empty").code == 9


def test_list_takes_the_same_filters(colours: Made, colourful: Shell) -> None:
    assert len(colourful("list", "--in", colours.photos, "--orientation", "square").fine().paths) == 7
    assert colourful("list", "--taken", "2021").fine().paths == []
    assert colourful("list", "--no-date").fine().paths == colourful("list").paths


def test_filters_work_in_a_library_in_which_nothing_was_embedded(
    shell_for: MakeShell, tmp_path: Path
) -> None:
    shell = shell_for(tmp_path / "empty")
    (tmp_path / "nothing").mkdir()
    shell.index(tmp_path / "nothing")
    assert shell("search", "--tag", "beach").fine().paths == []
    assert shell("list", "--near", "1,2,3").fine().paths == []
    assert shell("search", "beach").code == 5


def test_tags_choose_photos(colours: Made, shell_for: MakeShell, tmp_path: Path) -> None:
    shell = shell_for(colours.copy_to(tmp_path))
    (tmp_path / "labels").write_text("red\nblue\n")
    shell("tag", "--labels", tmp_path / "labels").fine()
    tagged = shell("list", "--tag", "RED").fine().names
    assert tagged
    assert all(name.startswith("red") for name in tagged)
    others = shell("list", "--tag", "!red").fine().names
    assert sorted(tagged + others) == sorted(shell("list").names)


def test_people_see_first_what_answers(colours: Made, colourful: Shell) -> None:
    rows = colourful("search", "red", "-f", "jsonl", "--sort", "relevance").fine().rows
    assert [row["relevant"] for row in rows] == [True] * 4 + [False] * 3
    assert [row["relevant"] for row in rows] == [row["margin"] >= 0 for row in rows]
    assert colourful("search", "red", "--relevant").names == [Path(row["path"]).name for row in rows[:4]]
    table = colourful("search", "red", "-f", "table").fine()
    above, line, below = table.out.decode().partition("· · ·")
    assert (above.count("red-"), line, below.count("red-")) == (4, "· · ·", 0)
    turned = colourful("search", "red", "-f", "jsonl", "--sort", "relevance", "--reverse").fine().rows
    assert [row["path"] for row in turned] == [row["path"] for row in rows[::-1]]


def test_a_query_without_an_answer_says_so(colours: Made, colourful: Shell) -> None:
    assert colourful("search", "pink", "--relevant").fine().paths == []
    answer = colourful("search", "pink", "-f", "table").fine()
    assert "nothing in this library answers that" in answer.err
    assert answer.out.count(b"png") == 7
    assert colourful("search", "pink", "--relevant", "--fail-empty").code == 9


def test_similar_is_search_like(colours: Made, colourful: Shell) -> None:
    picture = colours.photos / "red-1.png"
    by_name = colourful("similar", picture, "-n", "4", "-f", "jsonl").fine().rows
    assert by_name == colourful("search", "--like", picture, "-n", "4", "-f", "jsonl").fine().rows
    assert all("red" in row["path"] for row in by_name)
    assert colourful("similar").code == 2
    assert colourful("similar", "nothing.png").code == 6


@pytest.mark.parametrize(
    "line",
    [
        "--sort similarity",
        "--min 0.2 --min-side 1",
        "--relevant --min-side 1",
        "--taken x",
        "--near 1,2",
        "--tag !",
    ],
)
def test_what_makes_no_sense_is_refused_with_a_hint(colourful: Shell, line: str) -> None:
    answer = colourful("search", *line.split(), *(["--min-side", "1"] if line.startswith("--sort") else []))
    assert (answer.code, answer.out) == (2, b"")
    assert "hint: " in answer.err


# -- what is done with the hits ---------------------------------------------------------------------


def test_photos_are_copied_with_their_sidecars_and_listed(
    colours: Made, shell: Shell, tmp_path: Path
) -> None:
    photos = Path(shutil.copytree(colours.photos, tmp_path / "photos"))
    (photos / "red-1.png.xmp").write_text("<x/>")
    shell.index(photos)
    place = tmp_path / "taken"
    planned = shell("search", "red", "-n", "4", "--copy-to", place, "--dry-run", "-f", "jsonl").fine().rows
    assert not place.exists()
    done = shell("search", "red", "-n", "4", "--copy-to", place, "-f", "jsonl").fine().rows
    assert done == planned
    assert sorted(path.name for path in place.iterdir()) == sorted(Path(row["target"]).name for row in done)
    assert [Path(row["source"]).name for row in done if row["partner"]] == ["red-1.png.xmp"]
    for row in done:
        assert Path(row["target"]).read_bytes() == Path(row["source"]).read_bytes()
    again = shell("search", "red", "-n", "4", "--copy-to", place).fine()
    assert "0 files went" in again.err
    assert len(again.paths) == 5
    hard = shell("search", "red", "-n", "1", "--link-to", tmp_path / "links", "--link-as", "hard").fine()
    assert os.stat(hard.paths[0]).st_nlink == 2


def test_a_photo_that_changed_is_left_and_named(colours: Made, shell: Shell, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(colours.photos, tmp_path / "photos"))
    shell.index(photos)
    (photos / "red-1.png").write_bytes(b"changed")
    answer = shell("search", "red", "-n", "4", "--copy-to", tmp_path / "taken", "-f", "table")
    assert answer.code == 1
    assert "1 file could not be taken" in answer.err
    assert "red-1.png: it has changed since it was indexed" in answer.err
    assert b"failed" in answer.out
    assert len(list((tmp_path / "taken").iterdir())) == 3


def test_all_photos_are_taken_though_the_list_is_not_read_to_its_end(
    colourful: Shell, tmp_path: Path
) -> None:
    line = command(
        "--library", colourful.library, "search", "red", "--copy-to", tmp_path / "taken", "-f", "json"
    )
    with subprocess.Popen(line, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        process.stdout.close()
    assert process.returncode == 0
    assert len(list((tmp_path / "taken").iterdir())) == 7


def test_a_contact_sheet_holds_what_was_found(colourful: Shell, tmp_path: Path) -> None:
    answer = colourful("search", "red", "-n", "4", "--html", tmp_path / "sheet.html").fine()
    assert answer.out == b""
    assert "4 photos in" in answer.err
    text = (tmp_path / "sheet.html").read_text("utf-8")
    assert all(name in text for name in ("red-0.png", "red-0-copy.png", "red-1.png", "red-2.png"))
    assert text.count("data:image/jpeg;base64,") == 4


def test_a_contact_sheet_is_opened_in_the_browser(colourful: Shell, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nsleep 0.3\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o700)
    sheet = tmp_path / "a sheet.html"
    colourful.process("search", "red", "--html", sheet, "--open", env={"BROWSER": str(browser)}).fine()
    assert (tmp_path / "opened").read_text() == f"{sheet.as_uri()}\n"


def test_a_preview_draws_a_picture_for_each_hit(colourful: Shell) -> None:
    drawn = colourful("search", "red", "-n", "3", "--preview-as", "blocks").fine().out.decode()
    assert drawn.count("red-") == 3
    assert "▀" in drawn


@pytest.mark.parametrize(
    "line",
    [
        "--open", "--dry-run", "--preview", "--preview-as x", "--preview-as blocks -f csv",
        "--copy-to a --link-to b", "--html x --interactive",
    ],
)  # fmt: skip
def test_uses_that_contradict_each_other_are_refused(colourful: Shell, tmp_path: Path, line: str) -> None:
    answer = colourful("search", "red", *line.split())
    assert (answer.code, answer.out) == (2, b"")
    assert os.listdir(tmp_path) == []
