"""What belongs to a photo, told by names in real folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoclip.errors import PhotoclipError
from photoclip.images.names import is_photo, is_raw
from photoclip.partners import Partner, Partners, split_name


def found(folder: Path, photo: str | bytes) -> tuple[Partner, ...]:
    return Partners(is_photo, is_raw).of(os.path.join(os.fsencode(folder), os.fsencode(photo)))


def names(folder: Path, photo: str | bytes) -> list[str]:
    """Return the names of the partners of a photo."""
    return [os.fsdecode(os.path.basename(partner.path)) for partner in found(folder, photo)]


def fill(folder: Path, *files: str | bytes) -> Path:
    for name in files:
        Path(os.fsdecode(os.path.join(os.fsencode(folder), os.fsencode(name)))).touch()
    return folder


# -- sidecars -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["xmp", "XMP", "aae", "pp3", "dop", "thm", "arp", "vrd", "on1"])
def test_a_sidecar_is_found_in_both_styles(tmp_path: Path, ending: str) -> None:
    fill(tmp_path, "IMG_1.JPG", f"IMG_1.{ending}", f"IMG_1.JPG.{ending}")
    assert names(tmp_path, "IMG_1.JPG") == sorted([f"IMG_1.{ending}", f"IMG_1.JPG.{ending}"])


def test_a_sidecar_of_the_stem_belongs_to_all_and_one_of_the_name_to_one(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "a.png", "a.xmp", "a.jpg.xmp")
    assert names(tmp_path, "a.jpg") == ["a.jpg.xmp", "a.xmp"]
    (shared,) = found(tmp_path, "a.png")
    assert shared.path == os.fsencode(tmp_path / "a.xmp")
    assert shared.owners == (os.fsencode(tmp_path / "a.jpg"), os.fsencode(tmp_path / "a.png"))


def test_the_full_name_decides_before_the_stem(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "a.jpg.png", "a.jpg.xmp")
    assert names(tmp_path, "a.jpg") == ["a.jpg.xmp"]
    assert names(tmp_path, "a.jpg.png") == []


def test_a_longer_name_never_matches_a_shorter_one(tmp_path: Path) -> None:
    fill(tmp_path, "IMG_1.jpg", "IMG_10.xmp", "IMG_10.jpg.xmp", "IMG_10.mov", "IMG_10.cr3", "IMG_1 (1).xmp")
    assert names(tmp_path, "IMG_1.jpg") == []


def test_the_case_of_an_ending_matters_only_between_two_that_differ_in_nothing_else(tmp_path: Path) -> None:
    fill(tmp_path, "a.JPG", "a.jpg.xmp", "b.JPG", "b.jpg", "b.jpg.xmp", "C.jpg", "c.xmp")
    assert names(tmp_path, "a.JPG") == ["a.jpg.xmp"]
    assert names(tmp_path, "b.jpg") == ["b.jpg.xmp"]
    assert names(tmp_path, "b.JPG") == []
    assert names(tmp_path, "C.jpg") == []  # a stem is compared byte for byte


def test_a_second_version_of_darktable_belongs_to_its_photo(tmp_path: Path) -> None:
    fill(tmp_path, "a.CR3", "a_01.CR3.xmp", "b.jpg", "b_01.jpg", "b_01.jpg.xmp")
    assert names(tmp_path, "a.CR3") == ["a_01.CR3.xmp"]
    assert names(tmp_path, "b.jpg") == []
    assert names(tmp_path, "b_01.jpg") == ["b_01.jpg.xmp"]


@pytest.mark.parametrize(
    ("photo", "sidecar", "tail"),
    [
        ("a.jpg", "a.jpg.json", ".jpg.json"),
        ("a.jpg", "a.jpg.supplemental-metadata.json", ".jpg.supplemental-metadata.json"),
        ("a.jpg", "a.jpg.supplemental-me.json", ".jpg.supplemental-me.json"),
        ("a.jpg", "a.jpg..json", ".jpg..json"),
        ("a(2).jpg", "a(2).jpg.json", ".jpg.json"),
        ("a(2).jpg", "a.jpg(2).json", ".jpg.json"),
        ("a(2).SRW", "a.SRW.suppl(2).json", ".SRW.suppl.json"),
    ],
)
def test_a_sidecar_of_google_takeout_is_found(tmp_path: Path, photo: str, sidecar: str, tail: str) -> None:
    (partner,) = found(fill(tmp_path, photo, sidecar), photo)
    assert (os.path.basename(partner.path), partner.tail) == (sidecar.encode(), tail.encode())


def test_a_json_file_of_another_kind_is_no_sidecar(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "a.json", "a.jpg.settings.json", "metadata.json", "a.jpg(3).json", ".json")
    assert names(tmp_path, "a.jpg") == []


def test_the_plain_form_of_takeout_wins(tmp_path: Path) -> None:
    fill(tmp_path, "a(1).jpg", "a(1).jpg.json", "a.jpg(1).json")
    assert names(tmp_path, "a(1).jpg") == ["a(1).jpg.json"]


@pytest.mark.parametrize(
    "other", ["a.txt", "a.wav", "a", "a.jpg.bak", "a.jpg~", ".a.jpg.xmp", "._a.xmp", "a..xmp"]
)
def test_what_is_no_sidecar_stays(tmp_path: Path, other: str) -> None:
    assert names(fill(tmp_path, "a.jpg", other), "a.jpg") == []


# -- videos ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("photo", "video"),
    [
        ("IMG_1.HEIC", "IMG_1.MOV"),
        ("IMG_1.JPG", "IMG_1.mov"),
        ("IMG_1.jpeg", "IMG_1.MP4"),
        ("IMG_1.HEIC", "IMG_1_HEVC.MOV"),
        ("IMG_1.jpg", "IMG_1.MP"),
        ("PXL_1.MP.jpg", "PXL_1.MP"),
    ],
)
def test_the_video_of_a_live_photo_is_found(tmp_path: Path, photo: str, video: str) -> None:
    (partner,) = found(fill(tmp_path, photo, video), photo)
    assert (partner.path, partner.kind) == (os.fsencode(tmp_path / video), "video")
    assert split_name(photo.encode())[0] + partner.tail == video.encode()


def test_a_video_of_google_belongs_to_the_photo_that_says_so(tmp_path: Path) -> None:
    fill(tmp_path, "P.jpg", "P.MP.jpg", "P.MP")
    assert names(tmp_path, "P.MP.jpg") == ["P.MP"]
    assert names(tmp_path, "P.jpg") == []


def test_a_video_comes_with_a_camera_s_picture_only(tmp_path: Path) -> None:
    fill(tmp_path, "clip.mp4", "clip.png", "shot.NEF", "shot.MOV")
    assert names(tmp_path, "clip.png") == []
    assert names(tmp_path, "shot.NEF") == []
    assert names(tmp_path, "clip.mp4") == []  # and is no photo


def test_the_sidecar_of_a_video_comes_with_it(tmp_path: Path) -> None:
    fill(tmp_path, "a.HEIC", "a.MOV", "a.MOV.json", "a.mov.xmp")
    assert names(tmp_path, "a.HEIC") == ["a.MOV", "a.MOV.json", "a.mov.xmp"]


# -- RAW and JPEG ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("raw", "picture"), [("a.CR3", "a.JPG"), ("a.nef", "a.HIF"), ("a.dng", "a.jpeg")])
def test_raw_and_picture_belong_to_each_other(tmp_path: Path, raw: str, picture: str) -> None:
    fill(tmp_path, raw, picture)
    assert [(one.kind, os.path.basename(one.path)) for one in found(tmp_path, raw)] == [
        ("picture", picture.encode())
    ]
    assert [(one.kind, os.path.basename(one.path)) for one in found(tmp_path, picture)] == [
        ("raw", raw.encode())
    ]


def test_what_belongs_to_a_partner_comes_along(tmp_path: Path) -> None:
    fill(tmp_path, "a.CR3", "a.CR3.xmp", "a.JPG", "a.JPG.dop", "a.MOV")
    assert names(tmp_path, "a.JPG") == ["a.CR3", "a.CR3.xmp", "a.JPG.dop", "a.MOV"]
    assert names(tmp_path, "a.CR3") == ["a.CR3.xmp", "a.JPG", "a.JPG.dop", "a.MOV"]


def test_two_pictures_or_two_raw_files_are_not_partners(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "a.png", "b.jpg", "b.heic", "b.cr2", "b.dng", "c.cr2", "c.dng", "d.png", "d.cr2")
    assert names(tmp_path, "a.jpg") == []
    assert names(tmp_path, "b.jpg") == ["b.cr2", "b.dng"]
    assert names(tmp_path, "b.dng") == ["b.heic", "b.jpg"]
    assert names(tmp_path, "c.cr2") == []
    assert names(tmp_path, "d.png") == []  # an edited picture, not the camera's


# -- files and folders as they come ---------------------------------------------------------------


def test_names_of_any_bytes_have_partners(tmp_path: Path) -> None:
    for stem in (b"\xff\xfe", b"new\nline", b"-rf", "ü😀".encode(), b" "):
        fill(tmp_path, stem + b".jpg", stem + b".xmp", stem + b".jpg.json")
        tails = [partner.tail for partner in found(tmp_path, stem + b".jpg")]
        assert sorted(tails) == [b".jpg.json", b".xmp"]


def test_a_link_belongs_only_to_a_link(tmp_path: Path) -> None:
    fill(tmp_path, "store", "a.jpg", "c.xmp")
    for name in ("a.xmp", "b.jpg", "b.xmp", "c.jpg"):
        (tmp_path / name).symlink_to("store")
    (tmp_path / "b.aae").symlink_to("nowhere")
    assert names(tmp_path, "a.jpg") == []
    assert names(tmp_path, "b.jpg") == ["b.xmp"]
    assert names(tmp_path, "c.jpg") == ["c.xmp"]


def test_only_files_are_partners(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg")
    (tmp_path / "a.xmp").mkdir()
    os.mkfifo(tmp_path / "a.aae")
    assert names(tmp_path, "a.jpg") == []


def test_hidden_files_belong_to_hidden_photos(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "a.xmp", ".a.jpg", ".a.xmp")
    assert names(tmp_path, "a.jpg") == ["a.xmp"]
    assert names(tmp_path, ".a.jpg") == [".a.xmp"]


def test_a_photo_that_is_not_there_has_no_partners(tmp_path: Path) -> None:
    fill(tmp_path, "a.xmp")
    assert (
        names(tmp_path, "a.jpg")
        == names(tmp_path / "nowhere", "a.jpg")
        == names(tmp_path / "a.xmp", "b.jpg")
        == []
    )


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PhotoclipError, match="cannot be listed"):
        found(tmp_path / ("n" * 300), "a.jpg")


def test_each_folder_is_looked_into_once(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{number}.{ending}" for number in range(500) for ending in ("jpg", "xmp")))
    partners = Partners(is_photo, is_raw)
    assert len(partners.of(os.fsencode(tmp_path / "0.jpg"))) == 1
    for file in tmp_path.iterdir():
        file.unlink()
    assert len(partners.of(os.fsencode(tmp_path / "499.jpg"))) == 1


STEMS = st.sampled_from(["a", "a1", "a.jpg", "A", "a(1)", "a_01"])
ENDINGS = st.sampled_from(
    ["jpg", "JPG", "png", "cr3", "DNG", "mov", "mp", "xmp", "XMP", "json", "jpg.json", "aae"]
)


@given(st.lists(st.tuples(STEMS, ENDINGS).map(".".join), max_size=12, unique=True))
def test_belonging_is_mutual_and_tails_spell_names(
    tmp_path_factory: pytest.TempPathFactory, files: list[str]
) -> None:
    folder = fill(tmp_path_factory.mktemp("any"), *files)
    partners = Partners(is_photo, is_raw)
    photos = {os.fsencode(folder / name) for name in files if is_photo(name.encode())}
    for photo in photos:
        stem = split_name(photo)[0]
        mine = partners.of(photo)
        assert len({partner.path for partner in mine} | {photo}) == len(mine) + 1
        for partner in mine:
            assert set(partner.owners) <= photos
            assert stem + partner.tail == partner.path or b"(1)" in partner.path
            for owner in partner.owners:
                assert partner.path in {other.path for other in partners.of(owner)}
            if partner.path in photos:
                assert photo in {other.path for other in partners.of(partner.path)}
