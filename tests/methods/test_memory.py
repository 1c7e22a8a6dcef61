"""Memory that a training frees stays with its process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from benchbench.contracts.fewshot import TaskInfo
from benchbench.methods.fewshot import _meta_training
from benchbench.registry import create_method

# pages that a process takes anew when it makes and frees tensors of 40 MB
SCRIPT = """
import resource, sys, torch
from benchbench.methods.fewshot._memory import keep_memory
if sys.argv[1] == "keeps":
    keep_memory()
torch.set_num_threads(1)
for turn in range(60):
    if turn == 30:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(10_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's allocator")
def test_freed_memory_is_taken_again() -> None:
    found = {
        how: int(subprocess.run([sys.executable, "-c", SCRIPT, how], check=True, capture_output=True, text=True).stdout)
        for how in ("keeps", "gives back")
    }
    # 30 tensors of 9,766 pages; the kernel may hand out larger pages. The first turns take new memory either way: a freed piece is
    # just too small for the next one, aligned, until it has grown together with its neighbours
    assert found["keeps"] < found["gives back"] / 2
    assert found["keeps"] < 100


def test_a_training_keeps_its_memory(
    blobs: Any, blob_task: TaskInfo, make_context: Any, fit: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(_meta_training, "keep_memory", lambda: calls.append("kept"))
    adapter = create_method("maml", {"meta_batch": 1})
    adapter.setup(blob_task, make_context())
    fit(adapter, blobs, 2)
    assert calls == ["kept"]
