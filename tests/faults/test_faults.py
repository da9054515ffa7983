"""The thirty faults, and Ctrl-C, in their short form."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.fault import Fault, Scale
from tests.faults.interrupting import interrupts
from tests.faults.thirty import FAULTS


def test_there_are_thirty() -> None:
    assert sorted(FAULTS) == list(range(1, 31))


@pytest.mark.parametrize(
    "fault", [FAULTS[number] for number in sorted(FAULTS)], ids=lambda one: f"F{one.number}"
)
def test_photoclip_withstands(fault: Fault, tmp_path: Path) -> None:
    outcome = fault.run(tmp_path, Scale())
    assert outcome.faults == []
    assert outcome.rounds


def test_ctrl_c_ends_any_command_soon_and_in_one_line(tmp_path: Path) -> None:
    outcome = interrupts(tmp_path, Scale())
    assert outcome.faults == []
    assert outcome.counts["interrupted"]
