"""The documents say what the program does: what can be checked by a machine is checked here."""

from __future__ import annotations

import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photoclip import Library
from photoclip.cli import reference
from photoclip.cli.app import _globals_first
from tests.conftest import ROOT, Made, MakeShell, Shell, environment

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
COMMANDS = dict(reference.commands())
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text("utf-8")) if kind == language]


# -- the generated pages --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cli.md", "exit-codes.md"])
def test_a_generated_page_is_as_the_program_is_now(name: str) -> None:
    assert (reference.DOCS / name).read_text("utf-8") == reference.pages()[name], (
        "run: python -m photoclip.cli.reference"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_an_example(name: str) -> None:
    text = COMMANDS[name].help or ""
    assert text.strip()
    assert re.search(rf"^Example: photoclip {name}\b", text, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_argument_of_a_command_has_help(name: str) -> None:
    assert [param.name for param in COMMANDS[name].params if not (param.help or "").strip()] == []


def test_no_two_classes_of_errors_share_an_exit_code() -> None:
    codes = [known.exit_code for known in reference.error_classes()]
    assert len(codes) == len(set(codes))
    assert not {0, 130} & set(codes)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_guide(name: str) -> None:
    guide = "".join(page.read_text("utf-8") for page in (DOCS / "guide").glob("*.md"))
    assert re.search(rf"photoclip {name}\b", guide)


# -- examples and links ---------------------------------------------------------------------------


def examples() -> Iterator[Any]:
    """Yield the words of every ``photoclip …`` that a console block tells the reader to type."""
    for page in PAGES:
        for block in blocks(page, "console"):
            for line in block.splitlines():
                if line.startswith("$ "):
                    for words in simple_commands(line[2:]):
                        if words[0] == "photoclip":
                            yield pytest.param(words[1:], id=f"{page.name}: {' '.join(words)}")


def simple_commands(line: str) -> Iterator[list[str]]:
    """Split a shell line at its pipes and separators; redirections and what they name are left out."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    redirected = False
    for token in [*lexer, ";"]:
        if set(token) <= set("|&;()"):
            if words:
                yield words
            words = []
        elif set(token) <= set("<>"):
            redirected = True
        elif redirected:
            redirected = False
        else:
            words.append(token)


@pytest.mark.parametrize("words", list(examples()))
def test_an_example_is_a_command_that_exists_with_options_that_exist(words: list[str]) -> None:
    understand(words)


@pytest.mark.parametrize(
    "words", [["find", "x"], ["search", "x", "--colour"], ["search", "-n", "many"], ["forget"]]
)
def test_an_example_that_cannot_be_typed_would_be_found(words: list[str]) -> None:
    with pytest.raises(Exception):  # noqa: B017  Typer's usage errors have no public name
        understand(words)


def understand(words: list[str]) -> None:
    """Parse a command line as the program would, and run nothing; raises for what it would refuse."""
    rest = _globals_first(words)
    while rest and rest[0].startswith("-"):
        rest = rest[2:] if rest[0] == "--library" else rest[1:]
    for length in (2, 1):
        name = " ".join(rest[:length])
        if name in COMMANDS:
            COMMANDS[name].make_context(name, rest[length:])
            return
    assert not rest, f"there is no command {rest[0]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    text = BLOCK.sub("", page.read_text("utf-8"))
    targets = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in targets if link and not (page.parent / link).exists()] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in PAGES and page not in reached:
            reached.add(page)
            links = re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8"))
            waiting += [(page.parent / link).resolve() for link in links if "://" not in link]
    assert [page for page in PAGES if page not in reached] == []


@pytest.mark.parametrize("script", blocks(DOCS / "guide" / "python.md", "python"))
def test_the_python_of_the_guide_runs(script: str, colours: Made, tmp_path: Path) -> None:
    settings = tmp_path / "config" / "photoclip" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('model = "fake"\n')
    (tmp_path / "Pictures").symlink_to(colours.photos)
    variables = {
        "PHOTOCLIP_LIBRARY": str(colours.copy_to(tmp_path)),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment(**variables),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "red-0.png" in done.stdout


# -- formats --------------------------------------------------------------------------------------


@pytest.fixture
def album(tmp_path: Path, shell_for: MakeShell) -> Shell:
    """A library with two photos that are the same, one that is not, a problem and tags."""
    for name, colour in {"red": (220, 20, 20), "again": (220, 20, 20), "blue": (30, 60, 220)}.items():
        Image.new("RGB", (64, 48), colour).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.jpg").write_bytes(b"")
    (tmp_path / "labels.txt").write_text("red\n")
    shell = shell_for(tmp_path / "library")
    shell.index(tmp_path)
    return shell


def documented(page: str, heading: str) -> set[str]:
    """Return the words in the first column of the table under a heading."""
    text = (DOCS / "reference" / page).read_text("utf-8")
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return set(re.findall(r"^\| `([^`]+)`", section, re.MULTILINE))


def keys(value: Any, prefix: str = "") -> set[str]:
    """Return the keys of a JSON object; those of objects in lists as ``list[].key``."""
    found = set()
    for key, item in value.items():
        found.add(prefix + key)
        for inner in item if isinstance(item, list) else []:
            found |= keys(inner, f"{prefix}{key}[].")
    return found


def test_the_documented_keys_are_those_of_the_output(album: Shell, tmp_path: Path) -> None:
    photo = documented("json.md", "A photo")
    group = documented("json.md", "dupes") | {f"photos[].{key}" for key in photo}

    def rows(*arguments: str | Path) -> set[str]:
        answer = album(*arguments, "--format", "jsonl").fine()
        return set().union(*(keys(row) for row in answer.rows))

    assert rows("list") == photo
    assert rows("search", "red", "--like", tmp_path / "red.png", "--explain") == photo | documented(
        "json.md", "search"
    )
    taken = rows("search", "red", "--copy-to", tmp_path / "taken")
    assert taken == documented("json.md", "search --copy-to")
    assert rows("tag", "--labels", tmp_path / "labels.txt") == documented("json.md", "tag")
    (tmp_path / "truth.csv").write_text(f"path,labels\n{tmp_path / 'red.png'},red\n")
    check = rows("tag", "--labels", tmp_path / "labels.txt", "--check", tmp_path / "truth.csv")
    assert check == documented("json.md", "tag --check")
    explained = rows("tag", "--labels", tmp_path / "labels.txt", "--explain", tmp_path / "red.png")
    assert explained == documented("json.md", "tag --explain")
    assert rows("dupes") == group
    assert rows("problems") == documented("json.md", "problems")
    assert keys(album("tags", "--json").fine().rows[0]) == documented("json.md", "tags")
    assert keys(album.index(tmp_path)) == documented("json.md", "index")
    assert keys(album("status", "--json").fine().json) == documented("json.md", "status")
    assert keys(album("models", "list", "--json").fine().rows[0]) == documented("json.md", "models list")


@pytest.mark.parametrize("command", ["list", "search red", "problems"])
def test_the_columns_of_csv_are_the_documented_keys(album: Shell, command: str) -> None:
    lines = album(*command.split(), "--format", "csv").fine().out.decode().splitlines()
    objects = album(*command.split(), "--format", "jsonl").fine().rows
    assert lines[0].split(",") == list(objects[0])


def test_the_documented_schema_is_the_one_in_a_library(album: Shell) -> None:
    with sqlite3.connect(album.library / "catalogue.sqlite") as catalogue:
        tables = {row[0] for row in catalogue.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        ours = {name for name in tables if not name.startswith(("sqlite_", "_sqlite"))}
        columns = {name: {row[1] for row in catalogue.execute(f"PRAGMA table_info({name})")} for name in ours}
    catalogue.close()
    assert columns == {name: documented("storage.md", f"`{name}`") for name in ours}


def test_a_library_can_be_read_with_the_ten_lines_of_the_storage_page(album: Shell) -> None:
    (script,) = blocks(DOCS / "reference" / "storage.md", "python")
    assert len(script.splitlines()) <= 10
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=album.library,
        capture_output=True,
        text=True,
        check=True,
    )
    with Library.open(album.library) as library:
        found = [
            (hit.photo.path.decode(), hit.similarity)
            for hit in library.search(like=[str(album.library.parent / "red.png")])
        ]
    read = [
        (path, float(number)) for number, path in (line.split(" ", 1) for line in done.stdout.splitlines())
    ]
    assert {path for path, _ in read} == {path for path, _ in found}
    assert dict(read) == pytest.approx(dict(found), abs=1e-3)


# -- the two commands of the README ---------------------------------------------------------------


def test_the_readme_has_two_commands_that_need_nothing_but_python() -> None:
    lines = [
        line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("python3 -m venv")
    ]
    assert len(lines) == 3
    demo, own, test = lines
    assert own.endswith('&& .venv/bin/photoclip search "beach at sunset"')
    assert demo.endswith("&& .venv/bin/photoclip demo")
    assert test.endswith("&& .venv/bin/python -m pytest -q -n 2")


def test_ci_takes_its_command_from_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    pattern = re.search(r"grep -m1 -E '([^']+)' README.md", script)
    assert pattern is not None
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if re.search(pattern[1], line)]
    assert len(lines) == 1
    assert "pip install" not in script
    assert script.rstrip().endswith('"${line##* && }"')
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_the_top_of_the_repository_holds_only_what_belongs_there() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is no checkout")
    top = {name.partition("/")[0] for name in listed.stdout.decode().split("\0") if name}
    known = {"photoclip", "tests", "docs", "pyproject.toml", "LICENSE", "README.md"}
    assert {name for name in top if not name.startswith(".")} <= known


def test_the_version_is_said_in_one_voice() -> None:
    metadata = (ROOT / "pyproject.toml").read_text()
    from photoclip import __version__

    assert f'version = "{__version__}"' in metadata
    assert __version__ in (DOCS / "changelog.md").read_text()
