"""Names and messages from outside act nowhere: each output shows them letter by letter."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchbench.records import RunRecord
from benchbench.results.store import Store

Bench = Callable[..., str]
Land = Callable[..., Path]

STEERING = "red\x1b[31m\x00bell\x07\u202erev\x9b2J"
IMAGE = "![marker](//outside.invalid/marker.png)"
TAGS = "<script>marker</script><img src='//outside.invalid/x.png'> &amp;"
FORMULA = "=1+1"
COMMAND = r"\input{marker} $\frac$ 100% a_b^c #&~"
NAMES = (STEERING, IMAGE, TAGS, FORMULA, COMMAND)


@pytest.fixture
def db(land: Land) -> Path:
    rows = [
        {"method": name, "task": task, "scores": [0.3 + 0.1 * i, 0.5]}
        for i, name in enumerate(NAMES)
        for task in ("letters", "waves")
    ]
    failed = {"method": "maml", "task": "letters", "outcome": "failed", "error_type": STEERING}
    return land(*rows, {**failed, "error_message": f"{TAGS} {IMAGE}\n{STEERING}", "log_tail": STEERING})


def run(*arguments: str | Path) -> str:
    """Run a command in a process of its own; return both of its outputs."""
    found = subprocess.run(
        [sys.executable, "-P", "-m", "benchbench", *map(str, arguments)], capture_output=True, check=False
    )
    assert found.returncode == 0, found.stderr
    return (found.stdout + found.stderr).decode()


@pytest.mark.parametrize("format_", ["table", "markdown", "latex", "csv", "html", "json"])
def test_nothing_steers_a_terminal(db: Path, suite_file: Path, format_: str) -> None:
    printed = run("leaderboard", "--suite", suite_file, "--db", db, "--stat", "rank", "--format", format_)
    steering = {c for c in printed if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"}
    assert not steering
    assert "bell" in printed


def test_nothing_of_a_failure_steers_a_terminal(db: Path) -> None:
    run_record = RunRecord(run_id="run", suite="pair", preset="quick", command=f"bench {STEERING}", started_at=1.0)
    Store(db).land_run(run_record)
    with Store(db).reading() as con:
        ((failed, run_id),) = con.execute("SELECT attempt_id, run_id FROM attempts WHERE outcome = 'failed'").fetchall()
    for printed in (run("attempt", failed, "--db", db), run("history", run_id, "--db", db)):
        assert not {c for c in printed if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"}
        assert "\\x1b[31m" in printed


def test_markdown_holds_no_image_no_tag_and_no_formula(db: Path, suite_file: Path, bench: Bench) -> None:
    for stat in ("winrate", "rank"):
        written = bench("leaderboard", "--suite", suite_file, "--db", db, "--format", "markdown", "--stat", stat)
        for special in ("![", "](", "<script", "<img", "&amp", "$"):
            escaped = written.replace("\\\\", "")
            assert not re.search(rf"(?<!\\){re.escape(special)}", escaped), special
        assert "marker" in written
        for table in re.findall(r"(?:^\|.*\n)+", written, re.MULTILINE):
            cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
            assert len(cells) == 1, table


def test_latex_holds_no_command_of_a_name(db: Path, suite_file: Path, bench: Bench) -> None:
    written = bench("leaderboard", "--suite", suite_file, "--db", db, "--format", "latex")
    assert r"\input" not in written
    assert r"\textbackslash{}input\{marker\} \$\textbackslash{}frac\$ 100\% a\_b\textasciicircum{}c" in written


def test_no_cell_of_a_csv_is_a_formula(db: Path, suite_file: Path, bench: Bench) -> None:
    written = bench("leaderboard", "--suite", suite_file, "--db", db, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(written)))
    assert {r["method"] for r in rows} >= {f"'{FORMULA}", IMAGE}
    for row in rows:
        for value in row.values():
            if value[:1] in "=+-@" and value:
                float(value)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]


def test_html_and_site_hold_no_element_of_a_name(db: Path, suite_file: Path, bench: Bench, tmp_path: Path) -> None:
    page = bench("leaderboard", "--suite", suite_file, "--db", db, "--format", "html")
    bench("site", tmp_path / "site", "--suite", suite_file, "--db", db)
    pages = [page, *(p.read_text() for p in sorted((tmp_path / "site").rglob("*.html")))]
    for text in pages:
        tags = Tags(text)
        assert not any(address.startswith("//") or "//outside" in address for address in tags.addresses)
        assert "marker" not in re.findall(r"<script>(.*?)</script>", text)
        assert not {c for c in text if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"}
    assert any("&lt;script&gt;marker" in text for text in pages)


@pytest.mark.parametrize("kind", ["heatmap", "winrate", "pareto", "cd", "elo"])
def test_figures_are_valid_and_draw_names_letter_by_letter(
    db: Path, suite_file: Path, bench: Bench, tmp_path: Path, kind: str
) -> None:
    target = tmp_path / f"{kind}.svg"
    bench("plot", kind, "--suite", suite_file, "--db", db, "--out", target)
    ElementTree.fromstring(target.read_bytes())


@pytest.mark.parametrize("format_", ["table", "latex", "csv"])
def test_tasks_and_sources_of_others_do_not_steer_a_terminal(land: Land, format_: str) -> None:
    """Of a published suite of an older database, whose names nothing has cleaned."""
    published = {"suite": "theirs", "task": STEERING, "protocol_version": f"published: {STEERING}"}
    rows = [{**published, "method": m, "scores": [0.5, last]} for m, last in (("a", 0.1), ("b", 0.9))]
    db = land(*rows, name="theirs")
    printed = run("leaderboard", "--suite", "theirs", "--db", db, "--format", format_)
    assert not {c for c in printed if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"}
    assert "bell" in printed
