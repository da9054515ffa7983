"""Output that cannot be written, surroundings that are not there, terminals too narrow for a word."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from photoclip import Library
from photoclip.indexing import IndexOptions
from tests.conftest import HOSTILE_NAMES, command, environment, evidence
from tests.faults.fault import Outcome, Scale, fault
from tests.pictures import paint
from tests.terminal import acting, on_terminal

_SECONDS = 60
_Some = Callable[[Sequence[Any]], Sequence[Any]]
"""Chooses the cases that are tried: all of them, or one."""


@dataclass(frozen=True)
class _Said:
    code: int
    out: bytes
    err: bytes


@dataclass(frozen=True)
class _Place:
    """A library of photos under hostile names, and a list of labels."""

    folder: Path
    library: Path

    def lines(self) -> list[tuple[str, ...]]:
        """Return every command that needs nothing else, in the ways in which it writes."""
        photos, labels = str(self.folder / "photos"), str(self.folder / "labels.txt")
        return [
            ("--help",), ("--version",), (), ("search", "--help"), ("models",), ("models", "list"),
            ("models", "list", "--json"), ("models", "info", "fake"), ("status",), ("status", "--json"),
            ("check",), ("list",), ("list", "-0"), ("list", "-f", "json"), ("list", "-f", "csv"),
            ("list", "-f", "tsv"), ("list", "-f", "table"), ("list", "--template", "{path}"),
            ("search", "red"), ("search", "red", "-f", "jsonl"), ("search", "red", "-f", "table"), ("tags",),
            ("tags", "--json"), ("problems",), ("problems", "-f", "jsonl"), ("dupes",),
            ("dupes", "-f", "json"), ("tag", "--labels", labels), ("tag", "--labels", labels, "-f", "jsonl"),
            ("index", photos), ("index", photos, "--json"), ("forget", photos + "/nothing"),
            ("search", "red", "--among", "-"),
        ]  # fmt: skip

    def line(self, arguments: tuple[str, ...]) -> list[str]:
        return command("--library", self.library, *arguments)


def _set_scene(place: Path) -> _Place:
    for number, name in enumerate(HOSTILE_NAMES):
        paint(os.path.join(os.fsencode(place), b"photos", name), "red", number)
    paint(place / "photos" / "copy.png", "red", 0)
    (place / "photos" / "broken.png").write_bytes(b"this is no picture")
    (place / "labels.txt").write_text("red\nblue\n")
    with Library.open_or_create(place / "library") as library:
        library.index([place / "photos"], IndexOptions(model="fake", jobs=1))
        library.tag(["red"])
        library.duplicates()
    return _Place(place, place / "library")


# -- ways to lose what is written -------------------------------------------------------------------


def _redirected(line: list[str], how: str, **env: str) -> _Said:
    """Run a command in a shell with ``how`` behind it."""
    done = subprocess.run(
        ["bash", "-c", f'"$@" {how}', "bash", *line],
        stdin=subprocess.DEVNULL, capture_output=True, env=environment(**env), timeout=_SECONDS,
    )  # fmt: skip
    return _Said(done.returncode, done.stdout, done.stderr)


def _to_nobody(line: list[str]) -> _Said:
    """Run a command whose reader was gone before the first byte."""
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        done = subprocess.run(
            line, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE,
            env=environment(), timeout=_SECONDS,
        )  # fmt: skip
    finally:
        os.close(theirs)
    return _Said(done.returncode, b"", done.stderr)


_STDOUT_LOST = (">&-", ">/dev/full", ">/dev/full 2>&-", "<&- >&- 2>&-")
_STDOUT_WHOLE = ("2>&-", "2>/dev/full", "<&-", "2>&- <&-", "| cat")


def _judge_lost_output(place: _Place, arguments: tuple[str, ...], usual: _Said, some: _Some) -> Iterator[str]:
    line = place.line(arguments)
    for how in some(_STDOUT_LOST):
        said = _redirected(line, how)
        wanted = 1 if usual.out else usual.code
        if said.code != wanted:
            yield f"{how}: exit code {said.code} and not {wanted}: {said.err!r}"
        if "2>" not in how and wanted != usual.code and b"error: " not in said.err:
            yield f"{how}: no error is named: {said.err!r}"
        yield from _noises(how, said)
    for how in some(("no reader", "| head -c 1; exit ${PIPESTATUS[0]}")):
        said = _redirected(line, how) if how.startswith("|") else _to_nobody(line)
        if said.code != usual.code:
            yield f"{how}: exit code {said.code} and not {usual.code}: {said.err!r}"
        yield from _noises(how, said)
    for how in some(_STDOUT_WHOLE):
        said = _redirected(line, f"{how}; exit ${{PIPESTATUS[0]}}")
        if (said.code, _lasting(said.out)) != (usual.code, _lasting(usual.out)):
            sizes = f"{len(said.out)} bytes and not {len(usual.out)}"
            yield f"{how}: exit code {said.code}, {sizes}: {said.err!r}"
        yield from _noises(how, said)


def _noises(how: str, said: _Said) -> Iterator[str]:
    for noise in (b"Traceback", b"Exception ignored", b"Warning"):
        if noise in said.out + said.err:
            yield f"{how}: {noise.decode()}: {said.err[-300:]!r}"


def _lasting(out: bytes) -> bytes:
    """Return output without what differs from run to run."""
    return re.sub(rb'"seconds": [\d.]+', b"", out)


# -- surroundings ---------------------------------------------------------------------------------

_NONE = {"HOME": "", "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": "", "LANG": "", "TERM": ""}
_SURROUNDINGS: tuple[dict[str, str], ...] = (
    {"LANG": "C"}, {"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "utf-16"}, {"LC_ALL": "no_such"},
    {"PYTHONIOENCODING": "latin-1:strict"}, {"TERM": "dumb"}, {"COLUMNS": "20"}, {"COLUMNS": "0"},
    {"COLUMNS": "none"}, {"FORCE_COLOR": "1"}, {"HOME": "/dev/null"}, {"TMPDIR": "/no/such/folder"}, _NONE,
)  # fmt: skip


def _judge_surroundings(
    place: _Place, arguments: tuple[str, ...], usual: _Said, some: _Some
) -> Iterator[str]:
    line = place.line(arguments)
    for variables in some(_SURROUNDINGS):
        unset = "".join(f"-u {name} " for name, value in variables.items() if not value)
        done = _redirected(["env", *unset.split(), *line], "", **{n: v for n, v in variables.items() if v})
        yield from _noises(str(variables), done)
        if done.code != usual.code:
            yield f"{variables}: exit code {done.code} and not {usual.code}: {done.err[-200:]!r}"
        elif _is_exact(arguments) and _lasting(done.out) != _lasting(usual.out):
            yield f"{variables}: other data"
    nowhere = place.library / "nowhere"
    nowhere.mkdir()
    shell = ["bash", "-c", 'cd "$1" && rmdir "$1" && shift && "$@"', "bash", str(nowhere), *line]
    said = _redirected(shell, "")
    yield from _noises("a folder that was deleted", said)
    if said.code != usual.code or (_is_exact(arguments) and _lasting(said.out) != _lasting(usual.out)):
        yield f"a folder that was deleted: exit code {said.code}: {said.err[-200:]!r}"


def _is_exact(arguments: tuple[str, ...]) -> bool:
    """Return whether a command writes data for programs."""
    return bool({"-0", "json", "jsonl", "csv", "tsv", "--template", "--json"} & set(arguments))


def _judge_terminals(place: _Place, arguments: tuple[str, ...], usual: _Said, some: _Some) -> Iterator[str]:
    if "-0" in arguments or "-" in arguments:
        return
    settings: tuple[tuple[int, dict[str, str]], ...] = (
        (80, {}), (20, {}), (1, {}), (0, {}), (80, {"TERM": "dumb"}), (80, {"TERM": ""}),
        (80, {"NO_COLOR": "1"}), (80, {"COLUMNS": "20"}), (80, {"COLUMNS": "1"}),
    )  # fmt: skip
    for columns, variables in some(settings):
        screen, code = on_terminal(place.line(arguments), columns, **variables)
        where = f"a terminal of {columns} columns {variables}"
        yield from _noises(where, _Said(code, screen, b""))
        if code != usual.code:
            yield f"{where}: exit code {code} and not {usual.code}: {screen[-200:]!r}"
        if acts := acting(screen.replace(b"\t", b"") if "tsv" in arguments else screen):
            yield f"{where} is acted upon: {acts[:3]}"
        if "NO_COLOR" in variables and re.search(rb"\x1b\[[0-9;]*3\dm", screen):
            yield f"{where}: colours"


# -- libraries that are none ------------------------------------------------------------------------


def _judge_libraries(place: _Place, outcome: Outcome) -> None:
    """Point ``PHOTOCLIP_LIBRARY`` at what is no library."""
    (place.folder / "file").write_text("a file")
    (place.folder / "link").symlink_to(place.folder / "no such place")
    (place.folder / "loop").symlink_to(place.folder / "loop")
    (place.folder / "empty").mkdir()
    named = [str(place.folder / name) for name in ("file", "file/below", "link", "loop", "empty")]
    for library in (*named, "/dev/null", "/proc/nowhere", "x" * 300, "\udcff\x1b[31m"):
        for arguments, codes in ((("list",), {1, 3}), (("check",), {1, 3}), (("status",), {1, 3})):
            said = _redirected(command(*arguments), "", PHOTOCLIP_LIBRARY=library, HOME=str(place.folder))
            _judge_one_line(f"{arguments} with the library {library[-20:]!r}", said, codes, outcome)
        if library in ("/dev/null", "/proc/nowhere", named[0], named[1], named[3]):
            line = command("index", place.folder / "photos", "--model", "fake")
            said = _redirected(line, "", PHOTOCLIP_LIBRARY=library)
            _judge_one_line(f"index with the library {library[-20:]!r}", said, {1}, outcome)


def _judge_one_line(where: str, said: _Said, codes: set[int], outcome: Outcome) -> None:
    outcome.rounds += 1
    outcome.require(said.code in codes, f"{where}: exit code {said.code}: {said.err[-200:]!r}")
    outcome.require(said.err.startswith(b"error: "), f"{where}: no error is named: {said.err[-200:]!r}")
    outcome.require(b"Traceback" not in said.err, f"{where}: a traceback")
    outcome.require(not acting(said.err), f"{where}: the talk acts")


# -- the whole --------------------------------------------------------------------------------------

_JUDGES = (_judge_lost_output, _judge_surroundings, _judge_terminals)
_ALWAYS = (("--help",), ("dupes",), ("list", "-f", "table"))


def _judge(scene: _Place, arguments: tuple[str, ...], some: _Some) -> list[str]:
    """Judge one command, with a copy of the library for itself."""
    with tempfile.TemporaryDirectory(dir=scene.folder) as folder:
        own = replace(scene, library=Path(shutil.copytree(scene.library, Path(folder) / "library")))
        usual = _redirected(own.line(arguments), "")
        faults = [fault for judge in _JUDGES for fault in judge(own, arguments, usual, some)]
    return [f"{' '.join(arguments)}: {fault}" for fault in faults]


@fault(29, "output that cannot be written, poor surroundings")
def broken_output(place: Path, scale: Scale) -> Outcome:
    """Take from every command its output, its locale, its terminal, its home and its folder."""
    outcome = Outcome()
    scene = _set_scene(place)
    photos = evidence(place / "photos")
    lines = scene.lines()
    outcome.count("commands", len(lines))
    chance = scale.chance("output")
    chosen = lines if scale.long else [*_ALWAYS, *chance.sample(lines, 1)]

    def some(cases: Sequence[Any]) -> Sequence[Any]:
        taken = cases if scale.long else chance.sample(cases, 1)
        outcome.rounds += len(taken)
        return taken

    with ThreadPoolExecutor(2 if scale.long else 4) as pool:
        for faults in pool.map(lambda arguments: _judge(scene, arguments, some), chosen):
            outcome.faults += faults
    if scale.long:
        _judge_libraries(scene, outcome)
    outcome.require(evidence(place / "photos") == photos, "photos were changed")
    return outcome
