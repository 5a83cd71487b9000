"""``distill dashboard``: the dashboard, in a browser that is signed in."""

import os
import sys
import webbrowser
from typing import Annotated

import typer

from distill_client.client import Distill
from distill_client.display import echo, echo_stderr


def dashboard(
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the address, and open no browser.")
    ] = False,
) -> None:
    """Open the dashboard in a browser, signed in with this command's API key.

    Where there is no browser, prints an address that signs one in: once, within ten minutes.
    """
    with Distill() as service:
        session = service.session()
        address = service.sign_in_address()
    if not print_only and has_browser() and open_browser(address):
        echo_stderr(f"{service.url} is open as {session.key_name} of {session.project}.")
    else:
        echo(address)


def has_browser() -> bool:
    """Return whether there is a display for one: a browser in the terminal would not do."""
    displays = ("DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform in {"darwin", "win32"} or any(os.environ.get(name) for name in displays)


def open_browser(address: str) -> bool:
    """Return whether a browser took the address."""
    try:
        return webbrowser.open(address)
    except webbrowser.Error:
        return False
