"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from photoclip.cli.render import Format

FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format", "-f", help="How to write the list. Default: a table on a terminal, paths in a pipe."
    ),
]
Print0Option = Annotated[
    bool, typer.Option("--print0", "-0", help="End each path with NUL instead of newline, for xargs -0.")
]
TemplateOption = Annotated[
    str | None,
    typer.Option(
        "--template", help="Write each photo so, for example '{path} {width}x{height}'.", metavar="TEXT"
    ),
]
AmongOption = Annotated[
    str | None,
    typer.Option(
        "--among",
        help="Only the photos listed in FILE (- is stdin), one path a line or NUL-separated.",
        metavar="FILE",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option("--device", help="Where the model runs: auto, cpu, cuda, cuda:N or mps.", metavar="DEVICE"),
]
FailEmptyOption = Annotated[
    bool, typer.Option("--fail-empty", help="End with exit code 9 when nothing matched.")
]


def show_help_alone(context: typer.Context) -> None:
    """Show the help of a group of commands when none of them was named."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit
