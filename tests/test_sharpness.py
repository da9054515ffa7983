"""Sharpness: the sharpest of a group, whatever else was done to the others."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from photoclip.images import decode
from photoclip.images.sharpness import SIDE, STEP, losses, sharpness
from photoclip.keeping import parse_rules, ranking
from photoclip.records import Photo, PhotoFacts
from tests.pictures import demo_photographs

Change = Callable[[Image.Image], Image.Image]
NAMES = ("astronaut.png", "coffee.png", "chelsea.png", "china.jpg", "rocket.jpg")


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    found = demo_photographs()
    return [Image.open(found[name]).convert("RGB") for name in NAMES]


def measure(picture: Image.Image) -> float:
    return sharpness(np.asarray(picture.convert("L"), np.float32))


def blurred(picture: Image.Image, radius: float = 1.5) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(radius))


def moved(picture: Image.Image) -> Image.Image:
    """Return a picture of a camera that moved by four pixels to the right."""
    return picture.filter(ImageFilter.Kernel((5, 5), [0] * 10 + [1] * 5 + [0] * 10))


def noisy(picture: Image.Image, strength: float) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, strength, (picture.height, picture.width, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def recompressed(picture: Image.Image, quality: int) -> Image.Image:
    with io.BytesIO() as file:
        picture.save(file, "JPEG", quality=quality)
        return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def enlarged(picture: Image.Image) -> Image.Image:
    """Return what is left of a picture that was made half as large, at its old size."""
    half = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BICUBIC)
    return half.resize(picture.size, Image.Resampling.BICUBIC)


def written_on(picture: Image.Image) -> Image.Image:
    picture = picture.copy()
    pen = ImageDraw.Draw(picture)
    pen.text((30, picture.height * 3 // 4), "© 2026 a photographer", "white", ImageFont.load_default(28))
    return picture


def framed(picture: Image.Image) -> Image.Image:
    return ImageOps.expand(picture, picture.width // 30, "white")


@pytest.mark.parametrize(
    "change",
    [
        blurred,
        moved,
        lambda picture: moved(picture.rotate(90, expand=True)).rotate(-90, expand=True),
        enlarged,
        lambda picture: noisy(blurred(picture), 8),
        lambda picture: recompressed(blurred(picture), 30),
        lambda picture: written_on(blurred(picture)),
        lambda picture: framed(blurred(picture)),
        lambda picture: ImageEnhance.Contrast(blurred(picture)).enhance(1.4),
    ],
    ids=["blur", "moved", "moved down", "enlarged", "noise", "JPEG", "writing", "frame", "contrast"],
)
def test_a_blurred_photo_is_less_sharp_whatever_else_was_done_to_it(
    pictures: list[Image.Image], change: Change
) -> None:
    for picture in pictures:
        assert measure(change(picture)) < measure(picture) - STEP


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: noisy(picture, 5),
        lambda picture: recompressed(picture, 30),
        lambda picture: ImageEnhance.Contrast(picture).enhance(1.3),
        lambda picture: ImageEnhance.Brightness(picture).enhance(1.2),
        lambda picture: picture.rotate(90, expand=True),
        lambda picture: picture.convert("L"),
    ],
    ids=["noise", "JPEG", "contrast", "brightness", "turned", "grey"],
)
def test_what_is_no_blur_makes_a_photo_neither_sharper_nor_less_sharp(
    pictures: list[Image.Image], change: Change
) -> None:
    for picture in pictures:
        assert measure(change(picture)) == pytest.approx(measure(picture), abs=STEP)


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (3, 7), (40, 40)])
def test_there_is_no_sharpness_without_edges_at_any_size(shape: tuple[int, int]) -> None:
    assert sharpness(np.full(shape, 77, np.float32)) == 0
    assert np.isfinite(sharpness(np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)))


# -- photos in files --------------------------------------------------------------------------------


def saved(path: Path, picture: Image.Image) -> Photo:
    picture.save(path, **({"quality": 92} if path.suffix == ".jpg" else {}))
    return indexed(path)


def indexed(path: Path) -> Photo:
    decoded, status = decode(os.fsencode(path), None), os.stat(path)
    size, mtime_ns = status.st_size, status.st_mtime_ns
    return Photo(os.fsencode(path), decoded.content_hash, size, mtime_ns, decoded.facts)


def steps(*groups: list[Photo]) -> dict[str, int]:
    return {os.path.basename(path).decode(): loss for path, loss in losses(groups, jobs=1).items()}


def test_neither_a_larger_file_nor_noise_nor_a_thumbnail_wins(
    tmp_path: Path, pictures: list[Image.Image]
) -> None:
    picture = pictures[3]
    twice = (2 * picture.width, 2 * picture.height)
    group = [
        saved(tmp_path / "sharp.jpg", picture),
        saved(tmp_path / "large.png", blurred(picture).resize(twice, Image.Resampling.BICUBIC)),
        saved(tmp_path / "noisy.png", noisy(blurred(picture), 6)),
        saved(tmp_path / "small.jpg", picture.resize((160, 107), Image.Resampling.BICUBIC)),
        saved(tmp_path / "small blurred.jpg", blurred(picture.resize((160, 107)), 1)),
    ]
    found = steps(group)
    assert found["sharp.jpg"] == found["small.jpg"] == 0
    assert min(found["large.png"], found["noisy.png"], found["small blurred.jpg"]) >= 2
    rank = ranking(parse_rules("sharpness,pixels"), (), losses([group], jobs=1))
    first = min(group, key=lambda photo: rank((photo,)))
    assert first.path.endswith(b"sharp.jpg")


def test_each_group_is_measured_by_itself(tmp_path: Path, pictures: list[Image.Image]) -> None:
    soft = [saved(tmp_path / f"soft{radius}.jpg", blurred(pictures[0], radius)) for radius in (2, 3)]
    sharp = [saved(tmp_path / f"{radius}.jpg", blurred(pictures[1], radius)) for radius in (0, 1)]
    found = steps(soft, sharp)
    assert found["soft2.jpg"] == found["0.jpg"] == 0
    assert min(found["soft3.jpg"], found["1.jpg"]) > 0


def test_of_many_sizes_nearly_the_same_photos_are_equally_sharp(
    tmp_path: Path, pictures: list[Image.Image]
) -> None:
    sizes = [(side, side) for side in (512, 500, 490, 300, 295, 120)]
    group = [saved(tmp_path / f"{size[0]}.jpg", pictures[0].resize(size)) for size in sizes]
    assert set(steps(group).values()) == {0}


def test_what_cannot_be_read_is_left_out_and_ranks_last(tmp_path: Path, pictures: list[Image.Image]) -> None:
    picture = pictures[2]
    names = ("sharp", "soft", "gone", "broken", "changed")
    pictures = [picture, blurred(picture), blurred(picture, 2), blurred(picture, 3), blurred(picture, 4)]
    group = [saved(tmp_path / f"{name}.jpg", one) for name, one in zip(names, pictures, strict=True)]
    (tmp_path / "gone.jpg").unlink()
    half = (tmp_path / "broken.jpg").read_bytes()[:2000]
    (tmp_path / "broken.jpg").write_bytes(half)
    broken = group[3]._replace(size=len(half), mtime_ns=os.stat(tmp_path / "broken.jpg").st_mtime_ns)
    (tmp_path / "changed.jpg").write_bytes((tmp_path / "sharp.jpg").read_bytes())
    found = losses([[*group[:3], broken, group[4]]], jobs=1)
    assert {os.path.basename(path) for path in found} == {b"sharp.jpg", b"soft.jpg"}
    rank = ranking(parse_rules("sharpness"), (), found)
    assert min(group, key=lambda photo: rank((photo,))).path.endswith(b"sharp.jpg")
    assert all(rank((group[1],)) < rank((photo,)) for photo in group[2:])


def test_copies_of_one_file_are_read_once_wherever_one_is_left(
    tmp_path: Path, pictures: list[Image.Image]
) -> None:
    group = [saved(tmp_path / "a.jpg", pictures[2]), saved(tmp_path / "z.jpg", blurred(pictures[2]))]
    copy = group[0]._replace(path=os.fsencode(tmp_path / "0-gone.jpg"))
    counted: list[tuple[int, int]] = []
    found = losses([[copy, *group]], jobs=1, progress=lambda done, total: counted.append((done, total)))
    assert found[copy.path] == found[group[0].path] == 0
    assert found[group[1].path] > 0
    assert counted == [(1, 2), (2, 2)]


def test_a_group_of_copies_is_not_read_at_all(tmp_path: Path) -> None:
    nowhere = [
        Photo(name, b"h" * 32, 1, 1, PhotoFacts(SIDE, SIDE, "JPEG")) for name in (b"/no/1.jpg", b"/no/2.jpg")
    ]
    assert losses([nowhere]) == {b"/no/1.jpg": 0, b"/no/2.jpg": 0}
    assert losses([]) == {}
