"""What a reader meets in Chromium says the same as the command line and the site, on a desktop and on a phone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchbench.results.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.timeout(280)]

TASKS = ("a", "b", "c")
SUITE = """
name = "trio"
version = "1"
track = "fewshot"
title = "Three tasks"
[scores]
baseline = "pixel_nn"
reference = "maml"
[presets.quick]
test_units = 4
""" + "".join(
    f'[[tasks]]\nname = "{task}"\nloader = "glyphs"\nbaseline_score = 0.2\nreference_score = 0.7\n' for task in TASKS
)


def bench(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "benchbench", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def two_winners(tmp_path_factory: pytest.TempPathFactory, make_attempt: Callable[..., Any]) -> Iterator[Path]:
    """The one is better in its mean over all seeds, the other on the seeds that both have; a third failed on a task."""
    folder = tmp_path_factory.mktemp("two-winners")
    (folder / "trio.toml").write_text(SUITE)
    store = Store(folder / "results.duckdb")
    store.open_for_writing()
    rows: list[dict[str, Any]] = [
        *({"method": "maml", "task": t, "seed": s, "score": v} for t in TASKS for s, v in enumerate((0.9, 0.1, 0.1))),
        *({"method": "protonet", "task": t, "score": 0.8} for t in TASKS),
        *({"method": "pixel_nn", "task": t, "score": 0.3, "seconds": 0.5} for t in TASKS[:2]),
        {"method": "pixel_nn", "task": "c", "outcome": "failed"},
        *({"method": "broken", "task": t, "outcome": "failed"} for t in TASKS),
        *({"method": "simpleshot", "task": t, "score": 0.75, "seconds": 0.4} for t in TASKS[:2]),
        {"method": "simpleshot", "task": "c", "outcome": "declined"},
    ]
    store.land_attempts([make_attempt(i, **{"suite": "trio", "seed": 0, **row}) for i, row in enumerate(rows)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCHBENCH_SUITES", str(folder / "trio.toml"))
        yield store.path


@pytest.fixture(scope="module")
def pages(serve: Callable[[Path], Any], two_winners: Path) -> Any:
    return serve(two_winners)


def test_of_two_methods_with_different_seeds_one_is_better(
    tab: Any, pages: Any, two_winners: Path, tmp_path: Path, browser: Any
) -> None:
    """The command line named maml, the page protonet."""
    told = json.loads(bench("versus", "protonet", "maml", "--suite", "trio", "--db", two_winners, "--format", "json"))
    assert told["better"] == "maml"
    tab.open(f"{pages.address}/compare?suite=trio&a=protonet&b=maml")
    assert told["verdict"] in " ".join(tab.text().split())
    assert {row[-2] for row in tab.rows()} == {"maml"}
    bench("publish", tmp_path / "site", "--suite", "trio", "--db", two_winners)
    page = browser.new_page()
    page.goto((tmp_path / "site/suites/trio.html").as_uri())
    assert f"Against maml: {told['verdict']}" in " ".join(page.locator("main").inner_text().split())
    sentences = page.locator(".verdict").all_inner_texts()
    page.close()
    tab.open(f"{pages.address}/?suite=trio")
    assert sentences[0] in " ".join(tab.text().split())
    assert "maml scores higher than protonet on 3 of 3 tasks" in sentences[0]
    assert "With only 3 tasks, bootstrap intervals are unreliable" in tab.text()
    broken = next(row for row in tab.rows() if row[1] == "broken")
    assert (broken[0], broken[2]) == ("—", "—")


def test_a_phone_shows_no_winner_without_its_interval(tab: Any, pages: Any) -> None:
    tab.page.set_viewport_size({"width": 390, "height": 1400})
    tab.open(f"{pages.address}/compare?suite=trio&a=protonet&b=maml")
    table = tab.page.locator("table.bb").first
    shown = table.locator("thead th:visible").all_inner_texts()
    assert "Better" in shown and "Difference" in shown
    cells = table.locator("tbody tr").first.locator("td:visible").all_inner_texts()
    assert " ± " in cells[shown.index("Difference") - 1]
    # both within the screen, without scrolling
    box = table.locator("thead th", has_text="Better").bounding_box()
    assert box is not None and box["x"] + box["width"] <= 390


def test_failures_do_not_vanish_from_the_trade_off(tab: Any, pages: Any, two_winners: Path) -> None:
    plotted = json.loads(bench("plot", "pareto", "--suite", "trio", "--db", two_winners, "--format", "json"))["panels"]
    tab.open(f"{pages.address}/tradeoff?suite=trio")
    for name in ("whole suite", "common tasks"):
        panel = next(p for p in plotted if p["name"] == name)
        rows = {row[1]: row for row in tab.rows()}
        assert list(rows) == [p["label"] for p in panel["points"]]
        for p in panel["points"]:
            assert rows[p["label"]][2].split(" ")[0] == f"{p['score']:.4f}"
            assert (rows[p["label"]][-1] == "on the front") == p["is_on_front"]
        if name == "whole suite":
            assert rows["pixel_nn"][-1] == "failed on 1 task"
            assert rows["pixel_nn"][3] == "33%"
            assert rows["simpleshot"][-1] == "lacks tasks"
            assert "Not drawn: broken: every trial failed, its cost is unknown." in tab.text()
            tab.open(f"{pages.address}/tradeoff?suite=trio&panel=common+tasks")
        else:
            assert panel["tasks"] == ["a", "b"]
            assert rows["simpleshot"][-1] == "on the front"
