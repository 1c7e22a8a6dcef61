"""`bench artefacts`: what is listed is there, what is removed is gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchbench import artefacts
from benchbench.checkpoints import Checkpoint, CheckpointFile
from benchbench.cli.main import app
from benchbench.errors import ClusterError, InputError
from benchbench.protocols.base import PhaseClock


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make two artefacts of one method and one of another; return their keys."""
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path))
    trained = artefacts.Trained(state={"x": np.zeros(2**17)}, seconds=12.0, curve=())
    made = []
    for method, seed in (("proto", 0), ("proto", 1), ("siam", 0)):
        made_of = {"method": method, "seed": seed, "preset": "quick", "iterations": 9, "training_key": {"shot": 5}}
        artefacts.obtain(method, made_of, lambda _: trained, PhaseClock())
        made.append(artefacts.key_of(made_of))
    return made


def test_list(bench: Callable[..., str], keys: list[str]) -> None:
    lines = bench("artefacts", "list").splitlines()
    assert [line.split()[0] for line in lines[2:5]] == [key[:10] for key in keys]
    assert lines[2].split()[1:10] == ["proto", "quick", "9", "0", "shot", "5", "12.0", "s", "1.0"]
    assert lines[-1] == "3 artefacts, 3.0 MiB"
    assert [r["artefact"] for r in json.loads(bench("artefacts", "list", "--method", "siam", "--format", "json"))] == [
        keys[2]
    ]


def test_a_damaged_one_is_listed_and_can_be_removed(bench: Callable[..., str], keys: list[str]) -> None:
    entry = next(e for e in artefacts.entries() if e.key == keys[2])
    (entry.path / "manifest.json").write_text("{")
    assert "cannot be read" in bench("artefacts", "list")
    bench("artefacts", "remove", keys[2])
    assert {e.key for e in artefacts.entries()} == set(keys[:2])


def test_an_unfinished_training_is_listed_and_can_be_removed(bench: Callable[..., str], keys: list[str]) -> None:
    made_of = {"method": "proto", "seed": 2, "preset": "paper", "iterations": 900, "training_key": {"shot": 5}}

    def interrupted(unfinished: CheckpointFile | None) -> artefacts.Trained:
        assert unfinished is not None
        unfinished.write(Checkpoint(payload=bytes(2**20), seconds=34.0, curve=()))
        raise ClusterError("the worker is lost")

    with pytest.raises(ClusterError):
        artefacts.obtain("proto", made_of, interrupted, PhaseClock())
    key = artefacts.key_of(made_of)
    (line,) = (line for line in bench("artefacts", "list").splitlines() if line.startswith(key[:10]))
    assert "34.0 s" in line
    assert "unfinished" in line
    rows = {r["artefact"]: r for r in json.loads(bench("artefacts", "list", "--format", "json"))}
    assert [k for k, r in rows.items() if r["unfinished"]] == [key]
    assert "removed 1 artefacts, 1.0 MiB" in bench("artefacts", "remove", key)
    assert {e.key for e in artefacts.entries()} == set(keys)
    assert not list(tmp_files(rows[key]["path"]))


def tmp_files(path: str) -> list[Path]:
    """Return the checkpoint and what was written on the way to it."""
    return [p for p in Path(path).parent.iterdir() if "unfinished" in p.name]


def test_remove(bench: Callable[..., str], keys: list[str]) -> None:
    assert "removed 1 artefacts, 1.0 MiB" in bench("artefacts", "remove", keys[0][:8])
    assert "removed 1 artefacts" in bench("artefacts", "remove", "--method", "proto")
    assert [e.key for e in artefacts.entries()] == [keys[2]]
    assert "removed 1 artefacts" in bench("artefacts", "remove", "--all")
    assert bench("artefacts", "list").startswith("No artefacts")


def refusal(*arguments: str) -> str:
    error = CliRunner().invoke(app, ["artefacts", *arguments]).exception
    assert isinstance(error, InputError)
    return str(error)


def test_nothing_is_removed_by_mistake(keys: list[str]) -> None:
    assert "nothing to remove is named" in refusal("remove")
    assert "names of artefacts and --all are mutually exclusive" in refusal("remove", keys[0], "--all")
    assert "--method and --all are mutually exclusive" in refusal("remove", "--all", "--method", "proto")
    assert "no single artefact has a name that begins with: no such" in refusal("remove", "no such")
    assert "--method expects at least one method" in refusal("remove", "--method", "")
    assert len(list(artefacts.entries())) == 3


def test_a_method_that_never_was_is_bad_input(bench: Callable[..., str], keys: list[str]) -> None:
    for command in ("list", "remove"):
        # of the methods that are installed, and of those there are artefacts of
        assert "unknown method 'protnet'; did you mean 'protonet'" in refusal(command, "--method", "protnet")
        assert "did you mean 'siam'" in refusal(command, "--method", "proto,siaam")
    assert "removed 0 artefacts" in bench("artefacts", "remove", "--method", "protonet")
    assert len(list(artefacts.entries())) == 3
