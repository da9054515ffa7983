"""The contract of the command line: formats, options, words, exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

import photoclip
from photoclip.cli.app import app
from tests.conftest import Made, MakeShell, Shell, command, environment
from tests.pictures import paint

HIT_KEYS = [
    "rank", "similarity", "margin", "relevant", "path", "taken_at", "width", "height", "size", "format",
    "camera", "lens", "latitude", "longitude", "hash", "model",
]  # fmt: skip
PHOTO_KEYS = [key for key in HIT_KEYS if key not in ("rank", "similarity", "margin", "relevant", "model")]


# -- formats --------------------------------------------------------------------------------------


def test_in_a_pipe_photos_are_bare_absolute_paths(colours: Made, colourful: Shell) -> None:
    answer = colourful("search", "green", "-n", "1").fine()
    assert answer.out == os.fsencode(colours.photos / "green-3.png") + b"\n"
    assert answer.err == ""
    assert colourful("list").paths == sorted(os.fsencode(path) for path in colours.photos.rglob("*.png"))


def test_json_is_one_list_and_jsonl_one_object_a_line(colourful: Shell) -> None:
    assert colourful("search", "red", "-f", "json").json == colourful("search", "red", "-f", "jsonl").rows
    assert colourful("list", "--format", "json").json == colourful("list", "--format", "jsonl").rows
    assert colourful("search", "red", "--min", "0.9999", "-f", "json").json == []
    assert colourful("search", "red", "--min", "0.9999", "-f", "jsonl").out == b""


def test_json_keys_are_the_documented_ones_in_order(colourful: Shell) -> None:
    (hit,) = colourful("search", "green", "-n", "1", "-f", "jsonl").rows
    assert list(hit) == HIT_KEYS
    assert (hit["rank"], hit["width"], hit["height"], hit["format"], hit["model"]) == (
        1,
        16,
        16,
        "PNG",
        "fake",
    )
    assert hit["taken_at"] is None
    assert re.fullmatch("[0-9a-f]{64}", hit["hash"])
    assert list(colourful("list", "-f", "jsonl").rows[0]) == PHOTO_KEYS


def test_csv_and_tsv_have_a_header_and_a_row_a_photo(colourful: Shell) -> None:
    for style, dialect in (("csv", "excel"), ("tsv", "excel-tab")):
        text = colourful("search", "red", "-f", style).fine().out.decode()
        rows = list(csv.DictReader(io.StringIO(text, newline=""), dialect=dialect))
        assert list(rows[0]) == HIT_KEYS
        assert [row["path"] for row in rows] == [
            row["path"] for row in colourful("search", "red", "-f", "jsonl").rows
        ]
        empty = colourful("search", "red", "--min", "0.9999", "-f", style).fine().out.decode()
        assert len(empty.splitlines()) == 1


def test_a_template_writes_what_it_says(colourful: Shell) -> None:
    answer = colourful(
        "search",
        "green",
        "-n",
        "1",
        "--template",
        "{rank:>3}\\t{similarity:.3f} {width}x{height} {{{taken_at}}}",
    )
    assert re.fullmatch(rb"  1\t0\.\d{3} 16x16 \{\}\n", answer.fine().out)
    assert colourful("list", "--template", "x", "-0").out == b"x\0" * 7


@pytest.mark.parametrize(
    "template",
    [
        "{nothing}",
        "{path.__class__}",
        "{path[0]}",
        "{",
        "{}",
        "{0}",
        "{similarity:q}",
        "{width:{path}}",
        "{path!r",
    ],
)
def test_a_template_that_makes_no_sense_is_a_usage_error(colourful: Shell, template: str) -> None:
    answer = colourful("search", "red", "--template", template)
    assert (answer.code, answer.out) == (2, b"")
    assert "--template" in answer.err


def test_options_that_contradict_are_usage_errors(colourful: Shell) -> None:
    for line in (
        ("search", "red", "-0", "-f", "json"),
        ("search", "red", "-f", "csv", "--template", "{path}"),
        ("search", "red", "-f", "xml"),
        ("dupes", "-f", "csv"),
        ("search", "red", "--among", "/nowhere/list"),
        ("search", "red", "--unknown"),
        ("nonsense",),
    ):
        answer = colourful(*line)
        assert (answer.code, answer.out) == (2, b""), line
        assert answer.err.startswith("error: "), line


def test_a_table_shows_every_hit(colourful: Shell) -> None:
    text = colourful("search", "red", "-f", "table").fine().out.decode()
    title, *lines = text.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4", "·", "5", "6", "7"]
    assert "similarity" in title
    assert "score" not in text


def test_paths_in_a_table_are_as_short_as_the_place_allows(
    colours: Made, colourful: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(colours.photos)
    text = colourful("list", "-f", "table").fine().out.decode()
    assert str(colours.photos) not in text
    assert "sub/red-0-copy.png" in text
    assert colourful("list").paths[0].startswith(b"/")


def test_capture_time_camera_and_place_are_shown(shell: Shell, photos: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[271], exif[272], exif[274] = "Maker", "Model 7", 6
    exif.get_ifd(0x8769)[36867] = "2021:06:30 18:45:01"
    exif.get_ifd(0x8825).update({1: "S", 2: (33.0, 30.0, 0.0), 3: "W", 4: (70.0, 15.0, 0.0)})
    Image.new("RGB", (60, 40), (220, 20, 20)).save(photos / "a.jpg", exif=exif)
    shell.index(photos)
    (row,) = shell("list", "-f", "jsonl").rows
    assert (row["taken_at"], row["width"], row["height"]) == ("2021-06-30T18:45:01", 40, 60)
    assert "Model 7" in row["camera"]
    assert (row["latitude"], row["longitude"]) == (-33.5, -70.25)
    assert b"2021-06-30" in shell("list", "-f", "table").out


# -- talk -----------------------------------------------------------------------------------------


def test_quiet_says_nothing_but_errors(shell: Shell, photos: Path) -> None:
    paint(photos / "a.png")
    (photos / "broken.jpg").write_bytes(b"?")
    assert shell("index", photos, "--model", "fake", "-j", "1", "-q").err == ""
    assert shell("search", "red", "-q", "--min", "0.9999").err == ""
    assert shell("search", "-q").err.startswith("error: ")


def test_verbose_says_which_model_answered(colourful: Shell) -> None:
    assert "fake" in colourful("search", "red", "-v").err


def test_global_options_stand_before_or_after_the_command(colours: Made, tmp_path: Path) -> None:
    for line in (
        ("--library", colours.library, "list"),
        ("list", "--library", colours.library),
        ("list", f"--library={colours.library}"),
    ):
        done = subprocess.run(command(*line), capture_output=True, env=environment(), timeout=60)
        assert len(done.stdout.splitlines()) == 7, line


def test_a_word_after_two_dashes_is_never_an_option(colourful: Shell) -> None:
    assert colourful("search", "-n", "1", "--", "--debug", "-q", "blue").fine().names == ["blue-4.png"]


def test_the_library_can_be_named_by_the_environment_and_has_a_default(colours: Made, tmp_path: Path) -> None:
    env = environment(PHOTOCLIP_LIBRARY=str(colours.library))
    done = subprocess.run(command("list"), capture_output=True, env=env, timeout=60)
    assert len(done.stdout.splitlines()) == 7
    env = environment(XDG_DATA_HOME=str(tmp_path), HOME=str(tmp_path))
    done = subprocess.run(command("search", "red"), capture_output=True, env=env, timeout=60)
    assert (done.returncode, str(tmp_path).encode() in done.stderr) == (3, True)


def test_an_empty_library_name_is_a_usage_error(tmp_path: Path, photos: Path) -> None:
    paint(photos / "a.png")
    (tmp_path / "here").mkdir()
    line = command("--library", "", "index", photos, "--model", "fake", "-j", "1")
    done = subprocess.run(line, capture_output=True, env=environment(), cwd=tmp_path / "here", timeout=60)
    assert done.returncode == 2, done
    assert list((tmp_path / "here").iterdir()) == []


def test_a_library_may_lie_in_a_folder_whose_name_is_not_utf8(
    tmp_path: Path, photos: Path, shell_for: MakeShell
) -> None:
    paint(photos / "a.png")
    shell = shell_for(Path(os.fsdecode(os.fsencode(tmp_path) + b"/library\xff\n")))
    assert shell.index(photos)["added"] == 1
    assert shell("search", "red").names == ["a.png"]
    for line in (("status",), ("status", "--json"), ("check",), ("dupes",)):
        shell(*line).fine()


def test_debug_shows_where_an_error_comes_from(shell: Shell) -> None:
    answer = shell.process("search", "red", "--debug")
    assert answer.code != 0
    assert "Traceback" in answer.err
    assert "NoLibrary" in answer.err


def test_an_error_is_a_sentence_and_a_hint(shell: Shell) -> None:
    assert re.fullmatch(
        r"error: there is no library in .*\nhint: .*photoclip index.*\n", shell("search", "red").err
    )


def test_a_name_with_escapes_in_an_error_is_harmless(shell: Shell) -> None:
    answer = shell("index", "/nowhere/\x1b[31m\x07[bold]:smile:\udcff")
    assert answer.code == 2
    assert r"\x1b[31m\x07[bold]:smile:\xff" in answer.err


def test_version_and_help_need_no_library(shell: Shell) -> None:
    assert shell("--version").out.decode().strip() == f"photoclip {photoclip.__version__}"
    text = shell("--help").fine().out.decode()
    for name in (
        "index",
        "search",
        "list",
        "tag",
        "tags",
        "dupes",
        "problems",
        "status",
        "check",
        "forget",
        "demo",
        "models",
    ):
        assert name in text
        assert shell(name, "--help").fine().out
    assert not shell.library.exists()


def test_every_command_and_option_says_what_it_is() -> None:
    from typer.main import get_command

    waiting = list(get_command(app).commands.items())  # type: ignore[attr-defined]
    while waiting:
        name, one = waiting.pop()
        waiting += getattr(one, "commands", {}).items()
        assert one.help, name
        assert [option.name for option in one.params if not getattr(option, "help", "")] == [], name


def test_problems_are_listed_in_every_format(shell: Shell, photos: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"?")
    with open(photos / "scan.tif", "wb") as sparse:
        sparse.truncate(3_000_000_000)
    shell.index(photos)
    assert shell("problems").names == ["broken.jpg", "scan.tif"]
    assert shell("problems", "-0").out.count(b"\0") == 2
    rows = shell("problems", "-f", "jsonl").rows
    assert [(list(row), row["kind"]) for row in rows] == [
        (["path", "kind", "reason"], "unreadable"),
        (["path", "kind", "reason"], "unsupported"),
    ]
    assert shell("problems", "--template", "{kind}").out == b"unreadable\nunsupported\n"
    assert b"scan.tif" in shell("problems", "-f", "table").fine().out


def test_many_problems_do_not_flood_the_screen(shell: Shell, photos: Path) -> None:
    for number in range(50):
        (photos / f"{number}.jpg").write_bytes(b"?")
    answer = shell("index", photos, "--model", "fake", "-j", "1").fine()
    assert len(answer.err.splitlines()) < 12
    assert "45 more" in answer.err


def test_json_has_no_bare_nan_and_no_raw_control_character(hostile: Made, shell_for: MakeShell) -> None:
    out = shell_for(hostile.library)("search", "red", "-n", "99", "-f", "jsonl").fine().out
    text = out.decode("utf-8")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", text)
    for line in text.split("\n")[:-1]:
        json.loads(line, parse_constant=lambda constant: pytest.fail(constant))


def test_demo_answers_three_searches_and_leaves_nothing_behind(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    answer = shell.process(
        "demo", env={"TMPDIR": str(tmp_path / "tmp"), "HOME": str(tmp_path / "home")}
    ).fine()
    first = re.findall(r'photoclip search "(.*?)".*?^ *1 +0\.\d{3} +(\S+)', answer.out.decode(), re.S | re.M)
    assert first == [
        ("a cat", "chelsea.png"),
        ("a cup of coffee", "coffee.png"),
        ("a submarine", "china.jpg"),
    ]
    assert b"nothing in this library answers that" in answer.out
    # Each line is ours: PyTorch's parts have things to say when a process ends, too.
    assert [line.split()[0] for line in answer.err.splitlines()] == ["indexing", "cannot", "30", "now"]
    assert "photoclip index" in answer.err
    assert list((tmp_path / "tmp").glob("photoclip*")) == []
    assert not shell.library.exists()
