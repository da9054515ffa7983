"""The pages of ``docs/reference`` that are made from the program itself.

``python -m photoclip.cli.reference`` writes them anew. They are built from the declarations of the
commands, not from rendered help, so that no terminal has a say in them.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

from photoclip import errors
from photoclip.cli.app import app

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference"
"""Where the pages lie in a checkout."""

_NOTICE = "<!-- Made by `python -m photoclip.cli.reference`. Change the program, not this page. -->"
_ALWAYS = "Every command also takes `-h` or `--help`."
_INTRODUCTION = f"""\
# The command line

{_NOTICE}

Data goes to stdout, talk goes to stderr. What each exit code means stands in [exit codes](exit-codes.md),
the keys of the JSON in [JSON](json.md).

    photoclip [OPTIONS] COMMAND [ARGUMENTS]

The options of this first list may stand anywhere on the line. {_ALWAYS}
"""
_EXIT_CODES = f"""\
# Exit codes

{_NOTICE}

A known error prints `error: …` and, where it helps, `hint: …` to stderr. `--debug` shows its traceback.

| code | meaning | error class |
|---|---|---|
| 0 | Done. |  |
"""


def pages() -> dict[str, str]:
    """Return the Markdown of every generated page, by file name."""
    return {"cli.md": cli_page(), "exit-codes.md": exit_codes_page()}


def commands() -> Iterator[tuple[str, Any]]:
    """Yield (name, command) of everything that can be run, in the order of the program's help.

    ``name`` is what is typed after ``photoclip``, for example ``models pull``.
    """
    return _leaves(typer.main.get_command(app), "")


def cli_page() -> str:
    """Return the page that describes every command, argument and option."""
    parts = [_INTRODUCTION, _options(typer.main.get_command(app))]
    parts += [_section(name, command) for name, command in commands()]
    return "\n".join(parts)


def exit_codes_page() -> str:
    """Return the page that describes every exit code."""
    rows = [f"| {known.exit_code} | {_meaning(known)} | `{known.__name__}` |\n" for known in error_classes()]
    interrupted = f"| {errors.INTERRUPTED} | Ctrl-C; what was stored is kept. |  |\n"
    return _EXIT_CODES + "".join(rows) + interrupted


def error_classes() -> list[type[errors.PhotoclipError]]:
    """Return the classes of ``errors`` that set an exit code of their own, by that code."""
    found = [
        known
        for known in vars(errors).values()
        if inspect.isclass(known) and issubclass(known, errors.PhotoclipError) and "exit_code" in vars(known)
    ]
    return sorted(found, key=lambda known: known.exit_code)


def _meaning(known: type[errors.PhotoclipError]) -> str:
    sentence = (inspect.getdoc(known) or "").splitlines()[0]
    return sentence if known is not errors.PhotoclipError else "Any other known error."


def _leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for child, inner in children.items():
        is_first = child == getattr(command, "first", None)  # it needs not be named
        yield from _leaves(inner, name if is_first else f"{name} {child}".strip())


def _section(name: str, command: Any) -> str:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    usage = " ".join(["photoclip", name, "[OPTIONS]", *(_place(argument) for argument in arguments)])
    described = "".join(f"- `{_place(argument)}`: {argument.help}\n" for argument in arguments)
    blocks = (
        f"## photoclip {name}\n",
        f"    {usage}\n",
        *_prose(command.help or ""),
        described,
        _options(command),
    )
    return "\n".join(block for block in blocks if block)


def _prose(text: str) -> Iterator[str]:
    """Yield the paragraphs of a command's help; its examples become console blocks."""
    lines: list[str] = []
    for line in [*inspect.cleandoc(text).splitlines(), ""]:
        example = line.removeprefix("Example: ")
        if line and not example.startswith("photoclip "):
            lines.append(line)
            continue
        if lines:
            yield " ".join(lines) + "\n"
            lines = []
        if line:
            yield f"```console\n$ {example}\n```\n"


def _place(argument: Any) -> str:
    name = argument.metavar or argument.name.upper() + ("…" if argument.nargs == -1 else "")
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _options(command: Any) -> str:
    hints = get_type_hints(command.callback)
    options = [param for param in command.params if param.param_type_name == "option"]
    return "".join(_option(option, hints[option.name]) for option in options)


def _option(option: Any, hint: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    value = "" if option.is_flag else f" `{option.metavar or _kind(hint)}`"
    default = option.default.value if isinstance(option.default, Enum) else option.default
    stated = "" if option.is_flag or default is None else f" Default: `{default}`."
    variable = f" Environment: `{option.envvar}`." if option.envvar else ""
    required = " Required." if option.required else ""
    return f"- {names}{value}: {option.help}{required}{stated}{variable}\n"


def _kind(hint: Any) -> str:
    """Return the word for the values of a type: its choices, or what it is."""
    for inner in get_args(hint):
        if inner is not type(None):
            return _kind(inner)
    if inspect.isclass(hint) and issubclass(hint, Enum):
        return "|".join(member.value for member in hint)
    return "NUMBER" if hint in (int, float) else "TEXT"


def main() -> None:
    """Write every generated page."""
    for name, text in pages().items():
        (DOCS / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
