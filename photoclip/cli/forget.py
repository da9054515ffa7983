"""``photoclip forget``."""

from __future__ import annotations

from typing import Annotated

import typer

from photoclip.cli.session import Session
from photoclip.cli.talk import counted


def forget(
    context: typer.Context,
    paths: Annotated[
        list[str], typer.Argument(help="Photos or folders.", metavar="PATH…", show_default=False)
    ],
) -> None:
    """Take photos out of the library, with their tags. The files themselves are not touched.

    Example: photoclip forget ~/Pictures/private
    """
    session: Session = context.obj
    with session.library() as library:
        count = library.forget(paths)
    session.note(f"{counted(count, 'photo')} forgotten")
