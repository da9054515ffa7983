"""Nothing leaves this machine, and nothing but photoclip runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Made, environment
from tests.faults.network import STRACE, strangers, trace, why_nothing_can_be_traced
from tests.pictures import paint

_REASON = why_nothing_can_be_traced()
traced = pytest.mark.skipif(bool(_REASON), reason=_REASON)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, colours: Made, demo: Made) -> Path:
    """Libraries of a fake and of the built-in model, labels, and photos that are in neither."""
    place = tmp_path_factory.mktemp("traced")
    colours.copy_to(place).rename(place / "library")
    demo.copy_to(place).rename(place / "builtin")
    (place / "labels").write_text("red\nblue\n")
    for number in range(3):
        paint(place / "photos" / f"{number}.png", "green", number)
    return place


@traced
@pytest.mark.parametrize(
    "line",
    ["search red", "search --like photos/0.png", "tag --labels labels", "dupes", "check", "list",
     "models list", "index photos -j 1", "forget photos",
     "--library builtin index photos -j 1 --model builtin", "--library builtin search green",
     "--library builtin tag --labels labels"],
)  # fmt: skip
def test_a_command_talks_to_nobody_and_starts_nothing_but_decoders(place: Path, line: str) -> None:
    calls = trace(place, "--library", "library", *line.split())
    assert list(strangers(calls)) == []
    decodes = "index" in line or "--like" in line
    assert any("serving import serve" in call for call in calls) == decodes


_OUTSIDE = {
    "a connection": "import socket; socket.socket().connect_ex(('127.0.0.1', 9))",
    "a datagram": "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    "a local service": "import socket; socket.socket(socket.AF_UNIX).connect_ex('/run/nobody')",
    "a program": "import subprocess; subprocess.run(['true'])",
    "another Python": "import subprocess, sys; subprocess.run([sys.executable, '-c', ''])",
}


@traced
@pytest.mark.parametrize("what", _OUTSIDE)
def test_the_guard_knows_a_stranger_when_it_sees_one(what: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_OUTSIDE[what])
    line = [*STRACE, "-o", tmp_path / "trace", sys.executable, program]
    subprocess.run(line, env=environment(), check=True)
    assert list(strangers((tmp_path / "trace").read_text().splitlines()))
