"""A real browser, a real server, and a small database made by real runs."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchbench.paths import DEFAULT_DB

ROOT = Path(__file__).resolve().parents[2]
# a database to look at in place of the small one: what docs/images are made of
OWN_DATABASE = os.environ.get("BENCHBENCH_BROWSER_DB", "")
RUNS = (
    ("--suite", "smoke", "--method", "pixel_nn,from_scratch,simpleshot,protonet"),
    ("--suite", "hpo-synthetic", "--preset", "quick", "--seeds", "0,1,2", "--task", "branin,hartmann3,ackley-4",
     "--method", "random_search,sobol,grid,regularised_evolution"),
)  # fmt: skip


def bench(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run `bench` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "benchbench", *arguments], capture_output=True, text=True, check=False, **more
    )


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Path:
    """Return a database of two suites and two tracks; processes that test side by side share one."""
    if OWN_DATABASE:
        return Path(OWN_DATABASE).resolve()
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "browser-sample"
    folder.mkdir(exist_ok=True)
    database, ready = folder / "sample.duckdb", folder / "ready"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            for arguments in RUNS:
                done = bench("run", *arguments, "--quiet", "--workers", "1", "--db", str(database))
                assert done.returncode == 0, done.stderr
            ready.touch()
    return database


@dataclass(slots=True)
class Server:
    """A running `bench dashboard`."""

    address: str
    process: subprocess.Popen[str]
    log: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Server]]:
    """Start `bench dashboard` on a database; ended after the tests."""
    started: list[Server] = []

    def start(database: Path) -> Server:
        port = free_port()
        log = tmp_path_factory.mktemp("server") / "log"
        # only the default database may come while the dashboard is open
        is_default = database.parts[-2:] == DEFAULT_DB.parts
        chosen = () if is_default else ("--db", str(database))
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "benchbench", "dashboard", *chosen, "--port", str(port)],
                cwd=database.parents[1] if is_default else None,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
            )
        server = Server(f"http://127.0.0.1:{port}", process, log)
        started.append(server)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{server.address}/_stcore/health", timeout=5) as answer:
                    if answer.status == 200:
                        return server
            except OSError:
                time.sleep(0.2)
            assert process.poll() is None, log.read_text()
        raise AssertionError(f"the server did not start: {log.read_text()}")

    yield start
    for server in started:
        server.process.terminate()
    for server in started:
        server.process.wait(timeout=30)


@pytest.fixture(scope="session")
def server(serve: Callable[[Path], Server], sample: Path) -> Server:
    return serve(sample)


@dataclass(slots=True)
class Tab:
    """A page of the browser, with what it asked for and what went wrong in it."""

    page: Any
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def open(self, address: str) -> None:
        self.page.goto(address)
        self.settle()

    def settle(self) -> None:
        """Wait until the page has been made and its figures are drawn."""
        self.page.locator("h1").first.wait_for(timeout=60_000)
        self.page.wait_for_function(
            "() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'",
            timeout=60_000,
        )
        # figures come in a chunk of their own, after the page
        self.page.wait_for_function(
            """() => !document.querySelector('[data-testid=stSkeleton]') &&
                [...document.querySelectorAll('[data-testid=stPlotlyChart]')].every(e => e.querySelector('.main-svg .subplot'))""",
            timeout=60_000,
        )

    def choose(self, box: Any, name: str) -> None:
        """Choose one of the values of a box, until the address names it.

        A list closes when the page is made anew, even under the pointer; it is then opened again.
        """
        from playwright.sync_api import TimeoutError as Late

        for _ in range(6):
            self.settle()
            if f"={name}" in self.page.evaluate("location.search"):
                return
            box.click()
            try:
                self.page.get_by_role("option", name=name, exact=True).click(timeout=5_000)
                self.page.wait_for_function("text => location.search.includes(text)", arg=f"={name}", timeout=10_000)
                return
            except Late:
                self.page.keyboard.press("Escape")
        raise AssertionError(f"{name} could not be chosen: {self.page.evaluate('location.search')}")

    def text(self) -> str:
        return str(self.page.locator("[data-testid=stMain]").inner_text())

    def rows(self, place: int = 0) -> list[list[str]]:
        """Return the cells of a table of the page."""
        return [
            [" ".join(cell.split()) for cell in row]
            for row in self.page.locator("table.bb")
            .nth(place)
            .locator("tbody tr")
            .evaluate_all("rows => rows.map(r => [...r.cells].map(c => (c.querySelector('a') || c).textContent))")
        ]

    def methods(self) -> list[str]:
        """Return the methods of the board, best first."""
        return [row[1] for row in self.rows()]


@pytest.fixture
def tab(browser: Any) -> Iterator[Tab]:
    """A fresh tab; whatever a test did, no request may have left this machine and nothing may have gone wrong."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    found = Tab(context.new_page())

    def asked(request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            found.outside.append(request.url)

    found.page.on("request", asked)
    found.page.on(
        "websocket", lambda ws: None if ws.url.startswith("ws://127.0.0.1:") else found.outside.append(ws.url)
    )
    found.page.on("pageerror", lambda error: found.errors.append(str(error)))
    yield found
    context.close()
    assert found.outside == []
    assert found.errors == []
