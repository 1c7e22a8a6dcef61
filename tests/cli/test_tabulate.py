"""`bench tabulate` for real: a live problem becomes a table, and optimisers run against it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchbench.registry import get_loader

SUITE = """
name = "{name}"
version = "1"
track = "hpo"
title = "For tests"
methods = ["random_search"]
seeds = [0, 1]
default_preset = "quick"
[scores]
baseline = "random_search"
reference = "best known"
[presets.quick]
iterations = 12
test_units = 1
[[tasks]]
name = "tiny"
loader = "{loader}"
options = {options}
{more}
"""


def bench(*arguments: str, folder: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"BENCHBENCH_DATA": str(folder), "BENCHBENCH_CACHE": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "benchbench", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
        timeout=300,
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.slow
def test_from_a_live_problem_to_a_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = '{ family = "neighbours", table = "iris", folds = 2 }'
    live = tmp_path / "small-live.toml"
    live.write_text(SUITE.format(name="small-live", loader="live", options=options, more=""))
    # not there yet: it is made
    tables = tmp_path / "hpo-tables"
    command = ("tabulate", "--suite", str(live), "--configs", "40", "-o", str(tables), "--workers", "2")
    assert "40 configurations" in bench(*command, folder=tmp_path).stdout
    first = (tables / "tiny.parquet").read_bytes()
    # nothing is evaluated again, and the same table comes of it
    assert "nothing to run" in bench(*command, folder=tmp_path).stderr
    assert (tables / "tiny.parquet").read_bytes() == first

    monkeypatch.setenv("BENCHBENCH_DATA", str(tmp_path))
    problem = get_loader("tabulated").load("t", {"table": "tiny"})
    columns = pq.read_table(tables / "tiny.parquet").to_pydict()
    assert len(columns["loss"]) == 40
    # looked up, each configuration of the design is worth what it was live
    facts = json.loads(pq.read_schema(tables / "tiny.parquet").metadata[b"benchbench"])
    again = get_loader("live").load("t", facts["options"])
    config = again.info.space.get_default_configuration()
    row = problem.nearest(config.get_array())
    assert problem.evaluate(config, 1.0, np.random.default_rng(0)).loss == columns["loss"][row]

    # a configuration of the design fails
    losses = [loss for loss in columns["loss"] if not np.isnan(loss)]
    assert len(losses) == 39
    ends = f"baseline_score = {-float(np.median(losses))}\nreference_score = {-min(losses)}"
    suite = tmp_path / "small.toml"
    suite.write_text(SUITE.format(name="small", loader="tabulated", options='{ table = "tiny" }', more=ends))
    bench("run", "--suite", str(suite), "--method", "random_search,tpe", "--workers", "1", folder=tmp_path)
    found = json.loads(bench("anytime", "--suite", str(suite), "--format", "json", folder=tmp_path).stdout)
    assert {row["label"] for row in found["rows"]} == {"random_search", "tpe"}
    assert found["seeds"] == [0, 1]


def test_what_cannot_be_tabulated_is_refused(tmp_path: Path) -> None:
    assert "track 'fewshot'" in bench("tabulate", "--suite", "fewshot", "-o", ".", folder=tmp_path, code=2).stderr
    for more, said in (
        (["--time-limit", "inf"], "--time-limit must be a finite number of seconds, got inf"),
        (["--cluster", "tcp://127.0.0.1:1", "--workers", "2"], "--workers 2 sizes the embedded cluster"),
    ):
        assert said in bench("tabulate", "-o", ".", *more, folder=tmp_path, code=2).stderr
    done = bench("tabulate", "--design", "random_search", "-o", ".", folder=tmp_path, code=2)
    assert "'random_search' is not a design" in done.stderr
    done = bench("tabulate", "--design", "random_search", "-o", "new/tables", folder=tmp_path, code=2)
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("mine")
    for out, why in (("file", "it is a file"), ("file/tables", "Not a directory")):
        done = bench("tabulate", "--task", "svm-digits", "-o", out, folder=tmp_path, code=2)
        assert f"cannot write tables to {out}: {why}; name another folder with -o" in done.stderr
    assert (tmp_path / "file").read_text() == "mine"
