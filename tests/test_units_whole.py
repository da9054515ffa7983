"""RAW and JPEG of one shot, from the report to the last file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Shell
from tests.dng import negative
from tests.pictures import demo_photographs, scene
from tests.test_letting_go import state


@pytest.fixture
def shots(shell: Shell, photos: Path) -> Shell:
    """A library with a RAW file and the JPEG beside it."""
    (photos / "a").mkdir(parents=True)
    (photos / "b").mkdir()
    (photos / "a" / "1.dng").write_bytes(negative(scene(1), scene(1)))
    scene(1).save(photos / "a" / "1.jpg", quality=90)
    return shell


@pytest.mark.parametrize(
    ("copied", "rules", "left"),
    [
        ((), "pixels", "a/1.dng a/1.jpg"),
        (("1.jpg",), "pixels", "a/1.dng a/1.jpg"),
        (("1.jpg",), "path:b", "a/1.dng a/1.jpg b/1.jpg"),
        (("1.dng", "1.jpg"), "pixels", "a/1.dng a/1.jpg"),
        (("1.dng", "1.jpg"), "path:b", "b/1.dng b/1.jpg"),
        (("1.dng", "other.jpg"), "path:b", "b/1.dng b/1.jpg"),
        (("1.dng",), "pixels", "a/1.dng a/1.jpg"),
        (("1.dng",), "path:b", "a/1.dng a/1.jpg b/1.dng"),
    ],
)
def test_nothing_a_camera_wrote_is_lost_and_undo_brings_all_back(
    shots: Shell, photos: Path, tmp_path: Path, copied: tuple[str, ...], rules: str, left: str
) -> None:
    for name in copied:
        if name == "other.jpg":  # the same picture, of other bytes
            scene(1).save(photos / "b" / "1.jpg", quality=70)
        else:
            shutil.copy2(photos / "a" / name, photos / "b" / name)
    shots.index(photos)
    before, report = state(photos), tmp_path / "spare.jsonl"
    keep = rules.replace("path:", f"path:{photos}/")
    groups = shots("dupes", "--keep", keep, "--report", report, "-f", "json").fine().json
    assert [len(group["photos"]) for group in groups] == ([2] if copied else [])
    shots("dupes", "apply", report, "--move-to", tmp_path / "gone").fine()
    found = [str(path.relative_to(photos)) for path in photos.rglob("*") if path.is_file()]
    assert sorted(found) == left.split()
    if len(found) < len(copied) + 2:
        shots("undo").fine()
    assert state(photos) == before


def test_the_sharpest_is_kept(shell: Shell, photos: Path) -> None:
    photos.mkdir(exist_ok=True)
    with Image.open(demo_photographs()["coffee.png"]) as picture:
        picture.save(photos / "sharp.jpg", quality=60)
        soft = picture.resize((200, 133), Image.Resampling.BICUBIC)
    soft.resize((1200, 800), Image.Resampling.BICUBIC).save(photos / "soft.jpg", quality=95)
    shell.index(photos)
    for rules, best in (("sharpness", "sharp.jpg"), ("pixels", "soft.jpg")):
        (group,) = shell("dupes", "--keep", rules, "-f", "json").fine().json
        assert os.path.basename(group["photos"][0]["path"]) == best
