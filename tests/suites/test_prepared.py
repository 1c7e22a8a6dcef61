from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchbench.errors import DataMissingError, InputError
from benchbench.suites._prepared import Built, array_hash, find, prepare, problem_of, scratch

OPTIONS = {"version": 1}

# builds array "a" (of 1,000 numbers), leaving a line in calls.txt; waits while the file "hold" exists
CHILD = """
import sys, time
from pathlib import Path
import numpy as np
from benchbench.suites._prepared import Built, prepare
folder = Path(sys.argv[1])
def build():
    with (folder / "calls.txt").open("a") as file:
        file.write("called\\n")
    while (folder / "hold").exists():
        time.sleep(0.01)
    return Built(arrays={"a": np.arange(1000)})
print(prepare("toy", {"version": 1}, build, lambda line: print(line, flush=True)).content, flush=True)
"""

# dies as if by kill -9, with an array written and no manifest
DIES_WRITING = """
import os, signal
import numpy as np
from benchbench.suites import _prepared
real = _prepared._write
def write_and_die(path, array):
    real(path, array)
    os.kill(os.getpid(), signal.SIGKILL)
_prepared._write = write_and_die
_prepared.prepare("toy", {"version": 1}, lambda: _prepared.Built(arrays={"a": np.arange(1000)}), print)
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def builder() -> Callable[[], Built]:
    class Builder:
        calls = 0

        def __call__(self) -> Built:
            self.calls += 1
            return Built(arrays={"a": np.arange(1000), "b": np.zeros((2, 3), np.uint8)}, notes={"classes": 2})

    return Builder()


def lines_of(call: Callable[[Callable[[str], None]], object]) -> list[str]:
    lines: list[str] = []
    call(lines.append)
    return lines


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(folder)], stdout=subprocess.PIPE, text=True)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited 60 s for {what}"
        time.sleep(0.01)


def test_builds_once_and_maps_read_only(cache: Path, builder: Callable[[], Built]) -> None:
    first = prepare("toy", OPTIONS, builder, print)
    second = prepare("toy", OPTIONS, builder, print)
    assert builder.calls == 1  # type: ignore[attr-defined]
    assert first.content == second.content == find("toy", OPTIONS).content
    assert find("toy", OPTIONS).notes == {"classes": 2}
    array = find("toy", OPTIONS).array("a")
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable
    assert np.array_equal(array, np.arange(1000))
    assert [p.name for p in cache.glob("toy/*") if not p.name.endswith(".lock")] == [first.folder.name]


def test_other_options_are_other_data(cache: Path, builder: Callable[[], Built]) -> None:
    first, second = prepare("toy", OPTIONS, builder, print), prepare("toy", {"version": 2}, builder, print)
    assert first.folder != second.folder
    # the content is the same, so its hash is
    assert first.content == second.content


def test_the_hash_is_of_values_shape_and_type() -> None:
    values = np.arange(6, dtype=np.int64)
    hashes = {array_hash(a) for a in (values, values.reshape(2, 3), values.astype(np.int32), values + 1)}
    assert len(hashes) == 4
    assert array_hash(np.asfortranarray(values.reshape(2, 3))) == array_hash(values.reshape(2, 3))


def test_what_was_never_prepared_is_missing(cache: Path) -> None:
    with pytest.raises(DataMissingError, match="not prepared"):
        find("toy", OPTIONS)
    assert not cache.exists()


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b'{"format": 1, "arrays": {}, "notes": {}}', None])
def test_a_damaged_manifest_is_made_again_and_said(
    cache: Path, builder: Callable[[], Built], content: bytes | None
) -> None:
    manifest = prepare("toy", OPTIONS, builder, print).folder / "manifest.json"
    if content is None:
        manifest.unlink()
    else:
        manifest.write_bytes(content)
    with pytest.raises(DataMissingError, match=r"manifest\.json"):
        find("toy", OPTIONS)
    lines = lines_of(lambda say: prepare("toy", OPTIONS, builder, say))
    assert len(lines) == 1
    assert "making it again" in lines[0]
    assert builder.calls == 2  # type: ignore[attr-defined]
    assert np.array_equal(find("toy", OPTIONS).array("a"), np.arange(1000))


def test_a_changed_value_in_the_manifest_is_noticed(cache: Path, builder: Callable[[], Built]) -> None:
    manifest = prepare("toy", OPTIONS, builder, print).folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"classes": 2', '"classes": 3'))
    with pytest.raises(DataMissingError, match="not what was written"):
        find("toy", OPTIONS)


def test_a_truncated_array_is_noticed_on_load(cache: Path, builder: Callable[[], Built]) -> None:
    path = prepare("toy", OPTIONS, builder, print).folder / "a.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataMissingError, match=r"a\.npy has 8127 bytes, expected 8128"):
        find("toy", OPTIONS).array("a")


def test_a_flipped_bit_is_noticed_by_prepare(cache: Path, builder: Callable[[], Built]) -> None:
    path = prepare("toy", OPTIONS, builder, print).folder / "a.npy"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    lines = lines_of(lambda say: prepare("toy", OPTIONS, builder, say))
    assert "has content" in lines[0]
    assert np.array_equal(find("toy", OPTIONS).array("a"), np.arange(1000))


def test_files_are_kept_and_checked_like_arrays(cache: Path) -> None:
    def build(text: str = "one\n") -> Built:
        return Built(arrays={"a": np.arange(3)}, files={"a.txt": lambda path: path.write_text(text)})

    prepared = prepare("toy", OPTIONS, build, print)
    assert prepared.file("a.txt").read_text() == "one\n"
    assert prepared.n_bytes == 4 + 128 + 24
    assert prepare("toy", {"version": 2}, lambda: build("two\n"), print).content != prepared.content
    assert problem_of(prepared.folder) == ""
    prepared.file("a.txt").write_text("onE\n")
    assert "a.txt has content" in problem_of(prepared.folder)
    assert "a.txt has content" in lines_of(lambda say: prepare("toy", OPTIONS, build, say))[0]
    prepared.file("a.txt").write_text("on")
    with pytest.raises(DataMissingError, match=r"a\.txt has 2 bytes, expected 4"):
        prepared.file("a.txt")
    assert "is not there" in problem_of(cache / "toy" / "other")


def test_a_scratch_folder_goes_whatever_happens(cache: Path) -> None:
    prepare("toy", OPTIONS, lambda: Built(arrays={}), print)
    with pytest.raises(OSError, match="disk"), scratch("toy", OPTIONS) as folder:
        (folder / "file").touch()
        raise OSError("disk")
    assert not folder.exists()


def test_who_has_mapped_damaged_data_keeps_them(cache: Path, builder: Callable[[], Built]) -> None:
    mapped = prepare("toy", OPTIONS, builder, print).array("a")
    (find("toy", OPTIONS).folder / "manifest.json").unlink()
    prepare("toy", OPTIONS, builder, print)
    assert np.array_equal(mapped, np.arange(1000))


def test_a_failing_builder_leaves_nothing(cache: Path, builder: Callable[[], Built]) -> None:
    def fail() -> Built:
        raise DataMissingError("no network")

    with pytest.raises(DataMissingError, match="no network"):
        prepare("toy", OPTIONS, fail, print)
    assert [p.suffix for p in cache.glob("toy/*")] == [".lock"]
    prepare("toy", OPTIONS, builder, print)


def test_notes_that_are_no_plain_data_leave_nothing(cache: Path) -> None:
    with pytest.raises(InputError, match="not plain JSON"):
        prepare("toy", OPTIONS, lambda: Built(arrays={}, notes={"nan": float("nan")}), print)
    assert [p.suffix for p in cache.glob("toy/*")] == [".lock"]


def test_two_processes_build_once(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    first = start(tmp_path)
    wait_for((tmp_path / "calls.txt").exists, "the first process to build")
    second = start(tmp_path)
    assert second.stdout is not None
    assert second.stdout.readline() == "waiting for another process that prepares toy\n"
    (tmp_path / "hold").unlink()
    contents = [process.communicate(timeout=60)[0].splitlines()[-1] for process in (first, second)]
    assert contents[0] == contents[1] == find("toy", OPTIONS).content
    assert (tmp_path / "calls.txt").read_text() == "called\n"


def test_killed_while_building(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    with start(tmp_path) as victim:
        wait_for((tmp_path / "calls.txt").exists, "the process to build")
        victim.send_signal(signal.SIGKILL)
    assert victim.returncode == -signal.SIGKILL
    with pytest.raises(DataMissingError, match="not prepared"):
        find("toy", OPTIONS)
    (tmp_path / "hold").unlink()
    with start(tmp_path) as process:
        output = process.communicate(timeout=60)[0]
    # the lock went with the victim: nobody waits
    assert output.splitlines() == [find("toy", OPTIONS).content]


def test_killed_while_writing(cache: Path, builder: Callable[[], Built]) -> None:
    ended = subprocess.run([sys.executable, "-c", DIES_WRITING], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert len(list(cache.glob("toy/.tmp-*/a.npy"))) == 1
    with pytest.raises(DataMissingError, match="not prepared"):
        find("toy", OPTIONS)
    prepare("toy", OPTIONS, builder, print)
    assert np.array_equal(find("toy", OPTIONS).array("a"), np.arange(1000))
    assert list(cache.glob("toy/.tmp-*")) == []


def test_a_cache_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, builder: Callable[[], Built]
) -> None:
    # a file in the way stops root as well, unlike permissions
    (tmp_path / "file").touch()
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(InputError, match="BENCHBENCH_CACHE") as caught:
        prepare("toy", OPTIONS, builder, print)
    assert caught.value.exit_code == 2
    assert builder.calls == 0  # type: ignore[attr-defined]


def test_a_complete_cache_is_not_written_to(
    cache: Path, builder: Callable[[], Built], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare("toy", OPTIONS, builder, print)
    for lock in cache.glob("toy/*.lock"):
        lock.unlink()
    before = sorted((p, p.stat().st_mtime_ns) for p in cache.rglob("*"))
    prepare("toy", OPTIONS, builder, print)
    assert sorted((p, p.stat().st_mtime_ns) for p in cache.rglob("*")) == before
