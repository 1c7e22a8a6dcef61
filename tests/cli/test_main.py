"""How `bench` leaves: its exit code and what it says when its output has nowhere to go. Real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchbench.cli.main import app
from benchbench.errors import InputError


def shell(command: str, folder: Path) -> tuple[int, str]:
    """Return the exit code of `bench` in the command line, and all that was said on standard error."""
    script = f'bench() {{ "{sys.executable}" -P -m benchbench "$@"; }}; {command}'
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("bench list methods --format json | true; exit ${PIPESTATUS[0]}", 141, ""),
        ("bench --help | true; exit ${PIPESTATUS[0]}", 141, ""),
        (
            "bench list methods > /dev/full",
            1,
            "error: cannot write to standard output: No space left on device\n",
        ),
        (
            "bench list methods --format json > /dev/full",
            1,
            "error: cannot write to standard output: No space left on device\n",
        ),
        (
            "bench list suites >&-",
            2,
            "error: standard output is closed; send it to /dev/null if you do not want it\n",
        ),
        ("bench list suites > /dev/null 2>&-", 0, ""),
        ("bench list suitess 2>&-", 2, ""),
    ],
)
def test_output_that_cannot_be_written(tmp_path: Path, command: str, code: int, said: str) -> None:
    assert shell(command, tmp_path) == (code, said)


@pytest.mark.parametrize(("encoding", "expected"), [("ascii", "+- >= ? ok"), ("latin-1", "± >= ? ok")])
def test_what_the_encoding_of_the_output_lacks_is_said_otherwise(tmp_path: Path, encoding: str, expected: str) -> None:
    """It gave a traceback in the middle of a board."""
    code = "from benchbench.cli import main as cli;cli._run = lambda: print('± ≥ ☂ ok') or 0; cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout.decode(encoding).strip()) == (0, expected), done.stderr.decode()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("run --suite smoke --workers 0", "--workers expects a whole number of 1 or more, got 0"),
        ("history --limit abc", "--limit expects a whole number of 1 or more, got 'abc'"),
        ("leaderboard --suite smoke --threads 1.5", "--threads expects a whole number, got '1.5'"),
        ("regressions a b --margin nan", "--margin expects a number of 0 or more, got nan"),
        ("regressions a b --margin=-1", "--margin expects a number of 0 or more, got -1"),
        ("anytime --suite hpo --target 2", "--target expects a number from 0 to 1, got 2"),
        ("dashboard --port 99999", "--port expects a whole number from 1 to 65535, got 99999"),
        ("run --suite smoke --fit-seconds soon", "--fit-seconds expects a number, got 'soon'"),
        # of a command in a group
        ("data fetch", None),
        ("history --limitt 3", None),
    ],
)
def test_a_number_that_cannot_be_used_is_said(command: str, said: str | None) -> None:
    """What was got was not said; other mistakes are still told by typer, with how to get help."""
    result = CliRunner().invoke(app, command.split())
    if said is None:
        assert (result.exit_code, type(result.exception)) == (2, SystemExit)
        assert "--help' for help" in result.output
    else:
        assert isinstance(result.exception, InputError)
        assert str(result.exception) == said


def test_an_interrupt_while_modules_are_imported(tmp_path: Path) -> None:
    """It gave a traceback and death by the signal."""
    # typer is imported before any command can be; this one takes its time
    (tmp_path / "typer.py").write_text("import time\nprint('imported', flush=True)\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "benchbench", "list", "suites"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "imported\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "")
