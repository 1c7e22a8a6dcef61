"""The dashboard as a reader meets it: in Chromium, on results of real runs."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbench.paths import DEFAULT_DB

pytestmark = [pytest.mark.browser, pytest.mark.timeout(280)]

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / ".ci-output" / "screenshots"
PAGES = {
    "leaderboard": "/?suite={suite}",
    "ranks": "/?suite={suite}&view=ranks",
    "wins": "/?suite={suite}&view=wins&stat=elo",
    "compare": "/compare?suite={suite}",
    "method": "/method?method={method}",
    "task": "/task?suite={suite}",
    "curves": "/curves?suite={suite}",
    "tradeoff": "/tradeoff?suite={suite}",
    "runs": "/runs",
    "about": "/about",
}
# a program that knows nothing of our locks, changes the file, and keeps it open until its input ends
HOLD = """
import duckdb, sys, time
until = time.monotonic() + 60
while True:
    try:
        con = duckdb.connect(sys.argv[1])
        break
    except duckdb.IOException:  # the page may be reading just now
        if time.monotonic() > until:
            raise
        time.sleep(0.05)
con.execute("CREATE TABLE t (a INTEGER)")
con.execute("CHECKPOINT")
print("held", flush=True)
sys.stdin.read()
"""
# a browser window of these sizes; tall, since Streamlit scrolls within the page
SIZES = {"desktop": (1280, 1400), "phone": (390, 1800)}


def bench(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "benchbench", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_fits_and_is_labelled(tab: Any, server: Any, name: str) -> None:
    """Pictures of each page, on a desktop and a phone, light and dark, are left for people to look at."""
    tab.open(server.address + PAGES[name].format(suite="hpo-synthetic", method="protonet"))
    page = tab.page
    assert page.locator("[data-testid=stException]").count() == 0
    assert page.locator("h1").count() == 1
    SHOTS.mkdir(parents=True, exist_ok=True)
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            tab.settle()
            page.wait_for_timeout(250)
            page.screenshot(path=SHOTS / f"{name}-{size}-{scheme}.png")
            # no sideways scrolling: what is too wide scrolls in its own box
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
    assert sum(int(v) for v in re.findall(r"\d+", background)[:3]) < 200, "the dark theme is not dark"
    unlabelled = page.evaluate(
        """() => [...document.querySelectorAll('[role=img], img, table, [role=region], button, input')]
            .filter(e => e.offsetParent !== null && !e.closest('[aria-hidden=true], .modebar, header'))
            .filter(e => !(e.getAttribute('aria-label') || e.getAttribute('alt') || e.getAttribute('title') || e.innerText?.trim()
                || e.labels?.length || e.getAttribute('aria-labelledby') || e.querySelector?.('caption, title, [aria-label]')))
            .map(e => e.outerHTML.slice(0, 200))"""
    )
    assert unlabelled == []


@pytest.mark.parametrize(
    ("suite", "stat"), [("smoke", "rank"), ("hpo-synthetic", "rank"), ("hpo-synthetic", "elo"), ("smoke", "norm")]
)
def test_the_boards_numbers_are_those_of_the_command_line(
    tab: Any, server: Any, sample: Path, suite: str, stat: str
) -> None:
    arguments = ("leaderboard", "--suite", suite, "--format", "json", "--db", str(sample))
    known = json.loads(bench(*arguments, *([] if stat == "rank" else ["--stat", stat])))
    rows = [r for r in known if r["task"] is None]
    values = {r["method"]: r["mean_rank"] if stat == "rank" else r["value"] for r in rows}
    tab.open(f"{server.address}/?suite={suite}&stat={stat}")
    shown = {row[1]: row[2].replace(",", "") for row in tab.rows()}
    digits = {"rank": 2, "elo": 0}.get(stat, 3)
    assert shown == {m: "—" if v is None else f"{v:.{digits}f}" for m, v in values.items()}
    assert len(shown) == 4


def test_filters_change_the_table_and_the_address(tab: Any, server: Any) -> None:
    tab.open(f"{server.address}/?suite=hpo-synthetic")
    everybody = tab.methods()
    assert len(everybody) == 4
    tab.page.get_by_text("Filters", exact=True).click()
    box = tab.page.get_by_role("combobox", name=re.compile("Methods")).last
    for name in ("sobol", "random_search"):
        tab.choose(box, name)
    tab.page.keyboard.press("Escape")
    tab.page.wait_for_function("document.querySelectorAll('table.bb')[0].tBodies[0].rows.length === 2")
    assert set(tab.methods()) == {"sobol", "random_search"}
    tab.page.wait_for_function("location.search.includes('method=sobol')")
    # ranked among themselves now
    assert sum(float(row[2]) for row in tab.rows()) == pytest.approx(3.0, abs=0.02)
    address = tab.page.evaluate("location.href")
    tab.open(address)
    assert set(tab.methods()) == {"sobol", "random_search"}


def test_a_deep_link_restores_its_view_and_a_choice_makes_one(tab: Any, server: Any) -> None:
    tab.open(f"{server.address}/?suite=smoke&stat=winrate&impute=worst&view=tasks")
    text = tab.text()
    assert "glyphs-5w1s: accuracy" in text
    assert tab.page.evaluate("location.search") == "?suite=smoke&stat=winrate&impute=worst&view=tasks"
    tab.page.get_by_role("radio", name="Leaderboard").click()
    tab.page.wait_for_function("!location.search.includes('view=')")
    tab.settle()
    assert "Win rate" in tab.text()
    tab.page.get_by_role("link", name="protonet").first.click()
    tab.page.wait_for_url("**/method?method=protonet")
    tab.settle()
    assert "Prototypical networks" in tab.text()
    tab.page.go_back()
    tab.page.locator("text=Win rate").first.wait_for()
    tab.settle()
    assert "stat=winrate" in tab.page.evaluate("location.search")


def test_downloads_hold_what_is_shown(tab: Any, server: Any, tmp_path: Path) -> None:
    tab.open(f"{server.address}/?suite=hpo-synthetic&stat=winrate")
    shown = {row[1]: row[2] for row in tab.rows()}
    found = {}
    for kind in ("CSV", "JSON"):
        with tab.page.expect_download() as waiting:
            tab.page.get_by_role("button", name=f"Download {kind}").click()
        assert waiting.value.suggested_filename == f"hpo-synthetic-winrate.{kind.lower()}"
        waiting.value.save_as(tmp_path / kind)
        text = (tmp_path / kind).read_text()
        found[kind] = json.loads(text) if kind == "JSON" else list(csv.DictReader(text.splitlines()))
    for rows in found.values():
        assert {r["method"]: f"{100 * float(r['value']):.1f} %" for r in rows} == shown
        assert {r["statistic"] for r in rows} == {"winrate"}


def test_the_keyboard_reaches_what_the_mouse_does(tab: Any, server: Any) -> None:
    tab.open(f"{server.address}/?suite=smoke")
    reached = set()
    for _ in range(45):
        tab.page.keyboard.press("Tab")
        reached.add(
            tab.page.evaluate(
                "(e => e.getAttribute('aria-label') || e.innerText || e.labels?.[0]?.innerText || e.tagName)"
                "(document.activeElement)"
            )
        )
        if any("protonet" in r for r in reached) and any("Download" in r for r in reached):
            break
    text = " | ".join(reached)
    for expected in ("Compare", "methods by mean rank", "protonet", "Download CSV"):
        assert expected in text
    tab.page.get_by_role("radio", name="Mean rank", exact=True).focus()
    tab.page.keyboard.press("ArrowRight")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_function("location.search.includes('stat=winrate')")


def test_the_page_lives_while_results_come_and_go(tab: Any, serve: Callable[[Path], Any], tmp_path: Path) -> None:
    """From no database through a run that writes into it, and a program that locks it, without one reload by the reader."""
    database = tmp_path / DEFAULT_DB
    server = serve(database)
    tab.open(server.address)
    assert "No results yet" in tab.text()
    tab.page.evaluate("window.neverReloaded = true")
    command = [
        sys.executable,
        "-P",
        "-m",
        "benchbench",
        "run",
        "--suite",
        "hpo-synthetic",
        "--preset",
        "quick",
        "--quiet",
    ]
    command += [
        "--method",
        "random_search,sobol",
        "--task",
        "branin,hartmann3",
        "--seeds",
        "0,1,2,3",
        "--db",
        str(database),
    ]
    with (tmp_path / "run.log").open("w") as log:
        run = subprocess.Popen([*command, "--workers", "1"], stdout=log, stderr=subprocess.STDOUT)
        looked = 0
        while run.poll() is None:
            assert tab.page.locator("[data-testid=stException]").count() == 0
            looked += 1
            time.sleep(0.5)
    assert run.returncode == 0, (tmp_path / "run.log").read_text()
    assert looked > 2
    tab.page.wait_for_function(
        "[...document.querySelectorAll('table.bb a')].some(a => a.textContent === 'sobol')", timeout=60_000
    )
    tab.settle()
    assert set(tab.methods()) == {"random_search", "sobol"}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        # the file has changed: the page looks at it again, and cannot
        tab.page.get_by_text("in use by another program").wait_for(timeout=60_000)
    tab.page.locator("table.bb").first.wait_for(timeout=60_000)
    assert tab.page.evaluate("window.neverReloaded") is True


def test_the_server_listens_on_this_machine_alone(server: Any) -> None:
    import psutil

    listening = [c.laddr.ip for c in psutil.Process(server.process.pid).net_connections() if c.status == "LISTEN"]
    assert listening == ["127.0.0.1"]
