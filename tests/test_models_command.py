"""``photoclip models``: seeing and choosing models, without a network."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Made, MakeShell, Shell, command, environment

NOT_HERE = "ViT-B-32:laion2b_s34b_b79k"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings and caches of nobody else."""
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return tmp_path / "home"


def test_list_names_the_built_in_model_and_better_ones(shell: Shell) -> None:
    rows = {row["model"]: row for row in shell("models", "list", "--json").fine().rows}
    assert rows["builtin"]["here"] is True
    assert not rows[NOT_HERE]["here"]
    assert rows[NOT_HERE]["megabytes"] > 100
    assert NOT_HERE in shell("models", "list").fine().out.decode()


def test_info_of_a_model_says_where_it_lies_and_what_it_makes(shell: Shell) -> None:
    text = shell("models", "info", "builtin").fine().out.decode()
    for word in ("weights.safetensors", "sha256", "dimension"):
        assert word in text


@pytest.mark.parametrize("line", [("models", "use", NOT_HERE), ("models", "info", NOT_HERE)])
def test_a_model_whose_weights_are_not_here_ends_with_5_and_the_command_that_gets_them(
    shell: Shell, line: tuple[str, ...]
) -> None:
    answer = shell(*line)
    assert (answer.code, answer.out) == (5, b"")
    assert f"photoclip models pull {NOT_HERE}" in answer.err


def test_a_model_that_does_not_exist_ends_with_5_and_names_its_neighbours(shell: Shell) -> None:
    answer = shell("models", "use", "ViT-B-23:laion2b_s34b_b79k")
    assert answer.code == 5
    assert "ViT-B-32" in answer.err


def test_indexing_with_weights_that_are_not_here_ends_with_5_and_makes_no_embedding(
    shell: Shell, colours: Made
) -> None:
    answer = shell("index", colours.photos, "--model", NOT_HERE)
    assert answer.code == 5
    assert f"photoclip models pull {NOT_HERE}" in answer.err


def test_the_model_of_a_library_can_be_chosen(colours: Made, tmp_path: Path, shell_for: MakeShell) -> None:
    shell = shell_for(colours.copy_to(tmp_path))
    answer = shell("models", "use", "fake:slow").fine()
    assert "photoclip index" in answer.err
    assert shell("search", "red").code == 5
    shell("models", "use", "fake").fine()
    assert len(shell("search", "red").fine().paths) == 7


def test_without_a_library_the_model_of_new_ones_is_chosen(
    own_home: Path, colours: Made, tmp_path: Path
) -> None:
    env = environment()
    line = command("--library", tmp_path / "library", "models", "use", "fake")
    assert subprocess.run(line, env=env, capture_output=True, timeout=60).returncode == 0
    assert any("config.toml" in names for _, _, names in os.walk(own_home))
    line = command("--library", tmp_path / "library", "index", colours.photos, "-j", "1")
    done = subprocess.run(line, env=env, capture_output=True, timeout=60)
    assert (done.returncode, b"fake" in done.stderr) == (0, True), done


def test_the_built_in_model_needs_no_pull(shell: Shell) -> None:
    assert shell("models", "pull", "builtin").code != 0
