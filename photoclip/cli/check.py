"""``photoclip check``."""

from __future__ import annotations

from typing import Annotated

import typer

from photoclip.cli.session import Session
from photoclip.cli.talk import counted
from photoclip.errors import LibraryDamaged


def check(
    context: typer.Context,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended; the next index makes the rest anew.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every photo too: has a drive changed one behind your back?")
    ] = False,
) -> None:
    """Verify the library: the catalogue, every embedding's checksum, and the caches.

    Example: photoclip check

    Ends with 0 when all is whole, with 10 when something is damaged.
    """
    session: Session = context.obj
    with session.library() as library:
        findings = library.check(repair=repair, deep=deep)
        session.note_cut_off(library)
    for finding in findings:
        session.note(f"{'mended' if finding.mended else 'damaged'}: {finding.text}")
    left = [finding for finding in findings if not finding.mended]
    if left:
        remedies = dict.fromkeys(finding.remedy for finding in left if finding.remedy)
        raise LibraryDamaged(f"{counted(len(left), 'thing')} wrong with this library", "; ".join(remedies))
    session.note("the library is whole")
