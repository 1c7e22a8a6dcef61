"""`bench sample`: a sample database, filled by small real runs of several suites."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from benchbench.errors import InputError

__all__ = ["sample"]

METHODS_VARIABLE = "BENCHBENCH_METHODS"


def sample(
    db: Annotated[Path, typer.Argument(help="Database to create or complete, for example sample.duckdb.")],
    suite: Annotated[
        list[str] | None, typer.Option("--suite", help="Only the runs of these suites; repeatable.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Worker processes; default: number of cores.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Fill a database with small real runs.

    Use it to try the dashboard. After an interruption, run the same command to continue.
    """
    plan = chosen_runs(suite)
    for number, one in enumerate(plan, 1):
        if not quiet:
            sys.stderr.write(f"[{number}/{len(plan)}] {one['what']}\n")
            sys.stderr.flush()
        command = [*_bench(), "run", "--suite", one["suite"], *one["arguments"], "--db", str(db)]
        command += ["--workers", str(workers)] if workers else []
        command += ["--quiet"] if quiet else []
        # drop the leaderboard at the end of each run
        code = subprocess.run(command, env=_environment(), stdout=subprocess.DEVNULL, check=False).returncode
        if code:
            # the run has written its messages to standard error
            raise typer.Exit(130 if code < 0 else code)
    sys.stdout.write(f"{db} is ready; open it with: bench dashboard --db {db}\n")


def chosen_runs(suites: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return the runs of the sample.

    Raises
    ------
    InputError
        If the sample has no run of a named suite.
    """
    text = (files("benchbench.cli") / "sample.toml").read_text(encoding="utf-8")
    plan: list[dict[str, Any]] = tomllib.loads(text)["runs"]
    known = [one["suite"] for one in plan]
    for name in suites or ():
        if name not in known:
            raise InputError(f"the sample has no run of suite {name!r}; expected {', '.join(known)}")
    return [one for one in plan if not suites or one["suite"] in suites]


def _bench() -> list[str]:
    """Return the command of `bench`: the installed script if there is one, since runs record it."""
    script = Path(sys.executable).with_name("bench")
    return [str(script)] if script.is_file() else [sys.executable, "-P", "-m", "benchbench"]


def _environment() -> dict[str, str]:
    """Return the environment, with the methods of the sample added to those of the user."""
    own = str(files("benchbench.cli") / "automl_sample_methods.py")
    listed = [item for item in os.environ.get(METHODS_VARIABLE, "").split(os.pathsep) if item and item != own]
    return {**os.environ, METHODS_VARIABLE: os.pathsep.join([*listed, own])}
