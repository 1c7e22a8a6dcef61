from __future__ import annotations

import hashlib
import http.server
import io
import socket
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchbench.errors import DataMissingError
from benchbench.registry import get_loader
from benchbench.suites import _download, _omniglot_files
from benchbench.suites._omniglot_files import Part, character_names, drawings_hash, read_characters, read_split
from benchbench.suites._prepared import array_hash

# the first alphabet's files have the higher numbers, as in the original, where names and numbers disagree
ALPHABETS = {"images_background": {"Zulu": 2, "Alpha_(x)": 1}, "images_evaluation": {"Beta": 2}}
VINYALS = {"split": "vinyals", "way": 2, "shot": 1}


@dataclass
class Server:
    """What the local server answers: content by path; `broken` paths are cut short that many times."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            content = state.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if state.broken.get(self.path, 0) > 0:
                state.broken[self.path] -= 1
                content = content[: len(content) // 2]
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        state.url = f"http://127.0.0.1:{running.server_address[1]}"
        yield state
        running.shutdown()
        thread.join()


def archive(part: str, images: np.ndarray, first: int) -> bytes:
    """Pack drawings as the original archives do: one-bit PNG files, folders by alphabet, in no particular order."""
    names = [f"{a}/character{i:02d}" for a, n in ALPHABETS[part].items() for i in range(1, n + 1)]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(f"__MACOSX/{part}/._Zulu/character01/0001_01.png", b"shadow")
        for row in reversed(range(len(names))):
            for number in reversed(range(20)):
                png = io.BytesIO()
                Image.fromarray(images[row, number]).save(png, "png")
                file.writestr(f"{part}/{names[row]}/{first + row:04d}_{number + 1:02d}.png", png.getvalue())
    return packed.getvalue()


@dataclass
class World:
    """A small Omniglot on a local server, and nothing on disk."""

    server: Server
    data: Path
    cache: Path
    images: dict[str, np.ndarray]
    lines: list[str]

    @property
    def folder(self) -> Path:
        return self.data / "omniglot"

    def say(self, line: str) -> None:
        self.lines.append(line)

    def change(self, monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
        """Change the first part's specification."""
        first, *rest = _omniglot_files.PARTS
        monkeypatch.setattr(_omniglot_files, "PARTS", (replace(first, **values), *rest))


@pytest.fixture
def world(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    data, cache = tmp_path / "data", tmp_path / "cache"
    monkeypatch.setenv("BENCHBENCH_DATA", str(data))
    monkeypatch.setenv("BENCHBENCH_CACHE", str(cache))
    monkeypatch.setattr(_download, "PAUSES_SECONDS", (0.0, 0.0))
    rng = np.random.default_rng(0)
    parts, images, first = [], {}, 1
    for name, alphabets in ALPHABETS.items():
        n_characters = sum(alphabets.values())
        images[name] = rng.random((n_characters, 20, 105, 105)) > 0.1
        server.files[f"/{name}.zip"] = content = archive(name, images[name], first)
        first += n_characters
        sha256 = hashlib.sha256(content).hexdigest()
        url = f"{server.url}/{name}.zip"
        parts.append(Part(name=name, url=url, sha256=sha256, content=drawings_hash(images[name]), alphabets=alphabets))
    monkeypatch.setattr(_omniglot_files, "PARTS", tuple(parts))
    lists = {}
    for part, names in {"train": ["Zulu/character02", "Beta/character01"], "val": ["Beta/character02"]}.items():
        lists[part] = "".join(f"{name}/rot{turn:03d}\n" for name in names for turn in (0, 90, 180, 270)).encode()
    lists["test"] = b"Alpha_(x)/character01/rot000\nAlpha_(x)/character01/rot090\n"
    for part, content in lists.items():
        server.files[f"/{part}.txt"] = content
    addresses = {p: (f"{server.url}/{p}.txt", hashlib.sha256(c).hexdigest()) for p, c in lists.items()}
    monkeypatch.setattr(_omniglot_files, "SPLIT_LISTS", addresses)
    return World(server, data, cache, images, [])


def all_ink(world: World) -> np.ndarray:
    return ~np.concatenate(list(world.images.values()))


def test_downloads_decodes_and_goes_by_the_numbers_of_the_files(world: World) -> None:
    assert character_names()[:3] == ["Zulu/character01", "Zulu/character02", "Alpha_(x)/character01"]
    assert np.array_equal(read_characters(world.say), all_ink(world))
    assert sorted(p.name for p in world.folder.iterdir()) == ["images_background.zip", "images_evaluation.zip"]
    assert [line for line in world.lines if line.startswith("downloading")] == [
        f"downloading {world.server.url}/{name}.zip" for name in ALPHABETS
    ]
    # what is decoded has the content on record, to the byte
    assert not any("not comparable" in line for line in world.lines)


def test_what_is_there_is_not_downloaded_again(world: World) -> None:
    read_characters(world.say)
    read_split("val", world.say)
    asked = list(world.server.asked)
    assert np.array_equal(read_characters(world.say), all_ink(world))
    assert read_split("val", world.say) == [("Beta/character02", turn) for turn in (0, 90, 180, 270)]
    assert world.server.asked == asked


def test_the_loader_prepares_and_loads_what_it_downloaded(world: World) -> None:
    loader = get_loader("omniglot")
    loader.prepare(VINYALS, world.say)
    task = loader.load("task", VINYALS)
    assert (task.train.n_classes, task.validation.n_classes, task.test.n_classes) == (8, 4, 2)
    test = task.test.images  # type: ignore[attr-defined]
    assert np.array_equal(np.rot90(test[0], axes=(1, 2)), test[1])
    asked = list(world.server.asked)
    loader.prepare(VINYALS, world.say)
    assert world.server.asked == asked


def test_a_truncated_answer_is_asked_for_again(world: World) -> None:
    world.server.broken["/images_background.zip"] = 1
    assert np.array_equal(read_characters(world.say), all_ink(world))
    assert world.server.asked.count("/images_background.zip") == 2
    assert any("trying again" in line for line in world.lines)


def test_always_truncated(world: World) -> None:
    world.server.broken["/images_background.zip"] = 99
    with pytest.raises(DataMissingError, match=r"bytes with sha256 .* expected sha256") as caught:
        read_characters(world.say)
    assert caught.value.exit_code == 2
    assert world.server.asked.count("/images_background.zip") == 3
    assert list(world.folder.iterdir()) == []


def test_a_wrong_hash_keeps_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.change(monkeypatch, sha256="0" * 64)
    with pytest.raises(DataMissingError, match="expected sha256 0000"):
        read_characters(world.say)
    assert list(world.folder.iterdir()) == []


def test_a_damaged_archive_on_disk_is_refused_and_kept(world: World) -> None:
    world.folder.mkdir(parents=True)
    archive = world.folder / "images_background.zip"
    archive.write_bytes(b"half of it")
    with pytest.raises(DataMissingError, match=r"is not Omniglot's archive .*; remove it to download it"):
        read_characters(world.say)
    assert archive.read_bytes() == b"half of it"
    archive.unlink()
    assert np.array_equal(read_characters(world.say), all_ink(world))


def test_not_found_is_not_asked_for_again(world: World) -> None:
    del world.server.files["/train.txt"]
    with pytest.raises(DataMissingError, match="answered 404"):
        read_split("train", world.say)
    assert world.server.asked == ["/train.txt"]


def test_no_network(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/images_background.zip"
    world.change(monkeypatch, url=url)
    with pytest.raises(DataMissingError) as caught:
        get_loader("omniglot").prepare({**VINYALS, "split": "maml"}, world.say)
    assert caught.value.exit_code == 2
    for part in ("cannot download", "Connection refused", str(world.folder), "docs/data.md", "BENCHBENCH_DATA"):
        assert part in str(caught.value)


def test_a_data_folder_that_cannot_be_written_leaves_it_to_the_cache(world: World) -> None:
    # a file in the way stops root as well, unlike permissions
    world.data.mkdir()
    world.folder.touch()
    assert np.array_equal(read_characters(world.say), all_ink(world))
    assert read_split("train", world.say)
    downloads = world.cache / "omniglot" / "downloads"
    assert sorted(p.name for p in downloads.iterdir()) == [f"{name}.zip" for name in ALPHABETS] + ["splits_vinyals"]


def test_arrays_on_disk_come_before_archives(world: World) -> None:
    world.folder.mkdir(parents=True)
    for name, images in world.images.items():
        np.savez_compressed(world.folder / f"{name}.npz", images=images)
    assert np.array_equal(read_characters(world.say), all_ink(world))
    assert world.server.asked == []


def unpack(world: World, place: str) -> Path:
    """Unpack the archives as a user has them, with what macOS adds; return the folder of the first part."""
    for name in ALPHABETS:
        with zipfile.ZipFile(io.BytesIO(world.server.files[f"/{name}.zip"])) as file:
            file.extractall(world.folder / place)
        shadow = world.folder / place / name / "Zulu" / "character01"
        shadow.mkdir(parents=True, exist_ok=True)
        (shadow / "._0001_01.png").write_bytes(b"shadow")
        (shadow / ".DS_Store").write_bytes(b"view")
    return world.folder / place / "images_background"


@pytest.mark.parametrize("place", ["", "omniglot-py", "python"])
def test_unpacked_archives_are_read(world: World, place: str) -> None:
    unpack(world, place)
    assert np.array_equal(read_characters(world.say), all_ink(world))
    assert world.server.asked == []


def test_unpacked_archives_that_are_not_omniglot_are_refused(world: World) -> None:
    drawing = unpack(world, "") / "Zulu" / "character02" / "0002_07.png"
    whole = drawing.read_bytes()
    Image.new("1", (105, 105)).save(drawing)
    with pytest.raises(DataMissingError, match=r"does not hold Omniglot's images_background.* move the folder away"):
        read_characters(world.say)
    drawing.write_bytes(whole[:40])
    with pytest.raises(DataMissingError, match=r"character02/0002_07\.png cannot be read as a drawing"):
        read_characters(world.say)
    drawing.unlink()
    with pytest.raises(DataMissingError, match="holds 59 drawings, not the 60 of images_background"):
        read_characters(world.say)
    assert world.server.asked == []


def test_archives_where_torchvision_has_them(world: World) -> None:
    for name in ALPHABETS:
        place = world.folder / "omniglot-py" / f"{name}.zip"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(world.server.files[f"/{name}.zip"])
    assert np.array_equal(read_characters(world.say), all_ink(world))
    assert world.server.asked == []


def test_the_hash_of_drawings_goes_by_their_values(world: World) -> None:
    ones = world.images["images_background"]
    pillows = (ones.view(np.uint8) * 255).view(np.bool_)
    assert drawings_hash(ones) == drawings_hash(pillows) == array_hash(pillows) != array_hash(ones)
    assert drawings_hash(~ones) != drawings_hash(ones)
    assert ones.view(np.uint8).max() == 1


@pytest.mark.parametrize(("content", "says"), [("other", "does not hold Omniglot's"), ("damaged", "cannot be read")])
def test_wrong_arrays_on_disk(world: World, content: str, says: str) -> None:
    world.folder.mkdir(parents=True)
    path = world.folder / "images_background.npz"
    np.savez_compressed(path, images=~world.images["images_background"])
    if content == "damaged":
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataMissingError, match=says):
        read_characters(world.say)


def test_a_wrong_list_on_disk(world: World) -> None:
    (world.folder / "splits_vinyals").mkdir(parents=True)
    (world.folder / "splits_vinyals" / "train.txt").write_text("Zulu/character01/rot000\n")
    with pytest.raises(DataMissingError, match="is not Vinyals' list"):
        read_split("train", world.say)


def test_an_archive_with_drawings_missing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = zipfile.ZipFile(io.BytesIO(world.server.files["/images_background.zip"]))
    packed = io.BytesIO()
    with whole, zipfile.ZipFile(packed, "w") as file:
        for entry in whole.namelist()[:-1]:
            file.writestr(entry, whole.read(entry))
    world.server.files["/images_background.zip"] = packed.getvalue()
    world.change(monkeypatch, sha256=hashlib.sha256(packed.getvalue()).hexdigest())
    with pytest.raises(DataMissingError, match="holds 59 drawings, not the 60 of images_background"):
        read_characters(world.say)


def test_other_decoded_content_is_said_and_makes_another_fingerprint(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = get_loader("omniglot")
    loader.prepare(VINYALS, world.say)
    before = loader.fingerprint(VINYALS)
    # an original archive that decodes to something else: one drawing is the negative of what it was
    other = {name: images.copy() for name, images in world.images.items()}
    other["images_background"][1, 0] ^= True
    content = archive("images_background", other["images_background"], 1)
    world.server.files["/images_background.zip"] = content
    world.change(monkeypatch, sha256=hashlib.sha256(content).hexdigest())
    (world.folder / "images_background.zip").unlink()
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path / "other"))
    loader.prepare(VINYALS, world.say)
    assert any("not comparable" in line for line in world.lines)
    assert loader.fingerprint(VINYALS) != before
