"""The wheel in empty environments: what installs, what runs, and what is said of the rest."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = ("-c", str(ROOT / "constraints.txt"))

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the files that git tracks."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "source" / name)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(folder / "source")]
    subprocess.run(build, check=True)
    (found,) = folder.glob("*.whl")
    return found


class Installed:
    """benchbench in an environment of its own, with nothing of the checkout's."""

    def __init__(self, folder: Path, wheel: Path, extras: str) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)
        self.folder, self.bin = folder, folder / "env" / "bin"
        pip = [str(self.bin / "python"), "-m", "pip", "install", "--quiet", *CONSTRAINTS]
        if extras:
            # by itself, so that the build without CUDA is taken where pip knows of one
            subprocess.run([*pip, "torch==2.13.0"], check=True)
        subprocess.run([*pip, f"{wheel}{extras}"], check=True)
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("BENCHBENCH_", "PYTHON", "VIRTUAL_ENV"))}
        self.environment = {**kept, "BENCHBENCH_CACHE": str(folder / "cache")}

    def bench(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        command = [str(self.bin / "bench"), *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )


def test_the_package_alone_reads_results_and_names_what_it_lacks(wheel: Path, tmp_path: Path) -> None:
    alone = Installed(tmp_path, wheel, "")
    table = "method,task,score\na,one,0.5\na,two,0.75\nb,one,0.25\nb,two,0.5\n"
    (tmp_path / "table.csv").write_text(table, encoding="utf-8")
    named = ("--suite", "theirs", "--source", "a table", "--track", "automl", "--metric", "accuracy")
    done = alone.bench("results", "import", "table.csv", "--from", "long", *named)
    assert done.returncode == 0, done.stderr
    board = alone.bench("leaderboard", "--suite", "theirs", "--format", "json")
    assert [row["label"] for row in json.loads(board.stdout)] == ["a", "b"]
    drawn = alone.bench("plot", "heatmap", "--suite", "theirs", "-o", "map.png")
    assert drawn.returncode == 0, drawn.stderr
    for arguments, extra in (
        (("run", "--suite", "smoke"), "fewshot"),
        (("run", "--suite", "hpo"), "hpo"),
        (("run", "--suite", "tabular"), "openml"),
        (("dashboard",), "dashboard"),
    ):
        refused = alone.bench(*arguments)
        assert refused.returncode == 2
        assert f"install with: pip install 'benchbench[{extra}]'" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_smoke_suite_and_dashboard_of_a_wheel(wheel: Path, tmp_path: Path) -> None:
    whole = Installed(tmp_path, wheel, "[fewshot,dashboard]")
    done = whole.bench("run", "--suite", "smoke", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert {row["label"] for row in json.loads(done.stdout)} >= {"maml", "pixel_nn"}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(whole.bin / "bench"), "dashboard", "--port", str(port)]
    server = subprocess.Popen(command, cwd=tmp_path, env=whole.environment, stderr=subprocess.DEVNULL)
    try:
        assert answers(f"http://127.0.0.1:{port}/_stcore/health") == "ok"
    finally:
        server.terminate()
        server.wait()


def answers(address: str) -> str:
    """Return what an address answers, once it does."""
    for _ in range(240):
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            time.sleep(0.25)
    return "nothing"
