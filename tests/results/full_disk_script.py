"""Writes to a store with files that may not grow beyond a size, and prints the error."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from benchbench.errors import StoreError
from benchbench.records import RunRecord
from benchbench.results import batches
from benchbench.results.store import Store
from benchbench.results.transfer import export_results, import_results


def main(what: str, path: str, scratch: str) -> None:
    """Do `what` under a limit."""
    store = Store(path)
    export = Path(scratch) / "export"
    export_results(store, export)
    other = Store(Path(scratch) / "other" / "other.duckdb")
    if what == "import":
        other.open_for_writing()
        batches.BYTES_AT_ONCE = 0
    actions = {
        "land": lambda: store.land_run(RunRecord(run_id="r", suite="s", preset="p", command="c", started_at=1.0)),
        "ingest": store.ingest,
        "create": other.open_for_writing,
        "import": lambda: import_results(other, export),
    }
    most = {"land": 10, "ingest": 2000, "create": 2000, "import": 20_000}[what]
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    try:
        actions[what]()
    except StoreError as error:
        sys.stdout.write(f"StoreError: {error}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
