"""`bench tabulate`: evaluate a design on live problems and write lookup tables for optimisers."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.cli.common import DbOption, SuiteOption, TasksOption, chosen_tasks
from benchbench.cli.run import interruptible
from benchbench.cli.session import Session
from benchbench.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchbench.cluster.plan import Request
    from benchbench.results.store import Store
    from benchbench.suite_files import SuiteSpec, TaskSpec

__all__ = ["tabulate"]

# configurations per trial: so many are lost with it
CHUNK = 32
MEMORY_LIMIT_MIB = 4096
# libraries that the losses depend on
LIBRARIES = ("scikit-learn", "numpy", "ConfigSpace")


def tabulate(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the tables (TASK.parquet); created if missing.")],
    suite: SuiteOption = "hpo-live",
    task: TasksOption = None,
    configs: Annotated[int, typer.Option("--configs", min=1, help="Number of configurations.")] = 512,
    design: Annotated[
        str | None,
        typer.Option("--design", help="Method that proposes the configurations; default: the first design."),
    ] = None,
    time_limit: Annotated[
        float, typer.Option("--time-limit", min=1.0, help=f"Time limit per {CHUNK} configurations, in seconds.")
    ] = 14_400.0,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Worker processes; default: number of cores.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="Address of a running Dask scheduler, for example tcp://host:8786.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    db: DbOption = None,
) -> None:
    """Evaluate a design of configurations and write lookup tables.

    Every configuration is evaluated at every fidelity. Recorded evaluations are not repeated.
    """
    from benchbench.cluster.backends import check_workers
    from benchbench.protocols.base import tracks_where
    from benchbench.results.store import Store
    from benchbench.suite_files import find_suite

    spec = find_suite(suite)
    if spec.track not in (possible := tracks_where(lambda protocol: protocol.RECORDS_EVALUATIONS)):
        known = ", ".join(map(repr, possible))
        raise InputError(
            f"suite {spec.name!r} is of track {spec.track!r}; only problems of track {known} can be tabulated"
        )
    check_workers(workers, cluster)
    if not math.isfinite(time_limit):
        raise InputError(f"--time-limit must be a finite number of seconds, got {time_limit}")
    out = out.expanduser()
    design = design or _first_design(spec.track)
    tasks = chosen_tasks(spec, task)
    requests = [_request(spec, one, design, configs, time_limit) for one in tasks]
    _make_folder(out)
    store = Store(db.expanduser() if db is not None else _default_db(spec))
    store.open_for_writing()
    code = 0
    with interruptible():
        for one, request in zip(tasks, requests, strict=True):
            session = Session(
                request,
                store,
                quiet=quiet,
                rerun="none",
                started=time.monotonic(),
            )
            try:
                code = max(code, session.execute(cluster, workers, 0))
            except KeyboardInterrupt:
                session.say(
                    f"interrupted; finished trials are recorded in {store.path}; run the same command for the rest"
                )
                raise typer.Exit(130) from None
            path = out / f"{one.name}.parquet"
            n_failed = _write(spec, one, store, design, configs, path)
            sys.stdout.write(
                f"wrote {path}: {configs} configurations{f', {n_failed} evaluations failed' if n_failed else ''}\n"
            )
    if code:
        raise typer.Exit(code)


def _make_folder(path: Path) -> None:
    """Create the folder, if missing, before anything is evaluated.

    Raises
    ------
    InputError
        If it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "it is a file" if path.is_file() else error.strerror or error
        raise InputError(f"cannot write tables to {path}: {why}; name another folder with -o") from error


def _first_design(track: str) -> str:
    from benchbench.cluster.plan import DESIGN
    from benchbench.registry import methods

    found = sorted(n for n, e in methods().items() if e.card.track == track and e.card.family == DESIGN)
    if not found:
        raise InputError(f"track {track!r} has no design; name one with --design")
    return found[0]


def _default_db(spec: SuiteSpec) -> Path:
    from benchbench.paths import cache_dir

    # designs are not compared with methods, so they stay out of the user's own database
    return cache_dir() / "tabulated" / f"{spec.name}.duckdb"


def _chunks(configs: int) -> list[dict[str, int]]:
    return [{"first": first, "n": min(CHUNK, configs - first)} for first in range(0, configs, CHUNK)]


def _request(spec: SuiteSpec, task: TaskSpec, design: str, configs: int, time_limit: float) -> Request:
    from benchbench.cluster.plan import MethodRequest, Request
    from benchbench.registry import get_loader, get_method, normal_params
    from benchbench.suite_files import PresetSpec

    entry = get_method(design)
    if not getattr(entry.cls, "records_evaluations", False):
        raise InputError(f"method {design!r} is not a design: it records no evaluations")
    chunks = [normal_params(entry, chunk) for chunk in _chunks(configs)]
    info = get_loader(task.loader).info(task.name, task.options)
    preset = PresetSpec(
        test_units=1,
        iterations=math.ceil(CHUNK * math.fsum(info.fidelities)),
        time_limit_seconds=time_limit,
        memory_limit_mib=MEMORY_LIMIT_MIB,
    )
    return Request(
        suite=spec,
        preset_name="tabulate",
        preset=preset,
        tasks=(task,),
        methods=tuple(MethodRequest(entry, chunk) for chunk in chunks),
        seeds=(0,),
        device="cpu",
    )


def _write(spec: SuiteSpec, task: TaskSpec, store: Store, design: str, configs: int, path: Path) -> int:
    """Write the table of a problem; return the number of failed evaluations."""
    from importlib.metadata import version

    import numpy as np

    from benchbench.registry import get_loader, get_method, normal_params
    from benchbench.results.load_curves import evaluations
    from benchbench.spec import canonical_json
    from benchbench.suites.evaluation_tables import Facts, write_table

    loader = get_loader(task.loader)
    info = loader.load(task.name, task.options).info
    fingerprint = loader.fingerprint(task.options)
    found = evaluations(store, spec.name, method=design, task=task.name, fingerprint=fingerprint)
    n_fidelities = len(info.fidelities)
    entry = get_method(design)
    keys = [
        (canonical_json(normal_params(entry, c)), step)
        for c in _chunks(configs)
        for step in range(c["n"] * n_fidelities)
    ]
    missing = [key for key in keys if key not in found]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(keys)} evaluations of {task.name} are missing: trials of the design failed; "
            f"see `bench history --db {store.path}`, then run this command again"
        )
    rows = [found[key] for key in keys]

    def column(name: str) -> NDArray[Any]:
        return np.array([row.get(name, np.nan) for row in rows], np.float64)

    columns = {f"vector_{i}": column(f"vector_{i}") for i in range(len(info.space))}
    columns |= {name: column(name) for name in ("fidelity", "loss", "test_loss")}
    columns["seconds"] = column("evaluation_seconds")
    space = info.space.to_serialized_dict()
    facts = Facts(
        problem=task.name,
        suite=spec.name,
        loader=task.loader,
        options=dict(task.options),
        fingerprint=fingerprint,
        space=space,
        fidelities=list(info.fidelities),
        fidelity_name=info.fidelity_name,
        design=entry.card.title,
        n_configs=configs,
        versions={name: version(name) for name in LIBRARIES},
        data_set=info.data_set,
        meta_features=dict(info.meta_features),
    )
    write_table(path, facts, columns)
    return int(np.isnan(columns["loss"]).sum())
