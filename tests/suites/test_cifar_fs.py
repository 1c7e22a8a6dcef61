from __future__ import annotations

import functools
import hashlib
import http.server
import io
import os
import pickle
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbench.contracts.loading import TaskLoader
from benchbench.errors import DataMissingError, InputError
from benchbench.registry import get_loader
from benchbench.suites import _download, cifar_fs
from benchbench.suites._prepared import find
from benchbench.suites.cifar_fs import SPLIT

OPTIONS = {"way": 2, "shot": 1, "query": 2}
N_TRAIN, N_TEST = 3, 1
NAMES = sorted(name for names in SPLIT.values() for name in names)


class Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.victim}",)


class World:
    """A small CIFAR-100: its content, its archive, the user's folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        rng = np.random.default_rng(0)
        self.images = {name: rng.integers(0, 256, (N_TRAIN + N_TEST, 32, 32, 3), dtype=np.uint8) for name in NAMES}
        self.members: dict[str, Any] = {"meta": {"fine_label_names": NAMES, "coarse_label_names": []}}
        for half, chosen in (("train", slice(N_TRAIN)), ("test", slice(N_TRAIN, None))):
            # class by class within a round, so that classes are interleaved
            rows = [(label, image) for label, name in enumerate(NAMES) for image in self.images[name][chosen]]
            rows = [row for i in range(N_TRAIN) for row in rows[i :: N_TRAIN if half == "train" else 1]][: len(rows)]
            self.members[half] = {
                "data": np.stack([image.transpose(2, 0, 1).ravel() for _, image in rows]),
                "fine_labels": [label for label, _ in rows],
                "filenames": [f"{i}.png" for i in range(len(rows))],
            }

    def archive(self) -> bytes:
        """Pack as the original is packed, keys as the bytes that Python 2's texts are."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as file:
            for name, content in self.members.items():
                pickled = pickle.dumps({key.encode(): value for key, value in content.items()}, protocol=2)
                entry = tarfile.TarInfo(f"cifar-100-python/{name}")
                entry.size = len(pickled)
                file.addfile(entry, io.BytesIO(pickled))
        return packed.getvalue()

    def expect(self, content: bytes) -> None:
        """Let this be the original."""
        self.monkeypatch.setattr(cifar_fs, "SHA256", hashlib.sha256(content).hexdigest())

    def put(self) -> Path:
        """Put the archive where users do."""
        content = self.archive()
        self.expect(content)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / cifar_fs.ARCHIVE
        path.write_bytes(content)
        return path


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("BENCHBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_download, "PAUSES_SECONDS", (0.0, 0.0))
    # nothing leaves this machine
    monkeypatch.setattr(cifar_fs, "URL", "http://127.0.0.1:9/nobody-listens")
    return World(tmp_path / "data" / "cifar100", monkeypatch)


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> TaskLoader:
    found = get_loader("cifar-fs")
    monkeypatch.setattr(type(found), "n_per_class", N_TRAIN + N_TEST)
    return found


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Address of a local server, and the folder that it serves."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", folder
        server.shutdown()
        thread.join()


def test_the_split_is_of_100_classes_64_16_20() -> None:
    assert {part: len(names) for part, names in SPLIT.items()} == {"train": 64, "val": 16, "test": 20}
    assert len(set(NAMES)) == 100
    assert all(list(names) == sorted(names) for names in SPLIT.values())
    # a change here makes results of two versions incomparable
    joined = "|".join(",".join(names) for names in SPLIT.values())
    assert hashlib.sha256(joined.encode()).hexdigest()[:12] == "32146047a250"


def test_images_and_classes(world: World, loader: TaskLoader) -> None:
    world.put()
    loader.prepare(OPTIONS, print)
    data = find("cifar-fs", loader._identity)  # type: ignore[attr-defined]
    assert data.notes["classes"] == {part: list(names) for part, names in SPLIT.items()}
    for part, names in SPLIT.items():
        found = data.array(part)
        for name, images in zip(names, found, strict=True):
            # training images first, then the test image; which of the former comes first is the archive's choice
            assert np.array_equal(images[-1], world.images[name][-1])
            assert sorted(i.tobytes() for i in images) == sorted(i.tobytes() for i in world.images[name])
    task = loader.load("t", OPTIONS)
    assert task.info == loader.info("t", OPTIONS)
    assert task.info.input_shape == (3, 32, 32)
    assert [p.n_classes for p in (task.train, task.validation, task.test)] == [64, 16, 20]
    batch = task.train.sample(np.random.default_rng(0), n_way=2, k_shot=1, n_query_per_class=2)
    assert batch.query_x.shape == (1, 4, 3, 32, 32)
    assert {loader.training_fingerprint(o) for o in (OPTIONS, {**OPTIONS, "way": 5, "seed": 1})} == {
        loader.training_fingerprint(OPTIONS)
    }
    assert loader.fingerprint(OPTIONS) != loader.fingerprint({**OPTIONS, "way": 5})


def test_nothing_is_unpacked(world: World, loader: TaskLoader, tmp_path: Path) -> None:
    path = world.put()
    loader.prepare(OPTIONS, print)
    assert list(path.parent.iterdir()) == [path]
    assert {p.suffix for p in (tmp_path / "cache").rglob("*") if p.is_file()} == {".npy", ".json", ".lock"}


def test_downloads_what_is_missing(world: World, loader: TaskLoader, served: tuple[str, Path]) -> None:
    address, folder = served
    content = world.archive()
    (folder / cifar_fs.ARCHIVE).write_bytes(content)
    world.expect(content)
    world.monkeypatch.setattr(cifar_fs, "URL", f"{address}/{cifar_fs.ARCHIVE}")
    lines: list[str] = []
    loader.prepare(OPTIONS, lines.append)
    assert (world.folder / cifar_fs.ARCHIVE).read_bytes() == content
    assert f"downloading {address}/{cifar_fs.ARCHIVE}" in lines


def test_a_download_that_is_not_the_original_is_thrown_away(
    world: World, loader: TaskLoader, served: tuple[str, Path]
) -> None:
    address, folder = served
    (folder / cifar_fs.ARCHIVE).write_bytes(b"something else")
    world.monkeypatch.setattr(cifar_fs, "URL", f"{address}/{cifar_fs.ARCHIVE}")
    with pytest.raises(DataMissingError, match="expected sha256 85cd44d0") as error:
        loader.prepare(OPTIONS, print)
    assert f"put {cifar_fs.ARCHIVE} into {world.folder}" in str(error.value)
    assert list(world.folder.iterdir()) == []


def test_no_network_says_what_to_put_where(world: World, loader: TaskLoader) -> None:
    with pytest.raises(DataMissingError, match=f"put cifar-100-python.tar.gz into {world.folder} .*docs/data.md"):
        loader.prepare(OPTIONS, print)


def test_another_file_under_the_name_is_refused(world: World, loader: TaskLoader) -> None:
    path = world.put()
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(DataMissingError, match=r"is not the original: sha256 .* remove it"):
        loader.prepare(OPTIONS, print)


def test_the_unpacked_archive_gives_the_same_data(
    world: World, loader: TaskLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = world.put()
    loader.prepare(OPTIONS, print)
    expected = loader.fingerprint(OPTIONS)
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path / "other"))
    with tarfile.open(path) as archive:
        archive.extractall(world.folder, filter="data")
    path.unlink()
    (world.folder / "cifar-100-python" / "._train").write_bytes(b"shadow")
    with pytest.raises(DataMissingError, match=r"train is not the original: MD5 .* expected 16019d7e3df5f242"):
        loader.prepare(OPTIONS, print)
    files = {name: world.folder / "cifar-100-python" / name for name in cifar_fs.MD5}
    monkeypatch.setattr(
        cifar_fs, "MD5", {name: hashlib.md5(file.read_bytes()).hexdigest() for name, file in files.items()}
    )
    loader.prepare(OPTIONS, print)
    assert loader.fingerprint(OPTIONS) == expected
    files["meta"].unlink()
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path / "third"))
    with pytest.raises(InputError, match=r"cifar-100-python cannot be read: .*meta"):
        loader.prepare(OPTIONS, print)


def test_a_malicious_pickle_in_the_archive_is_refused(world: World, loader: TaskLoader, tmp_path: Path) -> None:
    world.members["train"]["data"] = Malicious(tmp_path / "executed")
    world.put()
    with pytest.raises(InputError, match=r"cifar-100-python.tar.gz: train is refused: .*posix.system"):
        loader.prepare(OPTIONS, print)
    assert not (tmp_path / "executed").exists()


def test_structure_is_checked(world: World, loader: TaskLoader) -> None:
    good = {name: dict(content) for name, content in world.members.items()}

    def refused(says: str, **changed: Any) -> None:
        world.members = {**good, **{name: {**good[name], **content} for name, content in changed.items()}}
        world.put()
        with pytest.raises(InputError, match=says):
            loader.prepare(OPTIONS, print)

    train = good["train"]
    refused(
        "train has 64 classes, of which 1 have another number", train={"fine_labels": [*train["fine_labels"][:-1], 0]}
    )
    refused("does not hold what CIFAR-100 does", train={"data": train["data"][:, :99]})
    refused("uint8 of shape .* expected uint8", train={"data": train["data"][1:]})
    refused("expected uint8", train={"data": train["data"] / 255})
    refused("has no class 'apple'", meta={"fine_label_names": ["pear", *NAMES[1:]]})
    del good["train"]["fine_labels"]
    refused("KeyError: 'fine_labels'")
    del good["test"]
    refused("holds no file cifar-100-python/test")


def test_a_damaged_archive_is_said(world: World, loader: TaskLoader) -> None:
    path = world.put()
    for content in (path.read_bytes()[:3000], b"no archive"):
        path.write_bytes(content)
        world.expect(content)
        with pytest.raises(InputError, match="cannot be read"):
            loader.prepare(OPTIONS, print)
