from __future__ import annotations

import csv
import os
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchbench.contracts.loading import TaskLoader
from benchbench.errors import DataMissingError, InputError
from benchbench.registry import get_loader
from benchbench.suites._prepared import find

N_CLASSES = {"train": 4, "val": 2, "test": 3}
N_PER_CLASS, SIDE = 5, 84
OPTIONS = {"way": 2, "shot": 1, "query": 3}

Split = dict[str, dict[str, np.ndarray]]


@pytest.fixture
def split() -> Split:
    """Images of each class of each part; what prepared data must hold."""
    rng = np.random.default_rng(0)
    names = iter(f"n{number:08d}" for number in range(1000, 2000, 7))
    shape = (N_PER_CLASS, SIDE, SIDE, 3)
    return {
        part: {next(names): rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(n)}
        for part, n in N_CLASSES.items()
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, empty."""
    monkeypatch.setenv("BENCHBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "data" / "miniimagenet"
    place.mkdir(parents=True)
    return place


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> TaskLoader:
    """The loader, of a data set with fewer classes and images."""
    found = get_loader("miniimagenet")
    monkeypatch.setattr(type(found), "n_classes", N_CLASSES)
    monkeypatch.setattr(type(found), "n_per_class", N_PER_CLASS)
    return found


def save(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # PNG, whatever the name says, so that the bytes come back
    Image.fromarray(image).save(path, "png")


def write_lists(folder: Path, split: Split, place: str = "images/{file}") -> None:
    for part, classes in split.items():
        rows = [
            (f"{name}{i:08d}.jpg", name, image) for name, images in classes.items() for i, image in enumerate(images)
        ]
        with (folder / f"{part}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["filename", "label"])
            # in no order: the loader must not depend on it
            writer.writerows((name, label) for name, label, _ in reversed(rows))
        for name, label, image in rows:
            save(image, folder / place.format(file=name, label=label))


def write_folders(folder: Path, split: Split) -> None:
    for part, classes in split.items():
        for name, images in classes.items():
            for i, image in enumerate(images):
                save(image, folder / part / name / f"{i:04d}.{'png' if i % 2 else 'JPEG'}")
            (folder / part / name / "notes.txt").write_text("no image")
        (folder / part / ".cache").mkdir()


def write_caches(folder: Path, split: Split, protocol: int = 2) -> None:
    for part, classes in split.items():
        order = sorted(classes, reverse=True)
        rows = {name: list(range(i * N_PER_CLASS, (i + 1) * N_PER_CLASS)) for i, name in enumerate(order)}
        content = {"image_data": np.concatenate([classes[name] for name in order]), "class_dict": rows}
        (folder / f"mini-imagenet-cache-{part}.pkl").write_bytes(pickle.dumps(content, protocol))


def write_labels(folder: Path, split: Split, names: bool = True, first: int = 64) -> None:
    for part, classes in split.items():
        content: dict[str, Any] = {
            "data": np.concatenate(list(classes.values())),
            "labels": [label for label in range(first, first + len(classes)) for _ in range(N_PER_CLASS)],
        }
        if names:
            content["catname2label"] = {name: first + i for i, name in enumerate(classes)}
        phase = "train_phase_train" if part == "train" else part
        (folder / f"miniImageNet_category_split_{phase}.pickle").write_bytes(pickle.dumps(content))


LAYOUTS: dict[str, tuple[Callable[[Path, Split], None], str]] = {
    "lists and flat images": (write_lists, "images and lists"),
    "lists and folders": (lambda f, s: write_lists(f, s, "images/{label}/{file}"), "images and lists"),
    "folders of parts": (write_folders, "folders of classes"),
    "pickles": (write_caches, "mini-imagenet-cache pickles"),
    "pickles, protocol 0": (lambda f, s: write_caches(f, s, 0), "mini-imagenet-cache pickles"),
    "pickles, protocol 5": (lambda f, s: write_caches(f, s, 5), "mini-imagenet-cache pickles"),
    "pickles of labels": (write_labels, "miniImageNet_category_split pickles"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_data(folder: Path, split: Split, loader: TaskLoader, layout: str) -> None:
    write, source = LAYOUTS[layout]
    write(folder, split)
    loader.prepare(OPTIONS, print)
    data = find("miniimagenet", loader._identity)  # type: ignore[attr-defined]
    for part, classes in split.items():
        assert np.array_equal(data.array(part), np.stack(list(classes.values())))
        assert data.notes["classes"][part] == list(classes)
    assert data.notes["source"] == source


def test_task(folder: Path, split: Split, loader: TaskLoader) -> None:
    write_caches(folder, split)
    loader.prepare(OPTIONS, print)
    task = loader.load("t", {**OPTIONS, "seed": 3})
    assert task.info == loader.info("t", OPTIONS)
    assert (task.info.input_shape, task.info.n_query, task.seed, task.metric) == ((3, 84, 84), 6, 3, "accuracy")
    assert [p.n_classes for p in (task.train, task.validation, task.test)] == list(N_CLASSES.values())
    batch = task.test.sample(np.random.default_rng(0), n_way=2, k_shot=1, n_query_per_class=3, n_tasks=2)
    assert batch.query_x.shape == (2, 6, 3, 84, 84)
    first = np.rint(batch.support_x[0, 0] * 255).transpose(1, 2, 0)
    assert any((first == image).all() for images in split["test"].values() for image in images)


def test_fingerprints(folder: Path, split: Split, loader: TaskLoader) -> None:
    write_caches(folder, split)
    loader.prepare(OPTIONS, print)
    variants = [OPTIONS, *({**OPTIONS, key: 2} for key in ("shot", "query", "seed"))]
    assert len({loader.fingerprint(options) for options in variants}) == len(variants)
    assert len({loader.training_fingerprint(options) for options in variants}) == 1


def test_prepared_data_need_no_originals(folder: Path, split: Split, loader: TaskLoader) -> None:
    write_caches(folder, split)
    loader.prepare(OPTIONS, print)
    for path in folder.iterdir():
        path.unlink()
    loader.prepare(OPTIONS, print)
    assert loader.load("t", OPTIONS).train.n_classes == 4


def test_other_sizes_are_scaled_with_lanczos(folder: Path, split: Split, loader: TaskLoader) -> None:
    write_folders(folder, split)
    name = min(split["val"])
    for i, (mode, size) in enumerate([("RGB", (120, 90)), ("L", (84, 84)), ("RGBA", (30, 200)), ("P", (84, 84))]):
        path = folder / "val" / name / f"{i:04d}.{'png' if i % 2 else 'JPEG'}"
        Image.fromarray(split["val"][name][i]).resize(size).convert(mode).save(path, "png")
        scaled = Image.open(path).convert("RGB").resize((84, 84), Image.Resampling.LANCZOS)
        split["val"][name][i] = np.asarray(scaled)
    loader.prepare(OPTIONS, print)
    images = find("miniimagenet", loader._identity).array("val")  # type: ignore[attr-defined]
    assert np.array_equal(images, np.stack(list(split["val"].values())))


def png_16(path: Path, values: np.ndarray) -> None:
    """Write 16-bit values, (height, width) or with three channels, as PNG; Pillow writes no colours of 16 bits."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = values.shape[:2]
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 0 if values.ndim == 2 else 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def test_every_kind_of_pixel_keeps_its_brightness(folder: Path, split: Split, loader: TaskLoader) -> None:
    write_folders(folder, split)
    one, two = sorted(split["val"])
    places = [folder / "val" / name / f"{i:04d}.{'png' if i % 2 else 'JPEG'}" for name in (one, two) for i in range(5)]
    grey = np.random.default_rng(1).integers(100, 155, (84, 84)).astype(np.uint8)
    colour = np.stack([grey, grey[::-1], grey[:, ::-1]], axis=-1)
    image = Image.fromarray(colour)
    wide = colour.astype(np.uint16) * 257
    png_16(places[0], wide[..., 0])
    png_16(places[1], wide)
    image.quantize(256).save(places[2], "png")
    image.convert("CMYK").save(places[3], "jpeg", quality=100)
    with_alpha = image.transpose(Image.Transpose.ROTATE_90).convert("RGBA")
    with_alpha.putalpha(7)
    with_alpha.save(places[4], "png")
    Image.fromarray(grey > 127).save(places[5], "png")
    with_alpha.convert("LA").save(places[6], "png")
    # black and white of 16 bits
    png_16(places[7], np.where(grey > 127, 65_535, 0).T)
    loader.prepare(OPTIONS, print)
    images = find("miniimagenet", loader._identity).array("val").reshape(-1, 84, 84, 3)  # type: ignore[attr-defined]
    assert np.array_equal(images[0], np.repeat(grey[..., None], 3, axis=-1))
    assert np.array_equal(images[1], colour)
    assert all(abs(images[i].mean() - 127) < 3 for i in (0, 1, 2, 3, 4, 6))
    assert np.array_equal(images[4], np.rot90(colour))
    assert np.array_equal(images[5][..., 1], np.where(grey > 127, 255, 0))
    assert np.array_equal(images[7][..., 2], np.where(grey > 127, 255, 0).T)


def test_what_macos_adds_to_archives_is_not_looked_at(folder: Path, split: Split, loader: TaskLoader) -> None:
    write_folders(folder, split)
    for part, classes in split.items():
        for name in classes:
            (folder / part / name / "._0000.JPEG").write_bytes(b"shadow")
            (folder / part / name / ".DS_Store").write_bytes(b"view")
            (folder / part / name / "Thumbs.db").write_bytes(b"view")
        (folder / part / ".DS_Store").write_bytes(b"view")
        shadow = folder / part / "__MACOSX" / name
        shadow.mkdir(parents=True)
        (shadow / "._0000.jpg").write_bytes(b"shadow")
        (folder / f"._{part}.csv").write_bytes(b"shadow")
    (folder / "__MACOSX" / "train").mkdir(parents=True)
    loader.prepare(OPTIONS, print)
    assert loader.load("t", OPTIONS).train.n_classes == 4


@pytest.mark.parametrize(
    ("names", "source"),
    [
        ("mini-imagenet-cache-validation.pkl", "mini-imagenet-cache pickles"),
        ("mini-imagenet-cache-valid.pkl", "mini-imagenet-cache pickles"),
        ("Mini_ImageNet_cache_validation.pickle", "mini-imagenet-cache pickles"),
        ("validation.csv", "images and lists"),
        ("valid", "folders of classes"),
        ("miniImageNet_category_split_validation.pickle", "miniImageNet_category_split pickles"),
    ],
)
def test_other_names_of_the_validation_part(
    folder: Path, split: Split, loader: TaskLoader, names: str, source: str
) -> None:
    write = {said: write for write, said in LAYOUTS.values()}[source]
    write(folder, split)
    (place,) = [path for path in folder.iterdir() if "val" in path.name]
    place.rename(folder / names)
    loader.prepare(OPTIONS, print)
    data = find("miniimagenet", loader._identity)  # type: ignore[attr-defined]
    assert data.notes["source"] == source
    assert np.array_equal(data.array("val"), np.stack(list(split["val"].values())))


@pytest.mark.parametrize("other", ["train", "test"])
def test_an_image_that_is_listed_twice_is_refused_before_anything_is_decoded(
    folder: Path, split: Split, loader: TaskLoader, other: str
) -> None:
    write_lists(folder, split)
    row = (folder / "train.csv").read_text().splitlines()[1]
    header, _, *rest = (folder / f"{other}.csv").read_text().splitlines()
    kept = [row, *rest[1:]] if other == "train" else rest
    (folder / f"{other}.csv").write_text("\n".join([header, row, *kept]))
    says = f"name 1 images more than once: {row.partition(',')[0]} .train.csv, row 2 and {other}.csv, row"
    lines: list[str] = []
    with pytest.raises(InputError, match=says):
        loader.prepare(OPTIONS, lines.append)
    assert not lines


@pytest.mark.parametrize(("layout", "other"), list(zip(LAYOUTS, ["train", "test"] * 9, strict=False)))
def test_copies_under_other_names_are_refused_with_both(
    folder: Path, split: Split, loader: TaskLoader, layout: str, other: str
) -> None:
    source, target = min(split["train"]), max(split[other])
    split[other][target][4] = split["train"][source][0]
    LAYOUTS[layout][0](folder, split)
    with pytest.raises(InputError, match="miniimagenet: 1 images are there more than once") as caught:
        loader.prepare(OPTIONS, print)
    (pair,) = [line.strip() for line in str(caught.value).splitlines() if " = " in line]
    first, second = pair.split(" = ")
    assert "train" in first and source in first and other in second and target in second
    # where the published images are like that, a file says so
    (folder / "duplicates.txt").write_text(f"{first}\n")
    with pytest.raises(InputError, match="more than once"):
        loader.prepare(OPTIONS, print)
    (folder / "duplicates.txt").write_text(f"{first}\n{second}\n")
    lines: list[str] = []
    loader.prepare(OPTIONS, lines.append)
    assert lines[-1] == "miniimagenet: 1 images are copies of others, as duplicates.txt says"


def test_absent_data_say_what_to_put_where(folder: Path, loader: TaskLoader) -> None:
    with pytest.raises(DataMissingError) as error:
        loader.prepare(OPTIONS, print)
    for said in (
        str(folder),
        "train.csv, val.csv, test.csv",
        "images/",
        "mini-imagenet-cache-train.pkl",
        "docs/data.md",
    ):
        assert said in str(error.value)
    (folder / "train.csv").touch()
    (folder / "mini-imagenet-cache-val.pkl").touch()
    with pytest.raises(DataMissingError) as error:
        loader.prepare(OPTIONS, print)
    assert "There is train.csv, but not val.csv, test.csv." in str(error.value)
    assert "but not mini-imagenet-cache-train.pkl, mini-imagenet-cache-test.pkl" in str(error.value)


def test_missing_images_are_counted_and_named(folder: Path, split: Split, loader: TaskLoader) -> None:
    write_lists(folder, split)
    for path in sorted((folder / "images").iterdir())[:2]:
        path.unlink()
    with pytest.raises(DataMissingError, match=r"2 images that .*train.csv names are neither .*'n00001000\d+.jpg'"):
        loader.prepare(OPTIONS, print)


@pytest.mark.parametrize("write", [write_lists, write_folders, write_caches, write_labels])
def test_wrong_counts_say_what_was_found(
    folder: Path,
    split: Split,
    loader: TaskLoader,
    write: Callable[[Path, Split], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(folder, split)
    for part, count, says in (
        ("val", {**N_CLASSES, "val": 3}, "val has 2 classes; expected 3 classes of 5 images"),
        ("test", {**N_CLASSES, "test": 2}, "test has 3 classes; expected 2 classes of 5 images"),
    ):
        monkeypatch.setattr(type(loader), "n_classes", count)
        with pytest.raises(InputError, match=f"{folder}/.*{part}.*: {says}"):
            loader.prepare(OPTIONS, print)
    monkeypatch.setattr(type(loader), "n_classes", N_CLASSES)
    monkeypatch.setattr(type(loader), "n_per_class", 6)
    says = (
        "train has 4 classes, of which 4 have another number of images: .* 5, .* 5, .* 5, ...; expected 4 classes of 6"
    )
    with pytest.raises(InputError, match=says):
        loader.prepare(OPTIONS, print)


def test_a_class_in_two_parts_is_refused(folder: Path, split: Split, loader: TaskLoader) -> None:
    name = min(split["train"])
    split["test"] = dict(zip((name, *list(split["test"])[1:]), split["test"].values(), strict=True))
    write_caches(folder, split)
    with pytest.raises(InputError, match=f"class {name} stands in train and in test"):
        loader.prepare(OPTIONS, print)


def test_numbers_without_names_are_classes_of_their_own_file(folder: Path, split: Split, loader: TaskLoader) -> None:
    write_labels(folder, split, names=False, first=0)
    loader.prepare(OPTIONS, print)
    notes = find("miniimagenet", loader._identity).notes  # type: ignore[attr-defined]
    assert notes["classes"]["val"] == ["val 0", "val 1"]


class Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.victim}",)


def test_a_malicious_pickle_is_refused_and_not_executed(folder: Path, split: Split, loader: TaskLoader) -> None:
    write_caches(folder, split)
    victim = folder / "executed"
    content = {"image_data": np.zeros((1, 84, 84, 3), dtype=np.uint8), "class_dict": {"a": Malicious(victim)}}
    (folder / "mini-imagenet-cache-val.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=r"mini-imagenet-cache-val.pkl is refused: .* posix.system"):
        loader.prepare(OPTIONS, print)
    assert not victim.exists()


ZEROS = np.zeros((20, 84, 84, 3), dtype=np.uint8)
ROWS = {name: list(range(5 * i, 5 * i + 5)) for i, name in enumerate("abcd")}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"image_data": ZEROS}, "has the keys image_data; expected image_data and class_dict"),
        ({"image_data": ZEROS / 255, "class_dict": ROWS}, r"float64 of shape \(20, 84, 84, 3\), expected uint8"),
        ({"image_data": ZEROS.transpose(0, 3, 1, 2), "class_dict": ROWS}, r"\(20, 3, 84, 84\), expected uint8"),
        ({"image_data": ZEROS, "class_dict": {**ROWS, "d": [15, 16, 17, 18, 20]}}, "not among the 20 images"),
        ({"image_data": ZEROS, "class_dict": {**ROWS, "d": [15, 16, 17, 18, 0]}}, "name rows twice"),
        ({"image_data": ZEROS, "class_dict": {**ROWS, "d": [15, 16, 17, 18, -1]}}, "not among the 20 images"),
        ({"image_data": ZEROS, "class_dict": {**ROWS, "d": ["x"] * 5}}, "mini-imagenet-cache-train.pkl: "),
        ({"image_data": ZEROS, "class_dict": list(ROWS)}, "mini-imagenet-cache-train.pkl: "),
        ({"data": ZEROS, "labels": [0] * 19}, r"labels have shape \(19,\), expected one for each image"),
    ],
)
def test_wrong_pickles(folder: Path, split: Split, loader: TaskLoader, content: dict[str, Any], says: str) -> None:
    write_caches(folder, split)
    (folder / "mini-imagenet-cache-train.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=says):
        loader.prepare(OPTIONS, print)


def test_wrong_lists_and_images(folder: Path, split: Split, loader: TaskLoader) -> None:
    write_lists(folder, split)
    image = next((folder / "images").iterdir())
    image.write_bytes(b"no image")
    with pytest.raises(InputError, match=f"{image.name} cannot be read as an image"):
        loader.prepare(OPTIONS, print)
    (folder / "train.csv").write_text("name;label\na;b\n")
    with pytest.raises(InputError, match=r"columns \['name;label'\], expected filename,label"):
        loader.prepare(OPTIONS, print)
    (folder / "train.csv").write_bytes(b"filename,label\n\xff\xfe,a\n")
    with pytest.raises(InputError, match=r"train.csv cannot be read"):
        loader.prepare(OPTIONS, print)


@pytest.mark.parametrize("name", ["../elsewhere.jpg", "/etc/hostname", "deeper/n01.jpg", "..", ""])
@pytest.mark.parametrize("row", ["{name},a\n", "a.jpg,{name}\n"])
def test_lists_name_no_files_outside_the_folder(
    folder: Path, split: Split, loader: TaskLoader, name: str, row: str
) -> None:
    write_lists(folder, split)
    (folder / "train.csv").write_text("filename,label\n" + row.format(name=name))
    with pytest.raises(InputError, match=r"train.csv, row 2: expected a file's name and a label without folders"):
        loader.prepare(OPTIONS, print)


def test_only_jpeg_and_png_are_decoded(
    folder: Path, split: Split, loader: TaskLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow has Ghostscript draw PostScript, whatever the file's name ends in."""
    (tmp_path / "bin").mkdir()
    ghostscript = tmp_path / "bin" / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/was_run\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    write_lists(folder, split)
    image = next((folder / "images").iterdir())
    image.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 84 84\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(InputError, match=f"{image.name} cannot be read as an image"):
        loader.prepare(OPTIONS, print)
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize("side", [7_000, 10_000, 20_000])
def test_images_that_claim_too_many_pixels_are_refused(
    folder: Path, split: Split, loader: TaskLoader, side: int
) -> None:
    write_lists(folder, split)
    image = next((folder / "images").iterdir())

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    image.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")
    )
    with pytest.raises(InputError, match=rf"{image.name} .*pixels"):
        loader.prepare(OPTIONS, print)


def test_wrong_options() -> None:
    loader = get_loader("miniimagenet")
    for options, says in (
        ({"way": 17, "shot": 1}, "expected 2 to 16"),
        ({"way": 5, "shot": 600}, "expected 1 to 599"),
        ({"way": 5, "shot": 590, "query": 15}, "expected 1 to 10"),
    ):
        with pytest.raises(InputError, match=says):
            loader.check(options)
