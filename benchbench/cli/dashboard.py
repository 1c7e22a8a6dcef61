"""`bench dashboard`: results in a web browser."""

from __future__ import annotations

import ipaddress
import os
import sys
from importlib.resources import files
from typing import Annotated

import typer

from benchbench.cli.common import DbOption, db_path
from benchbench.errors import InputError

__all__ = ["command", "dashboard", "is_loopback"]

# with these, Streamlit contacts no other host, watches no files, and shows readers no traceback
FLAGS = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "server.showEmailPrompt": "false",
    "server.enableStaticServing": "false",
    "browser.gatherUsageStats": "false",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": "false",
    "client.showSidebarNavigation": "false",
    "client.toolbarMode": "viewer",
    "global.developmentMode": "false",
    "runner.magicEnabled": "false",
    "logger.hideWelcomeMessage": "true",
    # one per theme: a common one overrides the reader's choice of light or dark
    "theme.light.primaryColor": "#0072b2",
    "theme.dark.primaryColor": "#56b4e9",
}


def dashboard(
    db: DbOption = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")] = 8501,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; by default only this machine can connect.")
    ] = ("127.0.0.1"),
) -> None:
    """Browse results in a web browser."""
    from benchbench.extras import require
    from benchbench.results.store import Store

    require(("streamlit", "plotly"), "the dashboard")

    store = Store(db_path(db))
    # refuses a wrong path; the default database may still be created while the dashboard is open
    store.exists()
    path = store.path.resolve()
    check_free(host, port)
    if not is_loopback(host):
        sys.stderr.write(
            f"warning: other machines can connect to {host}; whoever reaches port {port} can read every result, log and"
            " host name in the database without a password\n"
        )
    shown = f"[{host}]" if ":" in host else host
    sys.stderr.write(f"reading {path}\nopen http://{shown}:{port} in a browser; press Ctrl-C to stop\n")
    sys.stderr.flush()
    sys.stdout.flush()
    # replaces this process, so that signals and exit codes are those of the server
    os.execve(sys.executable, command(host, port), {**os.environ, "BENCHBENCH_DB": str(path)})


def command(host: str, port: int) -> list[str]:
    """Return the command line of the server."""
    app = str(files("benchbench.dashboard.start") / "main.py")
    flags = {**FLAGS, "server.address": host, "server.port": str(port), "browser.serverAddress": host}
    # -P: the current folder must not provide modules
    return [sys.executable, "-P", "-m", "streamlit", "run", app, *(f"--{key}={value}" for key, value in flags.items())]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def check_free(host: str, port: int) -> None:
    """Raise `InputError` if the address and port cannot be listened on."""
    import socket

    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InputError(f"--host {host!r} is not an address of this machine: {error}") from error
    family, kind, proto, _, address = found[0]
    with socket.socket(family, kind, proto) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise InputError(f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port") from error
