"""Where things live and what the user has set: the only room that reads the environment."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY_VARIABLE = "PHOTOCLIP_LIBRARY"


def default_library() -> Path:
    """Return the library to use when none is named: ``$PHOTOCLIP_LIBRARY`` or the data folder."""
    from pathlib import Path

    named = os.environ.get(LIBRARY_VARIABLE)
    if named:
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("photoclip", appauthor=False)) / "library"


def settings_file() -> Path:
    """Return the path of the user's own settings (it may not exist)."""
    from pathlib import Path

    import platformdirs

    return Path(platformdirs.user_config_dir("photoclip", appauthor=False)) / "config.toml"


def default_model() -> str | None:
    """Return the model the user chose for new libraries with ``models use`` or ``models pull``."""
    try:
        text = settings_file().read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        model = tomllib.loads(text).get("model")
    except tomllib.TOMLDecodeError:
        return None
    return model if isinstance(model, str) and model else None


def set_default_model(spec: str) -> Path:
    """Remember ``spec`` as the model of new libraries and return the file it is written in."""
    import json

    file = settings_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    # JSON strings are TOML strings: the escapes are the same.
    file.write_text(f"model = {json.dumps(spec, ensure_ascii=False)}\n", "utf-8")
    return file


def trash_folder() -> Path:
    """Return the user's own trash, as the desktop has it (it may not exist)."""
    from pathlib import Path

    if sys.platform == "darwin":
        return Path.home() / ".Trash"
    import platformdirs

    return Path(platformdirs.user_data_dir()) / "Trash"


def terminal() -> tuple[str, str, bool]:
    """Return what kind of terminal this is (``TERM``), which program, and whether it is at another machine.

    "" is not known.
    """
    # LC_TERMINAL is iTerm2's; unlike the other, it comes through ssh.
    program = os.environ.get("TERM_PROGRAM") or os.environ.get("LC_TERMINAL", "")
    return os.environ.get("TERM", ""), program, "SSH_CONNECTION" in os.environ


def forbid_network() -> None:
    """Tell the hub libraries, before they are imported, to answer from the disk or not at all."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"


def one_blas_thread() -> None:
    """Keep numpy to one thread; must be called before numpy is imported.

    One query is a few milliseconds of arithmetic: waking a pool of threads costs more than it saves
    (measured 5 to 8 times slower on a busy two-core machine).
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ.setdefault(name, "1")


@contextlib.contextmanager
def no_garbage() -> Iterator[None]:
    """Within, nobody looks for garbage: for work that makes many small things, none of which hold each other,
    and is over soon. (To look at them again and again was a tenth of the time of a walk.)"""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def cpu_count() -> int:
    """Return how many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
