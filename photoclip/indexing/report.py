"""What a run of index did."""

from __future__ import annotations

from dataclasses import dataclass, field

from photoclip.indexing.options import Watcher
from photoclip.records import Problem


@dataclass(slots=True)
class IndexReport:
    """What a run of index did. Every candidate file ends in exactly one of added, updated, moved,
    unchanged and unreadable; ``sidecars`` were read beside them. It is counted up during the run."""

    added: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    unreadable: int = 0
    skipped: int = 0
    missing: int = 0
    embedded: int = 0
    sidecars: int = 0
    seconds: float = 0.0
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """Sentences about roots and folders that could not be listed, or models that are not the best."""


def warn(report: IndexReport, watcher: Watcher, text: str) -> None:
    """Say, and put on record, what the user should know; the same sentence only once."""
    if text not in report.warnings:
        report.warnings.append(text)
        watcher.note(text)
