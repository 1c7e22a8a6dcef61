"""Small tables as openml-python's cache holds them, for tests of what a table may look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

__all__ = ["write_task"]


def write_task(
    folder: Path,
    number: int,
    columns: Mapping[str, str | Sequence[str]],
    rows: Sequence[Sequence[object]],
    tests: Sequence[Sequence[int]],
    ignored: Sequence[str] = (),
) -> None:
    """Write a task and its data set, both with this number.

    Parameters
    ----------
    folder : Path
        What `BENCHBENCH_DATA` names.
    columns : mapping of str to str or list of str
        "numeric", or the declared categories; the last one is the target.
    rows : list of lists
        Values as ARFF spells them.
    tests : list of lists of int
        Test rows of each fold; the others train.
    ignored : list of str
        Columns that are no features.
    """
    www = folder / "openml" / "org" / "openml" / "www"
    task, data = www / "tasks" / str(number), www / "datasets" / str(number)
    target = list(columns)[-1]
    texts = {
        task / "task.xml": _task(number, target, len(tests), columns[target] == "numeric"),
        task / "datasplits.arff": _splits(len(rows), tests),
        data / "dataset.arff": _arff(columns, rows),
        data / "description.xml": _description(number, target),
        data / "features.xml": _features(columns, target, ignored),
        data / "qualities.xml": _xml(
            "data_qualities", _of("quality", name="NumberOfInstances", value=f"{len(rows)}.0")
        ),
    }
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _xml(tag: str, inner: str) -> str:
    return f'<oml:{tag} xmlns:oml="http://openml.org/openml">{inner}</oml:{tag}>'


def _of(tag: str, inner: str = "", **elements: object) -> str:
    parts = "".join(f"<oml:{name}>{escape(str(value))}</oml:{name}>" for name, value in elements.items())
    return f"<oml:{tag}>{parts}{inner}</oml:{tag}>"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _arff(columns: Mapping[str, str | Sequence[str]], rows: Sequence[Sequence[object]]) -> str:
    lines = ["@relation made"]
    for name, kind in columns.items():
        declared = kind if isinstance(kind, str) else "{" + ",".join(map(_quoted, kind)) + "}"
        lines.append(f"@attribute {_quoted(name)} {declared}")
    kinds = list(columns.values())
    lines.append("@data")
    for row in rows:
        lines.append(
            ",".join(str(v) if isinstance(k, str) else _quoted(str(v)) for v, k in zip(row, kinds, strict=True))
        )
    return "\n".join([*lines, ""])


def _splits(n_rows: int, tests: Sequence[Sequence[int]]) -> str:
    lines = ["@relation s", "@attribute type {TRAIN,TEST}"]
    lines += [f"@attribute {name} numeric" for name in ("rowid", "repeat", "fold")]
    lines.append("@data")
    for fold, test in enumerate(tests):
        lines += [f"{'TEST' if row in test else 'TRAIN'},{row},0,{fold}" for row in range(n_rows)]
    return "\n".join([*lines, ""])


def _task(number: int, target: str, n_folds: int, is_regression: bool) -> str:
    given = {"number_repeats": 1, "number_folds": n_folds, "percentage": "", "stratified_sampling": "false"}
    parameters = "".join(f'<oml:parameter name="{name}">{value}</oml:parameter>' for name, value in given.items())
    url = f"https://www.openml.org/api_splits/get/{number}/splits.arff"
    inputs = {
        "source_data": _of("data_set", data_set_id=number, target_feature=target),
        "estimation_procedure": _of(
            "estimation_procedure", parameters, id=1, type="crossvalidation", data_splits_url=url
        ),
        "evaluation_measures": _of("evaluation_measures", evaluation_measure="predictive_accuracy"),
    }
    kind = (2, "Supervised Regression") if is_regression else (1, "Supervised Classification")
    about = f"<oml:task_id>{number}</oml:task_id><oml:task_type_id>{kind[0]}</oml:task_type_id><oml:task_type>{kind[1]}</oml:task_type>"
    return _xml("task", about + "".join(f'<oml:input name="{n}">{text}</oml:input>' for n, text in inputs.items()))


def _description(number: int, target: str) -> str:
    about = {
        "id": number,
        "name": "made",
        "version": 1,
        "description": "made for tests",
        "format": "ARFF",
        "licence": "CC0",
        "url": f"https://www.openml.org/data/v1/download/{number}/made.arff",
        "file_id": number,
        "default_target_attribute": target,
        "visibility": "public",
        "status": "active",
    }
    return _of("data_set_description", **about).replace(
        "<oml:data_set_description>", '<oml:data_set_description xmlns:oml="http://openml.org/openml">'
    )


def _features(columns: Mapping[str, str | Sequence[str]], target: str, ignored: Sequence[str]) -> str:
    found = []
    for i, (name, kind) in enumerate(columns.items()):
        values = (
            ""
            if isinstance(kind, str)
            else "".join(f"<oml:nominal_value>{escape(v)}</oml:nominal_value>" for v in kind)
        )
        found.append(
            _of(
                "feature",
                values,
                index=i,
                name=name,
                data_type=kind if isinstance(kind, str) else "nominal",
                is_target=str(name == target).lower(),
                is_ignore=str(name in ignored).lower(),
                is_row_identifier="false",
                number_of_missing_values=0,
            )
        )
    return _xml("data_features", "".join(found))
