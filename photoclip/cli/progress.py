"""Progress on stderr, for who watches a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from photoclip.cli.session import Session

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


@contextlib.contextmanager
def counting(session: Session, doing: str, *, in_bytes: bool = False) -> Iterator[Progress]:
    """Yield what is called with (done, total), and show it as a bar with the time left."""
    if not session.shows_progress():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    amounts = (DownloadColumn(), TransferSpeedColumn()) if in_bytes else (MofNCompleteColumn(),)
    columns = (TextColumn("{task.description}"), BarColumn(), *amounts, TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
