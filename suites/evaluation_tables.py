"""Tables of evaluations: their format, where they are, and what they tell of related problems.

A table is a Parquet file: the evaluations of a design at every fidelity, configuration by
configuration, fidelities ascending. Its metadata say what was tabulated.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.contracts.hpo import History
from benchbench.errors import InputError, UnknownNameError
from benchbench.paths import data_dir

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import ConfigurationSpace
    from numpy.typing import NDArray

__all__ = [
    "Facts",
    "Table",
    "check_related",
    "digest",
    "find_table",
    "list_tables",
    "read_facts",
    "read_histories",
    "read_space",
    "read_table",
    "space_definition",
    "write_table",
]

ENDING = ".parquet"
KEY = b"benchbench"
"""Of the facts among the file's metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a table says about itself.

    Parameters
    ----------
    problem, suite, loader, options, fingerprint
        The live problem that was tabulated.
    space : mapping
        ConfigSpace's own plain form.
    fidelities, fidelity_name, data_set, meta_features
        As in `ProblemInfo`.
    design : str
        How the configurations were chosen.
    n_configs : int
    versions : mapping
        Of the libraries that evaluated it.
    """

    problem: str
    suite: str
    loader: str
    options: Mapping[str, Any]
    fingerprint: str
    space: Mapping[str, Any]
    fidelities: Sequence[float]
    fidelity_name: str
    design: str
    n_configs: int
    versions: Mapping[str, str]
    data_set: str = ""
    meta_features: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The evaluations of a table.

    Parameters
    ----------
    vectors : (n_configs, n_parameters) array
        Of the space; NaN where inactive.
    losses, test_losses : (n_configs, n_fidelities) array
        NaN where the evaluation failed.
    seconds : (n_configs, n_fidelities) array
    """

    vectors: NDArray[np.float64]
    losses: NDArray[np.float64]
    test_losses: NDArray[np.float64]
    seconds: NDArray[np.float64]


def list_tables() -> dict[str, Path]:
    """Return the package's tables and those in the data folder's `hpo-tables`, by name."""
    from importlib.resources import files

    found: dict[str, Path] = {}
    for place in (Path(str(files("benchbench.suites"))) / "tables", data_dir() / "hpo-tables"):
        for path in sorted(place.glob(f"*{ENDING}")):
            found.setdefault(path.stem, path)
    return found


def find_table(name: str) -> Path:
    """Return the file of a table.

    Raises
    ------
    UnknownNameError
        If there is none of that name.
    """
    known = list_tables()
    if name not in known:
        raise UnknownNameError(
            "table of evaluations", name, known, "Tables are made by: bench tabulate --suite hpo-live"
        )
    return known[name]


def write_table(path: Path, facts: Facts, rows: Mapping[str, NDArray[np.float64]]) -> None:
    """Write a table; it appears under its name complete or not at all.

    Parameters
    ----------
    path : Path
    facts : Facts
    rows : mapping of column to (n_configs * n_fidelities,) array
        "vector_0", ... (NaN: inactive), "fidelity", "loss", "test_loss" (NaN: failed), "seconds".
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # losses as measured; coordinates and seconds to seven digits
    narrow = {
        name: pa.array(column, pa.float64() if "loss" in name or name == "fidelity" else pa.float32())
        for name, column in rows.items()
    }
    text = json.dumps(asdict(facts), sort_keys=True)
    table = pa.table(narrow).replace_schema_metadata({KEY: text.encode()})
    partial = path.with_suffix(".part")
    pq.write_table(table, partial, compression="zstd")
    partial.replace(path)


def read_facts(path: Path) -> Facts:
    """Return what a table says of itself.

    Raises
    ------
    InputError
        If the file is no table.
    """
    return _facts(path, path.stat().st_mtime_ns)


@cache
def _facts(path: Path, changed: int) -> Facts:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        text = (pq.read_schema(path).metadata or {}).get(KEY)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path} is no Parquet file: {error}") from error
    if text is None:
        raise InputError(f"{path} is no table made by bench tabulate: it does not say what it holds")
    try:
        return Facts(**json.loads(text))
    except TypeError as error:
        raise InputError(f"{path} was made by another version of bench tabulate: {error}") from error


def read_space(facts: Facts) -> ConfigurationSpace:
    """Return the space that the configurations of a table are of."""
    from ConfigSpace import ConfigurationSpace

    # reading a space takes its plain form to pieces
    return ConfigurationSpace.from_serialized_dict(copy.deepcopy(dict(facts.space)))


def read_table(path: Path) -> Table:
    """Return the evaluations of a table.

    Raises
    ------
    InputError
        If its rows are not all fidelities of one configuration after the other.
    """
    import numpy as np
    import pyarrow.parquet as pq

    facts = read_facts(path)
    # one thread: trials run in forked children, where a pool of threads made before the fork would
    # hang
    table = pq.read_table(path, use_threads=False, pre_buffer=False)
    n_fidelities, n_parameters = len(facts.fidelities), len(facts.space["hyperparameters"])

    def column(name: str) -> NDArray[np.float64]:
        return np.asarray(table.column(name).to_numpy(), np.float64).reshape(-1, n_fidelities)

    if table.num_rows % n_fidelities or not np.allclose(column("fidelity"), facts.fidelities):
        raise InputError(f"the rows of {path} are not all fidelities of one configuration after the other")
    vectors = np.stack([column(f"vector_{i}")[:, 0] for i in range(n_parameters)], 1)
    return Table(vectors=vectors, losses=column("loss"), test_losses=column("test_loss"), seconds=column("seconds"))


def digest(names: Sequence[str]) -> list[str]:
    """Return the SHA-256 of the bytes of each table."""
    return [hashlib.sha256(find_table(name).read_bytes()).hexdigest() for name in names]


def check_related(names: Sequence[str], data_set: str, space: ConfigurationSpace) -> None:
    """Check that tables may be shown to the optimisers of a problem.

    Raises
    ------
    UnknownNameError
        If there is no such table.
    InputError
        If one is of the same data set, which would reveal the answers, or of another space.
    """
    for name in names:
        facts = read_facts(find_table(name))
        if not facts.data_set or facts.data_set == data_set:
            raise InputError(
                f"related table {name!r} is of data set {facts.data_set!r}: what optimisers may learn from has to be of "
                f"another data set than the problem's own, {data_set!r}"
            )
        if space_definition(read_space(facts)) != space_definition(space):
            raise InputError(f"related table {name!r} has another space than the problem")


def space_definition(space: ConfigurationSpace) -> str:
    """Return a space's definition as text, without its name and file format version.

    The text can be compared or hashed.
    """
    plain = space.to_serialized_dict()
    return repr({key: plain[key] for key in ("hyperparameters", "conditions", "forbiddens")})


def read_histories(names: Sequence[str]) -> tuple[History, ...]:
    """Return the related problems' evaluations at full fidelity."""
    found = []
    for name in names:
        path = find_table(name)
        facts, table = read_facts(path), read_table(path)
        found.append(
            History(
                problem=name,
                meta_features=facts.meta_features,
                vectors=table.vectors,
                losses=table.losses[:, -1],
            )
        )
    return tuple(found)
