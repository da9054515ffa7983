"""``photoclip check``."""

from __future__ import annotations

from typing import Annotated

import typer

from photoclip.cli.options import Session
from photoclip.errors import LibraryDamaged


def check(
    context: typer.Context,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended; the next index makes the rest anew.")
    ] = False,
) -> None:
    """Verify the library: the catalogue, every embedding's checksum, and the caches.

    Example: photoclip check

    Ends with 0 when all is whole, with 10 when something is damaged.
    """
    session: Session = context.obj
    with session.library() as library:
        findings = library.check(repair=repair)
    for finding in findings:
        session.note(f"{'mended' if finding.mended else 'damaged'}: {finding.text}")
    left = [finding for finding in findings if not finding.mended]
    if left:
        mendable = any(finding.mendable for finding in left)
        raise LibraryDamaged(
            f"{len(left)} things are wrong with this library",
            "mend them: photoclip check --repair" if mendable else "restore the catalogue from a backup",
        )
    session.note("the library is whole")
