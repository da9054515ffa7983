"""``photoclip browse``."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from photoclip import config
from photoclip.cli import render
from photoclip.cli.session import Session
from photoclip.cli.talk import counted

if TYPE_CHECKING:
    from photoclip.pages.browse import Address

_IN_TERMINALS = ("GenericBrowser", "Elinks")


def browse(
    context: typer.Context,
    port: Annotated[
        int,
        typer.Option(help="The port to listen on; 0 is any that is free.", min=0, max=65535, metavar="PORT"),
    ] = 0,
    open_: Annotated[
        bool | None,
        typer.Option(
            "--open/--no-open",
            help="Open the page in a browser. Default: on a terminal.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Look through the library in a web browser: search, filter, and find more like a photo.

    Example: photoclip browse

    The page is served to this machine alone, at an address that nobody can guess; it is printed to stdout.
    Nothing is sent anywhere. End it with Ctrl-C.
    """
    session: Session = context.obj
    config.one_blas_thread()
    with session.library() as library:
        directory = library.inner.directory
        count = library.inner.store.counts()["photos"]
    from photoclip.pages.browse import serve

    wanted = sys.stdout.isatty() if open_ is None else open_

    def ready(address: Address) -> None:
        render.put(address.page.encode("ascii") + b"\n")
        sys.stdout.flush()  # whoever reads it is waiting for it
        session.note(f"{counted(count, 'photo')} to look at; end with Ctrl-C")
        if wanted and not show_page(address.once, insist=open_ is True):
            session.note("no browser to open it in was found: open the address yourself")

    # To end it so is how it is meant to end.
    with _unhurried_ending(), contextlib.suppress(KeyboardInterrupt):
        serve(directory, port, ready, debug=session.debug)


def show_page(address: str, *, insist: bool, wait: bool = False) -> bool:
    """Open ``address`` in the user's browser; return whether there is one.

    One that may live in the terminal, which it would take over, is none unless the user does ``insist``.
    Some return only when they are closed: ``wait`` for that, as who ends next must.
    """
    import webbrowser

    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    if type(browser).__name__ in _IN_TERMINALS and not insist:
        return False
    opening = threading.Thread(target=browser.open, args=(address,), daemon=True)
    opening.start()
    if wait:
        opening.join()
    return True


@contextlib.contextmanager
def _unhurried_ending() -> Iterator[None]:
    """Within, Ctrl-C does not set the clock that ends the process by force: the server ends by itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.set_wakeup_fd(-1)
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
