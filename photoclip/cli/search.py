"""``photoclip search``, and ``photoclip similar``, which is the same with other words."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from photoclip.cli import hits
from photoclip.cli.options import (
    AmongOption,
    CameraOption,
    CopyToOption,
    DeviceOption,
    DryRunOption,
    ExplainOption,
    FailEmptyOption,
    FormatOption,
    HtmlOption,
    InOption,
    InteractiveOption,
    LensOption,
    LikeOption,
    LimitOption,
    LinkAsOption,
    LinkToOption,
    MinOption,
    MinSideOption,
    MinusOption,
    NearOption,
    NoDateOption,
    OpenOption,
    OrientationOption,
    PlusOption,
    PreviewAsOption,
    PreviewOption,
    Print0Option,
    RelevantOption,
    ReverseOption,
    SortOption,
    TagOption,
    TakenOption,
    TemplateOption,
    TextArgument,
)


def search(
    context: typer.Context,
    text: TextArgument = None,
    limit: LimitOption = 20,
    plus: PlusOption = None,
    minus: MinusOption = None,
    like: LikeOption = None,
    relevant: RelevantOption = False,
    minimum: MinOption = None,
    explain: ExplainOption = False,
    taken: TakenOption = None,
    camera: CameraOption = "",
    lens: LensOption = "",
    folders: InOption = None,
    near: NearOption = None,
    tags: TagOption = None,
    min_side: MinSideOption = 0,
    orientation: OrientationOption = None,
    no_date: NoDateOption = False,
    among: AmongOption = None,
    sort: SortOption = None,
    reverse: ReverseOption = False,
    format: FormatOption = None,
    print0: Print0Option = False,
    template: TemplateOption = None,
    device: DeviceOption = "auto",
    fail_empty: FailEmptyOption = False,
    interactive: InteractiveOption = False,
    preview: PreviewOption = False,
    preview_as: PreviewAsOption = None,
    html: HtmlOption = None,
    open_sheet: OpenOption = False,
    copy_to: CopyToOption = None,
    link_to: LinkToOption = None,
    link_as: LinkAsOption = hits.Link.symbolic,
    dry_run: DryRunOption = False,
) -> None:
    """Find photos by describing them, the most similar first.

    Example: photoclip search "two dogs in the snow" --minus people --taken 2019..2021 -n 5

    Words without quotes are one description. On a terminal you get a table, in which a line says where
    the answers end and only look-alikes follow; in a pipe bare paths, with --relevant the answers alone:
    photoclip search beach --relevant -0 | xargs -0 cp -t /tmp/beach

    Without a description you get all photos that pass the filters:
    photoclip search --camera fuji --near 48.137,11.575,10 --sort date

    To look at photos, or to take them along:
    photoclip search beach --relevant -n 200 --html beach.html --open
    photoclip search beach --relevant -n 200 --copy-to /media/stick/beach

    With --interactive a pipe gets a line of JSON, {"query": …, "hits": […]}, for each line it sends:
    printf 'beach\\nsnow\\n' | photoclip search --interactive
    """
    _show(context, locals())


def similar(context: typer.Context, photos: list[str], **options: Any) -> None:
    """Find photos similar to one or more pictures, of the library or not.

    Example: photoclip similar sunset.jpg --in ~/Pictures/2021 -n 5

    It is `search --like` by a friendlier name, with the same options.
    """
    _show(context, {**options, "like": photos})


def _show(context: typer.Context, parameters: dict[str, Any]) -> None:
    given = {name: value for name, value in parameters.items() if name in hits.Search._fields}
    hits.show(context.obj, hits.Search(**given | {name: tuple(given.get(name) or ()) for name in hits.MANY}))


def _take_options_of_search() -> None:
    """Give ``similar`` the parameters of ``search``, with pictures instead of texts."""
    theirs = inspect.signature(search, eval_str=True)
    kept = [p for name, p in theirs.parameters.items() if name not in ("text", "like", "interactive")]
    pictures = typer.Argument(help="A picture, or more of them.", metavar="IMAGE", show_default=False)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    photos = inspect.Parameter("photos", kind, annotation=Annotated[list[str], pictures])
    parameters = [kept[0], photos, *kept[1:]]
    similar.__signature__ = theirs.replace(parameters=parameters)  # type: ignore[attr-defined]
    similar.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}


_take_options_of_search()
