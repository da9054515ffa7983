"""Camera RAW and JPEG XL: pictures that are read through other libraries, with and without them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import ExifTags, Image

from photoclip.images import DecodePool, UnreadablePhoto, worth_another_try
from photoclip.records import DecodedPhoto, Problem
from tests.conftest import environment
from tests.dng import negative
from tests.test_decode_workers import damaged, task
from tests.test_images import BLUE, GREEN, MODEL, RED, TURNS, YELLOW, corners, four_corners, looks_like, read

COLOURS = [RED, GREEN, BLUE, YELLOW]
DEVELOPED = 30
"""How far developed RAW may be from the scene, of 255: LibRaw makes the brightest hundredth white."""


def saved(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def refused(path: Path) -> UnreadablePhoto:
    with pytest.raises(UnreadablePhoto) as caught:
        read(path)
    return caught.value


def turned(picture: Image.Image, orientation: int) -> Image.Image:
    """Return an upright picture as a camera stores it that was held in this orientation."""
    turn = TURNS[orientation]
    return picture if turn is None else picture.transpose(turn)


def tagged(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


GREY = Image.new("RGB", (300, 200), (90, 90, 90))
"""A preview that is not what the sensor saw, so that a test can tell which of the two was shown."""


def is_grey(photo: DecodedPhoto) -> bool:
    return looks_like(corners(photo), [(90, 90, 90)] * 4)


# --- camera RAW ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.dng", "A.DNG", "a.tif", "a.jpg"])
def test_raw_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    photo = read(saved(tmp_path / name, negative(four_corners())))
    assert looks_like(corners(photo), COLOURS, DEVELOPED)
    assert (photo.facts.format, photo.facts.width, photo.facts.height) == ("RAW", 300, 200)


def test_raw_says_when_and_with_what_it_was_taken(tmp_path: Path) -> None:
    facts = read(saved(tmp_path / "a.dng", negative(four_corners()))).facts
    assert (facts.taken_at, facts.camera, facts.lens) == ("2019-05-06T07:08:09", "Canon EOS Test", "EF 50mm")


def test_white_light_is_white_and_grey_is_grey(tmp_path: Path) -> None:
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 256).astype(np.uint8), (256, 1)))
    photo = read(saved(tmp_path / "a.dng", negative(ramp)))
    found = np.frombuffer(photo.pixels, np.uint8).reshape(64, 64, 3).astype(int)
    assert np.abs(found - found.mean(axis=2, keepdims=True)).max() <= 3
    assert found[30, :, 1] == pytest.approx(np.linspace(0, 255, 64), abs=DEVELOPED)


@pytest.mark.parametrize("uncompressed", [False, True])
def test_a_large_preview_is_shown_as_the_camera_made_it(tmp_path: Path, uncompressed: bool) -> None:
    content = negative(four_corners(), GREY, uncompressed_preview=uncompressed)
    photo = read(saved(tmp_path / "a.dng", content))
    assert is_grey(photo)
    assert (photo.facts.width, photo.facts.height) == (300, 200)


@pytest.mark.parametrize(("share", "shown"), [(3, True), (5, False)])
def test_a_mere_thumbnail_is_not_shown(tmp_path: Path, share: int, shown: bool) -> None:
    preview = GREY.resize((600 // share, 400 // share))
    photo = read(saved(tmp_path / "a.dng", negative(four_corners(600, 400), preview)))
    assert is_grey(photo) == shown
    assert shown or looks_like(corners(photo), COLOURS, DEVELOPED)
    assert (photo.facts.width, photo.facts.height) == (600, 400)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("with_preview", [False, True])
def test_raw_is_turned_upright(tmp_path: Path, orientation: int, with_preview: bool) -> None:
    stored = turned(four_corners(), orientation)
    content = negative(stored, stored if with_preview else None, orientation=orientation)
    photo = read(saved(tmp_path / "a.dng", content))
    assert (photo.facts.width, photo.facts.height, photo.facts.orientation) == (300, 200, orientation)
    assert looks_like(corners(photo), COLOURS, DEVELOPED)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_preview_that_says_itself_how_it_lies_is_turned_once(tmp_path: Path, orientation: int) -> None:
    stored = turned(four_corners(), orientation)
    content = negative(stored, stored, orientation=orientation, preview_exif=tagged(orientation))
    assert looks_like(corners(read(saved(tmp_path / "a.dng", content))), COLOURS)


@pytest.mark.parametrize("exif", [None, tagged(1)], ids=["no tag", "tag 1"])
def test_a_preview_that_lies_upright_is_not_turned(tmp_path: Path, exif: Image.Exif | None) -> None:
    content = negative(turned(four_corners(), 6), four_corners(), orientation=6, preview_exif=exif)
    photo = read(saved(tmp_path / "a.dng", content))
    assert (photo.facts.width, photo.facts.height) == (300, 200)
    assert looks_like(corners(photo), COLOURS)


def test_a_damaged_preview_leaves_the_sensor_s_data(tmp_path: Path) -> None:
    content = negative(four_corners(), GREY)
    for number in range(5):  # what LibRaw had in memory before must not mend it
        assert not looks_like(corners(read(saved(tmp_path / f"{number}.dng", content))), COLOURS, DEVELOPED)
        photo = read(saved(tmp_path / f"{number}-short.dng", content[:-10_000]))
        assert looks_like(corners(photo), COLOURS, DEVELOPED)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.5, 0.9])
def test_raw_that_is_cut_short_is_said_to_be(tmp_path: Path, share: float) -> None:
    content = negative(four_corners())
    error = refused(saved(tmp_path / "a.dng", content[: int(len(content) * share)]))
    assert error.kind == "unreadable"
    assert "cut short" in error.reason or "damaged" in error.reason


def test_raw_of_an_unknown_kind_is_unsupported(tmp_path: Path) -> None:
    four_corners().save(tmp_path / "a.tif")
    (tmp_path / "a.tif").rename(tmp_path / "a.nef")
    error = refused(tmp_path / "a.nef")
    assert (error.kind, error.reason.partition(":")[0]) == (
        "unsupported",
        "LibRaw cannot read this camera RAW file",
    )
    assert refused(saved(tmp_path / "a.raf", b"FUJIFILMCCD-RAW 0201" + bytes(500))).kind == "unsupported"


def test_damaged_raw_kills_no_worker(tmp_path: Path) -> None:
    random, pictures = Random(1), (None, four_corners(), four_corners(60, 40))
    contents = [negative(four_corners(), preview) for preview in pictures]
    paths = [damaged(tmp_path / f"{number}.dng", contents[number % 3], random) for number in range(90)]
    with DecodePool(2, MODEL) as pool:
        found = [outcome for _, outcome in pool.run(map(task, paths))]
    reasons = [outcome.reason for outcome in found if isinstance(outcome, Problem)]
    assert 0 < len(reasons) < len(found)
    assert "it crashed the decoder" not in reasons


def test_other_things_under_the_name_of_raw_are_what_they_are(tmp_path: Path) -> None:
    four_corners().save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").rename(tmp_path / "a.nef")
    assert read(tmp_path / "a.nef").facts.format == "JPEG"
    assert refused(saved(tmp_path / "a.cr2", b"<html></html>")).reason == "not a picture (looks like HTML)"


def test_a_tiff_file_whose_first_page_is_a_preview_shows_the_next(tmp_path: Path) -> None:
    pages = [GREY.resize((30, 20)), four_corners()]
    pages[1].encoderinfo = {"tiffinfo": {254: 0}}
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], tiffinfo={254: 1})
    photo = read(tmp_path / "a.tif")
    assert (photo.facts.width, photo.facts.height) == (300, 200)
    assert looks_like(corners(photo), COLOURS)


def test_libraw_is_loaded_for_raw_alone(tmp_path: Path) -> None:
    four_corners().save(tmp_path / "a.jpg")
    saved(tmp_path / "a.dng", negative(four_corners()))
    program = (
        "import sys; from photoclip.images import decode; decode(sys.argv[1].encode(), None);"
        "print(*{'rawpy', 'numpy', 'pillow_jxl'} & set(sys.modules))"
    )
    for name, loaded in (("a.jpg", set()), ("a.dng", {"rawpy", "numpy"})):
        line = [sys.executable, "-c", program, str(tmp_path / name)]
        found = subprocess.run(line, capture_output=True, text=True, check=True, env=environment())
        assert set(found.stdout.split()) == loaded


def test_raw_is_decoded_within_the_limits_of_a_worker(tmp_path: Path) -> None:
    whole = saved(tmp_path / "a.dng", negative(four_corners(4000, 3000)))
    lying = bytearray(negative(four_corners()))
    size = lying.index((300).to_bytes(4, "little") + (257).to_bytes(2, "little"))
    lying[size : size + 4] = (60000).to_bytes(4, "little")
    with DecodePool(2, MODEL) as pool:
        results = [outcome for _, outcome in pool.run([task(whole), task(saved(tmp_path / "b.dng", lying))])]
    assert isinstance(results[0], DecodedPhoto)
    assert isinstance(results[1], Problem)


# --- JPEG XL ---------------------------------------------------------------------------------------


@pytest.fixture
def jpeg_xl() -> None:
    """Skip a test where JPEG XL is not installed."""
    pytest.importorskip("pillow_jxl")


@pytest.mark.usefixtures("jpeg_xl")
@pytest.mark.parametrize("name", ["a.jxl", "a.jpg"])
def test_jpeg_xl_is_read_with_its_package(tmp_path: Path, name: str) -> None:
    four_corners().save(tmp_path / "b.jxl", lossless=True)
    (tmp_path / "b.jxl").rename(tmp_path / name)
    photo = read(tmp_path / name)
    assert (photo.facts.format, photo.facts.width, photo.facts.height) == ("JXL", 300, 200)
    assert looks_like(corners(photo), COLOURS)


@pytest.mark.usefixtures("jpeg_xl")
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_jpeg_inside_jpeg_xl_is_turned_once(tmp_path: Path, orientation: int) -> None:
    turned(four_corners(), orientation).save(tmp_path / "a.jpg", exif=tagged(orientation))
    Image.open(tmp_path / "a.jpg").save(tmp_path / "a.jxl", lossless_jpeg=True)
    photo = read(tmp_path / "a.jxl")
    assert (photo.facts.width, photo.facts.height) == (300, 200)
    assert looks_like(corners(photo), COLOURS)


@pytest.mark.usefixtures("jpeg_xl")
def test_damaged_jpeg_xl_is_a_problem(tmp_path: Path) -> None:
    Image.effect_noise((300, 200), 50).save(tmp_path / "a.jxl")
    content = (tmp_path / "a.jxl").read_bytes()
    for share in (0.01, 0.5, 0.95):
        error = refused(saved(tmp_path / "b.jxl", content[: int(len(content) * share)]))
        assert error.kind == "unreadable"


# --- absent packages -------------------------------------------------------------------------------

_CONTENT = {
    "pillow-jxl-plugin": ("a.jxl", "JPEG XL", b"\xff\x0a" + bytes(100)),
    "pillow-heif": ("a.heic", "HEIC", b"\0\0\0\x18ftypheic" + bytes(100)),
    "rawpy": ("a.nef", "camera RAW", b"II*\0" + bytes(100)),
}
_MODULES = {"pillow-jxl-plugin": "pillow_jxl", "pillow-heif": "pillow_heif", "rawpy": "rawpy"}


@pytest.mark.parametrize("package", _CONTENT)
def test_without_its_package_a_photo_waits_for_it(
    tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, _MODULES[package], None)
    name, kind, content = _CONTENT[package]
    error = refused(saved(tmp_path / name, content))
    assert (error.kind, error.reason) == (
        "unsupported",
        f"{kind} needs the package {package}: pip install {package}",
    )
    assert error.waits_for == package
    assert not worth_another_try(package)


def test_a_worker_without_the_package_says_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hidden").mkdir()
    saved(tmp_path / "hidden" / "pillow_jxl.py", b"raise ImportError('hidden')")
    monkeypatch.syspath_prepend(str(tmp_path / "hidden"))
    path = saved(tmp_path / "a.jxl", _CONTENT["pillow-jxl-plugin"][2])
    with DecodePool(1, MODEL) as pool:
        ((_, problem),) = pool.run([task(path)])
    assert isinstance(problem, Problem)
    assert (problem.kind, problem.waits_for) == ("unsupported", "pillow-jxl-plugin")


@pytest.mark.parametrize(
    ("waits_for", "worth"), [("run", True), ("rawpy", True), ("", False), ("left-pad", False)]
)
def test_another_try_is_worth_it_when_what_was_waited_for_is_there(waits_for: str, worth: bool) -> None:
    assert worth_another_try(waits_for) == worth


def test_asking_whether_a_package_is_there_does_not_import_it() -> None:
    program = (
        "import sys; from photoclip.images import worth_another_try;"
        "assert worth_another_try('rawpy'); print(*{'rawpy', 'PIL', 'numpy'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment()
    )
    assert found.stdout.split() == []
