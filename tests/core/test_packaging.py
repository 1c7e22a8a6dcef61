"""What `pyproject.toml` declares is used, and what the code imports is declared."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from benchbench import extras
from benchbench.errors import MissingPackageError
from benchbench.extras import extras_of, how_to_install
from benchbench.protocols.base import check_installed, get_protocol, tracks_where

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES: tuple[str, ...] = tuple(PROJECT["tool"]["setuptools"]["package-dir"].values())

# where the module has another name than its distribution
MODULES = {
    "autogluon-tabular": "autogluon",
    "fonttools": "fontTools",
    "liac-arff": "arff",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
}
# what is used without being imported: the file that does so, and the words there
STATED = {
    "cmaes": ("methods/hpo/cma_es.py", "CmaEsSampler("),
    "dask": ("docs/clusters.md", "dask scheduler"),
    "mypy": ("tests/typecheck.py", '"mypy"'),
    "pytest-benchmark": ("Makefile", "--benchmark-only"),
    "pytest-timeout": ("pyproject.toml", "\ntimeout = "),
    "pytest-xdist": ("Makefile", "pytest -n 2"),
    "ruff": ("Makefile", "ruff check"),
}
# of type checkers alone
NO_DISTRIBUTION = {"_typeshed"}


def declared(requirements: list[str]) -> dict[str, str]:
    """Return the top-level module of every distribution that is declared, by the distribution's name."""
    names = [re.split(r"[<>=!~ \[;]", text, maxsplit=1)[0] for text in requirements]
    return {name: MODULES.get(name, name.replace("-", "_")) for name in names}


def imported(*folders: str) -> set[str]:
    """Return the top-level modules that the files of these folders import from elsewhere, at any depth."""
    found = set()
    for path in [p for folder in folders for p in (ROOT / folder).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add((node.module or "").split(".")[0])
    return found - set(sys.stdlib_module_names) - {"benchbench"} - NO_DISTRIBUTION


def in_own_environments() -> set[str]:
    """Return the modules of what the environments of wrapped systems hold."""
    listed = [p.read_text(encoding="utf-8") for p in ROOT.glob("methods/*/requirements/*.txt")]
    assert listed
    return set(declared([line for text in listed for line in text.splitlines() if "==" in line]).values())


RUNTIME = declared(PROJECT["project"]["dependencies"])
LISTED: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
EXTRAS = {name: declared(listed) for name, listed in LISTED.items() if name != "all"}
FOR_USERS = {name: module for extra in sorted(EXTRAS.keys() - {"dev"}) for name, module in EXTRAS[extra].items()}


@pytest.mark.parametrize("group", ["runtime", *EXTRAS])
def test_every_declared_dependency_is_used(group: str) -> None:
    used = imported("tests") if group == "dev" else imported(*SOURCES)
    names = RUNTIME if group == "runtime" else EXTRAS[group]
    assert [name for name, module in names.items() if module not in used and name not in STATED] == []


def test_every_import_is_of_a_declared_dependency() -> None:
    known = {*RUNTIME.values(), *FOR_USERS.values()}
    assert imported(*(folder for folder in SOURCES if folder != "methods")) - known == set()
    assert imported("methods") - known - in_own_environments() == set()
    # a script of the tests, run by itself, has its attempts from the tests' own factory
    assert imported("tests") - known - set(EXTRAS["dev"].values()) == {"conftest", "openml_files"}


@pytest.mark.parametrize("name", STATED)
def test_what_is_used_without_an_import_is_used_as_stated(name: str) -> None:
    assert name in RUNTIME | EXTRAS["dev"] | FOR_USERS
    file, words = STATED[name]
    assert words in (ROOT / file).read_text(encoding="utf-8")


def test_every_dependency_is_pinned_among_the_tested_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    names = RUNTIME | EXTRAS["dev"] | FOR_USERS
    assert [name for name in names if name.lower().replace("_", "-") not in pinned] == []


def test_all_is_every_extra_for_users() -> None:
    (every,) = LISTED["all"]
    assert set(every.removeprefix("benchbench[").removesuffix("]").split(",")) == EXTRAS.keys() - {"dev"}


def test_every_track_names_an_extra_that_installs_what_its_trials_need() -> None:
    protocols = [get_protocol(track) for track in tracks_where(lambda protocol: True)]
    assert len(protocols) >= 3
    for protocol in protocols:
        assert protocol.PACKAGES
        assert set(protocol.PACKAGES) <= set(EXTRAS[protocol.EXTRA].values())


def test_the_command_for_a_missing_package_is_that_of_the_metadata() -> None:
    for extra in EXTRAS.keys() - {"dev"}:
        for module in EXTRAS[extra].values():
            assert extra in extras_of(f"{module}.inside")
            assert how_to_install(module, extra) == f"pip install 'benchbench[{extra}]'"
    # of the core, of developers, and of nobody
    assert [how_to_install(name) for name in ("duckdb", "pytest", "no_such_module")] == [""] * 3


def test_what_is_missing_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"torch", "sklearn", "ConfigSpace"}
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name in missing else object())
    with pytest.raises(MissingPackageError) as told:
        check_installed("fewshot")
    assert str(told.value) == "track 'fewshot' needs torch; install with: pip install 'benchbench[fewshot]'"
    with pytest.raises(MissingPackageError) as told:
        check_installed("hpo")
    assert "needs configspace, scikit-learn; install with: pip install 'benchbench[hpo]'" in str(told.value)
    missing.clear()
    check_installed("fewshot")


HIDES = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
from benchbench.cli.main import main
sys.argv = ["bench", *{arguments!r}]
main()
"""


def test_a_package_that_is_missing_on_the_way_is_no_traceback(tmp_path: Path) -> None:
    def bench(hidden: set[str], *arguments: str) -> subprocess.CompletedProcess[str]:
        code = HIDES.format(hidden=hidden, arguments=arguments)
        environment = {**os.environ, "BENCHBENCH_CACHE": str(tmp_path)}
        command = [sys.executable, "-P", "-c", code]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)

    # what is not missing is listed all the same
    listed = bench({"ConfigSpace"}, "data", "list")
    assert listed.returncode == 0, listed.stderr
    assert "install with: pip install 'benchbench[hpo]'" in listed.stdout
    assert "ready" in listed.stdout
    stopped = bench({"ConfigSpace"}, "tabulate", "--suite", "hpo-live", "--task", "svm-digits", "-o", "tables")
    assert stopped.returncode == 2
    assert stopped.stderr == "error: this needs ConfigSpace; install with: pip install 'benchbench[hpo]'\n"


def test_every_glob_of_package_data_matches_a_file() -> None:
    setuptools = PROJECT["tool"]["setuptools"]
    assert set(setuptools["package-data"]) <= set(setuptools["packages"])
    empty = []
    for package, globs in setuptools["package-data"].items():
        roots = {p: folder for p, folder in setuptools["package-dir"].items() if f"{package}.".startswith(f"{p}.")}
        nearest = max(roots, key=len)
        folder = ROOT / roots[nearest] / package.removeprefix(nearest).removeprefix(".").replace(".", "/")
        empty += [f"{package}: {glob}" for glob in globs if not any(p.is_file() for p in folder.glob(glob))]
    assert empty == []


def test_type_checking_excuses_only_what_is_imported() -> None:
    overrides = [o for o in PROJECT["tool"]["mypy"]["overrides"] if o.get("ignore_missing_imports")]
    roots = {pattern.split(".")[0] for override in overrides for pattern in override["module"]}
    assert roots
    assert roots - imported(*SOURCES) == set()
