"""``photoclip models``."""

from __future__ import annotations

from typing import Annotated

import typer

from photoclip import config
from photoclip.cli import render
from photoclip.cli.options import show_help_alone
from photoclip.cli.progress import counting
from photoclip.cli.session import Session
from photoclip.errors import ModelUnavailable, NoLibrary

app = typer.Typer(
    help="See, choose and fetch the models that turn pictures and words into embeddings.",
    invoke_without_command=True,
    callback=show_help_alone,
    rich_markup_mode=None,
)

SpecArgument = Annotated[
    str,
    typer.Argument(
        help="For example ViT-B-32:laion2b_s34b_b79k, or builtin.", metavar="MODEL", show_default=False
    ),
]


@app.command("list")
def list_models(
    everything: Annotated[
        bool, typer.Option("--all", help="Every model that OpenCLIP knows (slower).")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON lines.")] = False,
) -> None:
    """List models: which are on this machine, how large they are, what they are good for.

    Example: photoclip models list
    """
    from photoclip.encoders import registry

    if everything:
        rows: list[render.Row] = [{"model": spec} for spec in registry.all_models()]
    else:
        rows = [
            {
                "model": "builtin",
                "here": True,
                "megabytes": 0,
                "about": "small, comes with photoclip, works offline",
            }
        ]
        rows += [
            {
                "model": known.spec,
                "here": registry.is_present(known.spec),
                "megabytes": known.megabytes,
                "about": known.good_for,
            }
            for known in registry.SUGGESTED
        ]
    if as_json:
        for row in rows:
            render.put(render.to_json(row) + b"\n")
    elif everything:
        render.put("".join(f"{row['model']}\n" for row in rows).encode())
    else:
        render.draw(
            (("model", "fold"), ("here", "left"), ("MB", "right"), ("", "left")),
            (
                (row["model"], "yes" if row["here"] else "", row["megabytes"] or "", row["about"])
                for row in rows
            ),
        )


@app.command("info")
def info(spec: SpecArgument) -> None:
    """Show where a model lies and what it makes.

    Example: photoclip models info builtin
    """
    from photoclip.encoders import registry

    source = registry.resolve(spec)
    card = registry.load(spec, "cpu").card
    render.draw(
        (("", "left"), ("", "left")),
        [
            ("model", card.spec),
            ("name", card.name),
            ("weights", source.weights),
            ("sha256", card.weights_hash),
            ("dimension", card.dimension),
            ("picture side", f"{card.preprocessing.size} pixels, {card.preprocessing.resize}"),
        ],
    )


@app.command("use")
def use(context: typer.Context, spec: SpecArgument) -> None:
    """Choose the model of this library, or, without a library, of new ones.

    Example: photoclip models use ViT-B-32:laion2b_s34b_b79k

    The next index embeds what this model has not seen; embeddings of other models are kept.
    """
    from photoclip.encoders import registry

    session: Session = context.obj
    spec = registry.resolve(spec).spec
    try:
        with session.library() as library:
            known = library.inner.store.model(spec) is not None
            with library.inner.lock("models use"):
                library.inner.store.set_setting("model", spec)
        session.note(
            f"this library uses {spec} now"
            + ("" if known else "; embed its photos with: photoclip index PATH")
        )
    except NoLibrary:
        file = config.set_default_model(spec)
        session.note(f"new libraries will use {spec} (written to {file})")


@app.command("pull")
def pull(context: typer.Context, spec: SpecArgument) -> None:
    """Download a model's weights from the hub, with progress, resuming what was cut off.

    Example: photoclip models pull ViT-B-32:laion2b_s34b_b79k

    This is the only command that uses the network. New libraries will use the model.
    """
    from photoclip.encoders import registry

    session: Session = context.obj
    if spec == "builtin":
        raise ModelUnavailable("the built-in model came with photoclip; there is nothing to pull")
    with counting(session, "downloading", in_bytes=True) as progress:
        path = registry.pull(spec, progress)
    config.set_default_model(spec)
    session.note(f"{spec} is here ({path}); new libraries will use it")
    session.note(f"use it in this library: photoclip models use {spec}")
