"""Environments: built once under a lock, complete or not there, without a network; the packages are made here."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from benchbench.cards import MethodCard
from benchbench.errors import EnvironmentBuildError, InputError
from benchbench.execution import environments, installing
from benchbench.execution.remote.adapters import probe
from benchbench.execution.remote.interpreter import RemoteError
from benchbench.registry import MethodEntry, methods

ADAPTER = '''
"""A method that needs the toy package."""
import toy
from benchbench.contracts.automl import AutoMLAdapter


class Adapter(AutoMLAdapter):
    def fit(self, rows, target): ...
    def predict(self, rows): ...
'''


class Stub:
    card: ClassVar[MethodCard]


Stub.__qualname__ = "Adapter"


def make_wheel(folder: Path, name: str, version: str) -> None:
    """Write a wheel with one module."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"__version__ = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text)}\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in (files | {f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}).items():
            archive.writestr(path, text)


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MethodEntry:
    """A method with an environment of two toy packages, which uv finds in a folder; nothing else can be reached."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name, version in (("toy", "1.5"), ("toy", "1.6"), ("helper", "2.0+local")):
        make_wheel(wheels, name, version)
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setattr(installing, "_pip_settings", dict)
    (tmp_path / "adapter.py").write_text(ADAPTER)
    (tmp_path / "toys.txt").write_text("# pinned\ntoy==1.5  # via nobody\nhelper==2.0\n")
    card = MethodCard(
        name="toy_method",
        track="automl",
        title="Toy",
        summary="For tests.",
        paper="none",
        url="",
        year=2026,
        requirements="toys.txt",
    )
    return MethodEntry("toy_method", card, Stub, "toy_adapter_of_tests", tmp_path / "adapter.py")


def test_it_is_built_once_and_works(entry: MethodEntry) -> None:
    lines: list[str] = []
    found = environments.ensure(entry, lines.append)
    assert found.versions == {"toy": "1.5", "helper": "2.0+local"}
    code = "import toy, helper, sys; print(toy.__version__, sys.prefix)"
    said = subprocess.run([found.python, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["1.5", str(found.folder)]
    assert lines[0] == "environment toys: building with 2 packages from toys.txt"
    assert "ready after" in lines[-1]
    assert (found.folder.parent / f"{found.key}.log").exists()
    lines.clear()
    assert environments.ensure(entry, lines.append) == found
    assert lines == []
    assert [e.key for e in environments.entries()] == [found.key]
    # modules are compiled already, so that no trial pays for it
    assert list(found.folder.rglob("toy.*.pyc"))
    # what it was built as is gone
    assert not list(found.folder.parent.glob(".tmp-*"))


def test_the_key_is_of_the_content(entry: MethodEntry) -> None:
    first = environments.wanted(entry)
    requirements = entry.path.parent / "toys.txt"
    requirements.touch()
    assert environments.wanted(entry).folder == first.folder
    requirements.write_text("toy==1.6\nhelper==2.0\n")
    assert environments.wanted(entry).folder != first.folder
    assert environments.ensure(entry, print).versions["toy"] == "1.6"


def test_the_adapter_is_imported_there(entry: MethodEntry) -> None:
    found = environments.ensure(entry, print)
    # the toy environment has no pandas, and says so; without the toy package it would not come as far
    with pytest.raises(RemoteError, match="No module named 'numpy'"):
        probe(entry, found.python)


def test_settings_of_its_own_hold_inside_of_a_project(entry: MethodEntry, tmp_path: Path) -> None:
    """A project around the cache is a workspace to uv, which would look there for settings."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "around"\nversion = "1"\n')
    settings = tmp_path / "toys.uv.toml"
    settings.write_text("no-binary = true\n")
    with pytest.raises(EnvironmentBuildError, match="toy"):
        environments.ensure(entry, print)
    settings.unlink()
    assert environments.ensure(entry, print).versions == {"toy": "1.5", "helper": "2.0+local"}


# importlib_metadata, once loaded, stands in for the standard library's finder, and fails where that one says None
@pytest.mark.parametrize("finder", ["importlib.metadata", "importlib_metadata"])
def test_verify_finds_what_is_wrong(entry: MethodEntry, finder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip(finder)
    monkeypatch.setattr(installing, "distributions", package.distributions)
    needed, found = environments.wanted(entry), environments.ensure(entry, print)
    assert environments.differences(needed, found) == []
    (module,) = found.folder.glob("lib/python*/site-packages/toy.py")
    module.write_text("broken = True\n")
    assert environments.differences(needed, found) == ["toy: 1 files are missing or have another size, toy.py for one"]
    for file in found.folder.glob("lib/python*/site-packages/helper-*/*"):
        file.unlink()
    assert "helper is missing, pinned 2.0" in environments.differences(needed, found)


def test_remove(entry: MethodEntry) -> None:
    found = environments.ensure(entry, print)
    environments.remove(found)
    assert list(environments.entries()) == []
    assert environments.find(environments.wanted(entry)) is None
    assert environments.ensure(entry, print).key == found.key


@pytest.mark.parametrize("how", ["manifest", "interpreter"])
def test_a_damaged_one_is_built_again(entry: MethodEntry, how: str) -> None:
    found = environments.ensure(entry, print)
    if how == "manifest":
        (found.folder / environments.MANIFEST).unlink()
    else:
        found.python.unlink()
    (damaged,) = environments.entries()
    assert damaged.problem
    assert environments.ensure(entry, print).problem == ""
    assert subprocess.run([found.python, "-c", "import toy"], check=False).returncode == 0


def test_a_failure_keeps_its_log_and_stands_for_a_while(entry: MethodEntry) -> None:
    (entry.path.parent / "toys.txt").write_text("toy==99\n")
    needed = environments.wanted(entry)
    with pytest.raises(EnvironmentBuildError, match=r"toy==99") as caught:
        environments.ensure(entry, print)
    log = needed.folder.with_name(f"{needed.key}.log")
    assert str(log) in str(caught.value)
    assert "toy==99" in log.read_text()
    assert not needed.folder.exists()
    lines: list[str] = []
    with pytest.raises(EnvironmentBuildError, match="to try again now"):
        environments.ensure(entry, lines.append)
    assert lines == []
    # asked for by name, it is tried at once; and once it works, the failure is forgotten
    make_wheel(entry.path.parent / "wheels", "toy", "99")
    environments.build(needed, print)
    assert environments.last_failure(needed) == ""
    assert environments.ensure(entry, lines.append).versions == {"toy": "99"}


@pytest.mark.parametrize("line", ["toy", "toy>=1", "toy==1.*"])
def test_only_exact_pins_are_taken(entry: MethodEntry, line: str) -> None:
    (entry.path.parent / "toys.txt").write_text(f"helper==2.0\n{line}\n")
    with pytest.raises(InputError, match="line 2: expected name==version"):
        environments.wanted(entry)


def test_a_missing_file_is_told(entry: MethodEntry) -> None:
    (entry.path.parent / "toys.txt").unlink()
    with pytest.raises(InputError, match=r"its card names 'toys.txt', expected beside"):
        environments.wanted(entry)


def test_a_cache_that_cannot_be_written_is_told(
    entry: MethodEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(EnvironmentBuildError, match="set BENCHBENCH_CACHE"):
        environments.ensure(entry, print)


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from benchbench.execution import environments, installing
from benchbench.cards import MethodCard
from benchbench.registry import MethodEntry, methods
installing._pip_settings = dict
card = MethodCard(name="t", track="automl", title="", summary="", paper="", url="", year=1, requirements="toys.txt")
entry = MethodEntry("t", card, object, "t", Path(sys.argv[1]) / "adapter.py")
environments.ensure(entry, lambda line: print(line, flush=True))
"""


def start(entry: MethodEntry, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", SCRIPT, str(entry.path.parent)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **more},
    )


def slow_uv(folder: Path) -> dict[str, str]:
    """Return an environment in which uv says that it has begun, and then takes as long as a file is there."""
    fake = folder / "fake" / "uv"
    fake.mkdir(parents=True)
    (folder / "wait").touch()
    real = installing.uv_command()[0]
    script = (
        f'#!/bin/sh\ntouch "{folder}/begun"\nwhile [ -e "{folder}/wait" ]; do sleep 0.05; done\nexec "{real}" "$@"\n'
    )
    (fake / "uv").write_text(script)
    (fake / "uv").chmod(0o755)
    (fake / "__init__.py").write_text(f"def find_uv_bin():\n    return {str(fake / 'uv')!r}\n")
    return {"PYTHONPATH": str(fake.parent)}


def wait_for(condition: Callable[[], Any]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_two_processes_build_it_once(entry: MethodEntry, tmp_path: Path) -> None:
    slow = slow_uv(tmp_path)
    with start(entry, **slow) as first, start(entry, **slow) as second:
        wait_for((tmp_path / "begun").exists)
        time.sleep(0.2)
        (tmp_path / "wait").unlink()
        said = [process.communicate(timeout=120)[0] for process in (first, second)]
        assert (first.returncode, second.returncode) == (0, 0)
    assert sum("building with" in text for text in said) == 1


def test_a_killed_build_leaves_nothing_that_counts(entry: MethodEntry, tmp_path: Path) -> None:
    with start(entry, **slow_uv(tmp_path)) as process:
        wait_for((tmp_path / "begun").exists)
        process.send_signal(signal.SIGKILL)
    needed = environments.wanted(entry)
    assert environments.find(needed) is None
    assert list(needed.folder.parent.glob(".tmp-*"))
    # the lock goes with the process and its uv
    found = environments.ensure(entry, print)
    assert found.versions["toy"] == "1.5"
    assert not list(needed.folder.parent.glob(".tmp-*"))


def test_an_abort_ends_builds_and_is_no_failure(
    entry: MethodEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_uv(tmp_path)
    monkeypatch.setattr(installing, "uv_command", lambda: [str(tmp_path / "fake" / "uv" / "uv")])
    caught: list[Exception] = []

    def run() -> None:
        try:
            environments.ensure(entry, lambda line: None)
        except EnvironmentBuildError as error:
            caught.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_for((tmp_path / "begun").exists)
    environments.abort()
    for thread in threads:
        thread.join(timeout=30)
    assert [type(error) for error in caught] == [installing.BuildInterrupted] * 2
    assert environments.last_failure(environments.wanted(entry)) == ""


def test_pip_settings_become_uv_options(monkeypatch: pytest.MonkeyPatch) -> None:
    for _, variables in installing.SOURCES.values():
        for variable in variables:
            monkeypatch.delenv(variable, raising=False)
    settings = {"find-links": ["/one", "/two"], "extra-index-url": ["file:///three"], "cert": ["/four"]}
    options = installing._sources(settings)
    assert options[:6] == ["--index", "file:///three", "--find-links", "/one", "--find-links", "/two"]
    assert options[6:] == ["--index-strategy", "unsafe-best-match"]
    monkeypatch.setenv("UV_FIND_LINKS", "/mine")
    assert "--find-links" not in installing._sources(settings)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert installing._environment(settings)["SSL_CERT_FILE"] == "/four"


def test_pip_settings_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("PIP_")]:
        monkeypatch.delenv(name)
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nfind-links = /one\n    /two\n[install]\nindex-url = https://example.invalid/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    settings = installing._pip_settings()
    assert settings["find-links"] == ["/one", "/two"]
    assert settings["index-url"] == ["https://example.invalid/simple"]
    monkeypatch.setenv("PIP_FIND_LINKS", "/three")
    assert installing._pip_settings()["find-links"] == ["/three"]


REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(("track", "needed"), [("automl", {"numpy", "pandas", "pyarrow"}), ("fewshot", {"numpy"})])
def test_the_shipped_requirements_are_pins(track: str, needed: set[str]) -> None:
    files = sorted((REPOSITORY / "methods" / track / "requirements").glob("*.txt"))
    assert files
    for file in files:
        pins = installing.read_pins(file, file.read_text())
        assert needed <= pins.keys(), file
        # of newer ones there is no build without CUDA everywhere
        assert pins.get("torch", "2.13.0") == "2.13.0"
        assert not [name for name in pins if name.startswith("nvidia-") or name == "torchvision"]


def test_ci_runs_what_is_in_every_environment() -> None:
    job = (REPOSITORY / ".github" / "workflows" / "ci.yml").read_text()
    (line,) = [line for line in job.splitlines() if line.strip().startswith("environment: [")]
    listed = re.findall(r"\w+", line.partition("[")[2])
    shipped = [entry for entry in methods().values() if entry.module.startswith("benchbench.methods.")]
    assert listed == sorted({Path(e.card.requirements).stem for e in shipped if e.card.requirements})


def settings_of_uv(entry: MethodEntry, text: str) -> Path:
    file = installing.settings_file(environments.wanted(entry).file)
    file.write_text(text)
    return file


def test_settings_of_uv_beside_the_requirements_count(entry: MethodEntry) -> None:
    """Another such file makes another environment."""
    plain = environments.wanted(entry)
    settings_of_uv(entry, "no-binary = true\n")
    with pytest.raises(EnvironmentBuildError, match="toy"):
        environments.ensure(entry, print)
    settings_of_uv(entry, "no-binary = false\n")
    found = environments.ensure(entry, print)
    assert found.versions == {"helper": "2.0+local", "toy": "1.5"}
    assert found.key != plain.key
    settings_of_uv(entry, "no-binary = false\n# changed\n")
    assert environments.wanted(entry).key not in (found.key, plain.key)


def test_the_manifest_is_plain(entry: MethodEntry) -> None:
    found = environments.ensure(entry, print)
    manifest = json.loads((found.folder / environments.MANIFEST).read_text())
    assert manifest["versions"] == {"helper": "2.0+local", "toy": "1.5"}
    assert manifest["n_bytes"] > 0


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://packages.invalid/simple",
        "--extra-index-url=https://packages.invalid/simple",
        "--find-links ./wheels",
        "-r more.txt",
        "-e .",
        "toy @ https://packages.invalid/toy-1.0.tar.gz",
        "toy@ git+https://packages.invalid/toy.git",
        "git+https://packages.invalid/toy.git",
        "./toy-1.0-py3-none-any.whl",
        "toy==https://packages.invalid/toy-1.0.tar.gz",
        "toy==1.0 --hash=sha256:00 --index-url https://packages.invalid",
        "toy==1.0 ; python_version > '3' --index-url https://packages.invalid",
        "toy==1.0 \\\n --index-url https://packages.invalid",
    ],
)
def test_a_method_does_not_choose_where_packages_come_from(line: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"names an index, file, address or option, which is refused"):
        installing.read_pins(tmp_path / "toy.txt", f"numpy==2.0\n{line}\n")


def test_a_comment_hides_no_option(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 1: a comment must not end with a backslash"):
        installing.read_pins(tmp_path / "toy.txt", "# a comment \\\n--index-url https://packages.invalid\n")


def test_pins_may_have_markers_extras_and_hashes(tmp_path: Path) -> None:
    text = (
        "a==1.0 ; python_version >= '3.9' and (sys_platform != \"win32\" or platform_machine == 'x86_64')\n"
        f"b[x,y]==2.0+cpu \\\n    --hash=sha256:{'0f' * 32} \\\n    --hash=sha256:{'1e' * 32}  # via a\n"
        "C_d==1!3.0rc1.post1\n"
    )
    assert installing.read_pins(tmp_path / "toy.txt", text) == {"a": "1.0", "b": "2.0+cpu", "c-d": "1!3.0rc1.post1"}


@pytest.mark.parametrize(
    "text",
    [
        'index-url = "https://packages.invalid"',
        '[[index]]\nname = "x"\nurl = "https://packages.invalid"',
        '[pip]\nfind-links = ["wheels"]',
        '[extra-build-dependencies]\ntoy = ["cython @ https://packages.invalid/cython.whl"]',
    ],
)
def test_settings_of_uv_do_not_choose_it_either(text: str, tmp_path: Path) -> None:
    file = tmp_path / "toy.uv.toml"
    file.write_text(text)
    with pytest.raises(InputError, match="is refused"):
        installing.check_settings(file)
