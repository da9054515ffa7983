"""Pictures of every kind the room reads, and of kinds it must refuse in plain words."""

from __future__ import annotations

import errno
import importlib.util
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageChops, ImageDraw
from PIL.TiffImagePlugin import IFDRational

from photoclip.images import UnreadablePhoto, decode, is_photo
from photoclip.images.facts import TEXT_LIMIT
from photoclip.images.pixels import Loaded, fit
from photoclip.records import DecodedPhoto, PhotoFacts, Preprocessing

MODEL = Preprocessing(size=64)
RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 200, 30), (30, 30, 220), (230, 220, 40)


def package_file(package: str, *parts: str) -> Path:
    """Return a file that comes with an installed package, without importing the package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent.joinpath(*parts)


CAT = package_file("skimage", "data", "chelsea.png")
ROCKET = package_file("skimage", "data", "rocket.jpg")
CHINA = package_file("sklearn", "datasets", "images", "china.jpg")


def four_corners(width: int = 300, height: int = 200) -> Image.Image:
    """Draw red, green (above), blue and yellow (below): every turn and flip looks different."""
    picture = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, width // 2, height // 2), RED)
    draw.rectangle((width // 2, 0, width, height // 2), GREEN)
    draw.rectangle((0, height // 2, width // 2, height), BLUE)
    draw.rectangle((width // 2, height // 2, width, height), YELLOW)
    return picture


def read(path: Path, preprocessing: Preprocessing | None = MODEL) -> DecodedPhoto:
    return decode(os.fsencode(path), preprocessing)


def pixels(photo: DecodedPhoto, size: int = MODEL.size) -> np.ndarray:
    return np.frombuffer(photo.pixels, np.uint8).reshape(size, size, 3)


def fitted(picture: Image.Image, wanted: Preprocessing) -> np.ndarray:
    return np.asarray(fit(Loaded(picture, (0, 0, *picture.size)), wanted))


def corners(photo: DecodedPhoto) -> list[tuple[int, ...]]:
    """Return the colours near the four corners: above left and right, below left and right."""
    found = pixels(photo)
    return [tuple(int(value) for value in found[row, column]) for row in (8, 55) for column in (8, 55)]


def looks_like(found: list[tuple[int, ...]], wanted: list[tuple[int, int, int]], within: int = 12) -> bool:
    return bool(np.abs(np.array(found) - np.array(wanted)).max() <= within)


def refusal(path: Path) -> UnreadablePhoto:
    with pytest.raises(UnreadablePhoto) as caught:
        read(path)
    assert "(<" not in caught.value.reason
    assert "Error" not in caught.value.reason
    return caught.value


# --- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [b"a.jpg", b"A.JPEG", b"x.y.HeIc", b"a.dng", b"a.jxl", b"\xff\n.png", b"a.mpo"]
)
def test_names_of_photos_are_photos(name: bytes) -> None:
    assert is_photo(name)


@pytest.mark.parametrize(
    "name", [b"jpg", b".jpg", b"a.txt", b"a.jpg.part", b"a.svg", b"a.mov", b"a.psd", b"a."]
)
def test_other_names_are_not(name: bytes) -> None:
    assert not is_photo(name)


# --- what comes out ----------------------------------------------------------------------------


def test_a_photo_comes_with_hash_facts_pixels_and_rendering() -> None:
    import hashlib

    photo = read(ROCKET)
    assert photo.content_hash == hashlib.sha256(ROCKET.read_bytes()).digest()
    assert photo.facts == PhotoFacts(width=640, height=427, format="JPEG")
    assert len(photo.pixels) == 64 * 64 * 3
    assert len(photo.rendering) == 32 * 32


def test_without_preprocessing_there_are_no_pixels_but_the_same_rendering() -> None:
    photo = read(CHINA, None)
    assert photo.pixels == b""
    assert photo.rendering == read(CHINA).rendering


@pytest.mark.parametrize(
    "name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.bmp", "a.gif", "a.jp2", "a.avif", "a.heic", "a.ppm"]
)
def test_every_readable_format_gives_the_picture(tmp_path: Path, name: str) -> None:
    if name.endswith("heic"):
        heif = pytest.importorskip("pillow_heif")
        heif.from_pillow(four_corners()).save(tmp_path / name)
    else:
        four_corners().save(tmp_path / name)
    assert looks_like(corners(read(tmp_path / name)), [RED, GREEN, BLUE, YELLOW])


def test_the_content_counts_and_not_the_ending(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(CAT.read_bytes())
    assert read(tmp_path / "a.jpg").facts.format == "PNG"


def test_names_of_any_bytes_are_read(tmp_path: Path) -> None:
    for name in (b"\xff\xfe.jpg", b"new\nline.jpg", b"-rf.jpg", "ü😀.jpg".encode()):
        path = os.fsencode(tmp_path) + b"/" + name
        with open(path, "wb") as file:
            file.write(ROCKET.read_bytes())
        assert decode(path, MODEL).facts.width == 640


# --- the same pixels as OpenCLIP ----------------------------------------------------------------


@pytest.mark.parametrize("resize", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_pictures_are_made_as_openclip_makes_them(resize, interpolation) -> None:
    from open_clip.transform import image_transform

    cat = Image.open(CAT).convert("RGB")
    for size in (64, 224):
        wanted = Preprocessing(size, resize, interpolation, fill=9)
        transform = image_transform(
            size, False, (0, 0, 0), (1, 1, 1), resize_mode=resize, interpolation=interpolation, fill_color=9
        )
        for shape in ((451, 300), (300, 451), (224, 224), (223, 225), (31, 50), (1000, 101), (60, 1300)):
            picture = cat.resize(shape)
            theirs = (transform(picture).permute(1, 2, 0) * 255).round().byte().numpy()
            assert np.array_equal(fitted(picture, wanted), theirs), shape


@pytest.mark.parametrize("size", [(4000, 3000), (3000, 2001)])
def test_a_large_jpeg_read_at_a_fraction_looks_as_if_read_whole(tmp_path: Path, size) -> None:
    picture = Image.open(CHINA).resize(size, Image.Resampling.BICUBIC)
    noise = Image.effect_noise(picture.size, 4).convert("RGB")  # around a grey of 128
    ImageChops.add(picture, noise, offset=-128).save(tmp_path / "a.jpg", quality=92)
    for side in (160, 224, 384):
        wanted = Preprocessing(side)
        found = pixels(read(tmp_path / "a.jpg", wanted), side).astype(float)
        whole = fitted(Image.open(tmp_path / "a.jpg"), wanted).astype(float)
        error = np.mean((found - whole) ** 2)
        assert error > 0, "the picture was not read at a fraction"
        assert 10 * np.log10(255**2 / error) >= 50


def test_a_strip_is_read_without_growing_to_gigabytes(tmp_path: Path) -> None:
    Image.new("RGB", (65000, 1), RED).save(tmp_path / "a.png")
    Image.new("RGB", (1, 65000), BLUE).save(tmp_path / "b.png")
    for mode in ("shortest", "longest", "squash"):
        wanted = Preprocessing(64, mode, fill=200)
        assert pixels(read(tmp_path / "a.png", wanted))[31, 31].tolist() == list(RED)
        assert pixels(read(tmp_path / "b.png", wanted))[31, 31].tolist() == list(BLUE)


# --- orientation ---------------------------------------------------------------------------------

TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera stores an upright scene under each EXIF orientation."""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "avif", "heic"])
def test_every_orientation_is_turned_upright(tmp_path: Path, orientation: int, ending: str) -> None:
    turn = TURNS[orientation]
    stored = four_corners() if turn is None else four_corners().transpose(turn)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / f"a.{ending}"
    if ending == "heic":
        heif = pytest.importorskip("pillow_heif")
        heif.from_pillow(stored).save(path, exif=exif.tobytes())
    else:
        stored.save(path, exif=exif)
    photo = read(path)
    assert (photo.facts.width, photo.facts.height) == (300, 200)
    assert looks_like(corners(photo), [RED, GREEN, BLUE, YELLOW])


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_impossible_orientation_turns_nothing(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    four_corners().save(tmp_path / "a.jpg", exif=exif)
    photo = read(tmp_path / "a.jpg")
    assert photo.facts.orientation == 1
    assert looks_like(corners(photo), [RED, GREEN, BLUE, YELLOW])


# --- colours -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "ending"), [("CMYK", "jpg"), ("CMYK", "tif"), ("LAB", "tif"), ("YCbCr", "jpg")]
)
def test_other_colour_spaces_keep_their_colours(tmp_path: Path, mode: str, ending: str) -> None:
    if mode == "LAB":
        from PIL import ImageCms

        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        stored = ImageCms.profileToProfile(four_corners(), *profiles, outputMode="LAB")
        assert stored is not None
    else:
        stored = four_corners().convert(mode)
    stored.save(tmp_path / f"a.{ending}")
    assert looks_like(corners(read(tmp_path / f"a.{ending}")), [RED, GREEN, BLUE, YELLOW])


def test_a_palette_keeps_its_colours(tmp_path: Path) -> None:
    four_corners().quantize(16).save(tmp_path / "a.png")
    assert looks_like(corners(read(tmp_path / "a.png")), [RED, GREEN, BLUE, YELLOW])


@pytest.mark.parametrize("ending", ["png", "webp", "tif"])
def test_what_is_transparent_becomes_white(tmp_path: Path, ending: str) -> None:
    picture = four_corners().convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 150, 100))
    picture.save(tmp_path / f"a.{ending}")
    white = (255, 255, 255)
    assert looks_like(corners(read(tmp_path / f"a.{ending}")), [white, GREEN, BLUE, YELLOW])


def test_transparent_colours_of_a_palette_become_white(tmp_path: Path) -> None:
    picture = four_corners().quantize(4)
    hidden = picture.getpixel((5, 5))
    picture.save(tmp_path / "one.png", transparency=hidden)
    alphas = bytes(0 if index == hidden else 255 for index in range(4))
    picture.save(tmp_path / "many.png", transparency=alphas)
    picture.save(tmp_path / "one.gif", transparency=hidden)
    for name in ("one.png", "many.png", "one.gif"):
        assert looks_like(corners(read(tmp_path / name)), [(255, 255, 255), GREEN, BLUE, YELLOW]), name


def test_grey_with_alpha_lies_on_white(tmp_path: Path) -> None:
    Image.new("LA", (50, 50), (0, 128)).save(tmp_path / "a.png")
    assert pixels(read(tmp_path / "a.png"))[5, 5] == pytest.approx([127] * 3, abs=1)


@pytest.mark.parametrize(
    ("kind", "top", "ending"),
    [
        (np.uint16, 65535, "png"),
        (np.uint16, 65535, "tif"),
        (np.uint16, 4095, "tif"),
        (np.uint16, 255, "png"),
        (np.int32, 65535, "tif"),
        (np.int32, 2**31 - 1, "tif"),
        (np.float32, 1.0, "tif"),
        (np.float32, 255.0, "tif"),
    ],
)
def test_deep_grey_is_neither_white_nor_black(tmp_path: Path, kind: type, top: float, ending: str) -> None:
    ramp = np.linspace(0, top, 256, dtype=np.float64).astype(kind)
    Image.fromarray(np.tile(ramp, (256, 1))).save(tmp_path / f"a.{ending}")
    row = pixels(read(tmp_path / f"a.{ending}"))[30, :, 0]
    assert row == pytest.approx(np.linspace(0, 255, 64), abs=4)


def test_floats_that_are_no_numbers_are_black_and_spoil_nothing(tmp_path: Path) -> None:
    values = np.full((64, 64), 0.5, np.float32)
    values[0, :4] = np.nan, np.inf, -np.inf, 1.0
    Image.fromarray(values).save(tmp_path / "a.tif")
    found = pixels(read(tmp_path / "a.tif"))[:, :, 0]
    assert found[0, :4].tolist() == [0, 0, 0, 255]
    assert found[5, 5] == 127


def test_sixteen_bit_colour_keeps_its_colours(tmp_path: Path) -> None:
    wide = np.asarray(four_corners(), ">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    (tmp_path / "a.png").write_bytes(png(300, 200, 16, 2, zlib.compress(rows)))
    assert looks_like(corners(read(tmp_path / "a.png")), [RED, GREEN, BLUE, YELLOW])


# --- more than one frame -------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tif", "avif", "mpo"])
def test_the_first_frame_is_the_picture(tmp_path: Path, ending: str) -> None:
    others = [Image.new("RGB", (300, 200), colour) for colour in (BLUE, RED)]
    four_corners().save(tmp_path / f"a.{ending}", save_all=True, append_images=others)
    assert looks_like(corners(read(tmp_path / f"a.{ending}")), [RED, GREEN, BLUE, YELLOW])


# --- the rendering -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [CAT, ROCKET, CHINA], ids=lambda path: path.name)
def test_smaller_and_recompressed_copies_render_alike(tmp_path: Path, path: Path) -> None:
    original = read(path)
    picture = Image.open(path).convert("RGB")
    for name, factor in (("same.jpg", 1.0), ("smaller.jpg", 0.75), ("larger.webp", 1.5)):
        size = round(picture.width * factor), round(picture.height * factor)
        picture.resize(size, Image.Resampling.LANCZOS).save(tmp_path / name, quality=85)
        copy = read(tmp_path / name)
        difference = np.frombuffer(copy.rendering, np.uint8).astype(int) - list(original.rendering)
        assert np.abs(difference).max() <= 2, name


def test_the_rendering_is_the_whole_picture_squashed() -> None:
    luminance = Image.open(ROCKET).convert("L").resize((32, 32), Image.Resampling.BILINEAR)
    difference = np.frombuffer(read(ROCKET).rendering, np.uint8).astype(int) - list(luminance.tobytes())
    assert np.abs(difference).max() <= 1


# --- facts ---------------------------------------------------------------------------------------

_Exif = dict[int, object]


def facts(tmp_path: Path, main: _Exif = {}, detail: _Exif = {}, gps: _Exif = {}) -> PhotoFacts:  # noqa: B006
    exif = Image.Exif()
    exif.update(main)
    exif.get_ifd(ExifTags.IFD.Exif).update(detail)
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps)
    Image.new("RGB", (8, 8)).save(tmp_path / "facts.jpg", exif=exif)
    return read(tmp_path / "facts.jpg").facts


def test_the_time_is_the_shutter_s_with_fraction_and_offset(tmp_path: Path) -> None:
    original = {0x9003: "2021:07:04 18:30:05", 0x9291: "42", 0x9011: "+02:00", 0x9004: "2022:01:01 00:00:00"}
    assert (
        facts(tmp_path, {0x0132: "2023:01:01 00:00:00"}, original).taken_at == "2021-07-04T18:30:05.42+02:00"
    )


def test_other_times_stand_in_for_a_missing_or_senseless_one(tmp_path: Path) -> None:
    digitized = {0x9003: "0000:00:00 00:00:00", 0x9004: "2022:01:02 03:04:05"}
    assert facts(tmp_path, {0x0132: "2023:01:01 00:00:00"}, digitized).taken_at == "2022-01-02T03:04:05"
    assert facts(tmp_path, {0x0132: "2023-01-01 10:00:00"}).taken_at == "2023-01-01T10:00:00"


@pytest.mark.parametrize(
    "text",
    [
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "2021:13:01 00:00:00",
        "yesterday",
        "",
        "2021:02:30 10:00:00",
    ],
)
def test_senseless_times_are_none(tmp_path: Path, text: str) -> None:
    assert facts(tmp_path, detail={0x9003: text}).taken_at is None


def test_senseless_fractions_and_offsets_are_left_out(tmp_path: Path) -> None:
    time = {0x9003: "2021:07:04 18:30:05", 0x9291: "4x", 0x9011: "+99:99"}
    assert facts(tmp_path, detail=time).taken_at == "2021-07-04T18:30:05"


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("Apple", "iPhone 13", "Apple iPhone 13"),
        ("Apple", "", "Apple"),
        ("", "X100", "X100"),
        ("  ", "\0", None),
        ("FUJI\x1b[31m", "X-T4\0junk", "FUJI [31m X-T4"),
    ],
)
def test_the_camera_is_named_once_and_cleanly(
    tmp_path: Path, make: str, model: str, camera: str | None
) -> None:
    assert facts(tmp_path, {0x010F: make, 0x0110: model}).camera == camera


def test_texts_are_bounded(tmp_path: Path) -> None:
    found = facts(tmp_path, {0x010F: "x" * 5000, 0x0110: "y" * 5000}, {0xA434: "z" * 5000})
    assert len(found.camera or "") == len(found.lens or "") == TEXT_LIMIT


def test_positions_are_signed_degrees(tmp_path: Path) -> None:
    found = facts(tmp_path, gps={1: "S", 2: (33.0, 51.0, 24.0), 3: "W", 4: (151.0, 12.0, 36.0)})
    assert (found.latitude, found.longitude) == (-33.8566667, -151.21)


@pytest.mark.parametrize(
    "gps",
    [
        {1: "N", 2: (91.0, 0.0, 0.0), 3: "E", 4: (1.0, 0.0, 0.0)},
        {1: "N", 2: (1.0, 0.0, 0.0), 3: "E", 4: (181.0, 0.0, 0.0)},
        {1: "N", 2: (1.0, 0.0, 0.0)},
        {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)},
        {1: "?", 2: (1.0, 0.0, 0.0), 3: "E", 4: (1.0, 0.0, 0.0)},
        {1: "N", 2: (IFDRational(1, 0), 0.0, 0.0), 3: "E", 4: (1.0, 0.0, 0.0)},
        {1: "N", 2: (1.0, 0.0), 3: "E", 4: ()},
    ],
)
def test_impossible_positions_are_none(tmp_path: Path, gps: _Exif) -> None:
    found = facts(tmp_path, gps=gps)
    assert (found.latitude, found.longitude) == (None, None)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's; a worker keeps them to itself
def test_garbage_for_exif_does_not_cost_the_photo(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for number in range(30):
        garbage = b"Exif\0\0" + (b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08")[number % 3] + rng.bytes(200)
        four_corners().save(tmp_path / "a.jpg", exif=garbage)
        four_corners().save(tmp_path / "a.png", exif=garbage)
        for name in ("a.jpg", "a.png"):
            assert {read(tmp_path / name).facts.width, read(tmp_path / name).facts.height} == {300, 200}


# --- refusals ------------------------------------------------------------------------------------


def png(width: int, height: int, depth: int, colour: int, data: bytes) -> bytes:
    """Build a PNG by hand, to say what no encoder would."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def encoded(format_name: str) -> bytes:
    buffer = io.BytesIO()
    if format_name == "HEIF":
        pytest.importorskip("pillow_heif").from_pillow(Image.open(CAT)).save(buffer)
    else:
        Image.open(CAT).convert("RGB").save(buffer, format_name)
    return buffer.getvalue()


def test_a_png_with_damaged_pixels_is_no_photo_painted_black(tmp_path: Path) -> None:
    whole = encoded("PNG")
    data = whole.index(b"IDAT")
    for place in (data + 40, len(whole) // 2, len(whole) - 20):
        damaged = bytearray(whole)
        damaged[place] ^= 16
        (tmp_path / "a.png").write_bytes(damaged)
        with pytest.raises(UnreadablePhoto, match="damaged"):
            read(tmp_path / "a.png")


def test_a_png_that_lacks_nothing_but_its_end_or_has_a_damaged_text_is_a_photo(tmp_path: Path) -> None:
    whole = encoded("PNG")
    text = b"\0\0\0\5tEXta\0bcdnope"
    end = len(whole) - 12
    for content in (whole[:-2], whole[:end], whole[:end] + text + whole[end:]):
        (tmp_path / "a.png").write_bytes(content)
        assert read(tmp_path / "a.png").facts.width == 451


def test_a_jpeg_too_short_for_what_it_declares_is_cut_short(tmp_path: Path) -> None:
    Image.new("RGB", (9_000, 9_000), "grey").save(tmp_path / "a.jpg", quality=1)
    whole = (tmp_path / "a.jpg").read_bytes()
    assert read(tmp_path / "a.jpg").facts.width == 9_000  # as empty as a picture can be
    (tmp_path / "a.jpg").write_bytes(whole[:650] + b"\xff\xd9")
    with pytest.raises(UnreadablePhoto, match="cut short"):
        read(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    "format_name", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000", "AVIF", "HEIF"]
)
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_file_cut_short_is_said_to_be(tmp_path: Path, format_name: str, share: float) -> None:
    content = encoded(format_name)
    (tmp_path / "a.jpg").write_bytes(content[: int(len(content) * share)])
    refused = refusal(tmp_path / "a.jpg")
    assert refused.kind == "unreadable"
    assert "cut short" in refused.reason or "damaged" in refused.reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"\0" * 5000, "not a picture (nothing but zeros)"),
        (b"\n<!DOCTYPE HTML><html><body>Not found</body></html>", "not a picture (looks like HTML)"),
        (b"<?xml version='1.0'?><a/>", "not a picture (looks like XML)"),
        (b"%PDF-1.7 ...", "not a picture (looks like a PDF document)"),
        (b"PK\x03\x04\x14\0\0", "not a picture (looks like a ZIP archive)"),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            "not a picture (looks like a PostScript document)",
        ),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "not a picture (looks like a video)"),
        ("Grüße aus Rom".encode(), "not a picture (looks like text)"),
        (b"\x01\x02\x03", "not a picture"),
    ],
)
def test_what_is_no_picture_is_said_to_be_what_it_is(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    assert refusal(tmp_path / "a.jpg").reason == reason


@pytest.mark.parametrize("tags", [{50706: b"\x01\x04\0\0"}, {254: 1}])
def test_camera_raw_under_the_name_of_a_tiff_is_not_taken_for_its_preview(
    tmp_path: Path, tags: _Exif
) -> None:
    four_corners().save(tmp_path / "a.tif", tiffinfo=tags)
    assert refusal(tmp_path / "a.tif").kind == "unsupported"


def test_huge_pictures_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png(12000, 12000, 8, 2, zlib.compress(b"\0" * 1000)))
    (tmp_path / "bomb.gif").write_bytes(b"GIF89a" + struct.pack("<HH", 16000, 10000) + b"\0\0\0,\0\0\0\0"
        + struct.pack("<HH", 16000, 10000) + b"\0\x02\x02\x4c\x01\0;")  # fmt: skip
    for name, size in (("bomb.png", "144"), ("bomb.gif", "160")):
        with pytest.warns(Image.DecompressionBombWarning):
            refused = refusal(tmp_path / name)
        assert refused.kind == "unsupported"
        assert size in refused.reason


def test_a_sparse_terabyte_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(ROCKET.read_bytes())
    os.truncate(tmp_path / "a.jpg", 10**12)
    assert refusal(tmp_path / "a.jpg").reason == "the file is larger than 2 GB"


def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "endless.jpg").symlink_to("/dev/zero")
    for name in ("pipe.jpg", "folder.jpg", "endless.jpg"):
        assert refusal(tmp_path / name).reason == "it is not a regular file"


def test_a_file_that_is_not_there_is_not_a_problem_of_pictures(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (b"/nowhere.jpg", os.fsencode(tmp_path / "file" / "a.jpg"), b"nul\0.jpg"):
        with pytest.raises(FileNotFoundError):
            decode(path, MODEL)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "a.jpg").chmod(0)
    assert refusal(tmp_path / "a.jpg").reason == "permission denied"


@pytest.mark.parametrize(
    ("number", "waits_for"),
    [
        (errno.EIO, "run"),
        (errno.ENOTCONN, "run"),
        (errno.ESTALE, "run"),
        (errno.EMFILE, "run"),
        (errno.EACCES, ""),
    ],
)
@pytest.mark.parametrize("when", ["open", "fstat"])
def test_what_may_pass_waits_for_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, waits_for: str, when: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "a.jpg").write_bytes(ROCKET.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(os, when, fail)
        refused = refusal(tmp_path / "a.jpg")
    assert (refused.kind, refused.waits_for) == ("unreadable", waits_for)


def test_a_file_that_is_simply_bad_waits_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(ROCKET.read_bytes()[:5000])
    assert refusal(tmp_path / "a.jpg").waits_for == ""
