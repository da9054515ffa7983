"""The judge of models: its figures, its data sets and its command."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from photoclip.encoders.fake import COLOURS
from photoclip.training import datasets, measures
from photoclip.training.datasets import DataSet, NoData, Picture
from photoclip.training.judge import judge, main, shows
from photoclip.training.measures import Figure
from tests.conftest import ROOT


def unit(seed: int, count: int, size: int = 16) -> measures.Vectors:
    rows = np.random.default_rng(seed).normal(size=(count, size))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def by_name(figures: list[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures}


# -- figures --------------------------------------------------------------------------------------


def test_texts_that_are_their_photos_are_always_found() -> None:
    images = unit(0, 40)
    for figure in measures.retrieval(images, images.repeat(3, axis=0), np.arange(40).repeat(3)):
        assert (figure.value, figure.low, figure.high) == (1.0, 1.0, 1.0)
        assert figure.count == 40


def test_recall_counts_places_by_hand() -> None:
    images = np.eye(4, dtype=np.float32)
    texts = np.array(
        [[0.9, 0.1, 0, 0], [0.5, 0.4, 0.1, 0], [0, 0, 0.2, 0.3], [0.1, 0.2, 0.3, 0.9]], np.float32
    )
    found = by_name(measures.retrieval(images, texts, np.arange(4)))
    assert found["text to image R@1"].value == 0.5  # the 2nd and the 3rd text come second to another photo
    assert found["text to image R@5"].value == 1.0
    assert found["image to text R@1"].value == 0.75  # the 3rd photo is nearer to the 4th text than to its own


def test_equal_similarities_do_not_flatter() -> None:
    same = np.ones((6, 2), np.float32) / np.sqrt(np.float32(2))
    found = by_name(measures.retrieval(same, same, np.arange(6)))
    assert found["text to image R@1"].value == 0.0
    assert found["image to text R@1"].value == 0.0


@pytest.mark.parametrize("captions", [1, 5])
def test_random_vectors_reach_chance(captions: int) -> None:
    owner = np.arange(60).repeat(captions)
    sums: dict[str, list[float]] = {}
    for seed in range(40):
        for figure in measures.retrieval(unit(seed, 60), unit(seed + 1000, 60 * captions), owner):
            sums.setdefault(figure.name, []).append(figure.value - figure.chance)
    for name, gaps in sums.items():
        assert abs(np.mean(gaps)) < 0.015, name


def test_random_rankings_reach_the_expected_average_precision() -> None:
    right = np.arange(30)[None, :] < np.array([1, 3, 10, 29])[:, None]
    gaps = []
    for seed in range(300):
        figure = measures.average_precision("", unit(seed, 30), unit(seed + 1000, 4), right)
        gaps.append(figure.value - figure.chance)
    assert abs(np.mean(gaps)) < 0.01


def test_average_precision_by_hand() -> None:
    images = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1]], np.float32)
    right = np.array([[True, False, True, False]])
    figure = measures.average_precision("", images, np.array([[1, 0]], np.float32), right)
    assert figure.value == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_precision_and_accuracy_by_hand() -> None:
    images = np.eye(6, dtype=np.float32)
    queries = np.array([[6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6]], np.float32)
    right = np.array([[True, True, False, False, False, True], [False] * 6])
    figure = measures.precision("", images, queries, right, first=5)
    assert (figure.value, figure.chance) == (pytest.approx(0.2), 0.25)
    figure = measures.accuracy("", images, np.eye(6, dtype=np.float32)[:3], np.array([0, 1, 2, 0, 1, 2]))
    assert (figure.value, figure.chance) == (pytest.approx(4 / 6), pytest.approx(1 / 3))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_the_interval_holds_the_mean(parts: list[float]) -> None:
    figure = measures.figure("", np.array(parts), 0.0)
    assert figure.low - 1e-9 <= figure.value <= figure.high + 1e-9


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    drawn = np.random.default_rng(5).random((200, 80)) < 0.3
    inside = [(f := measures.figure("", row.astype(float), 0)).low <= 0.3 <= f.high for row in drawn]
    assert 0.88 <= np.mean(inside) <= 0.99


# -- data sets ------------------------------------------------------------------------------------


def jpeg(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), COLOURS[colour]).save(buffer, "JPEG")
    return buffer.getvalue()


def write_shard(folder: Path, source: str, rows: list[dict[str, Any]]) -> None:
    """A shard whose photos show the colour that their file is named for."""
    with tarfile.open(folder / f"{source}.tar", "w") as tar:
        for row in rows:
            data = jpeg(row["file"].split("-")[0])
            member = tarfile.TarInfo(row["file"])
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    lines = "".join(json.dumps({"source": source, "label": "", "texts": [], **row}) + "\n" for row in rows)
    (folder / f"{source}.jsonl.gz").write_bytes(gzip.compress(lines.encode()))


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    folder.mkdir()
    captioned = [
        {
            "file": f"{c}-{i}.jpg",
            "texts": [f"a {c} thing", f"{c} .", f"it is {c}"],
            "split": ("dev", "train")[i > 5],
        }
        for c in ("red", "green", "blue")
        for i in range(8)
    ]
    write_shard(folder, "captioned", captioned)
    labelled = [
        {"file": f"{c}-{i}.jpg", "texts": [f"a photo of {c}"], "label": c, "split": "dev"}
        for c in ("red", "green", "blue", "yellow")
        for i in range(3)
    ]
    write_shard(folder, "labelled", labelled)
    tagged = [
        {"file": "red-0.jpg", "label": "red|warm", "split": "dev"},
        {"file": "blue-0.jpg", "label": "blue|cold", "split": "dev"},
    ]
    write_shard(folder, "tagged", tagged)
    return folder


def test_a_shard_gives_the_rows_of_one_split_and_what_they_mean(shards: Path, tmp_path: Path) -> None:
    captioned, labelled, tagged = datasets.read(shards, "dev", tmp_path)
    assert (captioned.name, len(captioned.pictures)) == ("captioned", 18)
    assert captioned.pictures[0].captions == ("a blue thing", "blue", "it is blue")
    assert {picture.label for picture in labelled.pictures} == {"red", "green", "blue", "yellow"}
    assert {picture.captions for picture in labelled.pictures} == {()}, "a prompt is no caption"
    assert tagged.pictures[0].tags == ("blue", "cold")
    (train,) = datasets.read(shards, "train", tmp_path)
    assert len(train.pictures) == 6


def test_a_model_that_sees_colours_is_judged(shards: Path, tmp_path: Path) -> None:
    results = judge("fake", datasets.read(shards, "dev", tmp_path))
    assert by_name(results["labelled"])["accuracy of 4 labels"].value == 1.0
    assert by_name(results["tagged"])["mAP of 4 tags"].value == 1.0
    found = by_name(results["captioned"])
    assert found["text to image R@1"].value == 0.0, (
        "six photos of one colour tie, and ties count as the worst"
    )
    assert found["text to image R@10"].value == 1.0
    assert found["text to image R@10"].chance == pytest.approx(10 / 18)


def write_table(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    for colour in ("red", "green"):
        (folder / f"{colour}.jpg").write_bytes(jpeg(colour))
    (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "photos.csv",
            'file,caption,tags\nred.jpg,A red thing.,"red, warm"\ngreen.jpg,a green thing,green\n',
        ),
        (
            "photos.jsonl",
            (
                '{"file": "red.jpg", "texts": ["A red thing."], "tags": ["red", "warm"]}\n\n'
                '{"file": "green.jpg", "caption": "a green thing", "tags": "green"}\n'
            ),
        ),
    ],
)
def test_a_table_is_read(tmp_path: Path, name: str, text: str) -> None:
    write_table(tmp_path / "photos", name, text)
    (data,) = datasets.read(tmp_path / "photos", "dev", tmp_path)
    assert data.name == "photos"
    assert [picture.captions for picture in data.pictures] == [("a red thing",), ("a green thing",)]
    assert [picture.tags for picture in data.pictures] == [("red", "warm"), ("green",)]
    assert by_name(judge("fake", [data])["photos"])["mAP of 3 tags"].value == 1.0


def test_a_keyword_is_shown_by_two_captions_or_the_only_one() -> None:
    two = Picture(Path(), ("a dog", "two dogs", "a cat"))
    assert (shows(two, "dog"), shows(two, "cat"), shows(two, "do")) == (True, False, False)
    assert shows(Picture(Path(), ("a carrot",)), "car") is False
    assert shows(Picture(Path(), ("a car",)), "car") is True


# -- the command ----------------------------------------------------------------------------------


def test_the_command_prints_a_table_or_json(shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "fake", "--data", str(shards)]) == 0
    out = capsys.readouterr().out
    assert "95 % interval" in out
    assert "accuracy of 4 labels" in out
    assert main(["--model", "fake", "--data", str(shards), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["labelled"][0] == {
        "name": "accuracy of 4 labels", "value": 1.0, "low": 1.0, "high": 1.0, "chance": 0.25, "count": 12,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "fake", "--data", "{}/nowhere"], "is no folder"),
        (["--model", "fake", "--data", "{}"], "holds neither shards"),
        (["--model", "nonsense", "--data", "{}/shards"], "nonsense"),
        (["--model", "fake", "--data", "{}/shards", "--split", "test"], "holds neither shards"),
    ],
)
def test_bad_input_is_said_in_one_line(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main([argument.format(tmp_path) for argument in arguments]) != 0
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert says in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("content", [b"{broken\n", b"[1]\n", b"\xff\xfe{}", b'{"file": "broken.jpg"}\n'])
def test_a_broken_table_or_photo_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / "photos.jsonl").write_bytes(content)
    (tmp_path / "broken.jpg").write_text("not a photo")
    assert main(["--model", "fake", "--data", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path}")


def test_a_photo_that_a_table_names_but_that_is_not_there_is_said(tmp_path: Path) -> None:
    write_table(tmp_path / "photos", "photos.csv", "file,caption\nred.jpg,red\nblue.jpg,blue\n")
    with pytest.raises(NoData, match=r"names 1 photos that are not there.*blue\.jpg"):
        datasets.read(tmp_path / "photos", "dev", tmp_path)


def test_the_judge_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "photoclip.training.judge", "--help"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0
    assert "bootstrap interval" in done.stdout


def test_empty_data_sets_are_no_data(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("file,caption\n")
    with pytest.raises(NoData):
        datasets.read(tmp_path, "dev", tmp_path)
    assert DataSet("a", ()).pictures == ()
