"""Imports run one way, nothing heavy is imported early, and the wheel holds what the checkout holds."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from benchbench.cards import TRACKS

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


def table_of_imports(page: str) -> dict[str, set[str]]:
    """Return who may import whom by the table of docs/architecture.md."""
    found = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[1].startswith("`benchbench"):
            room = room_of_module(cells[1].strip("`")) or ""
            found[room] = set() if cells[3] == "nothing else" else set(cells[3].split(", "))
    return found


def test_the_page_says_who_may_import_whom() -> None:
    assert table_of_imports((ROOT / "docs/architecture.md").read_text()) == ALLOWED


def test_the_page_names_files_that_exist() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    named = set(re.findall(r"[a-z_]+(?:/[a-z_]+)+(?:\.py|/)", page))
    assert len(named) > 20
    assert [
        name for name in sorted(named) if not ((ROOT / name).exists() or (ROOT / "benchbench" / name).exists())
    ] == []


def modules() -> dict[str, Path]:
    """Return every module by the name that it is imported by: folders are sub-packages (`package-dir` in pyproject.toml)."""
    found = {}
    for path in python_files():
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts if parts[0] == "benchbench" else ("benchbench", *parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


class Imports(ast.NodeVisitor):
    """Collects what a module imports when it runs, inside functions as well: `if TYPE_CHECKING` is left out."""

    def __init__(self, known: Collection[str]) -> None:
        self.known, self.found = known, set[str]()

    def visit_If(self, node: ast.If) -> None:
        for child in node.orelse if ast.unparse(node.test).endswith("TYPE_CHECKING") else ast.iter_child_nodes(node):
            self.visit(child)

    def visit_Import(self, node: ast.Import) -> None:
        self.found |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        whole = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        self.found |= {name if name in self.known else node.module or "" for name in whole.values()}


def import_graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Return which of these modules imports which."""
    graph = {}
    for name, source in sources.items():
        imports = Imports(sources.keys())
        imports.visit(ast.parse(source))
        graph[name] = imports.found & sources.keys() - {name}
    return graph


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that each lead to one another."""
    reached = {name: closure(graph, name) for name in graph}
    groups = {frozenset(n for n in reached[name] if name in reached[n]) for name in graph}
    return sorted(sorted(group) for group in groups if group)


def closure(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """Return what can be reached from a module by one import or more."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        waiting += (new := graph[waiting.pop()] - seen)
        seen |= new
    return seen


def test_no_modules_import_each_other() -> None:
    found = {name: path.read_text() for name, path in modules().items()}
    graph = import_graph(found)
    assert len(graph) > 300
    assert sum(map(len, graph.values())) > 1000
    assert circles(graph) == []


def test_a_circle_is_found_wherever_the_import_stands() -> None:
    sources = {
        "p": "",
        "p.a": "def f():\n    from p import b",
        "p.b": "import p.c",
        "p.c": "try:\n    from p.a import f\nexcept ImportError:\n    pass",
        "p.d": "from p.a import f\nif TYPE_CHECKING:\n    from p.e import g\nelse:\n    import p.b",
        "p.e": "import p.d",
    }
    assert circles(import_graph(sources)) == [["p.a", "p.b", "p.c"]]
    assert import_graph(sources)["p.d"] == {"p.a", "p.b"}


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


def track_of(module: str) -> str | None:
    """Return the track that a module is of: its name, or the beginning of it, says so (`protocols.hpo`, `fewshot_embeddings`)."""
    last = module.rpartition(".")[2]
    return next((track for track in TRACKS if last == track or last.startswith(f"{track}_")), None)


def names_of_tracks(module: str, source: str, known: Collection[str]) -> list[str]:
    """Return where a module of the core names a track that it is not of: as text, in an identifier, or by importing what is its own."""
    imports = Imports(known)
    imports.visit(tree := ast.parse(source))
    foreign = set(TRACKS) - {track_of(module)}
    found = [f"imports {name}" for name in sorted(imports.found) if track_of(name) in foreign]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in foreign:
            found.append(f"line {node.lineno}: {node.value!r}")
        for name in (getattr(node, field, None) for field in ("id", "attr", "arg", "name")):
            # selection is also a word
            if isinstance(name, str) and foreign.difference({"selection"}).intersection(name.lower().split("_")):
                found.append(f"line {getattr(node, 'lineno', '?')}: {name}")
    return found


def test_what_is_of_one_track_says_so_in_its_name() -> None:
    """All else in the core asks the track's protocol, which it finds by name; suites named like a track stand in help texts alone."""
    known = modules()
    core = {n: p for n, p in known.items() if p.is_relative_to(ROOT / "benchbench")}
    # the list of tracks
    del core["benchbench.cards"]
    wrong = {name: names_of_tracks(name, path.read_text(), known) for name, path in core.items()}
    assert {name: found for name, found in wrong.items() if found} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('x = track == "hpo"', ["line 1: 'hpo'"]),
        ("def automl_only(): ...", ["line 1: automl_only"]),
        ("x = protocols.hpo", ["line 1: hpo"]),
        (
            "def f():\n    from benchbench.protocols import fewshot",
            ["imports benchbench.protocols.fewshot", "line 2: fewshot"],
        ),
        ("from benchbench.contracts.hpo import Problem", ["imports benchbench.contracts.hpo"]),
        ('"""Try: bench run --suite hpo"""', []),
        ("selection = 1", []),
    ],
)
def test_names_of_tracks_are_found(source: str, found: list[str]) -> None:
    assert names_of_tracks("benchbench.stats.board", source, modules()) == found
    assert len(names_of_tracks("benchbench.protocols.hpo_tables", source, modules())) <= len(found)


def test_every_protocol_is_of_a_known_track() -> None:
    """And offers all that is asked of one; importing it is light."""
    from benchbench.protocols.base import ProtocolModule, find_protocol, tracks_where

    found = {path.stem for path in (ROOT / "benchbench" / "protocols").glob("*.py") if path.stem in TRACKS}
    assert set(tracks_where(lambda protocol: True)) == found >= {"fewshot", "automl", "hpo"}
    offered = set(vars(ProtocolModule)["__annotations__"]) | {"run", "budget_iterations", "task_facts"}
    for track in found:
        protocol = find_protocol(track)
        assert [name for name in sorted(offered) if not hasattr(protocol, name)] == []


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
        (
            "from benchbench.protocols.base import tracks_where; print(tracks_where(lambda protocol: True))",
            {"torch", "numpy", "pandas", "sklearn", "scipy", "benchbench.execution.remote"},
        ),
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
