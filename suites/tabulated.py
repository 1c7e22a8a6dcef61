"""Tabulated problems of hyper-parameter optimisation: evaluations made once, looked up thousands of times a second.

A table holds the evaluations of a design at every fidelity: losses, test losses and recorded seconds. A configuration is given
those of the nearest one of the design: numbers by their distance on the space's own scale, which runs from 0 to 1, and 1 for every
category that differs; an inactive number counts as the middle. The clock is that of the recorded seconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.contracts.hpo import Evaluation, Problem, ProblemInfo
from benchbench.contracts.loading import Progress, TaskLoader
from benchbench.errors import DataMissingError, InputError, UnknownNameError
from benchbench.paths import data_dir
from benchbench.spec import content_hash
from benchbench.suites._options import check_range, read_options

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import Configuration
    from numpy.typing import NDArray

__all__ = ["Facts", "TabulatedLoader", "TabulatedProblem", "list_tables", "write_table"]

VERSION = 1
"""Raised when the look-up changes."""
ENDING = ".parquet"
KEY = b"benchbench"
"""Of the facts among the file's metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a table says of itself.

    Parameters
    ----------
    problem, suite, loader, options, fingerprint
        The live problem that was tabulated.
    space : mapping
        ConfigSpace's own plain form.
    fidelities, fidelity_name
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TabulatedOptions:
    """Options of the loader: the table's name, and the evaluations that go on at once."""

    table: str
    workers: int = 1


def list_tables() -> dict[str, Path]:
    """Return the tables that come with the package and those in the folder `hpo-tables` of the data folder, by name."""
    from importlib.resources import files

    found: dict[str, Path] = {}
    for place in (Path(str(files("benchbench.suites"))) / "tables", data_dir() / "hpo-tables"):
        for path in sorted(place.glob(f"*{ENDING}")):
            found.setdefault(path.stem, path)
    return found


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


class TabulatedLoader(TaskLoader):
    """Look-ups in tables of evaluations."""

    name = "tabulated"
    track: ClassVar[str] = "hpo"

    def check(self, options: Mapping[str, Any]) -> None:
        """See the base class."""
        found = read_options(TabulatedOptions, options, self.name)
        check_range(self.name, "workers", found.workers, 1, 1000)
        known = list_tables()
        if found.table not in known:
            raise UnknownNameError(
                "table of evaluations", found.table, known, "Tables are made by: bench tabulate --suite hpo-live"
            )

    def info(self, name: str, options: Mapping[str, Any]) -> ProblemInfo:
        """See the base class."""
        self.check(options)
        return _info(name, _facts(_path(options)))

    def prepare(self, options: Mapping[str, Any], progress: Progress) -> None:
        """Check that the table is there."""
        self.check(options)

    def fingerprint(self, options: Mapping[str, Any]) -> str:
        """See the base class: a hash of the table's bytes."""
        self.check(options)
        found = read_options(TabulatedOptions, options, self.name)
        digest = hashlib.sha256(_path(options).read_bytes()).hexdigest()
        return content_hash({"loader": self.name, "version": VERSION, "table": digest, "workers": found.workers})

    def load(self, name: str, options: Mapping[str, Any]) -> Problem:
        """See the base class."""
        import pyarrow.parquet as pq

        found = read_options(TabulatedOptions, options, self.name)
        path = _path(options)
        self.check(options)
        table = pq.read_table(path)
        columns = {name: table.column(name).to_numpy() for name in table.column_names}
        return TabulatedProblem(_info(name, _facts(path)), columns, workers=found.workers)


def _path(options: Mapping[str, Any]) -> Path:
    found = list_tables().get(options["table"])
    if found is None:
        raise DataMissingError(f"there is no table of evaluations named {options['table']!r}")
    return found


def _facts(path: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    text = (pq.read_schema(path).metadata or {}).get(KEY)
    if text is None:
        raise InputError(f"{path} is no table made by bench tabulate: it does not say what it holds")
    found: dict[str, Any] = json.loads(text)
    return found


def _info(name: str, facts: Mapping[str, Any]) -> ProblemInfo:
    from ConfigSpace import ConfigurationSpace

    return ProblemInfo(
        name=name,
        space=ConfigurationSpace.from_serialized_dict(facts["space"]),
        fidelities=tuple(facts["fidelities"]),
        fidelity_name=facts["fidelity_name"],
    )


class TabulatedProblem(Problem):
    """Evaluations of a design; see the module."""

    def __init__(self, info: ProblemInfo, columns: Mapping[str, Any], *, workers: int = 1) -> None:
        import numpy as np

        self.info, self.workers = info, workers
        n_fidelities, n_parameters = len(info.fidelities), len(info.space)

        def column(name: str) -> NDArray[np.float64]:
            """Return (n_configs, n_fidelities): rows go configuration by configuration, fidelities ascending."""
            return np.asarray(columns[name], np.float64).reshape(-1, n_fidelities)

        if not np.allclose(column("fidelity"), info.fidelities):
            raise InputError(
                f"the rows of table {info.name!r} are not all fidelities of one configuration after the other"
            )
        vectors = np.stack([column(f"vector_{i}")[:, 0] for i in range(n_parameters)], 1)
        self._is_number = np.array([hasattr(p, "lower") for p in info.space.values()])
        self._numbers = np.nan_to_num(vectors[:, self._is_number], nan=0.5)
        self._categories = vectors[:, ~self._is_number]
        self._losses, self._test_losses = column("loss"), column("test_loss")
        self._seconds = column("seconds")
        self._rungs = {z: i for i, z in enumerate(info.fidelities)}

    @property
    def best_loss(self) -> float:
        """The smallest loss of the table at full fidelity."""
        import numpy as np

        return float(np.nanmin(self._losses[:, -1]))

    def nearest(self, vector: NDArray[np.float64]) -> int:
        """Return the configuration (its place in the design) that is nearest to a vector (n_parameters,) of the space."""
        import numpy as np

        numbers = vector[self._is_number]
        distance = ((self._numbers - np.where(np.isnan(numbers), 0.5, numbers)) ** 2).sum(1)
        if self._categories.shape[1]:
            # NaN, an inactive category, differs from everything, in all rows alike
            distance += (self._categories != vector[~self._is_number]).sum(1)
        return int(distance.argmin())

    def evaluate(self, config: Configuration, fidelity: float, rng: np.random.Generator) -> Evaluation:
        """See the base class."""
        row, rung = self.nearest(config.get_array()), self._rungs[fidelity]
        loss, test_loss = float(self._losses[row, rung]), float(self._test_losses[row, rung])
        seconds = float(self._seconds[row, rung])
        if loss != loss:
            return Evaluation(None, seconds, reason="the evaluation failed when the table was made")
        return Evaluation(loss, seconds, test_loss=None if test_loss != test_loss else test_loss)
