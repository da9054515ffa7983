"""``photoclip index``."""

from __future__ import annotations

from typing import Annotated

import typer

from photoclip.cli import updates
from photoclip.cli.options import DeviceOption


def index(
    context: typer.Context,
    paths: Annotated[
        list[str] | None, typer.Argument(help="Folders or photos.", metavar="PATH…", show_default=False)
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="Embed with this model from now on, for example ViT-B-32:laion2b_s34b_b79k."
        ),
    ] = None,
    device: DeviceOption = "auto",
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="How many decoders; 0: one a core.", min=0)] = 0,
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch-size",
            help="Photos encoded at once; 0: 32, or 8 a core if that is more.",
            min=0,
            max=4096,
        ),
    ] = 0,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude", help="Leave these out; patterns as in .gitignore. Repeatable.", metavar="GLOB"
        ),
    ] = None,
    from_file: Annotated[
        str | None,
        typer.Option("--from", help="Also index the paths listed in FILE (- is stdin).", metavar="FILE"),
    ] = None,
    follow_links: Annotated[bool, typer.Option("--follow-links", help="Follow symbolic links.")] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read files again whose size and times have not changed.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Hide photos that are gone, even if they are more than a tenth."),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with exit code 7 if a file could not be read.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write the counts as JSON to stdout.")] = False,
) -> None:
    """Bring the library up to date with your photos; the first run makes the library.

    Example: photoclip index ~/Pictures

    Only new and changed files are read. Renamed, moved and copied photos are recognised. Ctrl-C keeps
    what is done. A file .photoclipignore in any folder (patterns as in .gitignore) leaves photos out.
    """
    update = updates.Update(
        paths=tuple(paths or ()),
        model=model,
        device=device,
        jobs=jobs,
        batch_size=batch_size,
        exclude=tuple(exclude or ()),
        from_file=from_file,
        follow_links=follow_links,
        deep=deep,
        prune=prune,
        strict=strict,
        as_json=as_json,
    )
    updates.show(context.obj, update)
