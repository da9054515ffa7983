"""Options that several commands share."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from photoclip.cli import hits
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


TextArgument = Annotated[
    list[str] | None,
    typer.Argument(help="What the photo shows, in words.", metavar="[TEXT…]", show_default=False),
]
LimitOption = Annotated[int, typer.Option("-n", "--limit", help="How many photos to show.", min=1)]
PlusOption = Annotated[
    list[str] | None,
    typer.Option("--plus", help="And this; 0.5:TEXT counts half.", metavar="TEXT"),
]
MinusOption = Annotated[
    list[str] | None, typer.Option("--minus", help="But not this; 0.5:TEXT counts half.", metavar="TEXT")
]
LikeOption = Annotated[
    list[str] | None,
    typer.Option("--like", help="And similar to this picture; 0.5:IMAGE counts half.", metavar="IMAGE"),
]
RelevantOption = Annotated[
    bool, typer.Option("--relevant", help="Only photos that answer the query, or none.")
]
MinOption = Annotated[
    float | None, typer.Option("--min", help="Leave out photos less similar than this (-1 to 1).")
]
ExplainOption = Annotated[
    bool, typer.Option("--explain", help="Say what each part of the query contributed to each hit.")
]
SortOption = Annotated[
    hits.Sort | None,
    typer.Option(
        "--sort",
        help="The order. Default: relevance for people, similarity for programs; path without a description.",
    ),
]
InteractiveOption = Annotated[
    bool,
    typer.Option(
        "--interactive", "-i", help="Answer one description after the other, from a prompt or a pipe."
    ),
]
PreviewOption = Annotated[
    bool, typer.Option("--preview", help="Draw the photos in the terminal instead of a list.")
]
PreviewAsOption = Annotated[
    str | None,
    typer.Option(
        "--preview-as",
        help="Draw them with this protocol: kitty, iterm, sixel or blocks.",
        metavar="PROTOCOL",
    ),
]
HtmlOption = Annotated[
    str | None,
    typer.Option("--html", help="Write a contact sheet instead of a list: one file.", metavar="FILE"),
]
OpenOption = Annotated[bool, typer.Option("--open", help="Show the contact sheet in a browser.")]
CopyToOption = Annotated[
    str | None,
    typer.Option("--copy-to", help="Copy the photos, with their sidecars, to a folder.", metavar="DIR"),
]
LinkToOption = Annotated[
    str | None,
    typer.Option("--link-to", help="Put links to the photos into a folder.", metavar="DIR"),
]
LinkAsOption = Annotated[hits.Link, typer.Option("--link-as", help="The kind of links that --link-to makes.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what --copy-to or --link-to would do, and do nothing.")
]
TakenOption = Annotated[
    str | None,
    typer.Option(
        "--taken",
        help="Only photos taken then: 2021, 2021-06, 2021-06-30, 2019..2021-06, 2019.. or ..2021.",
        metavar="WHEN",
    ),
]
CameraOption = Annotated[
    str, typer.Option("--camera", help="Only photos whose camera has this in its name.", metavar="NAME")
]
LensOption = Annotated[
    str, typer.Option("--lens", help="Only photos whose lens has this in its name.", metavar="NAME")
]
InOption = Annotated[
    list[str] | None, typer.Option("--in", help="Only photos in this folder, or below it.", metavar="DIR")
]
NearOption = Annotated[
    str | None,
    typer.Option(
        "--near", help="Only photos taken near a place: 48.137,11.575,10 (10 km).", metavar="LAT,LON,KM"
    ),
]
TagOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        help="Only photos with this tag, or keyword of yours; with !TAG, only those without.",
        metavar="TAG",
    ),
]
MinSideOption = Annotated[
    int,
    typer.Option("--min-side", help="Only photos whose shorter side has so many pixels.", min=0),
]
OrientationOption = Annotated[
    str | None,
    typer.Option("--orientation", help="Only landscape, portrait or square photos.", metavar="SHAPE"),
]
NoDateOption = Annotated[bool, typer.Option("--no-date", help="Only photos that say no date.")]
ReverseOption = Annotated[bool, typer.Option("--reverse", help="Turn the order round.")]


def show_help_alone(context: typer.Context) -> None:
    """Show the help of a group of commands when none of them was named."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


# -- of tag ---------------------------------------------------------------------------------------


class Write(str, Enum):
    """Where tags are written."""

    none = "none"
    catalogue = "catalogue"
    xmp = "xmp"


class SidecarStyle(str, Enum):
    """How new sidecars are named."""

    auto = "auto"
    darktable = "darktable"
    adobe = "adobe"


LabelsOption = Annotated[
    str | None,
    typer.Option(
        "--labels",
        help="A file with one label a line (- is stdin), a labels.toml, or builtin:NAME.",
        metavar="FILE",
    ),
]
WriteOption = Annotated[
    Write, typer.Option("--write", help="Where to keep the tags; xmp: also in sidecars for other programs.")
]
LabelsTemplateOption = Annotated[
    str | None,
    typer.Option(
        "--template", help="Write each tagged photo so, for example '{path}: {labels}'.", metavar="TEXT"
    ),
]
SidecarStyleOption = Annotated[
    SidecarStyle,
    typer.Option(
        "--sidecar-style",
        help="Name new sidecars photo.jpg.xmp (darktable), photo.xmp (adobe), or as their neighbours.",
    ),
]
LeastProbabilityOption = Annotated[
    float, typer.Option("--min", help="The least probability of a tag.", min=0.0, max=1.0)
]
TopOption = Annotated[
    int | None, typer.Option("--top", help="No more tags than this on a photo.", min=1, metavar="N")
]
ExplainPhotoOption = Annotated[
    str | None,
    typer.Option("--explain", help="Show how every label fares with this photo.", metavar="PHOTO"),
]
CheckOption = Annotated[
    str | None,
    typer.Option("--check", help="Compare with the truth: a CSV with columns path,labels.", metavar="CSV"),
]
SuggestOption = Annotated[
    str | None,
    typer.Option(
        "--suggest", help="With --check: write better thresholds into this labels.toml.", metavar="FILE"
    ),
]
RemoveOption = Annotated[
    bool,
    typer.Option(
        "--remove", help="Take tags back, in the library and in sidecars: those of --labels, or all."
    ),
]
