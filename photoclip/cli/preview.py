"""Thumbnails in the terminal: hits as a grid of pictures, each with a caption.

Four ways to draw a picture are known. Kitty's and iTerm2's protocols and Sixel draw real pixels; blocks are
characters in two colours, two pixels in each, which every terminal with colours can show.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import select
import sys
import time
from base64 import standard_b64encode
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from photoclip import config
from photoclip.cli import render
from photoclip.cli.talk import harmless
from photoclip.errors import BadUsage

if TYPE_CHECKING:
    from PIL.Image import Image


class Protocol(str, Enum):
    """How pictures are drawn; ``auto`` is the best that the terminal knows."""

    auto = "auto"
    kitty = "kitty"
    iterm = "iterm"
    sixel = "sixel"
    blocks = "blocks"


class Screen(NamedTuple):
    """What is drawn on: ``columns`` × ``lines`` cells of ``cell`` (width, height) pixels."""

    protocol: Protocol
    columns: int = 80
    lines: int = 24
    cell: tuple[int, int] = (10, 20)


# These say who they are, so they need not be asked. TERM comes through ssh, and so may LC_TERMINAL.
_BY_NAME = {
    "iTerm.app": Protocol.iterm,
    "iTerm2": Protocol.iterm,
    "WezTerm": Protocol.iterm,  # knows all three; this one takes a JPEG as it is, a sixth of the bytes
    "xterm-kitty": Protocol.kitty,
    "xterm-ghostty": Protocol.kitty,
    "foot": Protocol.sixel,
    "Apple_Terminal": Protocol.blocks,  # would show Kitty's question as text
    "linux": Protocol.blocks,
}
_ASKS_KITTY = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
# The size of a cell; then what the terminal is. All answer that, and in turn: so nobody waits for those
# that do not know the questions before it.
_ASKS = "\x1b[16t\x1b[c"
_ANSWERS = re.compile(
    rb"\x1b_Gi=31;(?P<kitty>[^\x1b]*)\x1b\\"
    rb"|\x1b\[6;(?P<height>\d{1,3});(?P<width>\d{1,3})t"
    rb"|\x1b\[\?(?P<abilities>[\d;]*)c"
)
_SIXEL = "4"
_PATIENCE = 0.3
_PATIENCE_AFAR = 1.0
"""Seconds that a terminal gets to answer, here and at the other end of ssh. Nearly all answer at once."""

_WIDE = 26  # cells for a picture and the space beside it: three in a row on 80 columns
_GAP = 2
_CAPTION = 3  # lines: two, and one for air
_CHUNK = 4096  # characters of base64 that Kitty takes at once

_SAVE, _BACK = "\x1b7", "\x1b8"  # the place of the cursor
_END = "\x1b\\"  # of a string


def choose(wanted: Protocol = Protocol.auto) -> Screen:
    """Return what to draw on, and how: as ``wanted``, or as the terminal is found to know.

    A terminal may be asked, and has 0.3 s to answer (1 s through ssh). Raises BadUsage where nothing can be
    drawn: a file or a pipe gets pictures only when the protocol is named.
    """
    screen = _measured(wanted)
    if wanted is not Protocol.auto:
        return screen
    term, program, afar = config.terminal()
    if not sys.stdout.isatty() or term in ("", "dumb"):
        raise BadUsage(
            "--preview draws on a terminal, and this is none that shows pictures",
            f"name a protocol to draw all the same: {', '.join(list(Protocol)[1:])}",
        )
    # A multiplexer answers for itself: what the terminal around it knows does not get through.
    inside = program == "tmux" or term.startswith(("tmux", "screen"))
    known = None if inside else _BY_NAME.get(program) or _BY_NAME.get(term)
    if known is not None:
        return screen._replace(protocol=known)
    questions = _ASKS if inside else _ASKS_KITTY + _ASKS
    return _understood(screen, _conversation(questions, _PATIENCE_AFAR if afar else _PATIENCE))


def draw(rows: Sequence[render.Row], pictures: Iterable[bytes | None], screen: Screen) -> None:
    """Draw a grid of ``pictures`` (JPEG; None: there is none) with captions from ``rows``.

    There is a picture for each row, in the same order, and each is drawn as soon as it is there. Whatever
    ends this, the cursor is left at the start of the line below the grid. Raises ReaderGone.
    """
    grid = _Grid.on(screen)
    _send(_SAVE)
    try:
        for place, (row, picture) in enumerate(zip(rows, pictures, strict=True)):
            column = place % grid.across
            # The lines are made first, so that nothing drawn into them makes the screen scroll.
            _send(("" if column else "\n" * grid.height + _SAVE) + grid.place(column, row, picture))
    except BaseException:
        with contextlib.suppress(render.ReaderGone):
            _send(_mending(screen.protocol))
        raise


def _mending(protocol: Protocol) -> str:
    """Return what ends anything that was cut: Ctrl-C throws away what is on its way to the terminal."""
    kitty = f"\x1b_Gm=0,q=2;{_END}" if protocol is Protocol.kitty else ""  # the last piece of a picture
    return f"{_END}{kitty}\x1b[m{_BACK}"


def _send(text: str) -> None:
    render.put(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise render.ReaderGone from error


# -- the terminal ---------------------------------------------------------------------------------


def _measured(protocol: Protocol) -> Screen:
    """Return the screen as the system knows it; a file is what a terminal usually is."""
    import fcntl
    import struct
    import termios

    usual = Screen(protocol)
    try:
        size = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, bytes(8))
    except (OSError, ValueError):
        return usual
    lines, columns, width, height = struct.unpack("HHHH", size)
    if not lines or not columns:
        return usual
    cell = (width // columns, height // lines)
    return Screen(protocol, columns, lines, cell if all(cell) else usual.cell)


def _understood(screen: Screen, heard: bytes) -> Screen:
    """Return the screen as the terminal itself describes it."""
    said: dict[str, str] = {}
    for match in _ANSWERS.finditer(heard):
        said.update(
            {name: text.decode("latin-1") for name, text in match.groupdict().items() if text is not None}
        )
    cell = (int(said.get("width", 0)), int(said.get("height", 0)))
    if all(cell):
        screen = screen._replace(cell=cell)
    if said.get("kitty") == "OK":
        return screen._replace(protocol=Protocol.kitty)
    sixel = _SIXEL in said.get("abilities", "").split(";")
    return screen._replace(protocol=Protocol.sixel if sixel else Protocol.blocks)


def _conversation(questions: str, patience: float) -> bytes:
    """Return what the terminal says to ``questions``: nothing where it cannot be asked, or is silent."""
    import termios

    terminal = sys.stdout.fileno()
    try:
        with _listening(terminal):
            if _speaks(terminal, 0):  # keys typed ahead are for whoever reads next
                return b""
            _send(questions)
            heard = _heard(terminal, patience)
            _send("\r\x1b[K")  # a terminal that did not understand may have shown them
    except (OSError, termios.error):  # from this end, the terminal can only be written to
        return b""
    _type_again(terminal, _ANSWERS.sub(b"", heard))
    return heard


def _heard(terminal: int, patience: float) -> bytes:
    heard = b""
    deadline = time.monotonic() + patience
    while _speaks(terminal, max(0, deadline - time.monotonic())):
        heard += os.read(terminal, 1024)
        if any(match["abilities"] is not None for match in _ANSWERS.finditer(heard)):
            break
    return heard


def _speaks(terminal: int, seconds: float) -> bool:
    return bool(select.select([terminal], [], [], seconds)[0])


def _in_background(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) != os.getpgrp()
    except OSError:  # a terminal that is not ours
        return False


@contextlib.contextmanager
def _listening(terminal: int) -> Iterator[None]:
    """Within, bytes from the terminal can be read as they come, and are not shown; Ctrl-C works.

    Raises OSError in the background: there, to change the terminal would stop the process.
    """
    import termios

    if _in_background(terminal):
        raise BlockingIOError
    before = termios.tcgetattr(terminal)
    now = termios.tcgetattr(terminal)
    now[3] &= ~(termios.ICANON | termios.ECHO)
    try:
        # At once: the other ways would throw away what was typed ahead.
        termios.tcsetattr(terminal, termios.TCSANOW, now)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)


def _type_again(terminal: int, keys: bytes) -> None:
    """Give back what was typed while the terminal answered; some systems forbid it."""
    import fcntl
    import termios

    with contextlib.suppress(OSError):
        for key in keys:
            fcntl.ioctl(terminal, termios.TIOCSTI, bytes([key]))


# -- the grid -------------------------------------------------------------------------------------


class _Grid(NamedTuple):
    """Places for pictures of at most ``wide`` × ``high`` cells, ``across`` in a row."""

    screen: Screen
    across: int
    wide: int
    high: int

    @classmethod
    def on(cls, screen: Screen) -> _Grid:
        across = max(1, screen.columns // _WIDE)
        wide = max(1, screen.columns // across - _GAP)
        high = round(wide * screen.cell[0] * 3 / 4 / screen.cell[1])
        return cls(screen, across, wide, max(1, min(high, screen.lines - _CAPTION - 1)))

    @property
    def height(self) -> int:
        """Lines of a row of the grid."""
        return self.high + _CAPTION

    def place(self, column: int, row: render.Row, picture: bytes | None) -> str:
        """Return what draws a picture and its caption, from the saved place below it and back to it."""
        top = (self._picture(picture) if picture is not None else "") or "no picture"[: self.wide]
        facts, name = _caption(row, self.wide)
        return "".join(
            f"\x1b[{self.height - line}A\x1b[{column * (self.wide + _GAP) + 1}G{drawn}{_BACK}"
            for line, drawn in ((0, top), (self.high, facts), (self.high + 1, name))
        )

    def _picture(self, data: bytes) -> str:
        """Return what draws a picture from its top left corner; nothing for one that is damaged."""
        from PIL import Image

        draws = {"kitty": _kitty, "iterm": _iterm, "sixel": _sixel, "blocks": _blocks}
        try:
            with Image.open(io.BytesIO(data)) as opened:
                picture = opened.convert("RGB")
        except OSError:
            return ""
        fit = _Fit.of(picture.size, (self.wide, self.high), self.screen.cell)
        return draws[self.screen.protocol](picture, fit, data)


def _caption(row: render.Row, cells: int) -> tuple[str, str]:
    similarity = "" if row.get("similarity") is None else f"{row['similarity']:.3f}"
    facts = harmless("  ".join(part for part in (str(row["rank"]), similarity, render.day(row)) if part))
    name = _end(harmless(render.cell(render.near(row["path"]))), cells)
    if row.get("relevant") is False:  # faint, as in the table
        return f"\x1b[2m{facts[:cells]}\x1b[m", f"\x1b[2m{name}\x1b[m"
    return facts[:cells], name


def _end(text: str, cells: int) -> str:
    """Return a text, or as much of its end as fits: there stands which photo it is."""
    from rich.cells import cell_len

    if cell_len(text) <= cells:
        return text
    while text and cell_len(text) > cells - 1:
        text = text[1:]
    return "…" + text


# -- the protocols --------------------------------------------------------------------------------


class _Fit(NamedTuple):
    """How a picture fits its place: ``scale`` times as large as it is, on ``wide`` × ``high`` cells."""

    scale: float
    wide: float
    high: float
    cell: tuple[int, int]

    @classmethod
    def of(cls, size: tuple[int, int], place: tuple[int, int], cell: tuple[int, int]) -> _Fit:
        scale = min(cells * pixels / side for side, cells, pixels in zip(size, place, cell, strict=True))
        return cls(scale, size[0] * scale / cell[0], size[1] * scale / cell[1], cell)

    @property
    def around(self) -> tuple[int, int]:
        """The whole cells that hold the picture."""
        return math.ceil(self.wide - 1e-6), math.ceil(self.high - 1e-6)


def _scaled(picture: Image, scale: float) -> Image:
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height))


def _kitty(picture: Image, fit: _Fit, _data: bytes) -> str:
    """Kitty's graphics protocol (sw.kovidgoyal.net/kitty/graphics-protocol): a PNG over whole cells.

    The picture is laid on a clear ground of as many cells, so that it keeps its shape; enlarging it is left
    to the terminal.
    """
    from PIL import Image

    wide, high = fit.around
    shrunk = min(fit.scale, 1.0)
    pixels = shrunk / fit.scale
    ground = Image.new("RGBA", (round(wide * fit.cell[0] * pixels), round(high * fit.cell[1] * pixels)))
    ground.paste(_scaled(picture, shrunk))
    png = io.BytesIO()
    ground.save(png, "png", compress_level=1)
    text = standard_b64encode(png.getvalue()).decode()
    chunks = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    keys = [f"a=T,f=100,c={wide},r={high},C=1,q=2,"] + [""] * (len(chunks) - 1)
    more = [1] * (len(chunks) - 1) + [0]
    return "".join(
        f"\x1b_G{key}m={m};{chunk}{_END}" for key, m, chunk in zip(keys, more, chunks, strict=True)
    )


def _iterm(_picture: Image, fit: _Fit, data: bytes) -> str:
    """iTerm2's inline images (iterm2.com/documentation-images.html): the file as it is."""
    wide, high = fit.around
    keys = f"inline=1;size={len(data)};width={wide};height={high};preserveAspectRatio=1"
    return f"\x1b]1337;File={keys}:{standard_b64encode(data).decode()}\a"


def _sixel(picture: Image, fit: _Fit, _data: bytes) -> str:
    """Sixel: 256 colours, at the size it has on the screen."""
    # The package that can be imported officially asks the terminal while it is loaded, in its own way.
    from textual_image._sixel import image_to_sixels

    return image_to_sixels(_scaled(picture, fit.scale))


def _blocks(picture: Image, fit: _Fit, _data: bytes) -> str:
    """Half blocks: the upper pixel of each cell is the colour of the character, the lower one its ground."""
    from rich.color import Color, ColorSystem
    from rich.console import Console
    from rich.style import Style

    # Hardly a terminal has fewer than 256 colours, but many do not say so.
    exact = Console(file=sys.stdout, force_terminal=True).color_system == "truecolor"
    colours = ColorSystem.TRUECOLOR if exact else ColorSystem.EIGHT_BIT
    wide, high = max(1, round(fit.wide)), max(1, round(fit.high))
    pixels = picture.resize((wide, 2 * high)).tobytes()

    def cell(x: int, y: int) -> str:
        upper, lower = (pixels[at : at + 3] for at in (3 * (2 * y * wide + x), 3 * ((2 * y + 1) * wide + x)))
        style = Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower))
        return style.render("▀", color_system=colours)

    return f"\x1b[{wide}D\x1b[B".join("".join(cell(x, y) for x in range(wide)) for y in range(high))
