"""photoclip as a user has it: a shell with a library, and the few libraries that many tests only read."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from photoclip import Library
from photoclip.cli.run import run
from photoclip.indexing import IndexOptions
from tests.pictures import demo_photographs, paint

pytest_plugins = ["tests.places"]  # the fixtures of its folders

ROOT = Path(__file__).resolve().parent.parent
SHARED_PHOTOS = ROOT.parent / "shared" / "photos" / "sample"
Argument = str | bytes | Path


@dataclass(frozen=True)
class Answer:
    """What a command left behind: its exit code, its data and its talk."""

    code: int
    out: bytes
    err: str

    @property
    def paths(self) -> list[bytes]:
        """The paths on stdout, one a line."""
        return self.out.splitlines()

    @property
    def names(self) -> list[str]:
        """The last parts of these paths."""
        return [os.fsdecode(os.path.basename(path)) for path in self.paths]

    @property
    def json(self) -> Any:
        """Stdout as one strict JSON document."""
        return json.loads(self.out.decode("utf-8"), parse_constant=_refuse)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Stdout as JSON lines."""
        return [json.loads(line, parse_constant=_refuse) for line in self.out.decode("utf-8").splitlines()]

    def fine(self) -> Answer:
        """Return the answer, which must be that of a command that succeeded."""
        assert self.code == 0, self
        assert "Traceback" not in self.err, self.err
        return self


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a new process: this checkout first, no library of the user's."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PHOTOCLIP")}
    return {**clean, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **more}


def command(*arguments: Argument) -> list[str]:
    """Return the command line of ``photoclip`` in a process of its own."""
    return [sys.executable, "-m", "photoclip", *(os.fsdecode(one) for one in arguments)]


_WITHOUT_PRIVILEGES = """
import ctypes, os, sys
if os.geteuid() == 0:  # root may read everything, but for a process that gave up these two rights
    drop_from_bounding_set, dac_override, dac_read_search = 24, 1, 2
    for right in (dac_override, dac_read_search):
        assert ctypes.CDLL(None).prctl(drop_from_bounding_set, right, 0, 0, 0) == 0
os.execv(sys.executable, sys.argv[1:])
"""


def without_privileges(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run photoclip as somebody for whom permissions count."""
    if os.geteuid() == 0 and sys.platform != "linux":
        pytest.skip("root may read everything here")
    line = [sys.executable, "-c", _WITHOUT_PRIVILEGES, *command(*arguments)]
    return subprocess.run(line, capture_output=True, env=environment(**env), timeout=60)


class Shell:
    """``photoclip`` with one library. Calling it runs a command inside this process, which is quick;
    ``process`` runs it in one of its own, where that matters."""

    def __init__(
        self, library: Path, capture: pytest.CaptureFixture[bytes], patch: pytest.MonkeyPatch
    ) -> None:
        self.library = library
        self._capture = capture
        self._patch = patch

    def __call__(self, *arguments: Argument, stdin: bytes = b"") -> Answer:
        self._patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        self._capture.readouterr()
        code = run(["--library", str(self.library), *(os.fsdecode(one) for one in arguments)])
        out, err = self._capture.readouterr()
        return Answer(code, out, err.decode("utf-8", "surrogateescape"))

    def index(self, *arguments: Argument, stdin: bytes = b"") -> dict[str, Any]:
        """Index with the fake model (once a library has a model it keeps it) and return the counts."""
        model = () if (self.library / "catalogue.sqlite").exists() else ("--model", "fake")
        counts: dict[str, Any] = (
            self("index", "--json", "-j", "1", *model, *arguments, stdin=stdin).fine().json
        )
        return counts

    def process(
        self, *arguments: Argument, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> Answer:
        """Run a command in a process of its own."""
        done = subprocess.run(
            command("--library", self.library, *arguments),
            input=stdin,
            capture_output=True,
            env=environment(**(env or {})),
            timeout=60,
        )
        return Answer(done.returncode, done.stdout, done.stderr.decode("utf-8", "surrogateescape"))

    def bash(self, script: str, **env: str) -> Answer:
        """Run a bash line in which ``photoclip`` is this program with this library."""
        quoted = " ".join(f"'{part}'" for part in command())
        done = subprocess.run(
            ["bash", "-c", f'photoclip() {{ {quoted} "$@"; }}; set -o pipefail; {script}'],
            capture_output=True,
            env=environment(PHOTOCLIP_LIBRARY=str(self.library), **env),
            timeout=60,
        )
        return Answer(done.returncode, done.stdout, done.stderr.decode("utf-8", "surrogateescape"))

    def counts(self) -> dict[str, Any]:
        """Return what ``status`` says."""
        facts: dict[str, Any] = self("status", "--json").fine().json
        return facts


MakeShell = Callable[[Path], Shell]


@pytest.fixture
def shell_for(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> MakeShell:
    """Make shells for libraries anywhere."""
    monkeypatch.delenv("PHOTOCLIP_LIBRARY", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "300")
    return lambda library: Shell(library, capfdbinary, monkeypatch)


@pytest.fixture
def shell(tmp_path: Path, shell_for: MakeShell) -> Shell:
    """A shell with a library that does not exist yet."""
    return shell_for(tmp_path / "library")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder for photos."""
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


# -- libraries that are made once -----------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """A library and the folder it was made from. Tests that write work on copies."""

    library: Path
    photos: Path

    def copy_to(self, place: Path) -> Path:
        """Copy the library and return the copy."""
        return Path(shutil.copytree(self.library, place / "copy-of-library"))


COLOURFUL = ("red", "red", "red", "green", "blue", "yellow")


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Six photos in colours, three of them red, in two folders, one with a copy of the first."""
    place = tmp_path_factory.mktemp("colours")
    for number, colour in enumerate(COLOURFUL):
        paint(place / "photos" / f"{colour}-{number}.png", colour, number)
    (place / "photos" / "sub").mkdir()
    shutil.copy(place / "photos" / "red-0.png", place / "photos" / "sub" / "red-0-copy.png")
    with Library.open_or_create(place / "library") as library:
        library.index([place / "photos"], IndexOptions(model="fake", jobs=1))
    return Made(place / "library", place / "photos")


@pytest.fixture
def colourful(colours: Made, shell_for: MakeShell) -> Shell:
    """A shell with the library of colours, for reading."""
    return shell_for(colours.library)


HOSTILE_NAMES = (
    b"new\nline.png", b"not-utf-8-\xff\xfe.png", b"-rf.png", b"[red].png", b":smile:.png", b"[link=x]a.png",
    b"esc\x1b]0;owned\x07\x1b[31m.png", b"c1\xc2\x9b31m.png", b"tab\there.png", b"carriage\rreturn.png",
    b" leading and trailing .png", b"'quotes\"`$(id)`.png", b"=1+1.png", b"{path}%s%n.png", b"a,b;c.png",
    b"\xe2\x80\xaegnp.exe.png", b"\xe2\x80\xa8separator.png", "ü😀猫.png".encode(), b"back\\slash.png",
    b"x" * 251 + b".png",
)  # fmt: skip


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A red photo under each of the names that break programs."""
    place = tmp_path_factory.mktemp("hostile")
    for number, name in enumerate(HOSTILE_NAMES):
        paint(os.path.join(os.fsencode(place), b"photos", name), "red", number)
    with Library.open_or_create(place / "library") as library:
        library.index([place / "photos"], IndexOptions(model="fake", jobs=1))
    return Made(place / "library", place / "photos")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The photographs of scikit-image and scikit-learn under the built-in model."""
    place = tmp_path_factory.mktemp("demo")
    (place / "photos").mkdir()
    for name, path in demo_photographs().items():
        shutil.copy(path, place / "photos" / name)
    with Library.open_or_create(place / "library") as library:
        library.index([place / "photos"], IndexOptions(model="builtin", device="cpu"))
    return Made(place / "library", place / "photos")


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The sample photos of a development machine under the built-in model."""
    if not SHARED_PHOTOS.is_dir():
        pytest.skip("the sample photos are not on this machine")
    place = tmp_path_factory.mktemp("sample")
    with Library.open_or_create(place / "library") as library:
        library.index([SHARED_PHOTOS], IndexOptions(model="builtin", device="cpu"))
    return Made(place / "library", SHARED_PHOTOS)


COUNTS = (
    "added",
    "updated",
    "moved",
    "unchanged",
    "unreadable",
    "skipped",
    "missing",
    "sidecars",
    "embedded",
)


def only(counts: dict[str, Any], **expected: int) -> None:
    """Assert these counts of ``index --json``, and that all others are 0."""
    assert {name: counts[name] for name in COUNTS} == dict.fromkeys(COUNTS, 0) | expected


# -- evidence -------------------------------------------------------------------------------------

Evidence = dict[str, tuple[object, ...]]


def evidence(folder: Path) -> Evidence:
    """Return the bytes and the whole status (but the access time) of everything at and below a folder."""
    found: Evidence = {}
    for place, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            path = os.path.join(place, name)
            status = os.lstat(path)
            regular = os.path.isfile(path) and not os.path.islink(path)
            content = Path(path).read_bytes() if regular else b""
            found[path] = (
                content, status.st_mode, status.st_uid, status.st_gid, status.st_nlink,
                status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino,
            )  # fmt: skip
    return found


@pytest.fixture
def untouched(photos: Path) -> Iterator[Callable[[], None]]:
    """Watch ``photos``: from the moment of the call to the end of the test nothing may change in it."""
    before: list[Evidence] = []
    yield lambda: before.append(evidence(photos))
    assert before, "the test never said from when on"
    assert evidence(photos) == before[0]
