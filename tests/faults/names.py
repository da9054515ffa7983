"""Names and texts that break programs, under every command, in every format, in a pipe and on a terminal."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import ExifTags, Image

from tests.conftest import evidence
from tests.faults.asking import (
    READERS,
    SHOWN,
    Runner,
    Said,
    exact,
    in_its_own,
    in_this_process,
    rows_in,
    shown,
)
from tests.faults.fault import Outcome, Scale, fault
from tests.faults.hostile import BROKEN_LABELS, LABELS, NAMES, TEXTS, as_folder
from tests.pictures import scene as drawn
from tests.terminal import acting, plain

# -- the scene ------------------------------------------------------------------------------------


@dataclass
class _Scene:
    """Photos under every name, a library of them, and one in which every file is broken."""

    place: bytes
    paths: list[bytes] = field(default_factory=list)
    broken: list[bytes] = field(default_factory=list)

    def at(self, *names: bytes) -> bytes:
        return os.path.join(self.place, *names)

    @property
    def library(self) -> tuple[bytes, ...]:
        return b"--library", self.at(b"library")

    @property
    def library_of_broken(self) -> tuple[bytes, ...]:
        return b"--library", self.at(b"library-of-broken")


def _set_scene(place: Path, scale: Scale, outcome: Outcome) -> _Scene:
    scene = _Scene(os.fsencode(place))
    folders = set(scale.chance("folders").sample(NAMES, scale.rounds(40, len(NAMES))))
    for folder in (b"photos/files", b"photos/folders", b"photos/texts", b"broken"):
        os.makedirs(scene.at(folder))
    for number, name in enumerate(NAMES):
        with contextlib.suppress(OSError):  # some file systems refuse what is not UTF-8, or fold letters
            scene.paths.append(_draw(scene.at(b"photos/files", name), number))
            scene.broken.append(_write(scene.at(b"broken", name), b"this is no picture"))
            if name in folders:
                inside = scene.at(b"photos/folders", as_folder(name))
                os.makedirs(inside)
                scene.paths.append(_draw(os.path.join(inside, b"in.png"), number))
    for number, text in enumerate(TEXTS):
        scene.paths.append(_with_texts(scene.at(b"photos/texts"), number, text))
    scene.paths.sort()
    scene.broken.sort()
    outcome.count("names", len(NAMES))
    outcome.require(len(scene.broken) >= 80, f"this file system takes only {len(scene.broken)} of the names")
    return scene


def _draw(path: bytes, number: int) -> bytes:
    """Save a picture that looks like no other, so that only equal ones are duplicates."""
    content = io.BytesIO()
    drawn(number, 24, 16).save(content, "PNG")
    return _write(path, content.getvalue())


def _write(path: bytes, content: bytes) -> bytes:
    with open(path, "wb") as file:
        file.write(content)
    return path


def _with_texts(folder: bytes, number: int, text: str) -> bytes:
    """Save a red photo made with a camera and a lens of this name."""
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = text.encode()
    exif[ExifTags.Base.Software] = text.encode()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] = text.encode()
    content = io.BytesIO()
    drawn(10_000 + number, 24, 16).save(content, "JPEG", exif=exif)
    return _write(os.path.join(folder, b"%03d.jpg" % number), content.getvalue())


# -- what is asked of every command ---------------------------------------------------------------


@dataclass(frozen=True)
class _Question:
    """A command that lists photos: the paths it must write, what it reads, and how it may write them."""

    name: str
    arguments: tuple[bytes, ...]
    wanted: Sequence[bytes]
    stdin: bytes = b""
    formats: frozenset[str] = frozenset((*READERS, *SHOWN))


def _questions(scene: _Scene) -> Iterator[_Question]:
    everything, whole = scene.paths, scene.library
    lines = [path for path in everything if b"\n" not in path]
    nul, by_line = b"\0".join(everything), b"\n".join(lines)
    _write(scene.at(b"nul"), nul)
    _write(scene.at(b"lines"), by_line)
    _write(scene.at(b"labels"), "\n".join(LABELS).encode())
    many = (b"-n", b"9999")
    yield _Question("list", (*whole, b"list"), everything)
    yield _Question("search", (*whole, b"search", b"red", *many), everything)
    yield _Question("search --like", (*whole, b"search", b"--like", everything[0], *many), everything)
    yield _Question("list --among FILE", (*whole, b"list", b"--among", scene.at(b"nul")), everything)
    yield _Question(
        "search --among FILE", (*whole, b"search", b"red", *many, b"--among", scene.at(b"lines")), lines
    )
    yield _Question("search --among -", (*whole, b"search", b"red", *many, b"--among", b"-"), everything, nul)
    yield _Question("list --among -", (*whole, b"list", b"--among", b"-"), lines, by_line)
    tag = (*whole, b"tag", b"--min", b"0", b"--labels")
    yield _Question("tag", (*tag, scene.at(b"labels")), everything)
    yield _Question(
        "tag --labels - --among FILE", (*tag, b"-", b"--among", scene.at(b"lines")), lines, b"red"
    )
    groups = frozenset(("json", "jsonl", "print0", "table", "paths"))
    twice = {_content(path) for path in everything if b"/folders/" in path}
    pairs = [path for path in everything if _content(path) in twice]
    few = sorted(path for path in pairs if _content(path) in sorted(twice)[:6])
    _write(scene.at(b"few"), b"\0".join(few))
    yield _Question(
        "dupes --among FILE", (*whole, b"dupes", b"--among", scene.at(b"few")), few, formats=groups
    )
    yield _Question("dupes --level", (*whole, b"dupes", b"--level", b"identical"), pairs, formats=groups)
    yield _Question("problems", (*scene.library_of_broken, b"problems"), scene.broken)


def _content(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _judge_in_a_pipe(one: _Question, runner: Runner, outcome: Outcome) -> None:
    for name, (options, read) in READERS.items():
        if name in one.formats:
            where = f"{one.name} as {name}"
            said = runner((*one.arguments, *options), one.stdin)
            _judge_talk(said, where, outcome)
            try:
                got = sorted(read(said.out))
            except (ValueError, KeyError) as error:
                outcome.faults.append(f"{where}: cannot be read back: {error}")
                continue
            outcome.require(got == sorted(one.wanted), f"{where}: {_difference(got, one.wanted)}")
            outcome.count("names read back", len(one.wanted))
    for name, options in SHOWN.items():
        if name in one.formats:
            said = runner((*one.arguments, *options), one.stdin)
            _judge_talk(said, f"{one.name} as {name}", outcome)
            spell = shown if name == "table" else bytes
            _judge_presence(said.out, one.wanted, spell, f"{one.name} as {name}", outcome)
            if name == "table":
                outcome.require(not acting(said.out), f"{one.name} as a table acts: {acting(said.out)[:3]}")


def _judge_on_a_terminal(one: _Question, runner: Runner, outcome: Outcome) -> None:
    raw = ("print0", "template and print0")  # meant for programs, wherever it goes
    formats = {name: options for name, (options, _) in READERS.items() if name not in raw} | SHOWN
    for name, options in formats.items():
        if name in one.formats:
            where = f"{one.name} as {name} on a terminal"
            said = runner((*one.arguments, *options), one.stdin, terminal=True)
            _judge_talk(said, where, outcome)
            acts = acting(said.out.replace(b"\t", b"") if name == "tsv" else said.out)
            outcome.require(not acts, f"{where} acts: {acts[:3]}")
            if name in SHOWN:
                _judge_presence(plain(said.out), one.wanted, shown, where, outcome)


def _judge_presence(
    out: bytes, wanted: Iterable[bytes], spell: Callable[[bytes], bytes], where: str, outcome: Outcome
) -> None:
    lost = [path for path in wanted if spell(path) not in out]
    outcome.require(not lost, f"{where}: {len(lost)} names are not there, as {lost[:1]}")
    outcome.count("names seen", len(list(wanted)))


def _judge_talk(said: Said, where: str, outcome: Outcome, code: int = 0) -> None:
    outcome.rounds += 1
    outcome.require(said.code == code, f"{where}: exit code {said.code}: {said.err[-200:]!r}")
    outcome.require(b"Traceback" not in said.out + said.err, f"{where}: a traceback")
    outcome.require(not acting(said.err), f"{where}: the talk acts: {acting(said.err)[:3]}")


def _difference(got: Iterable[bytes], wanted: Iterable[bytes]) -> str:
    lost, made_up = set(wanted) - set(got), set(got) - set(wanted)
    return (
        f"{len(lost)} lost as {sorted(lost)[:1]}, {len(made_up)} made up as {sorted(made_up)[:1]}, or twice"
    )


# -- commands that take a name, and texts -----------------------------------------------------------


def _judge_arguments(scene: _Scene, paths: Sequence[bytes], at_once: int, outcome: Outcome) -> None:
    """Give names to ``index`` and ``forget``: whole, after ``--``, and as ``./NAME`` from their folder."""
    here = os.getcwd()
    os.chdir(os.path.dirname(paths[0]))
    try:
        for first in range(0, len(paths), at_once):
            some = paths[first : first + at_once]
            names = [os.path.basename(path) for path in some]
            ways = (tuple(some), (b"--", *names), tuple(b"./" + name for name in names))
            for way in ways:
                said = in_this_process((*scene.library, b"index", b"--json", *way))
                _judge_talk(said, f"index {way[-1]!r}", outcome)
                unchanged = f'"unchanged": {len(some)},'.encode()
                outcome.require(unchanged in said.out, f"index of {len(some)} as {way[-1]!r}: {said.out!r}")
            said = in_this_process((*scene.library, b"forget", *ways[first // at_once % 3]))
            _judge_talk(said, f"forget {some[-1]!r}", outcome)
            forgotten = re.match(rb"(\d+) photos? forgotten", said.err)
            outcome.require(
                forgotten is not None and int(forgotten[1]) == len(some),
                f"forget of {len(some)} as {some[-1]!r} said {said.err!r}",
            )
    finally:
        os.chdir(here)


def _judge_likeness(scene: _Scene, runner: Runner, paths: Sequence[bytes], outcome: Outcome) -> None:
    for path in paths:
        said = runner((*scene.library, b"search", b"--like", path, b"-n", b"1", b"-0"))
        _judge_talk(said, f"search --like {path!r}", outcome)
        outcome.require(said.out.count(b"\0") == 1, f"search --like {path!r} found {said.out!r}")


def _judge_missing_names(scene: _Scene, runner: Runner, names: Sequence[bytes], outcome: Outcome) -> None:
    """Name things that are not there: every error is one line that does nothing."""
    for name in names:
        path = scene.at(b"nowhere", name)
        lines: tuple[tuple[int, tuple[bytes, ...]], ...] = (
            (2, (b"index", path)), (6, (b"search", b"--like", path)), (2, (b"dupes", path)),
            (2, (b"list", b"--among", path)), (2, (b"index", b"--from", path)),
            (2, (b"tag", b"--labels", path)), (5, (b"models", b"use", name)), (2, (b"list", b"--" + name)),
            (2, (b"list", b"-f", name)), (2, (b"list", b"--template", b"{" + name + b"}")), (2, (name, b"x")),
        )  # fmt: skip
        for code, line in lines:
            if not _means_something_else(line):
                said = runner((*scene.library, *line), terminal=True)
                where = f"{b' '.join(line)!r} that is not there"
                _judge_talk(said, where, outcome, code)
                outcome.require(not acting(said.out), f"{where} acts: {acting(said.out)[:3]}")


def _means_something_else(line: tuple[bytes, ...]) -> bool:
    """Return whether a name in the place of an option's value or a command is one."""
    name = line[0] if line[-1] == b"x" else line[-1]
    loose = (
        line[-1] == b"x"
        or line[0] == b"models"
        or (len(line) == 2 and line[0] == b"list")
        or line[1] == b"-f"
    )
    return (loose and name.startswith((b"-", b"--"))) or b"--template" in line


def _judge_labels(scene: _Scene, runner: Runner, outcome: Outcome) -> None:
    everything = (*scene.library, b"tag", b"--min", b"0", b"--labels", scene.at(b"labels"))
    _judge_talk(runner(everything), "tag", outcome)
    said = runner((*scene.library, b"tags", b"--json"))
    _judge_talk(said, "tags --json", outcome)
    kept = {row["label"] for row in rows_in(said.out)}
    outcome.require(kept >= set(LABELS), f"tags --json has not {set(LABELS) - kept}")
    for terminal in (False, True):
        said = runner((*scene.library, b"tags"), terminal=terminal)
        _judge_talk(said, "tags", outcome)
        outcome.require(not acting(said.out), f"tags acts: {acting(said.out)[:3]}")
        lost = [label for label in LABELS if label.encode() not in plain(said.out)]
        outcome.require(not lost, f"tags does not show {lost[:1]}")
    said = runner((*everything, b"-f", b"jsonl"))
    given = {tag["label"] for row in rows_in(said.out) for tag in row["tags"]}
    outcome.require(given == set(LABELS), f"tag -f jsonl: {given ^ set(LABELS)}")
    os.mkdir(scene.at(b"lists"))
    for number, labels in enumerate(BROKEN_LABELS):
        source = _write(scene.at(b"lists", NAMES[number]), labels)
        for terminal in (False, True):
            said = runner((*scene.library, b"tag", b"--labels", source), terminal=terminal)
            _judge_talk(said, f"tag with {labels!r}", outcome, 2)
            outcome.require(not acting(said.out), f"tag with {labels!r} acts: {acting(said.out)[:3]}")


def _judge_texts(scene: _Scene, runner: Runner, outcome: Outcome) -> None:
    """What EXIF calls a camera is text: whole where it is printable, without what acts in any case."""
    said = runner((*scene.library, b"list", b"-f", b"jsonl"))
    cameras = {row["camera"] for row in rows_in(said.out)}
    lost = [text for text in TEXTS if text.isprintable() and text.strip() not in cameras]
    outcome.require(not lost, f"cameras that are lost: {lost}")
    for template in (b"{camera}|{lens}", b"{camera:>20}|{lens!s}"):
        for terminal in (False, True):
            said = runner((*scene.library, b"list", b"--template", template), terminal=terminal)
            _judge_talk(said, f"list --template {template!r}", outcome)
            outcome.require(not acting(said.out), f"list --template {template!r} acts")


# -- the whole --------------------------------------------------------------------------------------


def _index_everything(scene: _Scene, runner: Runner, outcome: Outcome) -> None:
    """Index all of it: from its folder, from a file, from stdin, on a terminal with a bar."""
    start = (b"index", b"--json", b"-j", b"1", b"--model", b"fake")
    said = runner((*scene.library, *start, scene.at(b"photos")), terminal=True)
    _judge_talk(said, "index on a terminal", outcome)
    outcome.require(not acting(said.out), f"index on a terminal acts: {acting(said.out)[:3]}")
    said = runner((*scene.library_of_broken, *start, scene.at(b"broken")), terminal=True)
    _judge_talk(said, "index of broken files", outcome)
    outcome.require(not acting(said.out), f"index of broken files acts: {acting(said.out)[:3]}")
    said = runner((*scene.library_of_broken, *start, b"--deep", scene.at(b"broken")))
    _judge_talk(said, "index of broken files in a pipe", outcome)
    nul = b"\0".join(scene.paths)
    for source, stdin in ((b"-", nul), (scene.at(b"from"), b"")):
        if not stdin:
            _write(source, nul)
        said = runner((*scene.library, b"index", b"--json", b"--from", source), stdin)
        _judge_talk(said, "index --from", outcome)
        wanted = f'"unchanged": {len(scene.paths)},'.encode()
        outcome.require(wanted in said.out, f"index --from found {said.out!r}, not {len(scene.paths)}")


def _judge_library_under_a_name(
    scene: _Scene, runner: Runner, names: Sequence[bytes], outcome: Outcome
) -> None:
    """Give the library itself, and so its root, a hostile name."""
    for name in names:
        library = (b"--library=" + scene.at(b"libraries", name),)
        photo = next(path for path in scene.paths if path.endswith(b"in.png"))
        said = runner((*library, b"index", b"--json", b"-j", b"1", b"--model", b"fake", photo))
        _judge_talk(said, f"index into {name!r}", outcome)
        said = runner((*library, b"status", b"--json"))
        _judge_talk(said, f"status of {name!r}", outcome)
        outcome.require(
            exact(rows_in(said.out)[0], "library") == library[0][10:], f"status --json of {name!r}"
        )
        for line, terminal in itertools.product(((b"status",), (b"check",)), (False, True)):
            said = runner((*library, *line), terminal=terminal)
            _judge_talk(said, f"{line[0]!r} of {name!r}", outcome)
            outcome.require(not acting(said.out), f"{line[0]!r} of {name!r} acts: {acting(said.out)[:3]}")


@fault(25, "hostile names")
def hostile_names(place: Path, scale: Scale) -> Outcome:
    """Index, find, tag, list and forget photos under hostile names; in the long form with real processes."""
    outcome = Outcome()
    scene = _set_scene(place, scale, outcome)
    photos = evidence(place / "photos")
    runner = in_its_own if scale.long else in_this_process
    _index_everything(scene, runner, outcome)
    for one in _questions(scene):
        if not scale.long and one.name not in ("list", "problems"):
            one = replace(one, formats=one.formats & {"jsonl", "csv"})
        _judge_in_a_pipe(one, runner, outcome)
        _judge_on_a_terminal(one, runner, outcome)
    _judge_labels(scene, runner, outcome)
    _judge_texts(scene, runner, outcome)
    some = scale.chance("names")
    _judge_likeness(scene, runner, some.sample(scene.paths, scale.rounds(3, 100)), outcome)
    _judge_missing_names(scene, in_this_process, some.sample(NAMES, scale.rounds(3, len(NAMES))), outcome)
    _judge_library_under_a_name(scene, runner, some.sample(NAMES, scale.rounds(2, 20)), outcome)
    files = [path for path in scene.paths if b"/files/" in path]
    _judge_arguments(scene, files, scale.rounds(70, 1), outcome)
    _judge_talk(runner((*scene.library, b"check")), "check", outcome)
    outcome.require(evidence(place / "photos") == photos, "photos were changed")
    return outcome
