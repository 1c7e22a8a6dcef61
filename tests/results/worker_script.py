"""Run by tests as a process of its own: lands attempts, or reads, until it is killed or has done its share.

Usage: worker_script.py land|read DATABASE NAME COUNT. `land` writes the id of every attempt that is acknowledged to standard
output, one a line; `read` writes the number of attempts that it saw each time.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchbench.records import Attempt, CurvePoint, RunRecord
from benchbench.results.store import Store

# the tests' own attempts
sys.path.insert(0, str(Path(__file__).parents[1]))
from conftest import attempt_of

BATCH = 5


def attempt(name: str, number: int) -> Attempt:
    """Return an attempt with something in every table."""
    return attempt_of(
        number,
        attempt_id=f"{name}-{number}",
        run_id=name,
        trial_id=f"{name}-{number}",
        task=f"task-{number % 3}",
        method=name,
        unit_scores=[float(number)] * 10,
        metrics={"accuracy": 0.5},
        phases={"fit": 1.0},
        curve=[CurvePoint(1, 1.0, "loss", 0.1), CurvePoint(2, 2.0, "loss", 0.2)],
    )


def land(store: Store, name: str, count: int) -> None:
    """Land batches, folding in after every third; acknowledge each batch when it is durable."""
    store.open_for_writing()
    store.land_run(RunRecord(run_id=name, suite="tiny", preset="quick", command="", started_at=1.0))
    os.write(1, b"ready\n")
    for start in range(0, count, BATCH):
        batch = [attempt(name, i) for i in range(start, start + BATCH)]
        store.land_attempts(batch)
        os.write(1, "".join(f"{a.attempt_id}\n" for a in batch).encode())
        if start // BATCH % 3 == 2:
            store.ingest()
    store.ingest()


def read(store: Store, count: int) -> None:
    """Count the attempts again and again."""
    for _ in range(count):
        with store.reading() as con:
            row = con.execute("SELECT count(*), count(DISTINCT attempt_id) FROM attempts").fetchone()
        print(*row, flush=True)


if __name__ == "__main__":
    what, database, name, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    if what == "land":
        land(Store(database), name, count)
    else:
        read(Store(database), count)
