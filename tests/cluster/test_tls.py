"""TLS as docs/clusters.md describes it: certificates in Dask's configuration, and nobody without one gets in."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

SUITE = """
name = "tls"
version = "1"
track = "fewshot"
title = "TLS"
[scores]
baseline = "noop"
reference = "noop"
[presets.quick]
test_units = 3
[[tasks]]
name = "one"
loader = "sinusoid"
options = { shot = 10 }
"""


def openssl(*arguments: str, cwd: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


def make_certificates(folder: Path) -> None:
    subject = ["-subj", "/CN=benchbench tests"]
    openssl(
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "2",
        *subject,
        cwd=folder,
    )
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "request.pem", *subject, cwd=folder)
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    openssl(
        *["x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"],
        *["-extfile", "names", "-out", "cert.pem"],
        cwd=folder,
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
def test_a_run_over_tls_and_a_client_without_certificate(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    (tmp_path / "tls.toml").write_text(SUITE)
    prefix = "DASK_DISTRIBUTED__COMM__"
    secure = {**os.environ, f"{prefix}REQUIRE_ENCRYPTION": "true", f"{prefix}TLS__CA_FILE": str(tmp_path / "ca.pem")}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        secure[f"{prefix}TLS__{role}__CERT"] = str(tmp_path / "cert.pem")
        secure[f"{prefix}TLS__{role}__KEY"] = str(tmp_path / "key.pem")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    address = f"tls://127.0.0.1:{port}"
    options = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
    python = [sys.executable, "-P", "-m"]
    commands = [
        [*python, "distributed.cli.dask_scheduler", "--protocol", "tls", "--port", port, *options],
        [*python, "distributed.cli.dask_worker", address, "--nthreads", "1", "--protocol", "tls", *options],
    ]
    bench = [*python, "benchbench", "run", "--suite", "tls.toml", "--method", "noop", "--cluster"]
    with (tmp_path / "log").open("wb") as log:
        processes = [subprocess.Popen(c, env=secure, stdout=log, stderr=log) for c in commands]
    try:
        until = time.monotonic() + 60
        while "Registered to" not in (tmp_path / "log").read_text() and time.monotonic() < until:
            time.sleep(0.1)
        done = subprocess.run([*bench, address], cwd=tmp_path, env=secure, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + (tmp_path / "log").read_text()
        assert "1/1 trials done" in done.stderr
        for wrong in (address, address.replace("tls:", "tcp:")):
            refused = subprocess.run([*bench, wrong], cwd=tmp_path, capture_output=True, text=True, check=False)
            assert refused.returncode == 2, refused.stderr
            assert "no Dask scheduler answers" in refused.stderr
            assert "Traceback" not in refused.stderr
    finally:
        for process in processes[::-1]:
            process.terminate()
            process.wait(timeout=30)
