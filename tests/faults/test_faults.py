"""Indexing that is killed, interrupted, or run twice at once."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from photoclip import Library
from tests.conftest import command, environment
from tests.faults.killing import Scene, kill_at, moments, set_scene, state_of
from tests.pictures import paint_many

KILLS = 6


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return set_scene(tmp_path_factory.mktemp("faults"))


def test_a_kill_at_any_moment_loses_nothing_that_was_reported_stored(scene: Scene, tmp_path: Path) -> None:
    verdicts = [
        kill_at(moment, scene, tmp_path / f"library-{number}")
        for number, moment in enumerate(moments(KILLS, scene.seconds, seed=1))
    ]
    assert [(verdict.moment, verdict.faults) for verdict in verdicts if verdict.faults] == []
    assert any(0 < verdict.stored < 60 for verdict in verdicts), "no kill came in the middle"


def test_ctrl_c_ends_with_130_in_one_line_and_keeps_what_was_stored(tmp_path: Path) -> None:
    paint_many(tmp_path / "photos", 200)
    line = command(
        "--library",
        tmp_path / "library",
        "index",
        tmp_path / "photos",
        "--model",
        "fake:slow",
        "-v",
        "--batch-size",
        "4",
    )
    with subprocess.Popen(line, env=environment(), stderr=subprocess.PIPE, start_new_session=True) as process:
        assert process.stderr is not None
        said = []
        while "stored 12" not in said:
            said.append(process.stderr.readline().decode().rstrip())
        pressed = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stderr.read().decode().splitlines()
        code = process.wait(10)
        took = time.monotonic() - pressed
    assert code == 130
    assert took < 2
    after = [text for text in rest if not text.startswith("stored ")]
    assert after == ["error: interrupted; what was stored is kept"]
    stored = max(int(text.split()[1]) for text in said + rest if text.startswith("stored "))
    with Library.open(tmp_path / "library") as library:
        assert stored <= len(list(library.photos())) < 200
        assert library.check() == []
        assert len(library.search("red", limit=500)) >= stored


def test_two_who_index_at_once_make_one_library(scene: Scene, tmp_path: Path) -> None:
    line = command(
        "--library",
        tmp_path / "library",
        "index",
        scene.photos,
        "--model",
        "fake:slow",
        "-j",
        "1",
        "--strict",
    )
    both = [subprocess.Popen(line, env=environment(), stderr=subprocess.PIPE) for _ in range(2)]
    ends = [(process.communicate(timeout=60)[1].decode(), process.returncode) for process in both]
    assert {code for _, code in ends} <= {7, 8}, ends  # 7: one photo of the scene is broken
    assert 7 in {code for _, code in ends}
    for talk, code in ends:
        assert "Traceback" not in talk
        assert code != 8 or "process " in talk
    assert state_of(tmp_path / "library") == scene.state
