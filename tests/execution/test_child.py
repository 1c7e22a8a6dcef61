"""What a trial's process is set to before it computes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SETTINGS = """
import json, os, torch
from benchbench.execution.child import set_device
set_device({device!r})
print(json.dumps({{
    "deterministic": torch.backends.cudnn.deterministic,
    "tf32": torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32,
    "cublas": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    "started": torch.cuda.is_initialized(),
}}))
"""


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_gpu_computes_in_float32_and_the_same_each_time(device: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SETTINGS.format(device=device)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert not found["started"], "CUDA must not start in the harness"
    assert found["deterministic"] == (device == "cuda")
    assert found["tf32"] == (device == "cpu"), "torch's own default, which a CPU does not know"
    assert found["cublas"] == (":4096:8" if device == "cuda" else None)
