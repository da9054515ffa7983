"""The walls between the rooms, kept by a machine."""

from __future__ import annotations

import ast
import contextlib
import importlib
import json
import pkgutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import photoclip
from tests.conftest import Made, environment

PACKAGE = Path(photoclip.__file__).resolve().parent
CHECKOUT = PACKAGE.parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
TREES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8")) for path in SOURCES}
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"

WRITERS = {
    "actions/deeds.py": "moves duplicates away, or links them",
    "actions/files.py": "makes another file like one",
    "actions/journal.py": "keeps a journal in the library",
    "actions/trash.py": "tells the trash where a file came from",
    "actions/undoing.py": "puts duplicates back",
    "actions/writing.py": "writes keywords of what goes into the sidecar of what stays",
    "arrival.py": "brings photos, and what belongs to them, into a folder the user names",
    "checking.py": "removes damaged caches",
    "cli/dupes.py": "writes the report the user names",
    "cli/preview.py": "encodes pictures for the terminal, in memory",
    "cli/reference.py": "writes pages of docs/",
    "cli/run.py": "leads a closed stdout to /dev/null",
    "config.py": "writes the user's settings",
    "duplicates/remembered.py": "remembers what was compared, in the library",
    "encoders/builtin/__init__.py": "writes a model config for OpenCLIP into a temporary folder",
    "encoders/hub.py": "removes damaged downloads",
    "encoders/openclip.py": "exports the text tower",
    "images/thumbnails.py": "encodes thumbnails, in memory",
    "lock.py": "says in the lock who holds it",
    "replacing.py": "writes files the user names: contact sheets, a labels.toml",
    "sidecars.py": "writes sidecars, when told to",
    "store/database.py": "makes the catalogue",
    "thumbnails.py": "keeps thumbnails in the library",
    "vectors/cachefiles.py": "replaces caches",
    "vectors/graph.py": "writes the graph",
    "vectors/matrix.py": "writes the matrix",
}
"""The modules that may write to or remove files, and what they write. None of them writes to a photo."""

HEAVY = {
    "torch",
    "torchvision",
    "open_clip",
    "timm",
    "transformers",
    "onnxruntime",
    "pandas",
    "sklearn",
    "scipy",
}
HUB_AND_PICTURES = {"huggingface_hub", "PIL", "sqlite_utils", "hnswlib", "tokenizers", "requests", "httpx"}


def run(*command: str, cwd: Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, env=environment(), capture_output=True, text=True, check=False
    )


# -- the linters ----------------------------------------------------------------------------------


def test_every_import_keeps_to_the_floors_and_rooms() -> None:
    result = run("-c", LINT_IMPORTS, "--no-cache")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_import_linter_sees_imports_inside_functions(tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    (house / "__init__.py").touch()
    (house / "attic.py").touch()
    (house / "cellar.py").write_text("def late():\n    import sqlite3\n\n    import house.attic\n")
    (tmp_path / "pyproject.toml").write_text(
        "[tool.importlinter]\nroot_packages = ['house']\ninclude_external_packages = true\n"
        "[[tool.importlinter.contracts]]\nname = 'floors'\n"
        "type = 'layers'\nlayers = ['house.attic', 'house.cellar']\n"
        "[[tool.importlinter.contracts]]\nname = 'rooms'\n"
        "type = 'forbidden'\nsource_modules = ['house']\nforbidden_modules = ['sqlite3']\n"
    )
    result = run("-c", LINT_IMPORTS, "--no-cache", cwd=tmp_path)
    assert result.returncode == 1
    assert "house.cellar -> house.attic" in result.stdout
    assert "house.cellar -> sqlite3" in result.stdout


def test_ruff_finds_nothing() -> None:
    result = run("-m", "ruff", "check", "--quiet", "--no-cache", "photoclip", "tests")
    assert result.returncode == 0, result.stdout


def test_every_file_is_formatted() -> None:
    result = run("-m", "ruff", "format", "--check", "--no-cache", "photoclip", "tests")
    assert result.returncode == 0, result.stdout


# -- size and manners of the source ---------------------------------------------------------------


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {
        path.relative_to(CHECKOUT).as_posix(): len(path.read_text("utf-8").splitlines()) for path in SOURCES
    }
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_functions_are_short() -> None:
    lengths = sorted((node.end_lineno - node.lineno + 1, name, node.name) for name, node in functions())
    counts = [length for length, *_ in lengths]
    assert statistics.median(counts) <= 10
    assert counts[int(0.9 * len(counts))] <= 35
    assert [one for one in lengths if one[0] > 80] == []


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
    assert [path for path in SOURCES if path.stem in drawers or path.parent.name in drawers] == []


def test_every_public_name_resolves() -> None:
    assert sorted(photoclip.__all__) == photoclip.__all__
    for name in photoclip.__all__:
        assert getattr(photoclip, name) is not None
    with pytest.raises(AttributeError):
        photoclip.nothing_of_the_kind  # noqa: B018


def test_what_is_exported_is_exactly_what_is_public() -> None:
    submodules = {module.name for module in pkgutil.iter_modules([str(PACKAGE)])}
    public = {name for name in vars(photoclip) if not name.startswith("_")} - submodules
    late = set(photoclip._HOMES)
    assert public - {"TYPE_CHECKING", "annotations"} <= late
    assert late | {"__version__"} == set(photoclip.__all__)


@pytest.mark.parametrize(
    "module", [name for name, tree in TREES.items() if "__all__" in ast.dump(tree) and name != "__init__.py"]
)
def test_a_room_exports_only_names_it_has(module: str) -> None:
    room = importlib.import_module(
        "photoclip." + module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    )
    assert [name for name in room.__all__ if not hasattr(room, name)] == []


def test_only_config_knows_the_environment() -> None:
    assert users_of({"os.environ", "os.environb", "os.getenv", "os.putenv"}) - {"config.py"} == set()


def test_only_the_roof_ends_the_process() -> None:
    # A decode worker and the judge are programs of their own, and end themselves.
    allowed = {"__main__.py", "images/serving.py", "training/judge.py"}
    assert users_of({"sys.exit", "os._exit", "exit", "quit", "os.abort"}) - allowed == set()


def test_below_the_command_line_nobody_prints() -> None:
    talkers = users_of({"print", "sys.stdout", "sys.stderr", "input", "sys.stdin"})
    allowed = ("cli/", "training/", "__main__.py")  # the roof sees that all has been written
    assert [name for name in talkers if not name.startswith(allowed)] == []


def test_only_known_modules_write_to_files() -> None:
    writers = {name for name, tree in TREES.items() if any(writes(node) for node in ast.walk(tree))}
    assert {name for name in writers if not name.startswith("training/")} == set(WRITERS)


@pytest.mark.parametrize(
    "line",
    ["open(p, 'wb')", "open(p, mode='a')", "os.open(p, os.O_RDWR)", "path.write_text('')", "os.unlink(p)",
     "shutil.rmtree(p)", "os.ftruncate(1, 0)", "picture.save(p)"],
)  # fmt: skip
def test_the_guard_knows_a_writer_when_it_sees_one(line: str) -> None:
    assert any(writes(node) for node in ast.walk(ast.parse(line)))
    assert not any(
        writes(node) for node in ast.walk(ast.parse("open(p, 'rb'); os.open(p, os.O_RDONLY); open(p)"))
    )


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield name, node


def users_of(names: set[str]) -> set[str]:
    """Return the modules in which one of these names stands."""
    return {
        module
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.Name, ast.Attribute)) and ast.unparse(node) in names
    }


def writes(node: ast.AST) -> bool:
    """Say whether a call writes to, replaces or removes files."""
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func)
    arguments = [*node.args[1:], *(keyword.value for keyword in node.keywords if keyword.arg == "mode")]
    if called in ("open", "io.open", "os.fdopen"):
        modes = [
            one.value for one in arguments if isinstance(one, ast.Constant) and isinstance(one.value, str)
        ]
        return any(set(mode) & set("wax+") for mode in modes)
    if called == "os.open":
        return any(flag in ast.unparse(node) for flag in ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"))
    verbs = (
        "rename",
        "replace",
        "unlink",
        "remove",
        "truncate",
        "ftruncate",
        "link",
        "symlink",
        "rmdir",
        "utime",
    )
    return (
        called in {f"os.{verb}" for verb in verbs}
        or called.startswith("shutil.")
        or called.endswith((".write_text", ".write_bytes", "save_file"))
        or (called.endswith(".save") and called != "graph.save")
    )


# -- what a command loads -------------------------------------------------------------------------

PROBE = """
import atexit, json, sys
place = sys.argv.pop(1)
atexit.register(lambda: json.dump(sorted(sys.modules), open(place, "w")))
from photoclip.__main__ import main
main()
"""


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, a list of labels, and a library ``fake`` made of them with colour words."""
    place = tmp_path_factory.mktemp("album")
    (place / "photos").mkdir()
    for name, colour in {"red": (220, 20, 20), "blue": (30, 60, 220), "copy": (220, 20, 20)}.items():
        Image.new("RGB", (64, 48), colour).save(place / "photos" / f"{name}.png")
    (place / "labels.txt").write_text("red\nblue\n")
    loaded_by(place, "fake", "index", "photos", "--model", "fake")
    return place


@pytest.fixture(scope="session")
def described(album: Path, demo: Made) -> Path:
    """The same place with a library ``builtin``: photographs under the model that ships with photoclip."""
    demo.copy_to(album).rename(album / "builtin")
    assert list((album / "builtin" / "towers").iterdir()), "index exported no text tower"
    return album


def loaded_by(album: Path, library: str, *arguments: str) -> set[str]:
    """Run a command in a fresh process and return the names of the packages it has loaded at its end."""
    place = album / "modules.json"
    with contextlib.suppress(FileNotFoundError):
        place.unlink()
    command = ("-c", PROBE, str(place), "--library", library, *arguments)
    result = run(*command, cwd=album)
    assert result.returncode == 0, result.stderr
    return {name.partition(".")[0] for name in json.loads(place.read_text())}


@pytest.mark.parametrize(
    "command",
    ["tag --labels labels.txt", "dupes", "status", "list", "problems", "check", "tags", "index photos"],
)
def test_a_command_that_encodes_no_picture_loads_no_torch(album: Path, command: str) -> None:
    assert loaded_by(album, "fake", *command.split()) & HEAVY == set()


def test_a_search_for_words_loads_neither_torch_nor_pictures_nor_the_hub(described: Path) -> None:
    new = loaded_by(described, "builtin", "search", "a red square")
    known = loaded_by(described, "builtin", "search", "a red square")  # answered from the catalogue
    assert (new | known) & (HEAVY | HUB_AND_PICTURES) == set()


@pytest.mark.parametrize("command", ["tag --labels labels.txt", "dupes", "status", "list", "index"])
def test_a_real_model_on_disk_changes_nothing_about_that(described: Path, demo: Made, command: str) -> None:
    arguments = [*command.split(), *([str(demo.photos)] if command == "index" else [])]
    assert loaded_by(described, "builtin", *arguments) & HEAVY == set()


@pytest.mark.parametrize("command", ["search red", "index photos"])
def test_a_plain_line_loads_nothing_that_is_slow_to_load(described: Path, command: str) -> None:
    loaded = loaded_by(described, "fake", *command.split())
    assert loaded & (HEAVY | HUB_AND_PICTURES | {"typer", "click", "pydantic", "rich", "uuid"}) == set()
    assert command == "search red" or "numpy" not in loaded


def test_help_loads_next_to_nothing(album: Path) -> None:
    assert loaded_by(album, "fake", "--help") & (HEAVY | HUB_AND_PICTURES | {"numpy", "rich"}) == set()
