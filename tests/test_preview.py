"""Thumbnails in the terminal: what the terminal is asked, what it gets, and that this is the picture."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from photoclip.cli import preview
from photoclip.cli.preview import Protocol, Screen, choose, draw
from photoclip.cli.render import ReaderGone
from photoclip.errors import BadUsage
from tests.conftest import environment

KITTY_ASKED = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
CELL_ASKED = b"\x1b[16t"
ABILITIES_ASKED = b"\x1b[c"
WITH_SIXEL, WITHOUT = b"\x1b[?62;4;22c", b"\x1b[?62;22c"

Answers = dict[bytes, bytes]
SIXEL_TERMINAL: Answers = {CELL_ASKED: b"\x1b[6;20;10t", ABILITIES_ASKED: WITH_SIXEL}
KITTY: Answers = {KITTY_ASKED: b"\x1b_Gi=31;OK\x1b\\", CELL_ASKED: b"\x1b[6;20;10t", ABILITIES_ASKED: WITHOUT}


class Terminal:
    """A terminal of 90 × 45 cells that answers what it is asked, and keeps what it gets."""

    def __init__(self, answers: Answers, pixels: tuple[int, int] = (900, 900), delay: float = 0) -> None:
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 45, 90, *pixels))
        self.stdout = os.fdopen(os.dup(self.theirs), "w", encoding="utf-8")
        self.answers = dict(answers)
        self.delay = delay
        self.screen = b""
        self.thread = threading.Thread(target=self._play)
        self.thread.start()

    def _play(self) -> None:
        with contextlib.suppress(OSError):  # Linux says EIO at the end
            while chunk := os.read(self.ours, 65536):
                self.screen += chunk
                for question in [one for one in self.answers if one in self.screen]:
                    time.sleep(self.delay)
                    os.write(self.ours, self.answers.pop(question))

    def close(self) -> bytes:
        """Return all that came, when there comes no more."""
        if not self.stdout.closed:
            self.stdout.close()
            os.close(self.theirs)
            self.thread.join(10)
            os.close(self.ours)
        return self.screen


Play = Callable[..., Terminal]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """Make stdout a terminal that answers as told, called ``TERM`` and ``TERM_PROGRAM`` as told."""
    played = []

    def start(answers: Answers, term: str = "xterm-256color", program: str = "", **more: Any) -> Terminal:
        terminal = Terminal(answers, **more)
        played.append(terminal)
        called(monkeypatch, term, program)
        monkeypatch.setattr(sys, "stdout", terminal.stdout)
        return terminal

    yield start
    monkeypatch.undo()
    for terminal in played:
        terminal.close()


def called(monkeypatch: pytest.MonkeyPatch, term: str, program: str = "") -> None:
    for name in ("SSH_CONNECTION", "LC_TERMINAL", "NO_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("TERM_PROGRAM", program)


def painted(width: int = 320, height: int = 240) -> Image.Image:
    """A picture whose every corner says which it is."""
    picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    brush = ImageDraw.Draw(picture)
    brush.rectangle((0, 0, width // 2, height // 2), (200, 30, 30))
    brush.rectangle((width // 2, height // 2, width, height), (30, 60, 220))
    return picture


def jpeg(width: int = 320, height: int = 240) -> bytes:
    written = io.BytesIO()
    painted(width, height).save(written, "jpeg", quality=95)
    return written.getvalue()


def row(rank: int = 1, path: bytes = b"/photos/beach.jpg", **fields: Any) -> dict[str, Any]:
    return {"rank": rank, "similarity": 0.3125, "path": path, "taken_at": "2019-06-01T10:11:12", **fields}


def far(one: Image.Image, other: Image.Image) -> float:
    """Return how far two pictures of one size are apart on average, in levels of 256."""
    difference = np.asarray(one.convert("RGB"), float) - np.asarray(other.convert("RGB"), float)
    return float(np.abs(difference).mean())


# -- what the terminal knows ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (KITTY, Protocol.kitty),
        (SIXEL_TERMINAL, Protocol.sixel),
        ({**KITTY, ABILITIES_ASKED: WITH_SIXEL}, Protocol.kitty),
        ({KITTY_ASKED: b"\x1b_Gi=31;ENOSYS:no\x1b\\", ABILITIES_ASKED: WITHOUT}, Protocol.blocks),
        ({ABILITIES_ASKED: b"\x1b[?64;14;24c"}, Protocol.blocks),
    ],
)  # fmt: skip
def test_a_terminal_that_answers_gets_the_best_it_knows_at_once(
    play: Play, answers: Answers, expected: Protocol
) -> None:
    terminal = play(answers)
    start = time.monotonic()
    assert choose() == Screen(expected, 90, 45, (10, 20))
    assert time.monotonic() - start < preview._PATIENCE
    assert b"^[" not in terminal.close(), "an answer was shown"


def test_a_terminal_that_says_nothing_gets_blocks_soon_and_keeps_its_manners(play: Play) -> None:
    terminal = play({})
    before = termios.tcgetattr(terminal.theirs)
    start = time.monotonic()
    assert choose().protocol is Protocol.blocks
    assert time.monotonic() - start < preview._PATIENCE + 0.3
    assert termios.tcgetattr(terminal.theirs) == before


def test_a_terminal_far_away_gets_longer(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    play({ABILITIES_ASKED: WITH_SIXEL}, delay=preview._PATIENCE + 0.1)
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22")
    assert choose().protocol is Protocol.sixel


@pytest.mark.parametrize(
    ("term", "program", "expected"),
    [
        ("xterm-256color", "iTerm.app", Protocol.iterm),
        ("xterm-256color", "WezTerm", Protocol.iterm),
        ("xterm-kitty", "", Protocol.kitty),
        ("xterm-ghostty", "ghostty", Protocol.kitty),
        ("foot", "", Protocol.sixel),
        ("xterm-256color", "Apple_Terminal", Protocol.blocks),
    ],
)  # fmt: skip
def test_a_terminal_that_is_known_by_name_is_not_asked(
    play: Play, term: str, program: str, expected: Protocol
) -> None:
    terminal = play({}, term, program)
    assert choose().protocol is expected
    assert terminal.close() == b""


@pytest.mark.parametrize("program", ["tmux", ""])  # on this machine, and before ssh
def test_inside_tmux_only_tmux_is_asked(play: Play, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    terminal = play(SIXEL_TERMINAL, "tmux-256color", program)
    monkeypatch.setenv("LC_TERMINAL", "iTerm2")  # around it
    assert choose().protocol is Protocol.sixel
    assert KITTY_ASKED not in terminal.close()


def test_the_size_of_a_cell_is_asked_for_where_the_system_does_not_know_it(play: Play) -> None:
    play({CELL_ASKED: b"\x1b[6;36;18t", ABILITIES_ASKED: WITH_SIXEL}, pixels=(0, 0))
    assert choose().cell == (18, 36)


def test_who_has_typed_ahead_is_not_asked_and_loses_nothing(play: Play) -> None:
    terminal = play(KITTY)
    os.write(terminal.ours, b"ls\n")
    assert choose().protocol is Protocol.blocks
    assert os.read(terminal.theirs, 100) == b"ls\n"
    assert ABILITIES_ASKED not in terminal.close()


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_shows_no_pictures_is_an_error(play: Play, term: str) -> None:
    play({}, term)
    with pytest.raises(BadUsage, match="--preview"):
        choose()


def test_a_file_gets_pictures_only_when_the_protocol_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(tmp_path / "out", "w", encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stdout", file)
        called(monkeypatch, "xterm-kitty")
        with pytest.raises(BadUsage) as error:
            choose()
        assert "sixel" in error.value.hint
        assert choose(Protocol.sixel) == Screen(Protocol.sixel, 80, 24, (10, 20))
        draw([row()], [jpeg()], choose(Protocol.sixel))
    assert b"\x1bP" in (tmp_path / "out").read_bytes()


# -- the pictures ---------------------------------------------------------------------------------


def kitty_picture(screen: bytes) -> tuple[dict[bytes, bytes], Image.Image]:
    """Return the keys and the picture of what is sent to Kitty."""
    chunks = re.findall(rb"\x1b_G([^;\x1b]*);([^\x1b]*)\x1b\\", screen)
    keys = [dict(pair.split(b"=") for pair in chunk[0].split(b",")) for chunk in chunks]
    assert [one[b"m"] for one in keys] == [b"1"] * (len(keys) - 1) + [b"0"]
    assert all(len(data) <= 4096 and len(data) % 4 == 0 for _, data in chunks)
    assert all(set(one) == {b"m"} for one in keys[1:])
    return keys[0], Image.open(io.BytesIO(base64.b64decode(b"".join(data for _, data in chunks))))


@pytest.mark.parametrize("size", [(320, 240), (180, 320), (320, 80)])
def test_kitty_gets_the_picture_in_its_own_shape(play: Play, size: tuple[int, int]) -> None:
    terminal = play(KITTY)
    draw([row()], [jpeg(*size)], choose())
    keys, got = kitty_picture(terminal.close().split(b"\x1b7")[2])
    assert (keys[b"a"], keys[b"f"], keys[b"C"], keys[b"q"]) == (b"T", b"100", b"1", b"2")
    wide, high = int(keys[b"c"]), int(keys[b"r"])
    assert wide <= 28
    assert high <= 11
    assert got.width / got.height == pytest.approx(wide * 10 / (high * 20), rel=0.02)  # is not stretched
    box = got.getbbox()
    assert box is not None
    assert box[:2] == (0, 0)
    assert box[2] / box[3] == pytest.approx(size[0] / size[1], rel=0.02)
    assert far(got.crop(box), painted(*size).resize(box[2:])) < 4


def test_kitty_gets_a_large_picture_in_pieces(play: Play) -> None:
    terminal = play(KITTY)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8))
    written = io.BytesIO()
    noise.save(written, "jpeg", quality=95)
    draw([row()], [written.getvalue()], choose())
    screen = terminal.close().split(b"\x1b7")[2]
    assert screen.count(b"m=1;") > 10
    _, got = kitty_picture(screen)
    box = got.getbbox()
    assert box is not None
    assert far(got.crop(box), Image.open(written).resize(box[2:])) == 0


def test_iterm_gets_the_file_as_it_is(play: Play) -> None:
    terminal = play({}, program="iTerm.app")
    draw([row()], [jpeg()], choose())
    match = re.search(rb"\x1b\]1337;File=([^:]*):([^\a]*)\a", terminal.close())
    assert match is not None
    keys = dict(pair.split(b"=") for pair in match[1].split(b";"))
    assert base64.b64decode(match[2]) == jpeg()
    assert keys[b"inline"] == b"1"
    assert int(keys[b"size"]) == len(jpeg())
    assert (int(keys[b"width"]), int(keys[b"height"])) == (27, 10)  # 267 × 200 pixels


def sixel_picture(screen: bytes) -> Image.Image:
    """Return the picture that a Sixel terminal draws."""
    match = re.search(rb'\x1bP[\d;]*q"1;1;(\d+);(\d+)([^\x1b]*)\x1b\\', screen)
    assert match is not None
    width, height = int(match[1]), int(match[2])
    drawn = np.full((height + 6, width, 3), -1.0)
    colours: dict[int, list[float]] = {}
    x = y = colour = 0
    for command, count, character in re.findall(rb"#([\d;]+)|(?:!(\d+))?([?-~$-])", match[3]):
        if command:
            colour, *definition = (int(number) for number in command.split(b";"))
            if definition:
                colours[colour] = [level * 2.55 for level in definition[1:]]
        elif character == b"-":
            x, y = 0, y + 6
        elif character == b"$":
            x = 0
        else:
            end = x + int(count or 1)
            for bit in range(6):
                if (character[0] - 63) >> bit & 1:
                    drawn[y + bit, x:end] = colours[colour]
            x = end
    assert (drawn[:height] >= 0).all(), "a pixel is missing"
    assert (drawn[height:] < 0).all(), "a pixel is too much"
    return Image.fromarray(drawn[:height].round().astype(np.uint8))


@pytest.mark.parametrize("size", [(320, 240), (180, 320)])
def test_sixel_gets_the_picture_at_the_size_of_its_place(play: Play, size: tuple[int, int]) -> None:
    terminal = play(SIXEL_TERMINAL)
    draw([row()], [jpeg(*size)], choose())
    got = sixel_picture(terminal.close())
    assert got.height == 200
    assert got.width / got.height == pytest.approx(size[0] / size[1], rel=0.02)
    assert far(got, painted(*size).resize(got.size)) < 4


# -- the grid -------------------------------------------------------------------------------------


def test_a_picture_is_drawn_while_the_next_is_made(play: Play) -> None:
    terminal = play(KITTY)

    def pictures() -> Iterator[bytes]:
        yield jpeg()
        deadline = time.monotonic() + 5
        while b"beach.jpg" not in terminal.screen and time.monotonic() < deadline:
            time.sleep(0.005)
        assert b"beach.jpg" in terminal.screen
        yield jpeg()

    draw([row(1), row(2)], pictures(), choose())


def test_a_photo_without_a_picture_keeps_its_caption(play: Play) -> None:
    terminal = play(SIXEL_TERMINAL)
    rows = [row(1, b"/a.jpg"), row(2, b"/b.jpg", similarity=None), row(3, b"/c.jpg", taken_at=None)]
    draw(rows, [None, b"\xff\xd8no JPEG", jpeg()], choose())
    screen = terminal.close()
    assert screen.count(b"no picture") == 2
    assert screen.count(b"\x1bP") == 1
    for caption in (
        b"1  0.312  2019-06-01\x1b",
        b"2  2019-06-01\x1b",
        b"3  0.312\x1b",
        b"/a.jpg\x1b",
        b"/b.jpg\x1b",
    ):
        assert caption in screen


def test_a_hit_that_is_not_relevant_is_faint_as_in_the_table(play: Play) -> None:
    terminal = play(SIXEL_TERMINAL)
    draw([row(1, b"/a.jpg", relevant=True), row(2, b"/b.jpg", relevant=False)], [None, None], choose())
    assert re.findall(rb"\x1b\[2m([^\x1b]*)\x1b\[m", terminal.close()) == [b"2  0.312  2019-06-01", b"/b.jpg"]


HOSTILE = [
    b"\x1b[2J\x1b]0;title\x07.jpg", b"new\nline.jpg", b"\xff\xfe.jpg", "\u202egpj.exe".encode(),
    "\x9b31m.jpg".encode(), b"[/b][red].jpg", b"\x1b_Gm=0;\x1b\\.jpg", b"%s" % (b"x" * 250),
]  # fmt: skip


@pytest.mark.parametrize("protocol", [Protocol.blocks, Protocol.kitty])
def test_nothing_in_a_name_acts_on_the_terminal(play: Play, protocol: Protocol) -> None:
    terminal = play({})
    draw([row(at, name) for at, name in enumerate(HOSTILE)], [jpeg()] * len(HOSTILE), Screen(protocol, 90))
    ours = rb"\x1b\[[\d;]*[ABDGm]|\x1b[78]|\x1b_G[a-zA-Z\d=,]*;[A-Za-z\d+/=]*\x1b\\|\r\n"
    left = re.sub(ours, b"", terminal.close()).decode("utf-8")
    assert re.findall("[\x00-\x1f\x7f-\x9f\u202a-\u202e]", left) == []
    assert "[/b][red].jpg" in left
    assert r"\xff\xfe.jpg" in left
    assert "x" * 60 not in left


def test_what_fails_before_the_first_picture_leaves_the_cursor_where_it_was(play: Play) -> None:
    terminal = play(KITTY)
    with pytest.raises(ZeroDivisionError):
        draw([row()], (b"" for one in [0] if 1 / one), choose(Protocol.sixel))
    assert terminal.close() == b"\x1b7\x1b\\\x1b[m\x1b8"


def test_a_reader_that_has_gone_is_no_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    with contextlib.suppress(BrokenPipeError), os.fdopen(write, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(ReaderGone):
            draw([row()], [jpeg()], Screen(Protocol.sixel))


# -- a process on a terminal ----------------------------------------------------------------------

PROCESS = """
import fcntl, signal, sys, termios, time
signal.signal(signal.SIGTTOU, signal.SIG_DFL)
if sys.argv[1] == "keys":
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from photoclip.cli.preview import choose, draw
from tests.test_preview import jpeg, row
screen = choose()
if sys.argv[1] == "keys":
    print("protocol", screen.protocol.value, "line", sys.stdin.readline())
    sys.exit()
def pictures():
    for size in [(320, 240), (180, 320), (320, 80), (320, 240)]:
        yield jpeg(*size)
    while sys.argv[1] == "endless":
        time.sleep(0.01)
names = ["/one.jpg", "/写真/東京タワーと富士山の見える風景.jpg", "/three.jpg", "/four.jpg"]
names += ["/never.jpg"] * (sys.argv[1] == "endless")
try:
    draw([row(at, name.encode()) for at, name in enumerate(names)], pictures(), screen)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.skipif(
    Path("/proc/sys/dev/tty/legacy_tiocsti").is_file()
    and Path("/proc/sys/dev/tty/legacy_tiocsti").read_text().strip() == "0",
    reason="this system forbids to type for the user",
)
def test_what_is_typed_while_the_terminal_answers_is_typed_again() -> None:
    terminal = Terminal({KITTY_ASKED: b"ec", ABILITIES_ASKED: b"ho" + WITH_SIXEL + b" hi\r"})
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, "keys"],
        stdin=terminal.theirs,
        stdout=terminal.theirs,
        stderr=terminal.theirs,
        env={**environment(), "TERM": "xterm-256color", "TERM_PROGRAM": "", "LC_TERMINAL": ""},
        start_new_session=True,
    )
    assert process.wait(30) == 0, terminal.close()
    assert b"protocol sixel line echo hi\r\n" in terminal.close()


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Callable[..., str]]:
    program = shutil.which("tmux")
    if program is None:
        pytest.skip("tmux is not installed")
    env = {**environment(), "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}

    def command(*words: str) -> str:
        line = [program, "-S", str(tmp_path / "tmux"), "-f", os.devnull, *words]
        return subprocess.run(
            line, env=env, capture_output=True, encoding="utf-8", check=True, timeout=30
        ).stdout

    yield command
    command("kill-server")


def started(tmux: Callable[..., str], how: str, before: str = "") -> None:
    """Run the process in a pane of 90 × 45 cells; a shell says how it ended where the cursor was left."""
    line = f'{before}"$PYTHON" -c "$PROCESS" {how}\necho "left $?"; tmux wait-for -S done; sleep 100'
    tmux(
        "new-session",
        "-d",
        "-x",
        "90",
        "-y",
        "45",
        "-e",
        f"PYTHON={sys.executable}",
        "-e",
        f"PROCESS={PROCESS}",
        line,
    )


def cells(line: str) -> list[tuple[str, str, str]]:
    """Return each cell of a captured line: its character, its colour and the colour of its ground."""
    found = []
    colour = ground = ""
    for codes, character in re.findall("\x1b\\[([\\d;]*)m|(.)", line):
        if character:
            found.append((character, colour, ground))
            continue
        for code in re.findall(r"[34]8;2;\d+;\d+;\d+|[34]9|0", codes or "0"):
            colour = code[5:] if code.startswith("38;") else "" if code in ("39", "0") else colour
            ground = code[5:] if code.startswith("48;") else "" if code in ("49", "0") else ground
    return found


def test_tmux_shows_the_pictures_in_a_grid(tmux: Callable[..., str]) -> None:
    started(tmux, "once")
    tmux("wait-for", "done")
    lines = tmux("capture-pane", "-p", "-e").splitlines()
    shown = tmux("capture-pane", "-p").splitlines()
    assert shown[10].split() == [word for rank in "012" for word in (rank, "0.312", "2019-06-01")]
    assert re.split(" {2,}", shown[11]) == ["/one.jpg", "…ーと富士山の見える風景.jpg", "/three.jpg"]
    assert shown[24].rstrip() == "/four.jpg"
    assert shown[26] == "left 0"
    pixels = np.array(
        [
            [[int(level) for level in half.split(";")] for half in column]
            for line in lines[:10]
            for column in zip(*[(cell[1], cell[2]) for cell in cells(line)[:27]], strict=True)
        ]
    )
    got = Image.fromarray(pixels.astype(np.uint8))
    assert far(got, painted().resize(got.size)) < 4


def test_ctrl_c_leaves_the_cursor_below_the_grid(tmux: Callable[..., str]) -> None:
    started(tmux, "endless")
    deadline = time.monotonic() + 20
    while "/four.jpg" not in tmux("capture-pane", "-p") and time.monotonic() < deadline:
        time.sleep(0.02)
    tmux("send-keys", "C-c")
    tmux("wait-for", "done")
    assert tmux("capture-pane", "-p").splitlines()[26] == "left 130"


def test_in_the_background_nothing_is_asked_and_nothing_stops(tmux: Callable[..., str]) -> None:
    started(tmux, "once &\nwait $!", "set -m\n")
    tmux("wait-for", "done")
    screen = tmux("capture-pane", "-p")
    assert "left 0" in screen
    assert "/four.jpg" in screen
