"""Run mypy over the core and every folder that the package mapping moves; run as a script by `make lint`.

Static checkers do not follow setuptools' package-dir mapping, so a tree of links in which everything stands where it is
imported from is made (git-ignored), and the number of files that were checked is asserted: a checker that silently sees
nothing would pass for ever.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAPPED = ("cluster", "dashboard", "methods", "reports", "results", "suites")


def main() -> int:
    """Make the link tree, run mypy on it, return its exit code."""
    tree = ROOT / ".lint" / "benchbench"
    tree.mkdir(parents=True, exist_ok=True)
    for old in tree.iterdir():
        old.unlink()
    for item in sorted((ROOT / "benchbench").iterdir()):
        if item.name != "__pycache__":
            (tree / item.name).symlink_to(item)
    for name in MAPPED:
        (tree / name).symlink_to(ROOT / name)
    expected = sum(1 for f in ("benchbench", *MAPPED) for p in (ROOT / f).rglob("*.py") if "__pycache__" not in p.parts)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--config-file",
            str(ROOT / "pyproject.toml"),
            "--no-namespace-packages",
            "-p",
            "benchbench",
        ],
        cwd=tree.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    sys.stdout.write(done.stdout + done.stderr)
    n_checked = max((int(n) for n in re.findall(r"(\d+) source file", done.stdout)), default=0)
    if n_checked != expected:
        sys.stdout.write(f"mypy looked at {n_checked} files, expected {expected}\n")
        return 1
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
