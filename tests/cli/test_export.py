"""One board in every format: the same numbers, and nothing that breaks the format."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

Bench = Callable[..., str]
Land = Callable[..., Path]
Table = list[list[str]]

ROWS = (
    {"scores": [0.8, 0.6, 0.75, 0.7], "transductive": True},
    {"method": "protonet", "scores": [0.55, 0.61, 0.5, 0.6], "params": {"n_way": 30}},
    {"method": "pixel_nn", "scores": [0.1, 0.3, 0.2, 0.2]},
    {"task": "waves", "transductive": True, "scores": [-3.25, -3.0]},
    {"task": "waves", "method": "protonet", "params": {"n_way": 30}, "scores": [-2.5, -2.0]},
    {"task": "waves", "method": "pixel_nn", "outcome": "timeout"},
)


class Tables(HTMLParser):
    """Collects the body cells of every table, and every tag."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[Table] = []
        self.tags: list[str] = []
        self.cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "tbody":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in ("td", "th") and self.tables and self.tables[-1]:
            self.cell = []

    def handle_data(self, data: str) -> None:
        if self.cell is not None:
            self.cell.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self.cell is not None:
            self.tables[-1][-1].append("".join(self.cell))
            self.cell = None
        elif tag == "tbody":
            # the next table's head is none of this one's rows
            self.tables[-1] = [row for row in self.tables[-1] if row]
            self.cell = None


def of_html(text: str) -> list[Table]:
    parser = Tables()
    parser.feed(text)
    return [[row for row in table if row and row[0] != "#"] for table in parser.tables]


def of_markdown(text: str) -> list[Table]:
    tables: list[Table] = []
    for line in text.splitlines():
        if re.match(r"\|[-:|]+\|$", line):
            tables.append([])
        elif line.startswith("| ") and tables and not line.startswith("| # "):
            cells = [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]
            tables[-1].append([re.sub(r"\\(.)", r"\1", c) for c in cells])
    return tables


def of_latex(text: str) -> list[Table]:
    tables = []
    for body in re.findall(r"\\midrule\n(.*?)\n\s*\\bottomrule", text, re.DOTALL):
        rows = [line.strip().removesuffix(r"\\") for line in body.splitlines()]
        plain = [re.sub(r"\\textbf\{([^{}]*)\}", r"\1", row) for row in rows]
        tables.append([[re.sub(r"\\([_%&])", r"\1", c.strip()) for c in re.split(r"(?<!\\)&", row)] for row in plain])
    return tables


def of_terminal(text: str) -> list[Table]:
    tables, lines = [], text.splitlines()
    for i, line in enumerate(lines):
        if re.fullmatch(r" *-+(  -+)+", line):
            spans = [m.span() for m in re.finditer(r"-+", line)]
            body = []
            for row in lines[i + 1 :]:
                if not row.strip():
                    break
                body.append([row[a:b].strip() for a, b in spans])
            tables.append(body)
    return tables


READERS = {"table": of_terminal, "md": of_markdown, "latex": of_latex, "html": of_html}


@pytest.mark.parametrize("options", [(), ("--stat", "elo"), ("--stat", "norm", "--by", "dataset")])
def test_all_formats_hold_the_same_cells(bench: Bench, suite_file: Path, land: Land, options: tuple[str, ...]) -> None:
    command = ("leaderboard", "--suite", suite_file, "--db", land(*ROWS), *options, "--format")
    found = {name: read(bench(*command, name)) for name, read in READERS.items()}
    assert len(found["md"]) == (2 if "dataset" in options else 1 if options else 3)
    assert all(len(table) == 3 for table in found["md"])
    for name in ("latex", "html", "table"):
        assert found[name] == found["md"], name


@pytest.mark.parametrize(("options", "key", "digits"), [((), "score", 3), (("--stat", "elo"), "value", 0)])
def test_cells_are_the_records_rounded(
    bench: Bench, suite_file: Path, land: Land, options: tuple[str, ...], key: str, digits: int
) -> None:
    command = ("leaderboard", "--suite", suite_file, "--db", land(*ROWS), *options, "--format")
    records = [r for r in json.loads(bench(*command, "json")) if r["task"] is None]
    read = [r for r in csv.DictReader(io.StringIO(bench(*command, "csv"))) if not r["task"]]
    assert [float(r[key]) for r in read] == [r[key] for r in records]
    table = of_markdown(bench(*command, "md"))[0]
    column = 5 if not options else 3
    assert [row[column] for row in table] == [f"{r[key]:.{digits}f}" for r in records]


@pytest.mark.parametrize("format_", ["table", "md", "latex", "html"])
@pytest.mark.parametrize("options", [(), ("--stat", "winrate")])
def test_every_format_says_what_its_numbers_are(
    bench: Bench, suite_file: Path, land: Land, format_: str, options: tuple[str, ...]
) -> None:
    db = land(*ROWS, {"preset": "long", "started_at": 1.0})
    text = bench("leaderboard", "--suite", suite_file, "--db", db, *options, "--format", format_)
    plain = " ".join(re.sub(r"<[^>]*>|\\([_%])", r" \1", text).split())
    assert "preset" in plain
    for said in (
        "quick",
        "cpu",
        "1 of 6 scores (16.7",
        "1 trial",
        "ll splits were generated by this project",
        "imputation",
        "baseline",
    ):
        assert said in plain, said


@pytest.mark.parametrize("format_", ["json", "csv"])
def test_records_say_it_too(bench: Bench, suite_file: Path, land: Land, format_: str) -> None:
    for options in ((), ("--stat", "winrate")):
        text = bench("leaderboard", "--suite", suite_file, "--db", land(*ROWS), *options, "--format", format_)
        row = json.loads(text)[0] if format_ == "json" else next(csv.DictReader(io.StringIO(text)))
        wanted = {"n", "unit", "protocol_version", "preset", "device", "imputation", "imputed_share", "n_left_out"}
        assert wanted | {"generated_splits", "threads", "test_units"} <= set(row)


@pytest.mark.parametrize("options", [(), ("--stat", "winrate"), ("--stat", "winrate", "--by", "dataset")])
def test_parameters_are_an_object_in_json_and_its_text_in_csv(
    bench: Bench, suite_file: Path, land: Land, options: tuple[str, ...]
) -> None:
    command = ("leaderboard", "--suite", suite_file, "--db", land(*ROWS), *options, "--format")
    found = {json.dumps(r["params"]) for r in json.loads(bench(*command, "json"))}
    assert found == {"{}", '{"n_way": 30}'}
    read = {r["params"] for r in csv.DictReader(io.StringIO(bench(*command, "csv")))}
    assert read == {"{}", '{"n_way":30}'}


def test_bold_is_only_for_real_differences(bench: Bench, suite_file: Path, land: Land) -> None:
    clear = land({"scores": [0.9, 0.91, 0.9, 0.91]}, {"method": "pixel_nn", "scores": [0.1, 0.11, 0.1, 0.11]})
    text = bench("leaderboard", "--suite", suite_file, "--db", clear, "--format", "latex")
    assert r"1 & \textbf{maml} & \textbf{0.9050}" in text
    assert "In bold: the best, where" in text
    near = land({"scores": [0.9, 0.1, 0.9, 0.1]}, {"method": "pixel_nn", "scores": [0.1, 0.2, 0.9, 0.7]}, name="near")
    text = bench("leaderboard", "--suite", suite_file, "--db", near, "--format", "latex")
    assert r"\textbf" not in text
    assert "No entry is bold: the top two are not distinguishable." in text
    assert ".." not in text
    # a method's name keeps its letters
    assert "maml leads by mean rank" in text


def test_latex_is_escaped_and_balanced(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land({"method": "pixel_nn", "params": {"note": r"50 % & \$x_1$ #{}~^"}}, {"method": "a_b"})
    text = bench("leaderboard", "--suite", suite_file, "--db", db, "--format", "latex")
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert r"pixel\_nn" in body
    assert r"\booktabs" not in body
    for rule in ("toprule", "midrule", "bottomrule"):
        assert body.count(f"\\{rule}") == 1
    bare = re.sub(r"\\[{}%&_#$\\]|\$\\?[a-z-]+\$", "", body)
    assert bare.count("{") == bare.count("}")
    for character in "_#~^":
        assert character not in re.sub(r"\\label\{[^}]*\}", "", bare), character
    # as many columns in every row as the form says
    form = re.search(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}", body)
    assert form is not None
    for line in re.findall(r"^ {4}(.*) \\\\$", body, re.MULTILINE):
        assert len(re.split(r"(?<!\\)&", line)) == len(form.group(1))


def test_hostile_names_stay_text(bench: Bench, suite_file: Path, land: Land) -> None:
    name = "<script>alert(1)</script>|*x*"
    suite_file.write_text(suite_file.read_text().replace("A pair of tasks", "<img src=x onerror=alert(1)>"))
    db = land({"method": name}, {"method": "pixel_nn", "hardware_class": "<b>cpu</b>"})
    page = bench("leaderboard", "--suite", suite_file, "--db", db, "--format", "html")
    parser = Tables()
    parser.feed(page)
    assert not {"script", "img", "b"} & set(parser.tags)
    assert "&lt;script&gt;" in page
    assert any(name in row for table in of_html(page) for row in table)
    text = bench("leaderboard", "--suite", suite_file, "--db", db, "--format", "md")
    assert not re.search(r"(?<!\\)<", text)
    assert any(name in row for table in of_markdown(text) for row in table)


def test_a_page_asks_for_nothing(bench: Bench, suite_file: Path, land: Land) -> None:
    page = bench("leaderboard", "--suite", suite_file, "--db", land(*ROWS), "--format", "html")
    assert not re.search(r"https?://|src=|@import|url\(", page)
