"""Tags in sidecars, through the command line: written, taken back, and never half."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from photoclip import Library, xmp
from tests.conftest import Answer, Shell, command, environment, evidence, without_privileges
from tests.pictures import paint
from tests.sidecar_shapes import DARKTABLE, DIGIKAM, LIGHTROOM, SHAPES, packet

LABELS = "red\nColours\nColours/green\nblue\n"
STRANGE = (b"<a>&amp;\"'.png", b"new\nline.png", b"esc\x1b[31m.png", b"not-utf-8-\xff\xfe.png",
           b" leading.png", "ü😀.png".encode(), b".hidden.png", b"x" * 248 + b".png")  # fmt: skip


@pytest.fixture
def album(shell: Shell, photos: Path) -> Shell:
    """A shell with seven photos: three red, two green, a blue and a yellow one."""
    for number, colour in enumerate(("red", "red", "red", "green", "green", "blue", "yellow")):
        paint(photos / f"{colour}-{number}.png", colour, number)
    shell.index(photos)
    (shell.library.parent / "labels.txt").write_text(LABELS)
    return shell


def tag(shell: Shell, *more: str | Path, stdin: bytes = b"") -> Answer:
    """Tag with the list beside the library, sidecars too."""
    line = ("tag", "--labels", shell.library.parent / "labels.txt", "--write", "xmp")
    return shell(*line, *more, stdin=stdin)


def lines(*paths: Path) -> bytes:
    return b"".join(os.fsencode(path) + b"\n" for path in paths)


def held(path: Path | bytes) -> tuple[set[str], set[str]]:
    """Return the keywords in a sidecar: the user's, and ours."""
    with open(path, "rb") as file:
        found = xmp.keywords(file.read())
    return set(found.own), set(found.ours)


def sidecars(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name.endswith(".xmp"))


def leftovers(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(".photoclip-")]


# -- written --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("style", "ending"), [("auto", ".png.xmp"), ("darktable", ".png.xmp"), ("adobe", ".xmp")]
)
def test_photos_with_tags_get_sidecars_and_stay_as_they_are(
    album: Shell, photos: Path, style: str, ending: str
) -> None:
    before = evidence(photos)
    answer = tag(album, "--sidecar-style", style).fine()
    names = [f"{name}{ending}" for name in ("blue-5", "green-3", "green-4", "red-0", "red-1", "red-2")]
    assert sidecars(photos) == names
    assert "6 sidecars changed" in answer.err
    assert held(photos / names[0]) == (set(), {"blue"})
    assert held(photos / names[1]) == (set(), {"Colours/green"})
    after = evidence(photos)
    changed = {os.path.basename(path) for path in after if after[path] != before.get(path)}
    assert changed == {".", *names}


def test_new_sidecars_are_named_as_those_that_are_there(album: Shell, photos: Path) -> None:
    (photos / "yellow-6.xmp").write_bytes(LIGHTROOM)
    tag(album).fine()
    assert sidecars(photos)[:2] == ["blue-5.xmp", "green-3.xmp"]
    tag(album, "--sidecar-style", "darktable").fine()
    assert len(sidecars(photos)) == 7


def test_a_tag_that_is_one_no_longer_leaves_the_sidecar(album: Shell, photos: Path) -> None:
    tag(album, "--min", "0").fine()
    assert held(photos / "yellow-6.png.xmp")[1] == {"red", "Colours", "Colours/green", "blue"}
    (photos / "red-0.png.xmp").write_bytes(
        xmp.with_labels((photos / "red-0.png.xmp").read_bytes(), ["friend"])
    )
    tag(album).fine()
    assert not (photos / "yellow-6.png.xmp").exists()
    assert held(photos / "red-0.png.xmp") == (set(), {"red", "friend"})


def test_names_that_break_programs_get_sidecars_and_lose_them(shell: Shell, photos: Path) -> None:
    folder = os.fsencode(photos)
    for number, name in enumerate(STRANGE):
        paint(os.path.join(folder, name), "red", number)
    shell.index(photos, *(os.path.join(folder, name) for name in STRANGE))
    before = evidence(photos)
    answer = shell("tag", "--labels", "-", "--write", "xmp", stdin=b"red\n<&\"]]>'\n")
    found = {name for name in os.listdir(folder) if name.endswith(b".xmp")}
    assert found == {name + b".xmp" for name in STRANGE if len(name) < 250}
    assert answer.code == 1  # one name is too long for a sidecar
    assert "its name would be longer than the drive allows" in answer.err
    assert not {"\x1b", "\udcff"} & set(answer.err)
    assert all(held(os.path.join(folder, name)) == (set(), {"red"}) for name in found)
    shell("tag", "--labels", "-", "--write", "xmp", "--min", "0", stdin=b"red\n<&\"]]>'\n")
    assert all(held(os.path.join(folder, name)) == (set(), {"red", "<&\"]]>'"}) for name in found)
    shell("tag", "--remove").fine()
    after = evidence(photos)
    assert {path: proof[0] for path, proof in after.items()} == {path: p[0] for path, p in before.items()}


# -- not written ----------------------------------------------------------------------------------


def test_what_cannot_be_written_is_named_and_the_others_are_written(album: Shell, photos: Path) -> None:
    (photos / "red-0.png.xmp").write_bytes(DARKTABLE)
    (photos / "red-0.png.xmp").chmod(0o444)
    (photos / "red-1.png.xmp").write_text("no xmp <")
    (photos / "red-2.png.xmp").mkdir()
    (photos / "green-3.png").unlink()
    paint(photos / "away" / "blue.png", "blue", 77)
    album.index(photos / "away")
    shutil.rmtree(photos / "away")
    answer = tag(album)
    assert answer.code == 1
    assert len(answer.paths) == 7
    refused = [line.split("photos/")[1] for line in answer.err.splitlines() if line.startswith("not written")]
    assert sorted(line.partition(": ")[0] for line in refused) == [
        "away/blue.png",
        "green-3.png",
        "red-0.png.xmp",
        "red-1.png.xmp",
        "red-2.png.xmp",
    ]
    assert {"away/blue.png: its folder is gone", "green-3.png: it is gone"} <= set(refused)
    assert "red-0.png.xmp: it is read-only" in refused
    assert "red-2.png.xmp: it is a folder" in refused
    assert "5 sidecars could not be written" in answer.err
    assert (photos / "red-0.png.xmp").read_bytes() == DARKTABLE
    assert (photos / "red-1.png.xmp").read_text() == "no xmp <"
    assert held(photos / "blue-5.png.xmp")[1] == {"blue"}
    assert held(photos / "green-4.png.xmp")[1] == {"Colours/green"}
    again = tag(album)  # it is not forgotten
    assert (again.code, "5 sidecars could not be written" in again.err) == (1, True)
    (photos / "red-0.png.xmp").chmod(0o644)
    (photos / "red-1.png.xmp").unlink()
    tag(album)
    assert (held(photos / "red-0.png.xmp")[1], held(photos / "red-1.png.xmp")[1]) == ({"red"}, {"red"})


def test_a_folder_that_may_not_be_written_costs_its_own_sidecars_only(album: Shell, photos: Path) -> None:
    paint(photos / "locked" / "red.png", "red", 99)
    album.index(photos)
    (photos / "locked").chmod(0o555)
    line = ["--library", str(album.library), "tag", "--labels", str(album.library.parent / "labels.txt")]
    try:
        done = without_privileges(*line, "--write", "xmp")
    finally:
        (photos / "locked").chmod(0o755)
    assert done.returncode == 1, done.stderr
    assert b"locked/red.png.xmp: permission denied" in done.stderr
    assert sidecars(photos / "locked") == []
    assert len(sidecars(photos)) == 6
    assert tag(album).fine().err.count("1 sidecar changed") == 1


# -- taken back -----------------------------------------------------------------------------------


def test_remove_leaves_no_trace_of_sidecars_of_ours_and_the_bytes_of_others(
    album: Shell, photos: Path
) -> None:
    for number, (name, content) in enumerate(SHAPES.items()):
        paint(photos / f"shape-{number}.png", "green", 50 + number)
        (photos / f"shape-{number}.png.xmp").write_bytes(content)
        assert name in SHAPES
    album.index(photos)
    before = {path: proof[0] for path, proof in evidence(photos).items()}
    tag(album).fine()
    assert all("Colours/green" in held(path)[1] for path in photos.glob("shape-*.xmp"))
    answer = album("tag", "--remove").fine()
    assert {path: proof[0] for path, proof in evidence(photos).items()} == before
    assert f"{6 + len(SHAPES)} sidecars changed" in answer.err
    assert album("tags", "--json").fine().rows == [
        row for row in album("tags", "--json").rows if row["kind"] == "keyword"
    ]
    with Library.open(album.library) as library:
        known = library.inner.store.sidecars_in(os.fsencode(photos))
    assert {os.path.basename(path) for path in known} == {b"shape-%d.png.xmp" % n for n in range(len(SHAPES))}
    assert "sidecar" not in album("tag", "--remove").fine().err
    assert f"{6 + len(SHAPES)} sidecars changed" in tag(album).fine().err


def test_remove_takes_only_the_labels_that_are_named(album: Shell, photos: Path) -> None:
    tag(album, "--min", "0").fine()
    answer = album("tag", "--remove", "--labels", "-", stdin=b"blue\nColours\n").fine()
    assert "14 tags" in answer.err
    assert {row["label"] for row in album("tags", "--json").rows} == {"red", "Colours/green"}
    assert len(sidecars(photos)) == 7
    assert all(held(path)[1] == {"red", "Colours/green"} for path in photos.glob("*.xmp"))
    tag(album, "--min", "0").fine()
    assert all("blue" in held(path)[1] for path in photos.glob("*.xmp"))


def test_remove_takes_only_from_the_photos_that_are_named(album: Shell, photos: Path) -> None:
    tag(album).fine()
    album("tag", "--remove", "--among", "-", stdin=lines(photos / "red-1.png", photos / "blue-5.png")).fine()
    assert sidecars(photos) == ["green-3.png.xmp", "green-4.png.xmp", "red-0.png.xmp", "red-2.png.xmp"]
    assert {(row["label"], row["photos"]) for row in album("tags", "--json").rows} == {
        ("red", 2),
        ("Colours/green", 2),
    }
    assert "2 pictures new to this list" in tag(album).fine().err
    assert len(sidecars(photos)) == 6


def test_remove_takes_sidecars_of_ours_from_a_folder_that_moved(album: Shell, photos: Path) -> None:
    tag(album).fine()
    photos.rename(photos.parent / "elsewhere")
    album.index(photos.parent / "elsewhere")
    album("tag", "--remove").fine()
    assert sidecars(photos.parent / "elsewhere") == []


def test_a_new_library_takes_back_what_a_lost_one_wrote(album: Shell, photos: Path) -> None:
    (photos / "red-0.png.xmp").write_bytes(DIGIKAM)
    tag(album).fine()
    shutil.rmtree(album.library)
    album.index(photos)
    assert {row["label"] for row in album("tags", "--json").rows} == {"Animals/Dog", "garden"}
    album("tag", "--remove").fine()
    assert sidecars(photos) == ["red-0.png.xmp"]
    assert (photos / "red-0.png.xmp").read_bytes() == DIGIKAM


def test_remove_names_what_it_cannot_take_back(album: Shell, photos: Path) -> None:
    tag(album).fine()
    (photos / "red-0.png.xmp").chmod(0o444)
    answer = album("tag", "--remove")
    assert answer.code == 1
    assert "red-0.png.xmp: it is read-only" in answer.err
    assert sidecars(photos) == ["red-0.png.xmp"]
    (photos / "red-0.png.xmp").chmod(0o644)
    album("tag", "--remove").fine()
    assert sidecars(photos) == []


# -- one sidecar for two photos -------------------------------------------------------------------


@pytest.fixture
def pair(shell: Shell, photos: Path) -> Shell:
    """A shell with two photos, a red and a blue one, that have one sidecar."""
    paint(photos / "a.png", "red")
    shutil.move(paint(photos / "b.png", "blue"), photos / "a.jpeg")
    (photos / "a.xmp").write_bytes(LIGHTROOM)
    shell.index(photos)
    (shell.library.parent / "labels.txt").write_text("red\nblue\n")
    return shell


def test_a_sidecar_of_two_photos_holds_the_tags_of_both(pair: Shell, photos: Path) -> None:
    tag(pair).fine()
    assert sidecars(photos) == ["a.xmp"]
    assert held(photos / "a.xmp")[1] == {"red", "blue"}
    before = evidence(photos)
    for one in ("a.png", "a.jpeg"):
        tag(pair, "--among", "-", stdin=lines(photos / one)).fine()
        assert evidence(photos) == before


def test_what_is_taken_from_one_of_two_photos_stays_for_the_other(pair: Shell, photos: Path) -> None:
    (pair.library.parent / "labels.txt").write_text("red\nhue\nhue/blue\ncold\n")
    tag(pair, "--min", "0.01").fine()
    before = held(photos / "a.xmp")[1]
    tags = {
        Path(row["path"]).name: {tag["label"] for tag in row["tags"]}
        for row in tag(pair, "--min", "0.01", "-f", "jsonl").rows
    }
    assert before == tags["a.png"] | tags["a.jpeg"]
    pair("tag", "--remove", "--among", "-", stdin=lines(photos / "a.png")).fine()
    assert held(photos / "a.xmp")[1] == tags["a.jpeg"]
    pair("tag", "--remove", "--among", "-", stdin=lines(photos / "a.jpeg")).fine()
    assert (photos / "a.xmp").read_bytes() == LIGHTROOM


def test_the_other_photo_gets_nothing_that_was_never_written(pair: Shell, photos: Path) -> None:
    pair("tag", "--labels", "-", stdin=b"blue\n").fine()
    (pair.library.parent / "labels.txt").write_text("red\n")
    tag(pair).fine()
    assert held(photos / "a.xmp")[1] == {"red"}
    pair("tag", "--remove", "--among", "-", stdin=lines(photos / "a.png")).fine()
    assert (photos / "a.xmp").read_bytes() == LIGHTROOM


def test_a_tag_taken_back_from_a_copy_is_taken_back_from_the_picture(album: Shell, photos: Path) -> None:
    shutil.copy(photos / "red-0.png", photos / "copy.png")
    album.index(photos)
    tag(album).fine()
    album("tag", "--remove", "--among", "-", stdin=lines(photos / "copy.png")).fine()
    assert {"copy.png.xmp", "red-0.png.xmp"}.isdisjoint(sidecars(photos))
    tag(album).fine()
    assert held(photos / "copy.png.xmp")[1] == held(photos / "red-0.png.xmp")[1] == {"red"}


# -- stopped --------------------------------------------------------------------------------------


def test_killed_at_any_moment_each_sidecar_is_the_old_or_the_new_one(shell: Shell, photos: Path) -> None:
    for number in range(40):
        paint(photos / f"{number:02}.png", ("red", "blue")[number % 2], number)
        if number % 4 < 2:
            (photos / f"{number:02}.png.xmp").write_bytes((DARKTABLE, DIGIKAM, LIGHTROOM)[number % 3])
    shell.index(photos)
    (shell.library.parent / "labels.txt").write_text("red\nblue\n")
    spare = shell.library.with_name("spare")
    shutil.copytree(shell.library, spare)
    old = {path.name: path.read_bytes() for path in photos.iterdir()}
    line = ("tag", "--labels", shell.library.parent / "labels.txt", "--write", "xmp")
    shell.process(*line).fine()
    new = {path.name: path.read_bytes() for path in photos.iterdir()}
    choose = random.Random(7)
    stopped = 0
    for _ in range(15):
        shutil.rmtree(shell.library)
        shutil.copytree(spare, shell.library)
        for name in os.listdir(photos):
            (photos / name).unlink()
        for name in old:
            (photos / name).write_bytes(old[name])
        process = subprocess.Popen(
            command("--library", shell.library, *line),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and not leftovers(photos):  # until it writes
            time.sleep(0.0005)
        time.sleep(choose.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = {path.name: path.read_bytes() for path in photos.iterdir()}
        half = [name for name in found if found[name] not in (old.get(name), new.get(name))]
        assert all(name.startswith(".photoclip-") for name in half), half
        assert all(found[name] == old[name] for name in old if name.endswith(".png"))
        written = {name for name in new if found.get(name) != old.get(name)}
        stopped += 0 < len(written) < 40
        shell("tag", "--remove").fine()  # it knows what nobody had time to remember
        left = {path.name: path.read_bytes() for path in photos.iterdir()}
        assert {name: left[name] for name in left if not name.startswith(".photoclip-")} == old
    shutil.rmtree(shell.library)
    shutil.copytree(spare, shell.library)
    shell(*line).fine()
    assert {path.name: path.read_bytes() for path in photos.iterdir()} == new
    before = evidence(photos)
    assert "sidecar" not in shell(*line).fine().err
    assert evidence(photos) == before
    shell("tag", "--remove").fine()
    assert {path.name: path.read_bytes() for path in photos.iterdir()} == old
    assert stopped > 3, "it was never stopped in the middle"


def test_what_was_written_before_somebody_interrupted_can_be_taken_back(
    album: Shell, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from photoclip.sidecars import Sidecars

    real, left = Sidecars.update, [3]

    def interrupted(*arguments: object) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(Sidecars, "update", interrupted)
    assert tag(album).code == 130
    assert len(sidecars(photos)) == 3
    monkeypatch.setattr(Sidecars, "update", real)
    album("tag", "--remove").fine()
    assert sidecars(photos) == []


# -- what others see ------------------------------------------------------------------------------


@pytest.mark.exiftool
@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool")
def test_exiftool_sees_the_keywords_that_photoclip_sees(album: Shell, photos: Path) -> None:
    paint(photos / "friend.png", "green", 70)
    (photos / "friend.png.xmp").write_bytes(DIGIKAM)
    album.index(photos)
    with Library.open(album.library) as library:
        own = library.own_keywords(library.photos())
    tag(album, "--min", "0.01").fine()

    def read() -> dict[str, tuple[list[str], list[str]]]:
        tags = ["-XMP-dc:Subject", "-XMP-lr:HierarchicalSubject", "-struct"]
        line = ["exiftool", "-json", "-api", "struct=2", *tags, *map(str, sorted(photos.glob("*.xmp")))]
        rows = json.loads(subprocess.run(line, capture_output=True, check=True, timeout=60).stdout)
        return {
            Path(row["SourceFile"]).name: tuple(
                sorted(map(str, (got if isinstance(got := row.get(key, []), list) else [got])))
                for key in ("Subject", "HierarchicalSubject")
            )
            for row in rows
        }

    seen = read()
    assert len(seen) >= 7
    for name, (flat, deep) in seen.items():
        mine, ours = held(photos / name)
        assert {one.replace("|", "/") for one in deep} == {one for one in mine | ours if "/" in one} | (
            {"garden"} if name.startswith("friend") else set()
        )
        assert {level for one in mine | ours for level in one.split("/")} <= {*flat, "Animals"}
    assert seen["green-3.png.xmp"][0][:2] == ["Colours", "green"]
    album.index(photos)
    with Library.open(album.library) as library:
        assert library.own_keywords(library.photos()) == own
    album("tag", "--remove").fine()
    assert read() == {"friend.png.xmp": (["Dog", "garden"], ["Animals|Dog", "garden"])}
    album.index(photos)
    with Library.open(album.library) as library:
        assert library.own_keywords(library.photos()) == own


def test_search_finds_by_tags_and_by_keywords_of_the_users(album: Shell, photos: Path) -> None:
    own = packet("<dc:subject><rdf:Bag><rdf:li>Green</rdf:li></rdf:Bag></dc:subject>")
    (photos / "yellow-6.png.xmp").write_bytes(own)
    album.index(photos)
    tag(album).fine()

    def found(word: str) -> set[str]:
        return set(album("search", "--tag", word).names)

    assert found("red") == {"red-0.png", "red-1.png", "red-2.png"}
    assert found("green") == {"green-3.png", "green-4.png", "yellow-6.png"}
    assert found("colours") == found("COLOURS/green") == {"green-3.png", "green-4.png"}
    album("tag", "--remove").fine()
    assert found("green") == {"yellow-6.png"}
    counts = album("tags", "--json").fine().rows
    assert counts == [{"label": "Green", "photos": 1, "kind": "keyword"}]
    assert (photos / "yellow-6.png.xmp").read_bytes() == own


# -- what a run loads -----------------------------------------------------------------------------

PROBE = """
import json, sys
from photoclip.cli.run import run

code = run(sys.argv[1:])
json.dump(sorted({name.partition(".")[0] for name in sys.modules}), sys.stderr)
raise SystemExit(code)
"""


@pytest.mark.parametrize(
    "line",
    ["tag --labels labels.txt --write xmp", "tag --labels labels.txt --explain photos/red-0.png",
     "tag --remove", "tags", "tag --labels labels.txt --check truth.csv", "tag --labels builtin:everyday"],
)  # fmt: skip
def test_no_run_loads_torch(album: Shell, line: str) -> None:
    place = album.library.parent
    (place / "truth.csv").write_text("path,labels\nphotos/red-0.png,red\n")
    done = subprocess.run(
        [sys.executable, "-c", PROBE, "--library", str(album.library), *line.split()],
        cwd=place,
        env=environment(),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stderr.splitlines()[-1][done.stderr.splitlines()[-1].index(b"[") :]))
    assert "photoclip" in loaded
    assert not loaded & {"torch", "torchvision", "open_clip", "timm", "transformers", "PIL", "sqlite_utils"}
