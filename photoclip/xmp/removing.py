"""Entries taken out of a packet, with the white space in front of them, which is what came with them."""

from __future__ import annotations

from collections.abc import Mapping

from photoclip.xmp.document import Document, Edit, Node, items_of, list_in
from photoclip.xmp.entries import ABOUT, WAS, key_in
from photoclip.xmp.reading import OURS, RECORDS


class Cuts:
    """The edits that take entries out, given by their keys in each list, and what they leave empty."""

    def __init__(self, document: Document, going: Mapping[str, set[str]]) -> None:
        self.edits: list[Edit] = []
        self.taken: dict[str, list[str]] = {}
        self._document = document
        self._gone: set[Node] = set()
        for name in going:
            left = set(going[name])
            for node in document.properties(name):
                self._take_from(node, left)
        for name, record in RECORDS.items():
            if all(node in self._gone for node in document.properties(record)):
                self._forget(name)
        self._clear_homes()

    def _take_from(self, node: Node, left: set[str]) -> None:
        taken: list[Node] = []
        for text, member in items_of(node):
            if member is not None and (entry := key_in(node.name, text)) in left:
                left.remove(entry)  # the same once more is not ours
                taken.append(member)
                self.taken.setdefault(node.name, []).append(text)
        holder = list_in(node)
        if taken and holder and len(taken) == len(holder.children):
            self._empty(node, holder)
        else:
            for member in taken:
                self._cut(member)

    def _empty(self, node: Node, holder: Node) -> None:
        """Make a property that would be empty what it was before we came."""
        was = next((one.text for one in self._document.properties(WAS.get(node.name, ""))), "")
        if was == "list":
            for member in holder.children:
                self._cut(member)
        elif was == "nothing":
            self._cut(holder)
        elif was in ("list/", "nothing/"):
            self._close(holder if was == "list/" else node)
        else:
            self._cut(node)
        self._forget(node.name)

    def _forget(self, name: str) -> None:
        """Take out what is recorded of how a property was."""
        for node in self._document.properties(WAS.get(name, "")):
            if node not in self._gone:
                self._cut(node)

    def _clear_homes(self) -> None:
        """Take out the descriptions that held nothing but ours, with what is recorded of rdf:RDF."""
        rdf = self._document.rdf
        for description in rdf.children:
            left = [node for node in description.children if node not in self._gone]
            of_rdf = [node for node in left if node.name == WAS[rdf.name]]
            cut = [node for node in description.children if node in self._gone]
            ours = any(node.name.startswith(OURS) for node in cut)
            if ours and left == of_rdf and set(description.attributes) <= ABOUT:
                self._cut(description)
                if of_rdf and len(rdf.children) == 1:
                    self._close(rdf)

    def _cut(self, node: Node) -> None:
        start = node.start - len(self._document.space_before(node))
        self.edits.append(Edit(start, self._document.end(node)))
        self._gone.add(node)

    def _close(self, node: Node) -> None:
        """Take out all that is in an element, and its end tag."""
        self.edits.append(Edit(self._document.tag(node)[1] - 1, self._document.end(node), b"/>"))
