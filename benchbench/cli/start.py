"""The first module of `bench` and `python -m benchbench`: light, so that Ctrl-C works at once."""

from __future__ import annotations

import os
import signal

__all__ = ["main"]


def main() -> None:
    """Import the commands and run the one that is asked for."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        # not by an exception, which some imports swallow; nothing has begun that could be lost
        signal.signal(signal.SIGINT, lambda signum, frame: os._exit(130))
    from benchbench.cli.main import main as run_command

    signal.signal(signal.SIGINT, before)
    run_command()
