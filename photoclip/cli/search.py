"""``photoclip search``."""

from __future__ import annotations

from typing import Annotated

import typer

from photoclip.cli import hits
from photoclip.cli.options import (
    AmongOption,
    DeviceOption,
    FailEmptyOption,
    FormatOption,
    Print0Option,
    TemplateOption,
)


def search(
    context: typer.Context,
    text: Annotated[
        list[str] | None,
        typer.Argument(help="What the photo shows, in words.", metavar="[TEXT…]", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", help="How many photos to show.", min=1)] = 20,
    like: Annotated[
        list[str] | None, typer.Option("--like", help="Find photos like this picture.", metavar="IMAGE")
    ] = None,
    minimum: Annotated[
        float | None, typer.Option("--min", help="Leave out photos less similar than this (-1 to 1).")
    ] = None,
    among: AmongOption = None,
    format: FormatOption = None,
    print0: Print0Option = False,
    template: TemplateOption = None,
    device: DeviceOption = "auto",
    fail_empty: FailEmptyOption = False,
    interactive: Annotated[
        bool,
        typer.Option(
            "--interactive", "-i", help="Answer one description after the other, from a prompt or a pipe."
        ),
    ] = False,
) -> None:
    """Find photos by describing them, the most similar first.

    Example: photoclip search "two dogs in the snow" -n 5

    Words without quotes are one description. On a terminal you get a table, in a pipe bare paths:
    photoclip search beach -0 | xargs -0 cp -t /tmp/beach

    With --interactive a pipe gets a line of JSON, {"query": …, "hits": […]}, for each line it sends:
    printf 'beach\\nsnow\\n' | photoclip search --interactive
    """
    search = hits.Search(
        text=tuple(text or ()),
        limit=limit,
        like=tuple(like or ()),
        minimum=minimum,
        among=among,
        format=format,
        print0=print0,
        template=template,
        device=device,
        fail_empty=fail_empty,
        interactive=interactive,
    )
    hits.show(context.obj, search)
