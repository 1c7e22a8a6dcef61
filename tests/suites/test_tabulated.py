"""Tabulated problems: what is looked up, and what a table must say of itself."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ConfigSpace import Categorical, Configuration, ConfigurationSpace, EqualsCondition, Float

from benchbench.errors import InputError, UnknownNameError
from benchbench.registry import get_loader
from benchbench.suites.evaluation_tables import Facts, list_tables, write_table

LOADER = get_loader("tabulated")


def make_space() -> ConfigurationSpace:
    space = ConfigurationSpace(space=[Float("a", (1.0, 100.0), log=True), Categorical("kind", ["x", "y"])])
    extra = Float("extra", (0.0, 10.0))
    space.add(extra)
    space.add(EqualsCondition(extra, space["kind"], "y"))
    return space


# parameters in the space's order
ROWS = [
    ({"a": 1.0, "kind": "x"}, [(0.5, 3.0), (1.0, 2.0)]),
    ({"a": 100.0, "kind": "x"}, [(0.5, 5.0), (1.0, 4.0)]),
    ({"a": 1.0, "kind": "y", "extra": 0.0}, [(0.5, 1.0), (1.0, 0.5)]),
    ({"a": 1.0, "kind": "y", "extra": 10.0}, [(0.5, 9.0), (1.0, math.nan)]),
]


def write(folder: Path, name: str, **facts: Any) -> Path:
    """Write the rows as a table of that name where it is found."""
    space = make_space()
    flat: dict[str, list[float]] = {name: [] for name in ("fidelity", "loss", "test_loss", "seconds")}
    vectors: list[list[float]] = [[] for _ in space]
    for values, evaluations in ROWS:
        vector = Configuration(space, values=values).get_array()
        for fidelity, loss in evaluations:
            for own, coordinate in zip(vectors, vector, strict=True):
                own.append(coordinate)
            for column, value in zip(flat, (fidelity, loss, loss + 0.25, 10 * fidelity), strict=True):
                flat[column].append(value)
    columns = {f"vector_{i}": np.array(own) for i, own in enumerate(vectors)}
    columns |= {column: np.array(own) for column, own in flat.items()}
    said = {
        "problem": name,
        "suite": "tests",
        "loader": "live",
        "options": {},
        "fingerprint": "f",
        "space": space.to_serialized_dict(),
        "fidelities": [0.5, 1.0],
        "fidelity_name": "epochs",
        "design": "by hand",
        "n_configs": 4,
        "versions": {},
        "data_set": name,
        "meta_features": {"rows": 4.0},
    }
    path = folder / "hpo-tables" / f"{name}.parquet"
    path.parent.mkdir(exist_ok=True)
    write_table(path, Facts(**(said | facts)), columns)
    return path


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the table `tiny` where it is found."""
    monkeypatch.setenv("BENCHBENCH_DATA", str(tmp_path))
    return write(tmp_path, "tiny")


def look_up(values: dict[str, Any], fidelity: float = 1.0) -> Any:
    problem = LOADER.load("t", {"table": "tiny"})
    config = Configuration(problem.info.space, values=values)
    return problem.evaluate(config, fidelity, np.random.default_rng(0))


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("values", "loss"),
    [
        ({"a": 1.0, "kind": "x"}, 2.0),
        # on the logarithmic scale 9 lies nearer to 1 than to 100, and 11 does not
        ({"a": 9.0, "kind": "x"}, 2.0),
        ({"a": 11.0, "kind": "x"}, 4.0),
        ({"a": 1.0, "kind": "y", "extra": 4.0}, 0.5),
        # another category is as far as the whole range of a number
        ({"a": 80.0, "kind": "y", "extra": 1.0}, 0.5),
    ],
)
def test_the_nearest_configuration_is_looked_up(values: dict[str, Any], loss: float) -> None:
    found = look_up(values)
    assert (found.loss, found.test_loss, found.seconds) == (loss, loss + 0.25, 10.0)


@pytest.mark.usefixtures("table")
def test_fidelities_are_rows_of_their_own() -> None:
    found = look_up({"a": 1.0, "kind": "x"}, 0.5)
    assert (found.loss, found.seconds) == (3.0, 5.0)
    info = LOADER.info("t", {"table": "tiny"})
    assert (info.fidelities, info.fidelity_name, info.kind) == ((0.5, 1.0), "epochs", "mixed")


@pytest.mark.usefixtures("table")
def test_what_failed_then_fails_now() -> None:
    found = look_up({"a": 1.0, "kind": "y", "extra": 9.0})
    assert found.loss is None
    assert found.seconds == 10.0
    assert "when the table was made" in found.reason


def test_the_fingerprint_is_that_of_the_bytes(table: Path) -> None:
    before = LOADER.fingerprint({"table": "tiny"})
    assert LOADER.fingerprint({"table": "tiny", "workers": 2}) != before
    content = pq.read_table(table)
    changed = content.set_column(
        content.schema.get_field_index("loss"), "loss", pa.array([0.0] * len(content), pa.float64())
    )
    pq.write_table(changed.replace_schema_metadata(content.schema.metadata), table)
    assert LOADER.fingerprint({"table": "tiny"}) != before


def test_what_is_no_table_is_refused(table: Path) -> None:
    with pytest.raises(UnknownNameError, match="tiny"):
        LOADER.check({"table": "tinny"})
    pq.write_table(pq.read_table(table).replace_schema_metadata(None), table)
    with pytest.raises(InputError, match="does not say what it holds"):
        LOADER.info("t", {"table": "tiny"})
    assert "tiny" in list_tables()


def test_related_tables_are_shown_and_are_part_of_the_fingerprint(table: Path, tmp_path: Path) -> None:
    other = write(tmp_path, "other", meta_features={"rows": 7.0})
    options = {"table": "tiny", "related": ["other"]}
    info = LOADER.load("t", options).info
    assert (info.data_set, dict(info.meta_features)) == ("tiny", {"rows": 4.0})
    (history,) = info.histories()
    assert (history.problem, dict(history.meta_features)) == ("other", {"rows": 7.0})
    assert history.vectors.shape == (4, 3)
    # at full fidelity
    np.testing.assert_array_equal(history.losses, [2.0, 4.0, 0.5, math.nan])
    before = LOADER.fingerprint(options)
    assert before != LOADER.fingerprint({"table": "tiny"})
    other.unlink()
    write(tmp_path, "other", meta_features={"rows": 8.0})
    assert LOADER.fingerprint(options) != before


def test_a_related_table_has_to_be_of_another_data_set_and_of_the_same_space(table: Path, tmp_path: Path) -> None:
    write(tmp_path, "twin", data_set="tiny")
    with pytest.raises(InputError, match="of another data set"):
        LOADER.check({"table": "tiny", "related": ["twin"]})
    write(tmp_path, "unsaid", data_set="")
    with pytest.raises(InputError, match="of another data set"):
        LOADER.check({"table": "tiny", "related": ["unsaid"]})
    space = ConfigurationSpace(space=[Float("b", (0.0, 1.0)), Categorical("kind", ["x", "y"])])
    write(tmp_path, "wider", space=space.to_serialized_dict())
    with pytest.raises(InputError, match="another space"):
        LOADER.check({"table": "tiny", "related": ["wider"]})
    with pytest.raises(UnknownNameError, match="tiny"):
        LOADER.check({"table": "tiny", "related": ["tinny"]})
    with pytest.raises(InputError, match="a list of str"):
        LOADER.check({"table": "tiny", "related": "tiny"})


@pytest.mark.usefixtures("table")
def test_a_budget_of_seconds_is_the_problems_clock() -> None:
    problem = LOADER.load("t", {"table": "tiny", "seconds": 35})
    assert problem.seconds == 35.0
    assert LOADER.load("t", {"table": "tiny"}).seconds is None
    assert LOADER.fingerprint({"table": "tiny", "seconds": 35}) != LOADER.fingerprint({"table": "tiny"})
