"""Names and texts that break programs: names of files and folders, EXIF texts, labels."""

from __future__ import annotations

from tests.conftest import HOSTILE_NAMES

_CONTROLS = bytes(code for code in range(1, 32)) + b"\x7f"

_ESCAPES = (
    b"\x07bell", b"\x1b[2J\x1b[Hcleared", b"\x1b[31mred", b"\x1b[6nreport", b"\x1b]0;title\x07",
    b"\x1b]52;c;b3duZWQ=\x07clipboard", b"\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", b"\x1bPdcs\x1b\\",
    b"\x1bcreset", b"\xc2\x9b31mcsi", b"\xc2\x9d0;osc\xc2\x9c", b"\xc2\x85next", b"\xc2\x90dcs",
    b"back\x08\x08\x08space", b"over\rwritten", b"two\nlines", b"vertical\x0b\x0cfeeds", b"dele\x7fte",
)  # fmt: skip
_LETTERS = tuple(
    text.encode()
    for text in (
        "\u202egnp.exe", "\u2066isolate\u2069", "\u200emark\u200f", "\u061carabic", "zero\u200bwidth",
        "\u200d\u2060", "\ufeffbom", "line\u2028separator",
        "paragraph\u2029separator", "Z" + "\u0300\u0316\u0489" * 40,
        "caf\u00e9", "cafe\u0301", "I\u0307i\u0131", "UPPER", "upper",
        "\U0001f469\u200d\U0001f469\u200d\U0001f467",
        "\U0001f3f4\U000e0067\U000e0062\U000e007f", "\ufe0f\ufe0e", "\u732b\U0001f600", "\uff1d\uff0b\uff20",
        "\ufff9annotated\ufffb", "\ufdd0\U0010ffff", "\u0e33\u0e33", "\u3164\u115f", "\u00a0\u00ad", "\ue000",
    )
)  # fmt: skip
_NOT_UTF8 = (
    b"overlong-\xc0\xaf", b"overlong-\xe0\x80\xaf", b"overlong-nul-\xc0\x80", b"lone-\x80", b"lone-\xbf\xbf",
    b"surrogate-\xed\xa0\x80", b"pair-\xed\xa0\xbd\xed\xb8\x80", b"cut-\xe2\x82", b"cut-\xf0\x9f\x98",
    b"beyond-\xf4\x90\x80\x80", b"five-\xf8\x88\x80\x80\x80", b"\xff", b"\xfe\xff", b"latin-1-\xe9t\xe9",
    b"escaped-\xed\xb3\xbf", b"raw-csi-\x9b31m",
)  # fmt: skip
_SYNTAX = (
    b"--help", b"--version", b"-0", b"-", b"--", b"-rf", b"--library=x", b"@file", b"~", b"~root", b" ",
    b"   ", b" leading", b"trailing ", b"trailing.", b"a..b", b"'single'", b'"double"', b"`id`", b"$(id)",
    b"${HOME}", b";id", b"|id", b"&id", b"<in", b">out", b"back\\slash", b"\\", b"\\n", b"\\x1b[31m",
    b"%s%n%d", b"%", b"100%_done", b"_", b"*", b"?", b"[a-z]", b"{0.__class__}", b"{path}", b"{",
    b"}", b"[/x]", b"[red]",
    b"[link=http:evil]x", b"[bold", b":smile:", b"<script>alert(1)<script>", b"<img src=x onerror=alert(1)>",
    b"]]>", b"&xxe;", b"<!--", b"=1+1", b"=cmd|' C'!A0", b"+1", b"-1+1", b"@SUM(A1)", b"\t=1", b"\r=1",
    b"\n=1", b"'; DROP TABLE photos;--", b'" OR 1=1 --', b'"\\u0000', b"null", b"NaN", b"true", b"CON",
    b"NUL", b"aux",    b"C:", b"a,b;c", b"a\tb", b"#hash", b"!bang", b"catalogue.sqlite", b"vectors", b"lock",
    b".".join([b"x"] * 60), b"jpg", b"x.png", b"x.photoclipignore",
)  # fmt: skip

_LONGEST = 255


def _as_files() -> list[bytes]:
    each = [b"c0-" + bytes([code]) for code in _CONTROLS]
    stems = dict.fromkeys((*_ESCAPES, *_LETTERS, *_NOT_UTF8, *_SYNTAX, *each))
    longest = (b"\xff" * 251, b"\x1b" * 251, "\u732b".encode() * 83)
    return list(dict.fromkeys((*HOSTILE_NAMES, *(stem + b".png" for stem in (*stems, *longest)))))


NAMES = tuple(_as_files())
"""Names of files, all of which may be photos, none of which is hidden."""


def as_folder(name: bytes) -> bytes:
    """Return the name of a folder: what stands before the ending, if that can be one."""
    stem = name.removesuffix(b".png")
    return name if stem in (b"", b".", b"..") else stem


TEXTS = (
    '=HYPERLINK("http://evil")', "+1+1", "-1+1", "@SUM(A1)", "\t=1", "[red]camera[/x]", ":smile:", "<script>",
    "\x1b]0;owned\x07\x1b[31m", "\x9b31m", "{path}%s%n{0.__class__}", "'; DROP TABLE photos;--", "$(id)",
    'a,"b";c', "two\nlines", "]]>&xxe;", "-- ", "nul\x00after",
)  # fmt: skip
"""What cameras and lenses in EXIF are called."""

LABELS = (
    "\uff1dred", "+red", "-red", "@red", "[red]", "[/x] red", "[bold]red[bold]", ":smile: red",
    "<script>red</script>", "%s%n red", "{0.__class__} red", "'; DROP TABLE tags;-- red", 'red "quoted"',
    "red, green", "$(id) red", "`id` red", "--help red", "~red", "red\\n", "100%_red*?[", "\u732b red",
    "Z\u0316\u0489\u0300 red", "&xxe; red", "]]> red", "red \U0001f469",
)  # fmt: skip
"""Labels that are text like any other."""

BROKEN_LABELS = (
    b"red\x1b[31m", b"\x07bell", b"\xc2\x9b31m", b"\xe2\x80\xaered", b"r\x00d", b"red\xff", b"\xed\xa0\x80",
    b"x" * 300, b"red\nred", b"\xe2\x81\xa6red",
)  # fmt: skip
"""Lists of labels that must be refused in one line."""
