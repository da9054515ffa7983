"""An XMP packet as a tree whose elements know where in the bytes they stand."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import NamedTuple
from xml.parsers import expat

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
SIZE_LIMIT = 16 << 20
"""Bytes of a packet that is read. Lightroom's largest, with masks, have one or two million."""

_DEPTH_LIMIT = 100
_ELEMENTS_LIMIT = 100_000  # attributes, comments and instructions count too
_NAME_LIMIT = 300
_SEPARATOR = "\1"  # no XML may hold it, so no namespace does
_CONTAINERS = {RDF + "Bag", RDF + "Seq", RDF + "Alt"}
_MEMBER = re.compile(re.escape(RDF) + r"(li|_[0-9]+)")
_TAG = re.compile(rb"""<([^\s/>]+)(?:[^"'>]|"[^"]*"|'[^']*')*>""")

Event = tuple[object, ...]


class NotXmp(Exception):
    """A packet that cannot be read, or cannot be changed without risk. ``str(error)`` says why."""


class Edit(NamedTuple):
    """Bytes ``start`` to ``end`` become ``text``."""

    start: int
    end: int
    text: bytes = b""


class Node:
    """An element. Names are those of RDF: namespace and local name in one piece.

    ``start`` is where its start tag begins; ``closing`` where its end tag does, which means nothing for an
    element without one. ``first`` and ``last`` are its own events in the document.
    """

    __slots__ = (
        "attributes", "children", "closing", "declared", "first", "last", "name", "parent", "start", "texts",
    )  # fmt: skip

    def __init__(self, name: str, attributes: dict[str, str], parent: Node | None) -> None:
        self.name = name
        self.attributes = attributes
        self.parent = parent
        self.children: list[Node] = []
        self.declared: dict[str, str] = {}
        self.texts: list[str] = []
        self.start = self.closing = self.first = self.last = 0

    @property
    def text(self) -> str:
        """The text directly in it."""
        return "".join(self.texts)

    def prefix_of(self, namespace: str) -> str | None:
        """Return the prefix that elements inside this one may use for a namespace, with its colon ("" for
        the default namespace); None when it has none."""
        hidden: set[str] = set()
        node: Node | None = self
        while node is not None:
            for prefix, bound in node.declared.items():
                if bound == namespace and prefix not in hidden:
                    return prefix and prefix + ":"
            hidden.update(node.declared)
            node = node.parent
        return None


class Item(NamedTuple):
    """One entry of a list: its text, and its element where it is an entry of a proper list."""

    text: str
    node: Node | None


class Document:
    """A packet in UTF-8, parsed. Raises NotXmp when it is not well-formed, has a DTD (and with it entities),
    is nested too deeply, or holds no rdf:RDF."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.events: list[Event] = []
        self._nodes = 0
        self._open: list[Node] = []
        self._declared: dict[str, str] = {}
        self._rdf: Node | None = None
        self._parse()

    @property
    def rdf(self) -> Node:
        """The element that holds all that is said about the photo."""
        assert self._rdf
        return self._rdf

    def properties(self, name: str) -> Iterator[Node]:
        """Yield the elements of this name that describe the photo."""
        for description in self.rdf.children:
            for node in description.children:
                if node.name == name:
                    yield node

    def items(self, name: str) -> list[Item]:
        """Return the entries of a list, in whichever of RDF's many forms it is written."""
        values = [node.attributes.get(name, "") for node in self.rdf.children]
        found = [Item(value, None) for value in values if value.strip()]
        for node in self.properties(name):
            found += items_of(node)
        return found

    # -- places -----------------------------------------------------------------------------------

    def tag(self, node: Node) -> tuple[bytes, int]:
        """Return the name in an element's start tag, with its prefix, and where that tag ends."""
        match = _TAG.match(self.data, node.start)
        assert match  # the parser has seen it
        return match[1], match.end()

    def is_closed(self, node: Node) -> bool:
        """Say whether an element is written without an end tag: ``<a/>``."""
        after = self.tag(node)[1]
        return self.data[after - 2 : after] == b"/>"

    def end(self, node: Node) -> int:
        """Return where an element ends."""
        after = self.tag(node)[1]
        return after if self.is_closed(node) else self.data.index(b">", node.closing) + 1

    def space_before(self, node: Node) -> bytes:
        """Return the white space in front of an element."""
        end = start = node.start
        while start and self.data[start - 1] in b" \t\r\n":
            start -= 1
        return self.data[start:end]

    def line_before(self, node: Node) -> bytes:
        """Return the line end and the indentation in front of an element; nothing if it begins no line."""
        space = self.space_before(node)
        at = space.rfind(b"\n")
        return b"" if at < 0 else space[at - (space[at - 1 : at] == b"\r") :]

    # -- parsing ----------------------------------------------------------------------------------

    def _parse(self) -> None:
        parser = self._parser = expat.ParserCreate("utf-8", _SEPARATOR)
        parser.namespace_prefixes = True
        parser.buffer_text = True
        parser.XmlDeclHandler = _refuse_other_encodings
        parser.StartDoctypeDeclHandler = _refuse_dtd
        parser.StartNamespaceDeclHandler = self._declare
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.CommentHandler = lambda text: self._other("comment", text)
        parser.ProcessingInstructionHandler = self._other
        try:
            parser.Parse(self.data, True)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            raise NotXmp(f"it is not well-formed XML: {reason} (line {error.lineno})") from error
        finally:
            del self._parser  # it holds us, we hold it
        if self._rdf is None:
            raise NotXmp("there is no rdf:RDF in it")

    def _count(self, more: int) -> None:
        self._nodes += more
        if len(self._open) == _DEPTH_LIMIT or self._nodes > _ELEMENTS_LIMIT:
            raise NotXmp("its elements are nested too deeply, or are too many")

    def _other(self, *event: object) -> None:
        self._count(1)
        self.events.append(event)

    def _declare(self, prefix: str | None, namespace: str | None) -> None:
        if len(prefix or "") + len(namespace or "") > _NAME_LIMIT:
            raise NotXmp("a namespace in it has too long a name")  # each element would repeat it
        self._declared[prefix or ""] = namespace or ""

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count(1 + len(attributes))
        parent = self._open[-1] if self._open else None
        named = {_joined(one): value for one, value in attributes.items()}
        node = Node(_joined(name), named, parent)
        node.start = self._parser.CurrentByteIndex
        node.first = len(self.events)
        if self._declared:
            node.declared, self._declared = self._declared, {}
        if parent is not None:
            parent.children.append(node)
        if node.name == RDF + "RDF" and self._rdf is None:
            self._rdf = node
        self.events.append(("start", node.name, *sorted(named.items())))
        self._open.append(node)

    def _end(self, _name: str) -> None:
        node = self._open.pop()
        node.closing = self._parser.CurrentByteIndex
        node.last = len(self.events)
        self.events.append(("end",))

    def _text(self, text: str) -> None:
        if self._open:
            self._open[-1].texts.append(text)
        if stripped := text.strip():
            self.events.append(("text", stripped))


def list_in(node: Node) -> Node | None:
    """Return the Bag, Seq or Alt in a property; None when it has none."""
    return next((child for child in node.children if child.name in _CONTAINERS), None)


def items_of(node: Node) -> list[Item]:
    """Return the entries of a property: those of its list, or itself as the only one."""
    holder = list_in(node)
    if holder is not None:
        return [Item(_value(one), one) for one in holder.children if _MEMBER.fullmatch(one.name)]
    return [Item(text, None)] if (text := _value(node)).strip() else []


def decoded(packet: bytes) -> tuple[bytes, str]:
    """Return a packet in UTF-8, and the name of the encoding it came in. Raises NotXmp."""
    if len(packet) > SIZE_LIMIT:
        raise NotXmp(f"it is larger than {SIZE_LIMIT >> 20} MB")
    encoding = "utf-8"
    if packet.startswith((codecs.BOM_UTF16_LE, b"<\0")):
        encoding = "utf-16-le"
    elif packet.startswith((codecs.BOM_UTF16_BE, b"\0<")):
        encoding = "utf-16-be"
    try:
        return (packet if encoding == "utf-8" else packet.decode(encoding).encode()), encoding
    except UnicodeDecodeError as error:
        raise NotXmp("it is not valid UTF-16") from error


def encoded(data: bytes, encoding: str) -> bytes:
    """Return UTF-8 in the encoding that ``decoded`` named."""
    return data if encoding == "utf-8" else data.decode().encode(encoding)


def edited(data: bytes, edits: list[Edit]) -> bytes:
    """Return ``data`` after all edits, those at one place in their order. What lies within another is done
    with that."""
    pieces = []
    position = 0
    for start, end, text in sorted(edits, key=lambda edit: (edit.start, -edit.end)):
        if start >= position:
            pieces += [data[position:start], text]
            position = end
    return b"".join([*pieces, data[position:]])


def _value(node: Node) -> str:
    """Return the text of a property or of an entry, also where qualifiers stand beside it."""
    if RDF + "value" in node.attributes:
        return node.attributes[RDF + "value"]
    for child in node.children:
        if child.name == RDF + "value":
            return child.text
        if child.name == RDF + "Description":
            return _value(child)
    return node.text


def _joined(name: str) -> str:
    """Return namespace and local name in one piece, without the prefix that expat puts behind them."""
    return "".join(name.split(_SEPARATOR)[:2])


def _refuse_dtd(*_: object) -> None:
    raise NotXmp("it has a document type declaration")


def _refuse_other_encodings(version: str, encoding: str | None, standalone: int) -> None:  # noqa: ARG001
    if encoding and not encoding.lower().startswith(("utf-8", "utf8", "utf-16", "utf16")):
        raise NotXmp(f"it is written in {encoding[:40]!r}, not in UTF-8 or UTF-16")
