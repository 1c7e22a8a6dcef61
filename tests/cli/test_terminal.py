"""Tables on a terminal that is too narrow for them."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

Land = Callable[..., Path]


def on_terminal(width: int, *arguments: str | Path) -> str:
    """Run a command on a terminal of so many columns; return what stands there."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        [sys.executable, "-m", "benchbench", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        env=environment,
    ) as process:
        os.close(follower)
        found = b""
        # the end of a terminal is an error of its own
        while (part := _read(leader)) != b"":
            found += part
    os.close(leader)
    text = found.decode().replace("\r\n", "\n")
    assert process.returncode == 0, text
    return text


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65536)
    except OSError:
        return b""


LONG = {"method": "maml", "params": {"inner_rate": "abc", "first_order": True}}


@pytest.fixture
def failed(land: Land) -> Path:
    """Make a board with a long label whose method failed and is imputed on one of two tasks, and declined results."""
    return land(
        {"method": "protonet"},
        {"method": "protonet", "task": "waves", "scores": [-3.0, -2.5]},
        {**LONG, "outcome": "timeout"},
        {**LONG, "task": "waves", "scores": [-3.5, -3.0]},
        {"method": "mann", "outcome": "declined"},
        {"method": "mann", "task": "waves", "scores": [-3.6, -3.1]},
    )


@pytest.mark.parametrize("width", [80, 60, 40])
def test_a_narrow_board_keeps_what_its_numbers_mean(suite_file: Path, failed: Path, width: int) -> None:
    """Guards against mean rank, n and the marks of imputed numbers going silently."""
    text = on_terminal(width, "leaderboard", "--suite", suite_file, "--db", failed)
    assert max(map(len, text.split("whole suite")[1].splitlines())) <= width
    words = " ".join(text.split("± is the half-width")[0].split())
    tables = words.split("whole suite")[1]
    whole, letters = tables.split("letters (accuracy)")
    assert "mean" in whole
    assert "1.00" in whole
    assert "episodes" in whole
    assert "50%" in whole
    assert "imputed" in whole
    assert "declined" in letters.split("waves")[0]
    assert "imputed" in letters.split("waves")[0]
    if width == 80:
        assert f"omitted to fit {width} columns: seconds; --format csv shows all" in text


def test_a_wide_board_has_every_column_and_no_such_line(suite_file: Path, failed: Path) -> None:
    text = on_terminal(160, "leaderboard", "--suite", suite_file, "--db", failed)
    assert "maml(first_order=True, inner_rate='abc')" in text
    assert "seconds" in text
    assert "omitted to fit" not in text


@pytest.mark.parametrize("width", [60, 40])
def test_a_narrow_comparison_keeps_its_notes(suite_file: Path, failed: Path, width: int) -> None:
    text = on_terminal(width, "versus", "protonet", "maml", "--suite", suite_file, "--db", failed)
    table = text.split("A is better")[1].split("all tasks")[0]
    assert max(map(len, table.splitlines())) <= width
    assert "imputed" in table
    assert f"omitted to fit {width} columns: metric, scaled" in " ".join(table.split())


def test_narrow_orderings_name_the_columns_that_go(suite_file: Path, land: Land) -> None:
    suite_file.write_text(
        suite_file.read_text() + '[[orderings]]\nabove = ["maml"]\nbelow = ["pixel_nn"]\ntasks = ["letters"]\n'
    )
    db = land({"scores": [0.5, 0.6, 0.6, 0.78]}, {"method": "pixel_nn", "scores": [0.31, 0.39, 0.41, 0.57]})
    command = ("orderings", "--suite", suite_file, "--db", db)
    text = on_terminal(70, *command)
    table = text.split("1 of 1 hold")[0]
    assert max(map(len, table.split("thread, cpu")[1].splitlines())) <= 70
    assert "omitted to fit 70 columns: first, second, seeds won; --format json shows all" in " ".join(table.split())
    assert "4 episodes" in table
    assert "omitted to fit" not in on_terminal(160, *command)


def test_a_narrow_comparison_with_papers_names_the_columns_that_go(land: Land) -> None:
    row = {"suite": "omniglot", "task": "omniglot-vinyals-5w1s", "iterations": 900, "scores": [0.9, 0.94]}
    db = land(row, row | {"method": "protonet"})
    command = ("reproduction", "--suite", "omniglot", "--db", db)
    text = on_terminal(60, *command)
    table = text.split("one by one")[1].split("\n", 1)[1].split("\n\n")[0]
    assert max(map(len, table.splitlines())) <= 60
    assert "omitted to fit 60 columns: preset, threads, device, seconds; --format json shows all" in " ".join(
        table.split()
    )
    assert "2 episodes" in " ".join(table.split())
    assert "omitted to fit" not in on_terminal(160, *command)
