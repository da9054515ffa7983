"""CLIP's byte-pair tokenizer without torch: the same token ids as OpenCLIP's ``SimpleTokenizer``.

A word is spelt as one symbol for each of its UTF-8 bytes; then the pair of neighbours that stands first in
the list of merges is joined wherever it occurs, again and again, until no pair is in the list (Sennrich et
al. 2016, "Neural Machine Translation of Rare Words with Subword Units"; on bytes as in GPT-2). The ids are
256 bytes, 256 bytes that end a word, the merges in their order, start of text and end of text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from itertools import pairwise

MAX_MERGES = 49152 - 256 - 2
"""OpenCLIP reads this many merges of a list and ignores the rest."""

_RANK_BYTES = 3
_START, _END = "<start_of_text>", "<end_of_text>"
_END_OF_WORD = "</w>"
_CONTRACTIONS = "'s|'t|'re|'ve|'m|'ll|'d"
_ASCII_WORDS = re.compile(rf"{_START}|{_END}|{_CONTRACTIONS}|[a-z]+|[0-9]|[^\sa-z0-9]+")
_UNICODE_WORDS = rf"{_START}|{_END}|{_CONTRACTIONS}|\p{{L}}+|\p{{N}}|[^\s\p{{L}}\p{{N}}]+"

# Bytes that are printable in Latin-1 stand for themselves, the others for the characters from U+0100 on:
# so every byte has a visible symbol, and a space can separate the two parts of a merge.
_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_OTHERS = [byte for byte in range(256) if byte not in _PRINTABLE]
_SYMBOL_OF_BYTE = {byte: chr(byte) for byte in _PRINTABLE} | {
    byte: chr(0x100 + n) for n, byte in enumerate(_OTHERS)
}
_IDS = {_SYMBOL_OF_BYTE[byte]: n for n, byte in enumerate(_PRINTABLE + _OTHERS)}
_IDS |= {symbol + _END_OF_WORD: 256 + n for symbol, n in _IDS.items()}


class Tokenizer:
    """Turns texts into token ids.

    ``table`` and ``row_length``: the merges as ``merge_table`` returns them, no two of which may join to the
    same symbol. ``context_length``: the longest sequence of ids.
    """

    def __init__(self, table: bytes, row_length: int, context_length: int) -> None:
        self._table = table
        self._row_length = row_length
        self._rows = range(len(table) // row_length)
        self._ranks: dict[str, int] = {}
        self._ids = _IDS.copy()
        self._start = 512 + len(self._rows)
        self._known: dict[str, list[int]] = {_START: [self._start], _END: [self._start + 1]}
        self._context_length = context_length

    @property
    def vocabulary_size(self) -> int:
        """The number of different ids; the last one is end of text."""
        return self._start + 2

    def encode(self, text: str) -> list[int]:
        """Return the ids of ``text`` from start of text to end of text, at most ``context_length``.

        What is too long loses its tail, and the last id kept becomes end of text.
        """
        ids = [self._start]
        for word in _words(text):
            ids += self._known.get(word) or self._spell(word)
            if len(ids) >= self._context_length:
                break
        return [*ids[: self._context_length - 1], self._start + 1]

    def _spell(self, word: str) -> list[int]:
        """Return the ids of one word, and remember them."""
        symbols = [_SYMBOL_OF_BYTE[byte] for byte in word.encode("utf-8")]
        symbols[-1] += _END_OF_WORD
        while (merge := self._strongest_merge(symbols)) is not None:
            left, right = merge.split(" ")
            self._ids[left + right] = 512 + self._rank(merge)
            symbols = _join(symbols, left, right)
        ids = self._known[word] = [self._ids[symbol] for symbol in symbols]
        return ids

    def _strongest_merge(self, symbols: list[str]) -> str | None:
        """Return the first merge of the list that two neighbours allow."""
        pairs = (f"{left} {right}" for left, right in pairwise(symbols))
        strongest = min(pairs, key=self._rank, default=None)
        return strongest if strongest is not None and self._rank(strongest) < MAX_MERGES else None

    def _rank(self, merge: str) -> int:
        """Return the place of ``merge`` in the list, MAX_MERGES when it is not there."""
        rank = self._ranks.get(merge)
        if rank is None:
            size = self._row_length - _RANK_BYTES
            wanted = merge.encode("utf-8").ljust(size, b"\0")
            start = self._row_length * bisect_left(self._rows, wanted, key=self._merge_in_row)
            found = self._table[start : start + size] == wanted
            digits = self._table[start + size : start + self._row_length]
            rank = self._ranks[merge] = int.from_bytes(digits, "big") if found else MAX_MERGES
        return rank

    def _merge_in_row(self, row: int) -> bytes:
        start = row * self._row_length
        return self._table[start : start + self._row_length - _RANK_BYTES]


def merge_table(merges: bytes) -> tuple[bytes, int]:
    """Return ``merges`` as a table in which a merge is found without reading the others, and its row length.

    ``merges``: UTF-8, first line ignored, then one merge ``left right`` a line, the strongest first. A row
    is a merge, padded with zeros, and its place in the list, 3 bytes big-endian; rows are in order of bytes.
    (To read 48,894 merges into a dictionary would cost every query 10 ms; a look-up costs 5 µs.)
    """
    lines = merges.split(b"\n", MAX_MERGES + 1)[1 : MAX_MERGES + 1]
    size = max(map(len, lines))
    rows = (line.ljust(size, b"\0") + rank.to_bytes(_RANK_BYTES, "big") for rank, line in enumerate(lines))
    return b"".join(sorted(rows)), size + _RANK_BYTES


def _join(symbols: list[str], left: str, right: str) -> list[str]:
    """Return ``symbols`` with every ``left`` that ``right`` follows joined to it, from left to right."""
    joined: list[str] = []
    for symbol in symbols:
        if symbol == right and joined and joined[-1] == left:
            joined[-1] = left + right
        else:
            joined.append(symbol)
    return joined


def _words(text: str) -> list[str]:
    """Return the words of a cleaned text: lower case, whitespace collapsed, mojibake and HTML repaired."""
    if text.isascii() and text.isprintable() and "&" not in text:
        # Nothing for ftfy and html to repair: spare a query the 100 ms of importing them.
        return _ASCII_WORDS.findall(text.lower())
    import html

    import ftfy
    import regex

    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    found: list[str] = regex.findall(_UNICODE_WORDS, " ".join(text.split()).lower(), regex.IGNORECASE)
    return found
