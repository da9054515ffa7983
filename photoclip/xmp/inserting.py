"""Entries put into a packet: into the lists that are there, or into a description of our own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from photoclip.xmp.document import RDF, Document, Edit, Node, NotXmp, list_in
from photoclip.xmp.entries import ABOUT, WAS
from photoclip.xmp.reading import DC, LR, OURS

_PREFIXES = {DC: "dc:", LR: "lr:", OURS: "photoclip:"}

_Property = tuple[str, "list[str] | str"]


class _Layout(NamedTuple):
    """How a file begins its lines inside some element, how it indents, and what it calls the namespaces."""

    line: bytes
    unit: bytes
    prefixes: Mapping[str, str]

    def property(self, name: str, value: list[str] | str, deeper: int = 0) -> bytes:
        """Return an element of ours that holds a list of texts, or a text."""
        namespace = next(one for one in self.prefixes if name.startswith(one) and one != RDF)
        tag = (self.prefixes[namespace] + name.removeprefix(namespace)).encode()
        line = self.line + self.unit * deeper
        inside = self.bag(value, deeper + 1) + line if isinstance(value, list) else _escaped(value)
        return b"".join([line, b"<", tag, b">", inside, b"</", tag, b">"])

    def bag(self, texts: list[str], deeper: int) -> bytes:
        """Return a list."""
        line = self.line + self.unit * deeper
        tag = self.prefixes[RDF].encode() + b"Bag"
        return b"".join([line, b"<", tag, b">", self.members(texts, deeper + 1), line, b"</", tag, b">"])

    def members(self, texts: list[str], deeper: int) -> bytes:
        """Return the entries of a list."""
        tag = self.prefixes[RDF].encode() + b"li"
        line = self.line + self.unit * deeper
        return b"".join(b"".join([line, b"<", tag, b">", _escaped(one), b"</", tag, b">"]) for one in texts)


def insertions(
    document: Document, added: Mapping[str, list[str]], *, for_good: bool = False
) -> Iterator[Edit]:
    """Yield the edits that add entries to lists. Raises NotXmp where such a list is none.

    Unless ``for_good``, what it takes to make them go again is recorded.
    """
    fresh: list[_Property] = []
    for name, texts in added.items():
        node = _list_to_extend(document, name) if texts else None
        if node is not None:
            yield _appended(document, node, texts)
            holder = list_in(node)
            was_empty = name in WAS and not (holder or node).children
            if was_empty and not for_good and not any(document.properties(WAS[name])):
                was = "nothing" if holder is None else "list"
                fresh.append((WAS[name], was + "/" * document.is_closed(holder or node)))
        elif texts:
            fresh.append((name, texts))
    if fresh:
        if document.is_closed(document.rdf) and not for_good:
            fresh.append((WAS[document.rdf.name], "nothing/"))
        yield _settled(document, fresh)


def _list_to_extend(document: Document, name: str) -> Node | None:
    """Return the property to which entries can be added; None when there is none of this name."""
    found = list(document.properties(name))
    for node in found:
        if list_in(node) or not (node.children or node.attributes or node.text.strip()):
            return node
    if found or any(name in description.attributes for description in document.rdf.children):
        raise NotXmp("its keywords are not written as a list")
    return None


def _appended(document: Document, node: Node, texts: list[str]) -> Edit:
    """Return the edit that adds entries to a property, after the last one."""
    holder = list_in(node)
    names = _bound(holder or node)
    if RDF not in names:
        raise NotXmp("its namespaces are not where they should be")
    if holder and holder.children:
        last = holder.children[-1]
        at = document.end(last)
        return Edit(at, at, _Layout(document.space_before(last), b"", names).members(texts, 0))
    layout = _Layout(document.line_before(holder or node), _unit(document), names)
    inside = layout.members(texts, 1) if holder else layout.bag(texts, 1)
    return _filled(document, holder or node, inside, layout.line)


def _filled(document: Document, node: Node, inside: bytes, line: bytes) -> Edit:
    """Return the edit that puts something into an element that has no elements yet, at its beginning."""
    tag, after = document.tag(node)
    if document.is_closed(node):
        return Edit(after - 2, after, b"".join([b">", inside, line, b"</", tag, b">"]))
    return Edit(after, after, inside)


def _settled(document: Document, fresh: list[_Property]) -> Edit:
    """Return the edit that adds properties to the description that is ours, or one with them."""
    home = next((one for one in document.rdf.children if _is_home(one)), None)
    if home is not None:
        last = home.children[-1]
        at = document.end(last)
        layout = _Layout(document.line_before(last), _unit(document), _bound(home))
        return Edit(at, at, b"".join(layout.property(*one) for one in fresh))
    rdf = document.rdf
    if not rdf.children:
        line = document.line_before(rdf) and document.line_before(rdf) + _unit(document)
        return _filled(document, rdf, _description(document, fresh, line), document.line_before(rdf))
    at = document.end(rdf.children[-1])
    return Edit(at, at, _description(document, fresh, document.line_before(rdf.children[-1])))


def _description(document: Document, fresh: list[_Property], line: bytes) -> bytes:
    declared = dict(_PREFIXES)
    prefix = document.rdf.prefix_of(RDF)
    if not prefix:  # the default namespace is for elements, not for rdf:about
        declared[RDF] = prefix = "rdf:"
    layout = _Layout(line, _unit(document), {RDF: prefix, **_PREFIXES})
    abouts = [node.attributes[name] for node in document.rdf.children for name in ABOUT & {*node.attributes}]
    from xml.sax.saxutils import quoteattr  # late: it brings http along, and who only reads needs neither

    about = quoteattr(abouts[0] if abouts else "")
    names = (f"xmlns:{name[:-1]}={quoteattr(namespace)}" for namespace, name in declared.items())
    head = line + f"<{prefix}Description {prefix}about={about}".encode()
    spread = b"".join((line + layout.unit * 2 if line else b" ") + name.encode() for name in names)
    properties = b"".join(layout.property(*one, deeper=1) for one in fresh)
    return b"".join([head, spread, b">", properties, line, f"</{prefix}Description>".encode()])


def _is_home(node: Node) -> bool:
    """Say whether we may put properties into a description: ours are there, and our names are known."""
    ours = any(child.name.startswith(OURS) for child in node.children)
    return ours and set(_bound(node)) == {RDF, *_PREFIXES}


def _bound(node: Node) -> dict[str, str]:
    found = {namespace: node.prefix_of(namespace) for namespace in (RDF, *_PREFIXES)}
    return {namespace: prefix for namespace, prefix in found.items() if prefix is not None}


def _unit(document: Document) -> bytes:
    """Return by how much the file indents (nothing for a file that is all on one line)."""
    outer = document.line_before(document.rdf)
    inner = document.line_before(document.rdf.children[-1]) if document.rdf.children else outer
    if inner.startswith(outer) and len(inner) > len(outer) > 0:
        return inner[len(outer) :]
    return (b"\t" if b"\t" in inner else b" ") if inner else b""


def _escaped(text: str) -> bytes:
    from xml.sax.saxutils import escape

    return escape(text).encode()
