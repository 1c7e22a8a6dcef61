"""A call in a forked child with a time limit: whatever it does, the caller continues."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

__all__ = ["IsolatedError", "call_isolated"]

CHUNK_BYTES = 65_536
POLL_SECONDS = 0.05


class IsolatedError(Exception):
    """The call raised, crashed or took too long; the message says which."""


def call_isolated(call: Callable[[], dict[str, Any]], *, limit_seconds: float) -> dict[str, Any]:
    """Return what `call` returns (plain JSON data; NaN and infinity included) from a forked child.

    The child is the leader of a process group of its own, which is killed at the limit and when the
    call has ended.

    Raises
    ------
    IsolatedError
        If the call raised, the child died, or the limit was reached.
    """
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_fd)
        _answer(call, write_fd)
    os.close(write_fd)
    with suppress(OSError):
        os.setpgid(pid, pid)
    deadline = time.monotonic() + limit_seconds
    parts: list[bytes] = []
    ended = False
    try:
        while not ended and (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([read_fd], [], [], min(left, POLL_SECONDS))
            if ready:
                part = os.read(read_fd, CHUNK_BYTES)
                parts.append(part)
                ended = not part
            elif _has_ended(pid):
                # a grandchild may hold the pipe open
                ended = True
    finally:
        os.close(read_fd)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    said = b"".join(parts)
    if said.endswith(b"\n"):
        found: dict[str, Any] = json.loads(said)
        if "error" in found:
            raise IsolatedError(found["error"])
        return dict(found["result"])
    if not ended:
        raise IsolatedError(f"stopped after its limit of {limit_seconds:g} s")
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGKILL:
        raise IsolatedError(f"crashed with signal {signal.Signals(os.WTERMSIG(status)).name}")
    raise IsolatedError("ended without an answer")


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _answer(call: Callable[[], dict[str, Any]], write_fd: int) -> NoReturn:
    code = 1
    try:
        os.setpgid(0, 0)
        try:
            said = json.dumps({"result": call()})
        except Exception as error:  # it is the caller's to know
            said = json.dumps({"error": f"{type(error).__name__}: {error}"[:2000]})
        data = memoryview(said.encode() + b"\n")
        while data:
            data = data[os.write(write_fd, data) :]
        code = 0
    finally:
        os._exit(code)
