"""Imports run one way, nothing heavy is imported early, and the wheel holds what the checkout holds."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "benchbench": "core",
    "methods": "methods",
    "suites": "suites",
    "results": "results",
    "reports": "reports",
    "cluster": "cluster",
    "dashboard": "dashboard",
}
# who may import whom, besides itself; benchbench/cli stands above everything
ALLOWED = {
    "core": set(),
    "methods": {"core"},
    "suites": {"core"},
    "cluster": {"core"},
    "results": {"core"},
    "reports": {"core", "results"},
    "dashboard": {"core", "results", "reports"},
    "cli": {"core", "methods", "suites", "results", "reports", "cluster", "dashboard"},
}


def python_files() -> list[Path]:
    return [p for folder in FOLDERS for p in sorted((ROOT / folder).rglob("*.py"))]


def room_of_file(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return "cli" if parts[:2] in {("benchbench", "cli"), ("benchbench", "__main__.py")} else FOLDERS[parts[0]]


def room_of_module(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] != "benchbench":
        return None
    second = parts[1] if len(parts) > 1 else ""
    return second if second in {"methods", "suites", "results", "reports", "cluster", "dashboard", "cli"} else "core"


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module or ""} | {f"{node.module}.{a.name}" for a in node.names}
    return names


def test_imports_run_one_way() -> None:
    files = python_files()
    assert len(files) > 40
    wrong = []
    for path in files:
        room = room_of_file(path)
        for name in imported(path):
            other = room_of_module(name)
            if other not in {None, room} | ALLOWED[room]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []


def test_the_core_names_no_method() -> None:
    from benchbench.registry import methods

    names = {n for n, e in methods().items() if e.module.startswith("benchbench.methods")}
    assert names
    wrong = []
    for path in (ROOT / "benchbench").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and node.value in names:
                wrong.append(f"{path.name}: {node.value}")
    assert wrong == []


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        (
            "import benchbench.cli.main",
            {"torch", "numpy", "pandas", "duckdb", "distributed", "streamlit", "pyarrow", "scipy"},
        ),
        ("import benchbench.cli.start", {"typer", "dataclasses", "inspect", "benchbench.cli.main"}),
        (
            "from benchbench.registry import methods, loaders; methods(); loaders()",
            {"torch", "numpy", "pandas", "sklearn", "scipy"},
        ),
        ("from benchbench.suite_files import list_suites; list_suites()", {"torch", "numpy", "pandas", "duckdb"}),
    ],
)
def test_nothing_heavy_is_imported_early(code: str, forbidden: set[str]) -> None:
    script = f"import sys; {code}; print(' '.join(sys.modules))"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert forbidden.isdisjoint(done.stdout.split())


def test_no_test_package_and_no_global_names() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))
    for name in ("methods", "suites", "results", "reports", "cluster", "dashboard"):
        done = subprocess.run([sys.executable, "-P", "-c", f"import {name}"], capture_output=True, cwd="/", check=False)
        assert done.returncode != 0, f"{name} is importable as a global package"


@pytest.mark.slow
def test_the_wheel_holds_every_tracked_file(tmp_path: Path) -> None:
    copy = tmp_path / "source"
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(copy)], check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    expected = set()
    for name in listed:
        parts = Path(name).parts
        if parts[0] in FOLDERS and len(parts) > 1 and not name.endswith(".gitkeep"):
            expected.add(name if parts[0] == "benchbench" else f"benchbench/{name}")
    assert len(expected) > 50
    assert sorted(expected - inside) == []
    # and it works: the installed copy comes before the checkout, and runs a suite
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            str(tmp_path / "site"),
            str(wheel),
        ],
        check=True,
    )
    run = [sys.executable, "-P", "-m", "benchbench", "run", "--suite", "smoke", "--method", "pixel_nn"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "BENCHBENCH_METHODS": ""}
    where = subprocess.run(
        [sys.executable, "-P", "-c", "import benchbench.methods; print(benchbench.methods.__file__)"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert where.stdout.startswith(str(tmp_path / "site"))
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "pixel_nn" in done.stdout
    assert not [
        n
        for n in inside
        if n.split("/")[0] in {"methods", "suites", "results", "reports", "cluster", "dashboard", "tests"}
    ]
