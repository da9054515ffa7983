"""What ``photoclip index`` does, whoever has read its command line."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from photoclip.cli import render
from photoclip.cli.session import Session, read_paths
from photoclip.cli.talk import counted
from photoclip.errors import BadUsage, UnreadableFiles

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from photoclip.api import Library
    from photoclip.api.paths import PathLike
    from photoclip.indexing import IndexOptions, IndexReport

_COUNTS = ("added", "updated", "moved", "unchanged", "unreadable", "skipped", "missing")
_PROBLEMS_SHOWN = 5


class Update(NamedTuple):
    """A run of index as its command line says it; the fields are the parameters of the command."""

    paths: tuple[str, ...] = ()
    model: str | None = None
    device: str = "auto"
    jobs: int = 0
    batch_size: int = 0
    exclude: tuple[str, ...] = ()
    from_file: str | None = None
    follow_links: bool = False
    deep: bool = False
    prune: bool = False
    strict: bool = False
    as_json: bool = False


def show(session: Session, update: Update) -> None:
    """Index, and say what came of it."""
    listed = [] if update.from_file is None else read_paths(update.from_file)
    if not update.paths and update.from_file is None:
        raise BadUsage("there is nothing to index", "name a folder: photoclip index ~/Pictures")
    from photoclip.api import Library
    from photoclip.indexing import IndexOptions

    options = IndexOptions(
        model=update.model,
        device=update.device,
        jobs=update.jobs,
        batch_size=update.batch_size,
        excludes=update.exclude,
        follow_links=update.follow_links,
        deep=update.deep,
        prune=update.prune,
    )
    with Library.open_or_create(session.directory) as library:
        report = run_index(session, library, update.paths, options, listed)
        if update.as_json:
            counts = {name: getattr(report, name) for name in (*_COUNTS, "sidecars", "embedded")}
            render.put(render.to_json({**counts, "seconds": round(report.seconds, 3)}) + b"\n")
    if update.strict and report.unreadable:
        raise UnreadableFiles(f"{report.unreadable} files could not be read", "see: photoclip problems")


def run_index(
    session: Session,
    library: Library,
    roots: Sequence[PathLike],
    options: IndexOptions,
    listed: Sequence[PathLike] = (),
) -> IndexReport:
    """Index ``roots`` and ``listed`` with progress on stderr and say what came of it."""
    with _Watcher(session) as watcher:
        report = library.index(roots, options, watcher, listed)
    _sum_up(session, report)
    return report


def _sum_up(session: Session, report: IndexReport) -> None:
    waiting = Counter(problem.waits_for for problem in report.problems if _is_package(problem.waits_for))
    for package, count in waiting.items():
        session.note(f"{counted(count, 'file')} can be read once {package} is there: pip install {package}")
    others = [problem for problem in report.problems if problem.waits_for not in waiting]
    for problem in others[:_PROBLEMS_SHOWN]:
        session.note(f"cannot read {problem.path.decode('utf-8', 'surrogateescape')}: {problem.reason}")
    if len(others) > _PROBLEMS_SHOWN:
        session.note(f"… and {len(others) - _PROBLEMS_SHOWN} more; see: photoclip problems")
    counts = {name: getattr(report, name) for name in _COUNTS}
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    if not any(count for name, count in counts.items() if name != "skipped"):
        parts.insert(0, "no photos found")
    if report.sidecars:
        parts.append(f"{counted(report.sidecars, 'sidecar')} read")
    session.note(f"{', '.join(parts)} in {report.seconds:.1f} s")


def _is_package(waits_for: str) -> bool:
    return waits_for not in ("", "run")


class _Watcher:
    """Shows how far indexing is: a bar on a terminal, a line per batch with --verbose."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.bar: Progress | None = None
        self.task: TaskID | None = None

    def __enter__(self) -> _Watcher:
        if self.session.shows_progress():
            self.bar = _progress_bar()
            self.bar.start()
            self.task = self.bar.add_task("looking for photos", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def surveyed(self, files: int) -> None:
        """Show how many files the walk has met."""
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=files, total=None)

    def started(self, total: int) -> None:
        """Show how many files there are to read."""
        self.session.detail(f"reading {total} files")
        if self.bar is not None and self.task is not None:
            self.bar.reset(self.task, description="getting ready", total=total)

    def stored(self, done: int) -> None:
        """Show how many files are read and stored for good."""
        self.session.detail(f"stored {done}")
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, description="indexing", completed=done)

    def note(self, text: str) -> None:
        """Say a sentence without tearing the bar."""
        if self.bar is not None:
            self.bar.stop()
        self.session.note(text)
        if self.bar is not None:
            self.bar.start()


def _progress_bar() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f} photos/s" if task.speed and task.total else "")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        transient=True,
    )
