"""`bench score`: predictions from elsewhere get the scores of a trial that predicts the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from openml_files import write_task

from benchbench.errors import InputError
from benchbench.protocols import automl
from benchbench.registry import get_loader

Bench = Callable[..., str]
SUITE = """
name = "small"
version = "1"
track = "automl"
title = "Small tables"
[scores]
baseline = "constant_predictor"
reference = "linear_model"
[presets.quick]
test_units = 1
fit_seconds = 5
[[tasks]]
name = "signs"
loader = "openml"
options = { task = 7 }
[[tasks]]
name = "line"
loader = "openml"
options = { task = 8 }
"""
CLASSES = ["it's", "b, c", "d"]
ROWS = [(i, CLASSES[i % 3]) for i in range(12)]
TESTS = [range(6), range(6, 12)]


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_task(tmp_path, 7, {"x": "numeric", "y": CLASSES}, ROWS, TESTS)
    write_task(tmp_path, 8, {"x": "numeric", "y": "numeric"}, [[i, i / 2] for i, _ in ROWS], TESTS)
    monkeypatch.setenv("BENCHBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "small.toml"
    path.write_text(SUITE)
    return path


def probability(row: int, name: str) -> float:
    return 0.5 + 0.1 * (row % 2) if name == CLASSES[row % 3] else (0.5 - 0.1 * (row % 2)) / 2


def arff(path: Path, names: list[str], rows: list[tuple[int, int]], shift: int = 0) -> Path:
    def text(name: str) -> str:
        return "'" + name.replace("'", "\\'") + "'"

    domain = "{" + ",".join(map(text, CLASSES)) + "}"
    head = ["@relation openml_task_7_predictions", *(f"@attribute {n} numeric" for n in ("repeat", "fold", "row_id"))]
    head += [f"@attribute prediction {domain}", f"@attribute correct {domain}"]
    head += [f"@attribute {text('confidence.' + name)} numeric" for name in names]
    lines = []
    for fold, row in rows:
        label, true = text(CLASSES[row % 3]), text(CLASSES[(row + shift) % 3])
        lines.append(",".join([f"0,{fold},{row},{label},{true}", *(str(probability(row, n)) for n in names)]))
    path.write_text("\n".join([*head, "@data", *lines]) + "\n")
    return path


EVERY = [(fold, row) for fold, rows in enumerate(TESTS) for row in rows]


def test_the_scores_are_those_of_the_protocol(suite: Path, bench: Bench, tmp_path: Path) -> None:
    import numpy as np

    found = json.loads(bench("score", arff(tmp_path / "p.arff", CLASSES, EVERY), "--suite", suite, "--format", "json"))
    task = get_loader("openml").load("signs", {"task": 7})
    for row in found["splits"]:
        _, test = task.split(row["split"])
        table = np.array([[probability(int(i), name) for name in task.info.classes] for i in test])
        labels = np.array([task.info.classes.index(CLASSES[int(i) % 3]) for i in test])
        own = automl.scored(task, test, table, labels)
        assert (row["metric"], row["score"]) == (own.metric, own.unit_scores[0])
        assert row["metrics"] == own.metrics
    assert found["n"] == 2
    assert found["score"] == pytest.approx(np.mean([row["score"] for row in found["splits"]]))


def test_classes_are_matched_by_name(suite: Path, bench: Bench, tmp_path: Path) -> None:
    first = bench("score", arff(tmp_path / "a.arff", CLASSES, EVERY), "--suite", suite, "--format", "json")
    second = bench("score", arff(tmp_path / "b.arff", CLASSES[::-1], EVERY[::-1]), "--suite", suite, "--format", "json")
    assert first == second


def test_a_csv_of_values_and_the_table(suite: Path, bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("row_id,prediction\n" + "".join(f"{i},{i / 2 + 1}\n" for i in range(6, 12)))
    printed = bench("score", path, "--suite", suite, "--task", "line", "--fold", "1")
    assert "line: neg_rmse -1, 1 of 2 splits" in printed


@pytest.mark.parametrize(
    ("names", "rows", "words"),
    [
        (CLASSES, EVERY[1:], "split 0: 1 of 6 rows are missing: 0"),
        (CLASSES, [*EVERY, (0, 7)], "1 of 6 rows are not test rows of this split: 7"),
        (CLASSES, [*EVERY, (0, 3)], "row 3 of repeat 0, fold 0 is predicted twice"),
        (CLASSES[:2], EVERY, "expected the classes"),
        (CLASSES, [(fold + 5, row) for fold, row in EVERY], "has 2 folds, numbered from 0; the file has fold 5"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    suite: Path, bench: Bench, tmp_path: Path, names: list[str], rows: list[tuple[int, int]], words: str
) -> None:
    from benchbench.cli.score import score

    with pytest.raises(InputError, match=words):
        score(arff(tmp_path / "p.arff", names, rows), str(suite))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("row_id,prediction\n0,d\n", "the file does not name its task"),
        ("prediction\nd\n", "no column 'row_id'"),
        ("row_id,prediction\n0,\n", "prediction is empty"),
        ("row_id,prediction,d\n0,d,nan\n", "expected a finite number"),
        ("", "is empty"),
    ],
)
def test_a_csv_that_cannot_be_read_is_refused(suite: Path, tmp_path: Path, text: str, words: str) -> None:
    from benchbench.cli.score import score

    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        score(path, str(suite))


def test_probabilities_must_sum_to_one(suite: Path, tmp_path: Path) -> None:
    from benchbench.cli.score import score

    path = tmp_path / "p.csv"
    path.write_text('row_id,prediction,it\'s,"b, c",d\n' + "".join(f"{i},d,0.5,0.5,0.5\n" for i in range(6)))
    with pytest.raises(InputError, match="must sum to 1"):
        score(path, str(suite), task="signs")


def test_predictions_of_other_data_are_refused(suite: Path, tmp_path: Path) -> None:
    from benchbench.cli.score import score

    with pytest.raises(InputError, match="the predictions say that row 0 is 'b, c', the data say \"it's\""):
        score(arff(tmp_path / "p.arff", CLASSES, EVERY, shift=1), str(suite))


def test_the_second_fold_alone_is_the_second_split(suite: Path, bench: Bench, tmp_path: Path) -> None:
    path = arff(tmp_path / "p.arff", CLASSES, EVERY[6:])
    found = json.loads(bench("score", path, "--suite", suite, "--format", "json"))
    assert [row["split"] for row in found["splits"]] == [1]
