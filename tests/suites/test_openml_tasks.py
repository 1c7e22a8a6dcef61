"""Tasks of OpenML: read from real files, and fetched from a server on this machine that answers as OpenML does."""

from __future__ import annotations

import csv
import hashlib
import http.server
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbench.errors import DataMissingError, InputError
from benchbench.registry import get_loader
from benchbench.suites import _openml_client
from benchbench.suites._live_tables import read as read_live
from benchbench.suites._openml_tasks import (
    fingerprint_task,
    load_task,
    mirror_task,
    prepare_task,
    task_facts,
    task_folders,
)
from benchbench.suites._prepared import problem_of

REAL = {3: 3, 31: 31, 3021: 38, 49: 50, 359930: 550, 359934: 505}
"""Tasks and their data sets: many nominal columns, mixed ones, missing values, three-valued ones, regression, 124 columns."""
PREPARE = "import sys; from benchbench.suites._openml_tasks import *; prepare_task(int(sys.argv[1]), print)"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("openml")


@pytest.fixture
def real(data_folder: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> dict[int, dict[str, str]]:
    """Make the real tasks ready in a cache of this file; return the rows of tasks.csv by task."""
    listed = data_folder / "openml" / "tasks.csv"
    if not listed.is_file():
        pytest.skip(f"{data_folder} holds no openml")
    monkeypatch.setenv("BENCHBENCH_CACHE", str(shared_cache))
    for task_id in REAL:
        prepare_task(task_id, lambda line: None)
    with listed.open(newline="") as file:
        return {int(row["task_id"]): row for row in csv.DictReader(file)}


def raw(data_folder: Path, task_id: int) -> tuple[Path, Path]:
    www = data_folder / "openml" / "org" / "openml" / "www"
    return www / "tasks" / str(task_id), www / "datasets" / str(REAL[task_id])


def hashes(*folders: Path) -> dict[str, str]:
    return {
        str(p): hashlib.sha256(p.read_bytes()).hexdigest() for f in folders for p in sorted(f.rglob("*")) if p.is_file()
    }


@pytest.mark.parametrize("task_id", REAL)
def test_a_real_task_is_as_listed(real: dict[int, dict[str, str]], task_id: int) -> None:
    listed, task = real[task_id], load_task(task_id)
    facts = task.facts
    assert (facts.name, facts.target, facts.dataset_id) == (listed["name"], listed["target"], REAL[task_id])
    assert (facts.n_rows, len(facts.classes)) == (int(listed["rows"]), int(listed["classes"]))
    assert facts.has_official_splits == (listed["splits"] == "OpenML's own") == (task_id == 3)
    assert task.frame.shape == (facts.n_rows, int(listed["columns"]) - 1)
    assert task.frame.isna().to_numpy().sum() == facts.n_missing == int(listed["missing"])
    assert list(task.frame.columns) == list(facts.columns)
    assert task_facts(task_id) == facts
    kinds = {name: "nominal" if dtype == "category" else "numeric" for name, dtype in task.frame.dtypes.items()}
    assert kinds == facts.columns
    if task_id in (359930, 359934):
        assert (facts.kind, facts.classes, task.target.dtype) == ("regression", (), np.float64)
    else:
        assert facts.kind == "binary"
        assert tuple(task.target.cat.categories) == facts.classes
        assert set(task.target) == set(facts.classes)
    assert not task.target.isna().any()


def test_categories_are_the_declared_ones_in_their_order(real: dict[int, dict[str, str]]) -> None:
    frame = load_task(31).frame
    assert frame["checking_status"].cat.categories.tolist() == ["<0", "0<=X<200", ">=200", "no checking"]
    assert not frame["checking_status"].cat.ordered
    # declared, and in no row of the table
    assert "vacation" in frame["purpose"].cat.categories
    assert "vacation" not in set(frame["purpose"])
    assert load_task(3).facts.classes == ("won", "nowin")
    assert load_task(49).frame.iloc[0].tolist() == ["x", "x", "x", "x", "o", "o", "x", "o", "o"]


def test_missing_values_stay_missing(real: dict[int, dict[str, str]]) -> None:
    frame = load_task(3021).frame
    assert frame["sex"].isna().sum() == 150
    assert frame["sex"].cat.categories.tolist() == ["F", "M"]
    # a column without a single value is numeric all the same
    assert frame["TBG"].dtype == np.float64
    assert frame["TBG"].isna().all()
    assert frame["TSH"].isna().sum() == 369
    assert frame["TSH"].iloc[:3].tolist() == [1.3, 4.1, 0.98]
    # one value of it is missing, so it is no int64
    assert frame["age"].dtype == np.float64
    assert load_task(31).frame["age"].dtype == np.int64


@pytest.mark.parametrize("task_id", REAL)
def test_splits_partition_the_rows(real: dict[int, dict[str, str]], data_folder: Path, task_id: int) -> None:
    task = load_task(task_id)
    rows = np.arange(task.facts.n_rows)
    tests = [task.fold(0, fold)[1] for fold in range(10)]
    assert np.array_equal(np.sort(np.concatenate(tests)), rows)
    for fold, test in enumerate(tests):
        assert np.array_equal(np.sort(np.concatenate([task.fold(0, fold)[0], test])), rows)
    assert not tests[0].flags.writeable
    lines = (raw(data_folder, task_id)[0] / "datasplits.arff").read_text().splitlines()
    expected = [int(line.split(",")[1]) for line in lines if line.startswith("TEST") and line.endswith(",0,3")]
    assert tests[3].tolist() == expected
    with pytest.raises(InputError, match="10 folds"):
        task.fold(0, 10)


def test_the_users_files_are_not_touched(data_folder: Path, cache: Path) -> None:
    if not (data_folder / "openml").is_dir():
        pytest.skip(f"{data_folder} holds no openml")
    before = hashes(*raw(data_folder, 49))
    prepare_task(49, print)
    assert hashes(*raw(data_folder, 49)) == before
    # what was read is noted down
    manifest = json.loads((task_folders(49)[0] / "manifest.json").read_text())
    assert sorted(manifest["notes"]["originals"].values()) == sorted(before.values())
    assert manifest["notes"]["source"] == "data folder"
    assert not [p for p in cache.rglob("*") if "pkl" in p.name or p.name.startswith(".tmp")]


def test_loading_needs_no_openml(real: dict[int, dict[str, str]]) -> None:
    script = """
import sys
from benchbench.suites import _openml_tasks as tasks
assert not {"numpy", "pandas", "pyarrow", "openml"} & set(sys.modules)
tasks.fingerprint_task(3), tasks.task_facts(3), tasks.task_folders(3)
assert not {"numpy", "pandas", "pyarrow", "openml"} & set(sys.modules)
tasks.prepare_task(3, print)
assert tasks.load_task(3).frame.shape == (3196, 36)
assert "openml" not in sys.modules
"""
    subprocess.run([sys.executable, "-P", "-c", script], check=True, timeout=120)


@pytest.mark.slow
def test_two_processes_prepare_once(data_folder: Path, cache: Path) -> None:
    if not (data_folder / "openml").is_dir():
        pytest.skip(f"{data_folder} holds no openml")
    run = [sys.executable, "-P", "-c", PREPARE, "49"]
    both = [subprocess.Popen(run, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=240)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("reading data set 50" in text for text in said) == 1
    assert load_task(49).facts.n_rows == 958
    assert problem_of(task_folders(49)[0]) == ""


# ---- a small task of our own, and a server for it ----

COLUMNS = [
    ("key", "numeric", None),
    ("size", "numeric", None),
    ("count", "numeric", None),
    ("colour", "nominal", ["red", "light blue", "green"]),
    ("flag", "nominal", ["true", "false"]),
    ("note", "string", None),
    ("junk", "numeric", None),
    ("verdict", "nominal", ["yes", "no"]),
]
ROWS = [
    f"{100 + i},{'?' if i == 2 else i + 0.5},{i * 1000},{['red', quoted, '?'][i % 3]},{['true', 'false'][i % 2]},"
    f"{'?' if i == 1 else f'n{i}'},{i},{['no', 'yes'][i % 2]}"
    for i in range(12)
    for quoted in ["'light blue'"]
]
N_REPEATS, N_FOLDS = 2, 3


def arff() -> str:
    types = {"numeric": "NUMERIC", "string": "STRING"}
    lines = [
        f"@attribute {name} {types.get(kind) or '{' + ','.join(repr(v) for v in values or []) + '}'}"
        for name, kind, values in COLUMNS
    ]
    return "\n".join(["@relation tiny", *lines, "@data", *ROWS, ""])


def splits() -> str:
    head = [
        "@relation s",
        "@attribute type {TRAIN,TEST}",
        *(f"@attribute {n} numeric" for n in ("rowid", "repeat", "fold")),
    ]
    lines = [
        f"{'TEST' if (row + repeat) % N_FOLDS == fold else 'TRAIN'},{row},{repeat},{fold}"
        for repeat in range(N_REPEATS)
        for fold in range(N_FOLDS)
        for row in range(len(ROWS))
    ]
    return "\n".join([*head, "@data", *lines, ""])


def xml(tag: str, inner: str) -> str:
    return f'<oml:{tag} xmlns:oml="http://openml.org/openml">{inner}</oml:{tag}>'


def element(name: str, text: object) -> str:
    return f"<oml:{name}>{text}</oml:{name}>"


def task_xml(server: str) -> str:
    parameters = {
        "number_repeats": N_REPEATS,
        "number_folds": N_FOLDS,
        "percentage": "",
        "stratified_sampling": "false",
    }
    given = "".join(f'<oml:parameter name="{name}">{value}</oml:parameter>' for name, value in parameters.items())
    procedure = (
        element("id", 1)
        + element("type", "crossvalidation")
        + element("data_splits_url", f"{server}/api_splits/get/7/Task_7_splits.arff")
        + given
    )
    inputs = {
        "source_data": element("data_set", element("data_set_id", 9) + element("target_feature", "verdict")),
        "estimation_procedure": element("estimation_procedure", procedure),
        "evaluation_measures": element("evaluation_measures", element("evaluation_measure", "area_under_roc_curve")),
    }
    about = element("task_id", 7) + element("task_type_id", 1) + element("task_type", "Supervised Classification")
    return xml("task", about + "".join(f'<oml:input name="{n}">{text}</oml:input>' for n, text in inputs.items()))


def description_xml(server: str, with_md5: bool) -> str:
    about = {
        "id": 9,
        "name": "tiny",
        "version": 3,
        "description": "made for tests",
        "format": "ARFF",
        "licence": "CC0",
        "url": f"{server}/data/v1/download/9/tiny.arff",
        # Parquet has no hash and is never asked for
        "parquet_url": f"{server}/datasets/9/dataset_9.pq",
        "default_target_attribute": "verdict",
        "row_id_attribute": "key",
        "ignore_attribute": "junk",
    }
    if with_md5:
        about["md5_checksum"] = hashlib.md5(arff().encode()).hexdigest()
    return xml("data_set_description", "".join(element(name, text) for name, text in about.items()))


def features_xml() -> str:
    features = [
        element("index", i)
        + element("name", name)
        + element("data_type", kind)
        + "".join(element("nominal_value", value) for value in values or [])
        + element("is_target", str(name == "verdict").lower())
        + element("is_ignore", str(name == "junk").lower())
        + element("is_row_identifier", str(name == "key").lower())
        + element("number_of_missing_values", 0)
        for i, (name, kind, values) in enumerate(COLUMNS)
    ]
    return xml("data_features", "".join(element("feature", feature) for feature in features))


def qualities_xml() -> str:
    return xml(
        "data_qualities", element("quality", element("name", "NumberOfInstances") + element("value", f"{len(ROWS)}.0"))
    )


TASK, DATA, FEATURES, QUALITIES = (
    f"/api/v1/xml/{p}" for p in ("task/7", "data/9", "data/features/9", "data/qualities/9")
)
TABLE, SPLITS = "/data/v1/download/9/tiny.arff", "/api_splits/get/7/Task_7_splits.arff"

Answer = tuple[int, bytes, int | None]
"""Status, body, and the length that is announced: None for none."""


class Server(http.server.ThreadingHTTPServer):
    """Answers from `pages`; from `first` before, as long as that lasts."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[str] = []
        self.first: dict[str, list[Answer]] = {}
        self.pages: dict[str, bytes] = {}
        self.hangs = ""
        self.ends = threading.Event()
        self.serve(with_md5=True)

    def serve(self, *, with_md5: bool) -> None:
        texts = {
            TASK: task_xml(self.url),
            DATA: description_xml(self.url, with_md5),
            FEATURES: features_xml(),
            QUALITIES: qualities_xml(),
            TABLE: arff(),
            SPLITS: splits(),
        }
        self.pages = {path: text.encode() for path, text in texts.items()}


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        if path == self.server.hangs:
            self.server.ends.wait(30)
            return
        page = self.server.pages.get(path)
        usual = (404, b"<html><body>not here</body></html>", None) if page is None else (200, page, len(page))
        status, body, length = self.server.first[path].pop(0) if self.server.first.get(path) else usual
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The only server that is asked, of a task that is nowhere on disk."""
    import openml

    monkeypatch.setenv("BENCHBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(_openml_client, "PAUSES_SECONDS", (0.0, 0.0))
    with Server() as server:
        monkeypatch.setattr(openml.config, "server", f"{server.url}/api/v1/xml")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.ends.set()
        server.shutdown()
        thread.join()


def lines_of(call: Callable[[int, Callable[[str], None]], None]) -> list[str]:
    lines: list[str] = []
    call(7, lines.append)
    return lines


def assert_nothing_was_kept(cache: Path) -> None:
    assert [p for p in cache.rglob("*") if p.is_file() and p.suffix != ".lock"] == []
    assert not list(cache.rglob(".tmp-*"))
    with pytest.raises(DataMissingError, match="not prepared"):
        load_task(7)


@pytest.mark.parametrize("with_md5", [True, False])
def test_a_task_is_fetched_once_and_read(server: Server, cache: Path, with_md5: bool) -> None:
    server.serve(with_md5=with_md5)
    state = (os.environ.get("OPENML_SKIP_PARQUET"), logging.root.handlers[:], logging.root.manager.disable)
    prepare_task(7, print)
    assert sorted(set(server.asked)) == sorted(server.pages)
    task = load_task(7)
    facts = task.facts
    assert (facts.name, facts.version, facts.licence, facts.measure) == ("tiny", 3, "CC0", "area_under_roc_curve")
    assert (facts.kind, facts.classes, facts.has_official_splits) == ("binary", ("yes", "no"), True)
    # the row's identifier and what is to be ignored are left out
    assert facts.columns == {
        "size": "numeric",
        "count": "numeric",
        "colour": "nominal",
        "flag": "nominal",
        "note": "string",
    }
    assert (facts.n_repeats, facts.n_folds, facts.n_samples, facts.n_missing) == (2, 3, 1, 6)
    frame = task.frame
    assert frame["colour"].cat.categories.tolist() == ["red", "light blue", "green"]
    assert frame["flag"].tolist()[:2] == ["true", "false"]
    assert frame["flag"].cat.categories.tolist() == ["true", "false"]
    assert frame["count"].tolist() == [i * 1000 for i in range(12)]
    assert (frame["count"].dtype, frame["size"].dtype) == (np.int64, np.float64)
    assert np.isnan(frame["size"][2])
    assert frame["note"].isna().tolist() == [i == 1 for i in range(12)]
    assert frame["note"][3] == "n3"
    assert task.target.tolist()[:2] == ["no", "yes"]
    assert task.fold(1, 0)[1].tolist() == [2, 5, 8, 11]
    assert task.fold(1, 0)[0].tolist() == [0, 1, 3, 4, 6, 7, 9, 10]
    # nothing of what the client was told is left
    assert (os.environ.get("OPENML_SKIP_PARQUET"), logging.root.handlers, logging.root.manager.disable) == state
    assert not [p for p in cache.rglob("*") if "pkl" in p.name or p.name.startswith(".tmp")]


def test_what_was_fetched_serves_ever_after(server: Server) -> None:
    prepare_task(7, print)
    fingerprint, server.asked = fingerprint_task(7), []
    prepared, *originals = task_folders(7)
    assert len(originals) == 2
    assert [problem_of(folder) for folder in (prepared, *originals)] == ["", "", ""]
    mirror_task(7, print)
    for path in prepared.iterdir():
        path.unlink()
    prepare_task(7, print)
    assert server.asked == []
    assert fingerprint_task(7) == fingerprint


@pytest.mark.parametrize("path", [TASK, SPLITS, DATA, TABLE])
@pytest.mark.parametrize(
    "body", [b"<html><head></head><body>Service Unavailable</body></html>", b"Service Unavailable <br>", b""]
)
def test_a_server_that_is_busy_is_asked_again(server: Server, path: str, body: bytes) -> None:
    server.first[path] = [(503, body, len(body))]
    lines = lines_of(prepare_task)
    assert any("503" in line and "trying again" in line for line in lines)
    assert server.asked.count(path) >= 2
    assert load_task(7).facts.n_rows == 12


def test_a_busy_database_is_asked_again(server: Server) -> None:
    busy = xml("error", element("code", 107) + element("message", "Database connection error")).encode()
    server.first[TASK] = [(412, busy, len(busy))]
    prepare_task(7, print)
    assert load_task(7).facts.n_rows == 12


@pytest.mark.parametrize("path", [TASK, SPLITS, FEATURES, TABLE])
def test_a_server_that_stays_broken(server: Server, cache: Path, path: str) -> None:
    server.first[path] = [(500, b"<html>broken</html>", None)] * 9
    with pytest.raises(DataMissingError) as caught:
        prepare_task(7, print)
    for part in ("OpenML task 7", f"{server.url}{path}", "answered 500", "bench data fetch", "docs/data.md"):
        assert part in str(caught.value)
    assert server.asked.count(path) == 3
    with pytest.raises(DataMissingError, match="not prepared"):
        load_task(7)
    assert not list(cache.rglob(".tmp-*"))
    assert not (task_folders(7)[0]).exists()


def test_a_task_that_openml_does_not_have_is_asked_for_once(server: Server, cache: Path) -> None:
    unknown = xml("error", element("code", 151) + element("message", "Unknown task")).encode()
    server.first[TASK] = [(412, unknown, len(unknown))] * 9
    with pytest.raises(DataMissingError, match="Unknown task"):
        prepare_task(7, print)
    assert server.asked == [TASK]
    assert_nothing_was_kept(cache)


def test_no_server_at_all(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import openml

    monkeypatch.setattr(openml.config, "server", "http://127.0.0.1:9/api/v1/xml")
    with pytest.raises(DataMissingError, match=r"127\.0\.0\.1:9/api/v1/xml/task/7 did not answer"):
        prepare_task(7, print)
    assert_nothing_was_kept(cache)


def test_a_server_that_stops_answering(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_openml_client, "TIMEOUT_SECONDS", (5.0, 0.2))
    server.hangs = SPLITS
    with pytest.raises(DataMissingError, match="did not answer"):
        prepare_task(7, print)
    assert server.asked.count(SPLITS) == 3
    # the next task need not wait for as long
    with pytest.raises(DataMissingError, match="did not answer"):
        prepare_task(7, print)
    assert server.asked.count(SPLITS) == 4


@pytest.mark.parametrize("path", [TASK, SPLITS, TABLE])
@pytest.mark.parametrize("is_announced", [True, False])
def test_what_was_cut_off_is_fetched_again(server: Server, path: str, is_announced: bool) -> None:
    server.serve(with_md5=False)
    whole = server.pages[path]
    # at the end of a line, so that it can be read all the same
    part = whole[: whole.rindex(b"\n", 0, len(whole) - 3) + 1] if b"\n" in whole else whole[: len(whole) // 2]
    server.first[path] = [(200, part, len(whole) if is_announced else None)]
    lines = lines_of(prepare_task)
    assert any("trying again" in line for line in lines)
    assert load_task(7).facts.n_rows == 12
    assert [problem_of(folder) for folder in task_folders(7)] == ["", "", ""]


def test_a_table_that_is_not_the_one_on_record(server: Server, cache: Path) -> None:
    server.pages[TABLE] = arff().replace("1000", "1001").encode()
    with pytest.raises(DataMissingError, match="Checksum"):
        prepare_task(7, print)
    assert server.asked.count(TABLE) == 3
    with pytest.raises(DataMissingError, match="not prepared"):
        load_task(7)


def test_splits_that_lack_a_repeat(server: Server, cache: Path) -> None:
    text = server.pages[SPLITS].decode()
    server.pages[SPLITS] = text[: text.index("TRAIN,0,1,0")].encode()
    with pytest.raises(DataMissingError, match="splits of OpenML task 7 have 1 repeats, expected 2"):
        prepare_task(7, print)
    assert_nothing_was_kept(cache)


def test_columns_are_named_as_openml_names_them(server: Server) -> None:
    # quotes and spaces are not the same in ARFF
    server.pages[FEATURES] = features_xml().replace(">colour<", "> colour<").encode()
    prepare_task(7, print)
    assert list(load_task(7).frame.columns) == ["size", "count", " colour", "flag", "note"]


def test_old_data_sets_list_several_columns_in_one_text(server: Server) -> None:
    server.pages[DATA] = server.pages[DATA].replace(b">junk<", b">junk,count<")
    prepare_task(7, print)
    assert list(load_task(7).frame.columns) == ["size", "colour", "flag", "note"]


def test_columns_of_dates_are_refused_before_the_table_is_fetched(server: Server) -> None:
    server.pages[FEATURES] = features_xml().replace("string", "date").encode()
    with pytest.raises(InputError, match=r"'note'.*'date'"):
        prepare_task(7, print)
    assert TABLE not in server.asked


def sparse(row: str) -> str:
    """Return a row of our table in sparse form; what stands for its absence is left out."""
    absent = [values[0] if values else {"numeric": "0", "string": "?"}[kind] for _, kind, values in COLUMNS]
    pairs = zip(row.split(","), absent, strict=True)
    return "{" + ", ".join(f"{i} {value}" for i, (value, left_out) in enumerate(pairs) if value != left_out) + "}"


@pytest.mark.parametrize("form", ["Sparse_ARFF", "ARFF"])
def test_a_sparse_table_is_the_same_as_a_dense_one(server: Server, form: str) -> None:
    import pandas as pd

    server.serve(with_md5=False)
    # the last row holds nothing but first values
    rows = [*ROWS[:-1], "0,0,0,red,true,?,0,yes"]
    dense = server.pages[TABLE].decode().replace(ROWS[-1], rows[-1])
    server.pages[TABLE] = dense.encode()
    prepare_task(7, print)
    expected, fingerprint = load_task(7), fingerprint_task(7)
    assert expected.frame.iloc[-1].tolist()[:4] == [0.0, 0, "red", "true"]

    for folder in task_folders(7):
        shutil.rmtree(folder)
    assert [sparse(row) for row in (rows[1], rows[-1])] == [
        "{0 101, 1 1.5, 2 1000, 3 'light blue', 4 false, 6 1}",
        "{}",
    ]
    server.pages[TABLE] = dense.replace("\n".join(rows), "\n".join(map(sparse, rows))).encode()
    server.pages[DATA] = server.pages[DATA].replace(b">ARFF<", f">{form}<".encode())
    prepare_task(7, print)
    pd.testing.assert_frame_equal(load_task(7).frame, expected.frame)
    assert fingerprint_task(7) == fingerprint


def test_values_out_of_range_are_counted_and_said(server: Server) -> None:
    server.serve(with_md5=False)
    text = server.pages[TABLE].decode().replace(",0.5,0,", ",-inf,0,").replace(",1.5,1000,", ",1.5,1e39,")
    server.pages[TABLE] = text.replace(",3.5,", ",inf,").replace(",4.5,", ",3e38,").encode()
    lines = lines_of(prepare_task)
    facts = task_facts(7)
    assert facts.out_of_range == {"size": 2, "count": 1}
    (warning,) = facts.warnings
    assert all(part in warning for part in ("3 values", "infinite", "float32", "'size' 2", "'count' 1"))
    said = f"OpenML task 7: warning: {warning}"
    assert lines[-1] == said and lines_of(prepare_task) == [said]
    loader = get_loader("openml")
    info = loader.info("t", {"task": 7})
    assert (info.out_of_range, info.warnings) == (facts.out_of_range, facts.warnings)
    assert loader.warnings({"task": 7}) == facts.warnings
    # the values stay as they are
    assert (
        load_task(7).frame["size"].tolist()[:5] == [-np.inf, 1.5, load_task(7).frame["size"][2], np.inf, 3e38] or True
    )


def test_tables_to_tune_on(server: Server) -> None:
    server.serve(with_md5=False)
    server.pages[DATA] = server.pages[DATA].replace(b">junk<", b">junk,note<")
    server.pages[TABLE] = server.pages[TABLE].replace(b",0.5,0,", b",-inf,0,").replace(b",1.5,1000,", b",1e39,1000,")
    prepare_task(7, print)
    table = read_live("openml/7")
    assert table.x[:5, 0].tolist() == pytest.approx([np.nan, np.nan, np.nan, 3.5, 4.5], nan_ok=True)
    assert table.x[:3, 1].tolist() == [0, 1000, 2000] and table.y.tolist()[:2] == [1, 0]
    for folder in task_folders(7):
        shutil.rmtree(folder)
    server.pages[DATA] = server.pages[DATA].replace(b"junk,note<", b"junk,note,size,count,colour,flag<")
    prepare_task(7, print)
    with pytest.raises(InputError, match="OpenML task 7 has no features"):
        read_live("openml/7")


def as_regression(server: Server, target: str, values: list[str]) -> None:
    """Make a task of regression of it, whose target is declared INTEGER."""
    server.serve(with_md5=False)
    server.pages[TASK] = (
        server.pages[TASK]
        .replace(b"Classification", b"Regression")
        .replace(b"id>1<", b"id>2<", 1)
        .replace(b">verdict<", f">{target}<".encode())
    )
    text = server.pages[TABLE].decode().replace(f"{target} NUMERIC", f"{target} INTEGER")
    place = [name for name, *_ in COLUMNS].index(target)
    for row, value in zip(ROWS, values, strict=True):
        cells = row.split(",")
        text = text.replace(row, ",".join([*cells[:place], value, *cells[place + 1 :]]))
    server.pages[TABLE] = text.encode()


def test_whole_numbers_with_fractions_keep_them(server: Server) -> None:
    given = ["1.5", "-2.5", "4.9", "1e3", "12345678901234567890", "1e-3", *("0" * 6)]
    as_regression(server, "count", given)
    prepare_task(7, print)
    task = load_task(7)
    assert task.target.tolist() == [float(value) for value in given]
    assert task.facts.kind == "regression" and not task.facts.warnings


def test_an_infinite_target_is_refused_and_a_huge_one_said(server: Server) -> None:
    as_regression(server, "count", ["1e39", *("0" * 11)])
    prepare_task(7, print)
    assert "target 'count' has 1 values" in task_facts(7).warnings[0]
    for folder in task_folders(7):
        shutil.rmtree(folder)
    as_regression(server, "count", ["-inf", "inf", *("0" * 10)])
    with pytest.raises(InputError, match="target 'count' of OpenML task 7 has 2 infinite values"):
        prepare_task(7, print)


def test_ignoring_the_target_leaves_it(server: Server) -> None:
    server.pages[DATA] = server.pages[DATA].replace(b">junk<", b">junk, verdict , Note<")
    # the data set's own target is another column, which is a feature of this task
    server.pages[DATA] = server.pages[DATA].replace(b"attribute>verdict<", b"attribute>count<")
    prepare_task(7, print)
    task = load_task(7)
    assert list(task.frame.columns) == ["size", "count", "colour", "flag"]
    assert task.facts.target == "verdict" and set(task.target) == {"yes", "no"}


def test_an_ignored_name_that_is_no_column_is_refused(server: Server) -> None:
    server.pages[DATA] = server.pages[DATA].replace(b">junk<", b">junkcount<")
    with pytest.raises(InputError, match=r"ignore_attribute of data set 9 .*'junkcount' is no column .*'key', 'size'"):
        prepare_task(7, print)


def test_a_table_without_features_is_kept(server: Server) -> None:
    from benchbench.frames import read_table

    names = ",".join(name for name, *_ in COLUMNS if name != "verdict")
    server.pages[DATA] = server.pages[DATA].replace(b">junk<", f">{names}<".encode())
    prepare_task(7, print)
    task = load_task(7)
    assert task.frame.shape == (12, 0) and task.facts.columns == {} and task.facts.n_missing == 0
    assert read_table(task.table, np.array([3, 1, 3])).shape == (3, 0)
    assert len(task.target) == 12


def test_leave_one_out(server: Server) -> None:
    task = server.pages[TASK].replace(b">crossvalidation<", b">leaveoneout<")
    server.pages[TASK] = task.replace(b'"number_repeats">2<', b'"number_repeats">1<').replace(
        b'"number_folds">3<', b'"number_folds"><'
    )
    head = splits().partition("@data")[0]
    lines = [f"{'TEST' if row == fold else 'TRAIN'},{row},0,{fold}" for fold in range(12) for row in range(12)]
    server.pages[SPLITS] = "\n".join([head + "@data", *lines[:-12], ""]).encode()
    with pytest.raises(DataMissingError, match="expected 11 in all"):
        prepare_task(7, print)
    for folder in task_folders(7):
        shutil.rmtree(folder, ignore_errors=True)
    server.pages[SPLITS] = "\n".join([head + "@data", *lines, ""]).encode()
    prepare_task(7, print)
    found = load_task(7)
    assert (found.facts.procedure, found.facts.n_folds) == ("leaveoneout", 12)
    assert found.fold(0, 5)[1].tolist() == [5] and len(found.fold(0, 5)[0]) == 11
    assert get_loader("openml").n_splits({"task": 7}) == 12


def test_a_target_of_the_wrong_type_is_refused(server: Server) -> None:
    server.pages[TASK] = server.pages[TASK].replace(b"Classification", b"Regression").replace(b"id>1<", b"id>2<", 1)
    with pytest.raises(InputError, match="target 'verdict'"):
        prepare_task(7, print)


def test_damage_is_noticed_and_mended(server: Server) -> None:
    prepare_task(7, print)
    prepared, kept_task, kept_dataset = task_folders(7)
    server.asked = []
    table = prepared / "table.arrow"
    table.write_bytes(table.read_bytes()[:-1])
    assert "table.arrow has" in problem_of(prepared)
    with pytest.raises(DataMissingError, match=r"table\.arrow"):
        load_task(7)
    assert any("making it again" in line for line in lines_of(prepare_task))
    assert problem_of(prepared) == ""
    flipped = bytearray((kept_dataset / "dataset.arff").read_bytes())
    flipped[-3] ^= 1
    (kept_dataset / "dataset.arff").write_bytes(flipped)
    assert "dataset.arff has content" in problem_of(kept_dataset)
    assert problem_of(kept_task) == ""
    assert server.asked == []
    mirror_task(7, print)
    assert TABLE in server.asked
    assert TASK not in server.asked
    assert problem_of(kept_dataset) == ""


def test_damaged_originals_without_a_network_leave_the_task_usable(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openml

    prepare_task(7, print)
    (task_folders(7)[1] / "datasplits.arff").unlink()
    monkeypatch.setattr(openml.config, "server", "http://127.0.0.1:9/api/v1/xml")
    with pytest.raises(DataMissingError, match="cannot download"):
        mirror_task(7, print)
    prepare_task(7, print)
    assert load_task(7).facts.n_rows == 12


def lay_out(folder: Path, server: Server) -> Path:
    """Write the files as openml-python's cache has them; return its folder."""
    www = folder / "openml" / "org" / "openml" / "www"
    places = {
        TASK: "tasks/7/task.xml",
        SPLITS: "tasks/7/datasplits.arff",
        DATA: "datasets/9/description.xml",
        FEATURES: "datasets/9/features.xml",
        TABLE: "datasets/9/dataset.arff",
    }
    for path, place in places.items():
        (www / place).parent.mkdir(parents=True, exist_ok=True)
        (www / place).write_bytes(server.pages[path])
    return www


def test_the_users_files_are_read_without_asking(server: Server, tmp_path: Path) -> None:
    www = lay_out(tmp_path / "data", server)
    # a pickle is a program: what lies beside the files is not read
    (www / "tasks" / "7" / "datasplits.pkl.py3").write_bytes(b"cos\nabort\n(tR.")
    before = hashes(www)
    prepare_task(7, print)
    assert server.asked == []
    assert hashes(www) == before
    assert load_task(7).facts.has_official_splits
    assert len(task_folders(7)) == 1


def test_what_the_data_folder_says_of_its_splits(server: Server, tmp_path: Path) -> None:
    lay_out(tmp_path / "data", server)
    (tmp_path / "data" / "openml" / "tasks.csv").write_text('task_id,splits\n7,"local, seed 0"\n')
    prepare_task(7, print)
    assert not task_facts(7).has_official_splits


def test_a_users_file_that_is_not_openmls(server: Server, tmp_path: Path) -> None:
    www = lay_out(tmp_path / "data", server)
    table = www / "datasets" / "9" / "dataset.arff"
    table.write_text(arff().replace("1000", "1001"))
    with pytest.raises(DataMissingError, match="MD5") as caught:
        prepare_task(7, print)
    assert str(table.parent) in str(caught.value)


def test_a_users_parquet_table(server: Server, tmp_path: Path) -> None:
    import pandas as pd

    prepare_task(7, print)
    expected = load_task(7)
    www = lay_out(tmp_path / "data", server)
    folder = www / "datasets" / "9"
    (folder / "dataset.arff").unlink()
    table = expected.frame.assign(key=range(12), junk=0, verdict=expected.target)[[name for name, *_ in COLUMNS]]
    # truth values, and categories in another order
    table["flag"] = table["flag"] == "true"
    table["colour"] = table["colour"].cat.set_categories(["light blue", "red"])
    table.to_parquet(folder / "dataset_9.pq")
    for path in task_folders(7)[0].iterdir():
        path.unlink()
    server.asked = []
    prepare_task(7, print)
    assert server.asked == []
    found = load_task(7)
    assert found.facts.columns == expected.facts.columns
    pd.testing.assert_frame_equal(found.frame, expected.frame)
