"""The many ways to store a pixel: every picture looks as a person would see it."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from photoclip.images import DecodePool
from photoclip.records import DecodedPhoto, KnownContent
from tests.dng import LONG, SHORT, Directory, Value, tiff
from tests.test_decode_workers import task
from tests.test_images import (
    BLUE,
    GREEN,
    MODEL,
    RED,
    TURNS,
    YELLOW,
    corners,
    four_corners,
    looks_like,
    png,
    read,
    refusal,
)

COLOURS = [RED, GREEN, BLUE, YELLOW]
WHITE, BLACK = [(255, 255, 255)] * 4, [(0, 0, 0)] * 4
GREY = np.asarray(four_corners().convert("L"))
GREYS = [(int(value),) * 3 for value in (GREY[10, 10], GREY[10, -10], GREY[-10, 10], GREY[-10, -10])]


def saved(values: np.ndarray, path: Path) -> Path:
    Image.fromarray(values).save(path)
    return path


def written(
    path: Path,
    values: np.ndarray,
    photometric: int,
    kind: int = 1,
    more: dict[int, tuple[int, Value]] = {},  # noqa: B006
) -> Path:
    """Save a TIFF file by hand: ``values`` is height x width x channels, ``kind`` 1 for numbers without
    sign, 2 with, 3 floating."""
    height, width, channels = values.shape
    tags: dict[int, tuple[int, Value]] = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [8 * values.itemsize] * channels),
        259: (SHORT, [1]),
        262: (SHORT, [photometric]),
        277: (SHORT, [channels]),
        339: (SHORT, [kind] * channels),
    }
    path.write_bytes(tiff(Directory(tags | more, values.tobytes())))
    return path


# --- deep grey -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        (GREY * np.float32(16)).astype(np.uint16),
        GREY.astype(np.uint16) * 257,
        GREY.astype(np.float32) / 255,
        GREY.astype(np.float32),
        GREY.astype(np.float32) * 257,
        GREY.astype(np.int32) * 257,
    ],
    ids=["12 bits in 16", "16 bits", "0..1", "0..255", "0..65535", "16 bits in 32"],
)
def test_grey_of_any_depth_looks_the_same(tmp_path: Path, values: np.ndarray) -> None:
    assert looks_like(corners(read(saved(values, tmp_path / "a.tif"))), GREYS, 3)


def test_a_few_values_of_a_wide_range_stay_as_close_as_they_are(tmp_path: Path) -> None:
    values = 30000 + GREY.astype(np.uint16)
    assert looks_like(corners(read(saved(values, tmp_path / "a.png"))), [(116, 116, 116)] * 4, 2)


@pytest.mark.parametrize(
    ("values", "grey"),
    [
        (np.float32(0), 0), (np.float32(0.5), 127), (np.float32(1), 255), (np.float32(-5), 0),
        (np.float32(np.nan), 0), (np.uint16(0), 0), (np.uint16(30000), 116), (np.uint16(65535), 255),
        (np.int32(-7), 0),
    ],
)  # fmt: skip
def test_a_picture_of_one_value_has_one_grey(tmp_path: Path, values: np.number, grey: int) -> None:
    path = saved(np.full((50, 50), values), tmp_path / "a.tif")
    assert looks_like(corners(read(path)), [(grey,) * 3] * 4, 1)


@pytest.mark.parametrize("hot", [1e6, -9999, -3.4e38, np.inf])
def test_a_hot_pixel_or_a_mark_for_nothing_does_not_spoil_a_floating_picture(
    tmp_path: Path, hot: float
) -> None:
    values = GREY.astype(np.float32) / 255
    values[0, 0] = hot
    assert looks_like(corners(read(saved(values, tmp_path / "a.tif"))), GREYS, 3)


def test_light_brighter_than_white_is_white_and_the_rest_is_not_black(tmp_path: Path) -> None:
    values = GREY.astype(np.float32) / 255
    values[150:, 200:] = 3.0
    found = corners(read(saved(values, tmp_path / "a.tif")))
    assert looks_like(found, [*GREYS[:3], (255, 255, 255)], 3)


def test_grey_that_counts_from_white_is_not_shown_as_a_negative(tmp_path: Path) -> None:
    wide = (65535 - GREY.astype(np.uint16) * 257)[..., None]
    assert looks_like(corners(read(written(tmp_path / "a.tif", wide, 0))), GREYS, 3)
    assert looks_like(corners(read(written(tmp_path / "b.tif", 255 - GREY[..., None], 0))), GREYS, 3)


def test_the_upper_half_of_32_bits_is_bright(tmp_path: Path) -> None:
    values = (GREY.astype(np.float64) / GREY.max() * 0xFFFFFFFF).astype(np.uint32)[..., None]
    found = corners(read(written(tmp_path / "a.tif", values, 1)))
    scaled = [tuple(min(255, value * 255 // int(GREY.max())) for value in grey) for grey in GREYS]
    assert looks_like(found, scaled, 3)


# --- colour --------------------------------------------------------------------------------------


def adobe(content: bytes, transform: int | None) -> bytes:
    """Change the colour transform in a JPEG's Adobe block, or cut the block out."""
    start = content.index(b"\xff\xee")
    end = start + 2 + struct.unpack(">H", content[start + 2 : start + 4])[0]
    block = b"" if transform is None else content[start : end - 1] + bytes([transform])
    return content[:start] + block + content[end:]


@pytest.mark.parametrize("transform", [0, None])
def test_cmyk_jpeg_is_no_negative(tmp_path: Path, transform: int | None) -> None:
    path = tmp_path / "a.jpg"
    four_corners().convert("CMYK").save(path)
    path.write_bytes(adobe(path.read_bytes(), transform))
    assert looks_like(corners(read(path)), COLOURS)


def test_ycck_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    cmyk = four_corners().convert("CMYK").split()
    inks = Image.merge("RGB", cmyk[:3]).convert("YCbCr").split()
    # Pillow inverts on saving, as Adobe does; the three transformed channels have to arrive as they are.
    stored = [*(channel.point(lambda value: 255 - value) for channel in inks), cmyk[3]]
    Image.merge("CMYK", stored).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    (tmp_path / "a.jpg").write_bytes(adobe((tmp_path / "a.jpg").read_bytes(), 2))
    assert looks_like(corners(read(tmp_path / "a.jpg")), COLOURS)


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "RGBA", "RGBX"])
def test_sixteen_bits_a_channel_keep_their_colours(tmp_path: Path, mode: str) -> None:
    values = np.asarray(four_corners().convert(mode)).astype("<u2") * 257
    extra = {"RGBA": {338: (SHORT, [2])}, "RGBX": {338: (SHORT, [0])}}.get(mode, {})
    path = written(tmp_path / "a.tif", values, 5 if mode == "CMYK" else 2, more=extra)
    assert looks_like(corners(read(path)), COLOURS)


@pytest.mark.parametrize(("share", "kind"), [(1 / 255, "<f4"), (16843009, "<u4")])
def test_tiff_of_a_kind_that_is_not_read_is_not_said_to_be_damaged(
    tmp_path: Path, share: float, kind: str
) -> None:
    values = (np.asarray(four_corners()).astype(float) * share).astype(kind)
    refused = refusal(written(tmp_path / "a.tif", values, 2, 3 if kind == "<f4" else 1))
    assert (refused.kind, refused.reason) == ("unsupported", "it is a TIFF file of a kind that is not read")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.gif", "a.webp"])
def test_black_and_white_is_black_and_white(tmp_path: Path, name: str) -> None:
    picture = Image.new("1", (300, 200))
    picture.paste(1, (150, 0, 300, 200))
    picture.save(tmp_path / name)
    assert looks_like(corners(read(tmp_path / name)), [BLACK[0], WHITE[0]] * 2, 1)


# --- transparency --------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "webp", "tif", "avif", "gif", "jp2", "heic"])
def test_colours_that_nobody_can_see_do_not_show(tmp_path: Path, ending: str) -> None:
    picture = four_corners().convert("RGBA")
    picture.putalpha(0)
    if ending == "heic":
        pytest.importorskip("pillow_heif").from_pillow(picture).save(tmp_path / "a.heic")
    else:
        picture.save(tmp_path / f"a.{ending}", **({"exact": True} if ending == "webp" else {}))
    assert looks_like(corners(read(tmp_path / f"a.{ending}")), WHITE)


@pytest.mark.parametrize(("colour", "channels"), [(4, 2), (6, 4)])
def test_deep_colours_that_nobody_can_see_do_not_show(tmp_path: Path, colour: int, channels: int) -> None:
    values = np.full((200, 300, channels), 30000, ">u2")
    values[..., -1] = 0
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    (tmp_path / "a.png").write_bytes(png(300, 200, 16, colour, zlib.compress(rows)))
    assert looks_like(corners(read(tmp_path / "a.png")), WHITE)


@pytest.mark.parametrize(("mode", "colour"), [("RGB", RED), ("L", 77), ("P", 0), ("1", 0)])
def test_the_one_colour_that_is_transparent_is_white(
    tmp_path: Path, mode: str, colour: int | tuple[int, int, int]
) -> None:
    Image.new(mode, (50, 50), colour).save(tmp_path / "a.png", transparency=colour)
    assert looks_like(corners(read(tmp_path / "a.png")), WHITE)


def test_the_one_deep_grey_that_is_transparent_is_white(tmp_path: Path) -> None:
    saved(GREY.astype(np.uint16) * 257, tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    clear = b"tRNS" + struct.pack(">H", int(GREY[10, 10]) * 257)
    place = content.index(b"IDAT") - 4
    chunk = struct.pack(">I", 2) + clear + struct.pack(">I", zlib.crc32(clear))
    (tmp_path / "a.png").write_bytes(content[:place] + chunk + content[place:])
    assert looks_like(corners(read(tmp_path / "a.png")), [(255, 255, 255), *GREYS[1:]], 3)


def test_colours_that_are_already_thinned_are_not_thinned_again(tmp_path: Path) -> None:
    values = np.dstack([np.asarray(four_corners()) // 2, np.full((200, 300), 128, np.uint8)])
    half = [tuple(127 + value // 2 for value in colour) for colour in COLOURS]
    path = written(tmp_path / "a.tif", values, 2, more={338: (SHORT, [1])})
    assert looks_like(corners(read(path)), half)


@pytest.mark.parametrize("mode", ["PA", "LA"])
def test_palettes_and_greys_with_alpha_keep_what_is_visible(tmp_path: Path, mode: str) -> None:
    four_corners().quantize(16).convert("RGBA").convert(mode).save(tmp_path / "a.tif")
    assert looks_like(corners(read(tmp_path / "a.tif")), COLOURS if mode == "PA" else GREYS, 3)


# --- frames and pages ----------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "avif"])
def test_an_animation_that_begins_with_nothing_shows_its_first_picture(tmp_path: Path, ending: str) -> None:
    empty = Image.new("RGBA", (300, 200), (0, 0, 0, 0))
    path = tmp_path / f"a.{ending}"
    empty.save(path, save_all=True, append_images=[four_corners().convert("RGBA"), empty])
    assert looks_like(corners(read(path)), COLOURS)


def test_an_animation_of_nothing_is_white(tmp_path: Path) -> None:
    empty = [Image.new("RGBA", (300, 200), (number, 0, 0, 0)) for number in range(3)]
    empty[0].save(tmp_path / "a.webp", save_all=True, append_images=empty[1:], exact=True)
    assert looks_like(corners(read(tmp_path / "a.webp")), WHITE)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's; a worker keeps them to itself
@pytest.mark.parametrize("damage", ["cut", "gone", "zeros", "index"])
def test_the_second_picture_of_a_pair_may_be_broken(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.mpo"
    four_corners().save(path, save_all=True, append_images=[Image.new("RGB", (300, 200), "red")])
    content = path.read_bytes()
    second, index = content.index(b"\xff\xd8\xff", 100), content.index(b"MPF\0") + 4
    path.write_bytes(
        {
            "cut": content[: second + 30],
            "gone": content[:second],
            "zeros": content[:second] + bytes(len(content) - second),
            "index": content[:index] + os.urandom(50) + content[index + 50 :],
        }[damage]
    )
    assert looks_like(corners(read(path)), COLOURS)


# --- what stands beside the picture --------------------------------------------------------------


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "avif"])
def test_a_huge_colour_profile_of_garbage_does_not_cost_the_photo(tmp_path: Path, ending: str) -> None:
    garbage = os.urandom(600_000 if ending == "jpg" else 3_000_000)
    path = tmp_path / f"a.{ending}"
    four_corners().save(path, icc_profile=garbage)
    with DecodePool(1, MODEL) as pool:
        ((_, photo),) = pool.run([task(path)])
    assert isinstance(photo, DecodedPhoto)
    assert not isinstance(photo, KnownContent)
    assert looks_like(corners(photo), COLOURS)


@pytest.mark.parametrize("orientation", [3, 5, 6, 8])
def test_what_the_container_of_a_heic_has_turned_is_not_turned_by_its_exif_again(
    tmp_path: Path, orientation: int
) -> None:
    heif = pytest.importorskip("pillow_heif")
    turn = TURNS[orientation]
    assert turn is not None
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    heif.from_pillow(four_corners().transpose(turn)).save(tmp_path / "a.heic", exif=exif.tobytes())
    content = (tmp_path / "a.heic").read_bytes()
    assert b"irot" in content
    assert looks_like(corners(read(tmp_path / "a.heic")), COLOURS)
    # The standard says that the container alone counts.
    (tmp_path / "b.heic").write_bytes(content.replace(b"irot", b"free").replace(b"imir", b"free"))
    unturned = read(tmp_path / "b.heic")
    assert (unturned.facts.width, unturned.facts.height) == four_corners().transpose(turn).size


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "bmp", "ppm"])
def test_a_hair_of_a_picture_is_a_picture(tmp_path: Path, ending: str) -> None:
    Image.new("RGB", (1, 65000), GREEN).save(tmp_path / f"a.{ending}")
    assert looks_like(corners(read(tmp_path / f"a.{ending}")), [GREEN] * 4)
