"""Searching: the right photos in the right order, whatever happens around it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from photoclip import Library
from photoclip.indexing import IndexOptions
from tests.conftest import Made, MakeShell, Shell, command, environment
from tests.pictures import paint, paint_many

# -- what is found --------------------------------------------------------------------------------


def test_the_photos_that_fit_come_first(colourful: Shell) -> None:
    answer = colourful("search", "something", "red").fine()
    assert sorted(answer.names[:4]) == ["red-0-copy.png", "red-0.png", "red-1.png", "red-2.png"]
    assert len(answer.names) == 7
    assert colourful("search", "a blue thing", "-n", "1").names == ["blue-4.png"]


def test_hits_are_ranked_by_similarity_and_equal_ones_by_path(colourful: Shell) -> None:
    rows = colourful("search", "red", "-f", "jsonl").rows
    assert [row["rank"] for row in rows] == list(range(1, 8))
    keys = [(-row["similarity"], row["path"]) for row in rows]
    assert keys == sorted(keys)


def test_both_photos_of_one_content_are_listed(colourful: Shell) -> None:
    rows = [row for row in colourful("search", "red", "-f", "jsonl").rows if "red-0" in row["path"]]
    assert [Path(row["path"]).name for row in rows] == ["red-0.png", "red-0-copy.png"]
    assert rows[0]["hash"] == rows[1]["hash"]
    assert rows[0]["similarity"] == rows[1]["similarity"]


def test_a_limit_larger_than_the_library_gives_the_library(colourful: Shell) -> None:
    assert len(colourful("search", "red", "-n", "100000").fine().paths) == 7
    assert len(colourful("search", "red", "-n", "3").paths) == 3


def test_min_leaves_out_what_is_less_similar(colourful: Shell) -> None:
    rows = colourful("search", "red", "-f", "jsonl", "--min", "0.5").rows
    assert len(rows) == 4
    assert all(row["similarity"] >= 0.5 for row in rows)
    assert colourful("search", "red", "--min", "0.9999").paths == []


def test_missing_photos_are_hidden_and_the_limit_is_still_filled(shell: Shell, photos: Path) -> None:
    for number in range(60):
        paint(photos / f"{number:02}.png", "red", number)
    shell.index(photos)
    for number in range(50):
        (photos / f"{number:02}.png").unlink()
    shell.index(photos)
    assert len(shell("search", "red", "-n", "10").fine().paths) == 10


def test_several_texts_and_pictures_are_taken_together(colours: Made, colourful: Shell) -> None:
    both = colourful("search", "red", "--like", colours.photos / "blue-4.png", "-f", "jsonl").fine().rows
    first = {Path(row["path"]).name for row in both[:5]}
    assert first == {"red-0.png", "red-0-copy.png", "red-1.png", "red-2.png", "blue-4.png"}


def test_among_chooses_from_the_listed_photos_only(colours: Made, colourful: Shell, tmp_path: Path) -> None:
    listed = b"\n".join(
        os.fsencode(colours.photos / name) for name in ("green-3.png", "red-1.png", "unknown.png")
    )
    (tmp_path / "list").write_bytes(listed)
    assert colourful("search", "red", "--among", tmp_path / "list").names == ["red-1.png", "green-3.png"]
    assert colourful("search", "red", "--among", "-", stdin=listed + b"\n").names == [
        "red-1.png",
        "green-3.png",
    ]
    nul = listed.replace(b"\n", b"\0")
    assert colourful("search", "red", "--among", "-", stdin=nul).names == ["red-1.png", "green-3.png"]
    assert colourful("search", "red", "--among", "-", stdin=b"").names == []


# -- like an example ------------------------------------------------------------------------------


def test_an_indexed_example_finds_itself_and_its_kind(colours: Made, colourful: Shell) -> None:
    rows = colourful("search", "--like", colours.photos / "red-1.png", "-f", "jsonl").fine().rows
    assert rows[0]["similarity"] == pytest.approx(1, abs=1e-5)
    assert all("red" in row["path"] for row in rows[:4])


def test_an_example_need_not_be_in_the_library(colourful: Shell, tmp_path: Path) -> None:
    paint(tmp_path / "new.png", "yellow", 200, side=50)
    assert colourful("search", "--like", tmp_path / "new.png", "-n", "1").fine().names == ["yellow-5.png"]


def test_an_example_that_changed_since_it_was_indexed_is_read_anew(shell: Shell, photos: Path) -> None:
    paint_many(photos, 12)
    shell.index(photos)
    paint(photos / "000.png", "blue", 300)
    assert shell("search", "--like", photos / "000.png", "-n", "1").fine().names == ["005.png"]


@pytest.mark.parametrize("content", [b"this is no picture", b"", None])
def test_an_example_that_is_no_picture_ends_with_6(
    colourful: Shell, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "example.jpg").write_bytes(content)
    answer = colourful("search", "--like", tmp_path / "example.jpg")
    assert (answer.code, answer.out) == (6, b"")
    assert "example.jpg" in answer.err


def test_a_folder_as_example_ends_with_6(colours: Made, colourful: Shell) -> None:
    assert colourful("search", "--like", colours.photos).code == 6


# -- how it ends ----------------------------------------------------------------------------------


def test_a_search_for_nothing_is_a_usage_error(colourful: Shell) -> None:
    for line in (
        ("search",),
        ("search", ""),
        ("search", "   "),
        ("search", "red", "-n", "0"),
        ("search", "red", "-n", "x"),
    ):
        answer = colourful(*line)
        assert (answer.code, answer.out) == (2, b""), line
        assert answer.err.startswith("error: ")


def test_words_that_are_not_utf8_are_no_traceback(colourful: Shell) -> None:
    answer = colourful.process("search", "red caf\udce9", "-n", "1")
    assert answer.code in (0, 2)
    assert "Traceback" not in answer.err


def test_a_search_without_a_library_ends_with_3(shell: Shell) -> None:
    answer = shell("search", "red")
    assert answer.code == 3
    assert "hint: make one with: photoclip index" in answer.err
    assert not shell.library.exists()


def test_a_library_without_photos_says_so(shell: Shell, photos: Path) -> None:
    assert shell("index", photos, "--model", "fake").code == 0
    answer = shell("search", "red")
    assert (answer.code, answer.out) == (5, b"")
    assert "photoclip index" in answer.err
    assert shell("list").fine().out == b""


def test_a_library_whose_photos_are_all_forgotten_finds_nothing(shell: Shell, photos: Path) -> None:
    paint(photos / "a.png")
    shell.index(photos)
    shell("forget", photos).fine()
    assert shell("search", "red").fine().paths == []
    assert shell("search", "red", "--fail-empty").code == 9


def test_fail_empty_ends_with_9_when_nothing_matched(colourful: Shell) -> None:
    assert colourful("search", "red", "--min", "0.9999", "--fail-empty").code == 9
    assert colourful("search", "red", "--min", "0.9999").code == 0
    assert colourful("list", "--among", "-", "--fail-empty").code == 9


# -- caches ---------------------------------------------------------------------------------------


def answers(shell: Shell) -> list[bytes]:
    return [shell("search", text, "-f", "jsonl").fine().out for text in ("red", "dark blue", "yellow green")]


def damage_nothing(vectors: Path, other: Path) -> None:
    pass


def delete_all(vectors: Path, other: Path) -> None:
    shutil.rmtree(vectors)


def cut(vectors: Path, other: Path) -> None:
    for path in vectors.iterdir():
        path.write_bytes(path.read_bytes()[:-7])


def empty(vectors: Path, other: Path) -> None:
    for path in vectors.iterdir():
        path.write_bytes(b"")


def scramble_header(vectors: Path, other: Path) -> None:
    for path in vectors.iterdir():
        content = bytearray(path.read_bytes())
        content[:64] = bytes(reversed(content[:64]))
        path.write_bytes(content)


def take_those_of_another_library(vectors: Path, other: Path) -> None:
    shutil.rmtree(vectors)
    shutil.copytree(other, vectors)


@pytest.mark.parametrize(
    "harm", [damage_nothing, delete_all, cut, empty, scramble_header, take_those_of_another_library]
)
def test_answers_do_not_depend_on_the_vector_caches(
    colours: Made, hostile: Made, tmp_path: Path, shell_for: MakeShell, harm: object
) -> None:
    right = answers(shell_for(colours.library))
    library = colours.copy_to(tmp_path)
    assert callable(harm)
    harm(library / "vectors", hostile.library / "vectors")
    assert answers(shell_for(library)) == right
    assert shell_for(library)("check").code == 0


def test_a_cache_from_before_the_last_change_is_not_believed(shell: Shell, photos: Path) -> None:
    paint_many(photos, 12)
    shell.index(photos)
    old = shutil.copytree(shell.library / "vectors", shell.library.parent / "old")
    paint(photos / "000.png", "blue", 400)
    paint(photos / "new.png", "red", 401)
    shell.index(photos)
    right = answers(shell)
    shutil.rmtree(shell.library / "vectors")
    shutil.copytree(old, shell.library / "vectors")
    assert answers(shell) == right


def test_a_query_asked_again_gives_the_same_answer(
    colours: Made, tmp_path: Path, shell_for: MakeShell
) -> None:
    shell = shell_for(colours.copy_to(tmp_path))
    first = answers(shell)
    with sqlite3.connect(shell.library / "catalogue.sqlite") as db:
        assert db.execute("SELECT count(*) FROM queries WHERE text = 'dark blue'").fetchone() == (1,)
    db.close()
    assert answers(shell) == first


# -- while somebody writes ------------------------------------------------------------------------


def test_a_locked_library_can_be_searched_and_says_who_writes(
    colours: Made, tmp_path: Path, shell_for: MakeShell
) -> None:
    shell = shell_for(colours.copy_to(tmp_path))
    right = answers(shell)
    shutil.rmtree(shell.library / "vectors")
    with open(shell.library / "lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(b"process 4711, index, since 12:00\n")
        lock.flush()
        assert answers(shell) == right
        assert shell("search", "a question never asked before").code == 0
        answer = shell("index", colours.photos)
        assert answer.code == 8
        assert "process 4711" in answer.err
        assert shell("forget", colours.photos).code == 8
        assert shell("tag", "--labels", "-", stdin=b"red\n").code == 8


def test_a_writing_transaction_does_not_hold_up_a_search(
    colours: Made, tmp_path: Path, shell_for: MakeShell
) -> None:
    shell = shell_for(colours.copy_to(tmp_path))
    right = answers(shell)
    db = sqlite3.connect(shell.library / "catalogue.sqlite", isolation_level=None)
    try:
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM embeddings")
        began = time.monotonic()
        assert answers(shell) == right
        assert shell("search", "pink, never asked before").code == 0
        assert time.monotonic() - began < 5
        db.execute("ROLLBACK")
    finally:
        db.close()


def test_searching_while_indexing_runs_always_answers(shell: Shell, photos: Path) -> None:
    paint_many(photos / "a", 4)
    shell.index(photos / "a")
    shell("index", photos / "a", "--model", "fake:slow", "-j", "1").fine()
    paint_many(photos / "b", 60)
    line = command("--library", shell.library, "index", photos, "--batch-size", "2", "-j", "1", "-q")
    seen = set()
    with subprocess.Popen(line, env=environment()) as indexing:
        while indexing.poll() is None:
            seen.add(len(shell("search", "red", "-n", "1000", "--min", "0.5").fine().paths))
            assert indexing.returncode in (None, 0)
    assert indexing.returncode == 0
    assert len(seen) > 1, "the test saw no progress"
    shell("check").fine()


# -- the built-in model ---------------------------------------------------------------------------

DEMO_QUERIES = {
    "a cat": "chelsea.png",
    "a cup of coffee": "coffee.png",
    "an astronaut": "astronaut.png",
    "a rocket": "rocket.jpg",
    "a flower": "flower.jpg",
    "a temple": "china.jpg",
}


@pytest.mark.parametrize("text", DEMO_QUERIES)
def test_the_built_in_model_finds_the_demo_photographs(demo: Made, text: str) -> None:
    with Library.open(demo.library) as library:
        (hit,) = library.search(text, limit=1)
    assert os.path.basename(hit.photo.path).decode() == DEMO_QUERIES[text]


def test_searching_with_the_built_in_model_loads_neither_torch_nor_pillow(demo: Made) -> None:
    script = (
        "import sys; from photoclip.cli.run import run; run(sys.argv[1:]);"
        "heavy = ('torch', 'torchvision', 'open_clip', 'onnxruntime', 'huggingface_hub', 'pandas', 'PIL');"
        "print(*[name for name in heavy if name in sys.modules])"
    )
    line = [*command()[:1], "-c", script, "--library", str(demo.library), "search", "a cat", "-n", "1"]
    done = subprocess.run(line, capture_output=True, env=environment(), timeout=60)
    assert done.stdout.decode().splitlines()[1:] == [""], done


SAMPLE_QUERIES = {
    "beach": {"beach-people.jpg", "horses-beach.jpg"},
    "pizza": {"pizza-margherita.jpg", "pizza-plate.jpg"},
    "a red or yellow bus": {"yellow-bus.jpg"},
    "snow": {"snowboard-jump.jpg", "snowy-mountain.jpg", "woman-skiing.jpg", "ski-jump-sky.jpg"},
    "a teddy bear": {"white-teddy.jpg", "toy-bear-sink.jpg", "stuffed-toys.jpg"},
    "a giraffe": {"giraffes.jpg"},
}


@pytest.mark.shared
@pytest.mark.parametrize("text", SAMPLE_QUERIES)
def test_the_built_in_model_finds_sample_photos(sample: Made, text: str) -> None:
    with Library.open(sample.library) as library:
        names = [os.path.basename(hit.photo.path).decode() for hit in library.search(text, limit=5)]
    assert set(names) & SAMPLE_QUERIES[text], names


# -- the API --------------------------------------------------------------------------------------


def test_the_api_finds_what_the_command_line_finds(colours: Made, colourful: Shell, tmp_path: Path) -> None:
    typed = [json.loads(line)["path"] for line in colourful("search", "red", "-f", "jsonl").out.splitlines()]
    with Library.open(colours.library) as library:
        hits = library.search("red")
        assert [os.fsdecode(hit.photo.path) for hit in hits] == typed
        assert library.search("red", limit=2, among=[colours.photos / "blue-4.png"])[0].photo.path.endswith(
            b"blue-4.png"
        )
        assert library.search("red", minimum=0.999) == []


def test_an_open_library_sees_what_it_indexes(tmp_path: Path, photos: Path) -> None:
    with Library.open_or_create(tmp_path / "library") as library:
        for number in range(3):
            paint(photos / f"{number}.png", "red", number)
            library.index([photos], IndexOptions(model="fake", jobs=1))
            assert len(library.search("red")) == number + 1
