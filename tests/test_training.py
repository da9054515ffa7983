"""The parts of the training; whether they make a model, its rehearsal says (docs/builtin-model.md)."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from photoclip.encoders import builtin
from photoclip.training import drawn, export, labels, shards, styles, vocabulary
from photoclip.training.keywords import Keywords
from photoclip.training.keywords import vocabulary as keyword_list
from photoclip.training.loop import Loop
from photoclip.training.shards import Row
from tests.conftest import ROOT
from tests.pictures import scene

# -- pictures that are made -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", drawn.NAMES)
def test_drawn_pictures_differ_and_are_the_same_for_the_same_seed(kind: str) -> None:
    pictures = [drawn.draw(kind, random.Random(seed)) for seed in (1, 1, 2)]
    assert pictures[0].mode == "RGB"
    assert min(pictures[0].size) >= 150
    assert pictures[0].tobytes() == pictures[1].tobytes() != pictures[2].tobytes()


def test_every_drawn_kind_has_rows_and_names_with_prompts() -> None:
    rows = drawn.rows(1)
    assert list(dict.fromkeys(row.label for row in rows)) == list(drawn.NAMES)
    assert {row.split for row in rows} == {"train"}
    assert all(labels.prompts(name) for names in drawn.NAMES.values() for name in names)


@pytest.mark.parametrize("style", styles.NAMES)
def test_a_rendering_keeps_the_size_and_changes_the_look(style: str) -> None:
    photo = scene(3)
    rendered = styles.render(photo, style, random.Random(0))
    assert (rendered.mode, rendered.size) == ("RGB", photo.size)
    assert rendered.tobytes() != photo.tobytes()


def test_renderings_look_like_what_they_are_called() -> None:
    photo = scene(4)

    def mean(style: str) -> np.ndarray:
        return np.asarray(styles.render(photo, style, random.Random(1)), float).mean((0, 1))

    assert np.ptp(mean("grey")) == 0
    assert mean("sepia")[0] > mean("sepia")[2]
    assert mean("night").mean() < 0.6 * np.asarray(photo, float).mean()
    assert mean("sunset")[0] > mean("sunset")[2]
    assert mean("sketch").mean() > 170


def test_captions_hint_at_styles() -> None:
    assert styles.hinted(["a city at night"]) == {"night"}
    assert styles.hinted(["a dog"]) == set()


# -- keywords -------------------------------------------------------------------------------------


def captioned() -> list[Row]:
    """Eight photos of a dog on a beach, eight of a cat, and one that speaks of a puppy."""
    dogs = [
        Row(f"{i}", ["a dog on the beach", "the dog runs", "some animal"], "", "", "train") for i in range(8)
    ]
    cats = [Row(f"{i}", ["a cat", "the cat", "a cat on a sofa"], "", "", "train") for i in range(8)]
    return [*dogs, *cats, Row("", ["a puppy", "a small puppy"], "", "", "train")]


def keywords() -> Keywords:
    """With vectors by which ``dog`` and ``puppy`` mean about the same."""
    axes = {"dog": (1.0, 0.0, 0.0), "cat": (0.0, 1.0, 0.0)}
    embed = {p: torch.tensor(axes[w]) for w in axes for p in labels.prompts(w)}
    return Keywords(captioned(), embed)


def test_keywords_are_words_that_enough_photos_show() -> None:
    assert keyword_list(captioned()) == ["cat", "dog"]


def test_a_photo_shows_a_keyword_lacks_it_or_neither() -> None:
    found = keywords()
    cat, dog = found.words.index("cat"), found.words.index("dog")
    assert found.shows[:8, dog].all() and found.shows[8:16, cat].all()
    assert found.lacks[8:, dog].all() and found.lacks[:8, cat].all()
    assert not (found.shows & found.lacks).any()


def test_the_losses_of_keywords_fall_when_photos_come_nearer_to_their_words() -> None:
    found, scale = keywords(), torch.tensor(10.0)
    vectors = torch.eye(3)[[1, 0]]  # cat, dog
    owner = torch.tensor([0, 8])
    right, wrong = torch.eye(3)[[0, 1]], torch.eye(3)[[1, 0]]
    words = torch.tensor([found.words.index("cat"), found.words.index("dog")])
    for loss in (
        lambda images: found.find(scale, words, vectors, images, owner),
        lambda images: found.name(scale, images, owner, words, vectors),
    ):
        assert loss(right) < 0.01 < 5 < loss(wrong)


def test_photos_without_a_keyword_draw_none() -> None:
    found = keywords()
    assert [found.words[word] for word in found.draw([0, 16, 9])] == ["dog", "cat"]


# -- the loop -------------------------------------------------------------------------------------


def loop(path: Path, steps: int) -> Loop:
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1)
    return Loop(model, torch.optim.AdamW(model.parameters(), lr=0.1), path, steps, warm_up=2)


def run(training: Loop, until: int | None = None) -> list[int]:
    """Run to the end, or break off after a step as a killed process would."""
    done = []
    for step in training.run():
        training.update((training.model(torch.ones(4, 2)) - 3).square().mean())
        done.append(step)
        if step == until:
            training.save()
            break
    return done


def test_a_stopped_training_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = loop(tmp_path / "whole.pt", 12)
    assert run(whole) == list(range(12))
    assert run(loop(tmp_path / "parts.pt", 12), until=5) == list(range(6))
    state = torch.load(tmp_path / "parts.pt")
    assert state["step"] == 5, "the step that was broken off is done again"
    resumed = loop(tmp_path / "parts.pt", 12)
    assert run(resumed) == list(range(5, 12))
    assert run(loop(tmp_path / "parts.pt", 12)) == []


def test_the_average_follows_the_weights(tmp_path: Path) -> None:
    training = loop(tmp_path / "a.pt", 50)
    before = training.average.weight.clone()
    run(training)
    assert not torch.equal(training.average.weight, before)
    assert torch.dist(training.average.weight, training.model.weight) < torch.dist(
        before, training.model.weight
    )


# -- the command ----------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["text"])
def test_a_step_that_comes_too_early_says_what_is_missing(tmp_path: Path, step: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "photoclip.training", step, "--data", tmp_path, "--work", tmp_path / "work"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert "error: " in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


# -- the files that ship --------------------------------------------------------------------------


def test_the_merges_are_the_first_of_openclips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = builtin.MERGES_PATH.read_bytes()
    monkeypatch.setattr(builtin, "MERGES_PATH", tmp_path / "merges.txt.gz")
    vocabulary.write()
    assert gzip.decompress((tmp_path / "merges.txt.gz").read_bytes()) == gzip.decompress(shipped)
    lines = gzip.decompress(shipped).decode().split("\n")
    assert len(lines) - 1 + 512 + 2 == builtin.config()["text_cfg"]["vocab_size"]


def test_the_model_that_ships_is_small() -> None:
    assert builtin.WEIGHTS_PATH.stat().st_size <= 24_000_000
    package = Path(builtin.__file__).parents[2]
    files = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) <= 26_000_000


def test_float16_changes_no_embedding(tmp_path: Path) -> None:
    model = open_clip.create_model(builtin.register(), pretrained=str(builtin.WEIGHTS_PATH))
    state = {name: value * 1.0001 for name, value in model.state_dict().items() if value.is_floating_point()}
    assert export.write(model.state_dict() | state, tmp_path / "half.safetensors") >= 0.9999


def test_shard_rows_are_read_with_their_pixels_in_place(tmp_path: Path) -> None:
    from tests.test_judge import write_shard

    write_shard(tmp_path, "few", [{"file": "red-0.jpg", "texts": ["A Red thing ."], "split": "train"}])
    (row,) = shards.read_rows(tmp_path, "few", "train", pixels=True)
    assert row.texts == ["a red thing"]
    assert row.image is not None
    assert isinstance(row.image, Image.Image)
