"""Memory that a training frees stays with its process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="GNU's allocator")

# pages that a process takes anew when it makes and frees tensors of 40 MB
COUNT = """
import resource, torch
torch.set_num_threads(1)
for turn in range(60):
    if turn == 30:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(10_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

KEEP = """
from benchbench.methods.fewshot._memory import keep_memory
keep_memory()
"""

# a meta-training of two iterations, in scratch folder argv[2]
TRAIN = """
import runpy, sys, time
from pathlib import Path
from benchbench.contracts.context import Budget
from benchbench.contracts.fewshot import TaskInfo
from benchbench.execution.harness import TrialHarness
from benchbench.registry import create_method
blobs = runpy.run_path(sys.argv[1])["Blobs"]()
harness = TrialHarness(
    seed=0, device="cpu", threads=1, scratch=Path(sys.argv[2]), deadline=time.monotonic() + 600
)
task = TaskInfo(name="blobs", kind="classification", n_way=5, k_shot=2, n_query=15, input_shape=(1, 16, 16))
adapter = create_method("maml", {"meta_batch": 1})
adapter.setup(task, harness.context)
budget = Budget(preset="tests", iterations=2)
adapter.meta_fit(blobs, validation=blobs, budget=budget, context=adapter.context)
"""


def pages_taken(scratch: Path, before: str = "") -> int:
    """Return the pages that a process takes anew after it has run a script."""
    command = [sys.executable, "-c", before + COUNT, str(Path(__file__).with_name("conftest.py")), str(scratch)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


@pytest.mark.parametrize("script", [KEEP, TRAIN], ids=["asked for", "after a training"])
def test_freed_memory_is_taken_again(script: str, tmp_path: Path) -> None:
    kept, given_back = pages_taken(tmp_path, script), pages_taken(tmp_path)
    # 30 tensors of 9,766 pages; the kernel may hand out larger pages. The first turns take new
    # memory either way: a freed piece is just too small for the next one, aligned, until it has
    # grown together with its neighbours
    assert kept < given_back / 2
    assert kept < 100
