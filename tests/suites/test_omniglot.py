from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbench.errors import DataMissingError, InputError
from benchbench.registry import get_loader
from benchbench.spec import content_hash
from benchbench.suites._omniglot_files import PARTS, character_names, read_split
from benchbench.suites.omniglot import N_CLASSES, maml_split

VINYALS = {"split": "vinyals", "way": 5, "shot": 1}
MAML = {"split": "maml", "way": 5, "shot": 1}


@pytest.fixture(scope="module")
def prepared_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache for all tests of this file: scaling takes some seconds."""
    folder = tmp_path_factory.mktemp("cache")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def cache(prepared_once: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if not (data_folder / "omniglot").is_dir():
        pytest.skip(f"{data_folder} holds no omniglot")
    monkeypatch.setenv("BENCHBENCH_CACHE", str(prepared_once))
    for options in (VINYALS, MAML):
        get_loader("omniglot").prepare(options, lambda line: None)
    return prepared_once


def original(data_folder: Path, name: str) -> np.ndarray:
    """The 20 drawings of a character as stored, False is ink."""
    number = character_names().index(name)
    part, row = ("images_background", number) if number < 964 else ("images_evaluation", number - 964)
    return stored(data_folder / "omniglot" / f"{part}.npz")[row]


@functools.cache
def stored(path: Path) -> np.ndarray:
    with np.load(path) as arrays:
        images: np.ndarray = arrays["images"]
    return images


def scaled(drawings: np.ndarray) -> np.ndarray:
    from PIL import Image

    lanczos = Image.Resampling.LANCZOS
    grey = [Image.fromarray(d.astype(np.uint8) * 255).resize((28, 28), lanczos) for d in drawings]
    return 255 - np.stack([np.asarray(g) for g in grey])


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("Arcadian/character07", 7),
        ("Alphabet_of_the_Magi/character01", 709),
        ("Alphabet_of_the_Magi/character08", 716),
        ("Angelic/character09", 973),
        ("Sylheti/character25", 1527),
    ],
)
def test_characters_are_numbered_as_in_the_original_file_names(name: str, number: int) -> None:
    # guards against sorting by alphabet: these numbers stand in the file names of the original archives
    assert character_names().index(name) + 1 == number


def test_there_are_50_alphabets_of_1623_characters() -> None:
    assert [len(part.alphabets) for part in PARTS] == [30, 20]
    assert [sum(part.alphabets.values()) for part in PARTS] == [964, 659]
    assert len(set(character_names())) == 1623


def test_mamls_split_is_fixed_and_disjoint() -> None:
    split = maml_split()
    assert {part: len(names) for part, names in split.items()} == {"train": 1100, "val": 100, "test": 423}
    assert sorted(name for names in split.values() for name in names) == sorted(character_names())
    # a change here makes results of two versions incomparable: raise VERSION in suites/omniglot.py
    assert content_hash(split) == "a9e3df76b6b060303e9f"


def test_vinyals_lists_are_disjoint(data_folder: Path) -> None:
    lists = {part: read_split(part, print) for part in N_CLASSES["vinyals"]}
    assert {part: len(classes) for part, classes in lists.items()} == N_CLASSES["vinyals"]
    characters = {part: {name for name, _ in classes} for part, classes in lists.items()}
    assert [len(c) for c in characters.values()] == [1028, 172, 423]
    assert set.union(*characters.values()) == set(character_names())
    for part, classes in lists.items():
        assert set(classes) == {(name, turn) for name in characters[part] for turn in (0, 90, 180, 270)}


@pytest.mark.parametrize("options", [VINYALS, MAML])
def test_pools_have_the_classes_of_the_split(cache: Path, options: dict[str, Any]) -> None:
    task = get_loader("omniglot").load("task", options)
    counts = [pool.n_classes for pool in (task.train, task.validation, task.test)]
    assert counts == list(N_CLASSES[options["split"]].values())
    assert task.info == get_loader("omniglot").info("task", options)
    assert task.train.rotates == (options["split"] == "maml")  # type: ignore[attr-defined]
    batch = task.test.sample(np.random.default_rng(0), n_way=5, k_shot=1, n_query_per_class=5, n_tasks=4)
    assert batch.query_x.shape == (4, 25, 1, 28, 28)
    # strokes are thin: little ink on much paper, and ink is 1
    assert 0.05 < batch.query_x.mean() < 0.25
    assert batch.query_x.max() == 1


def test_vinyals_classes_are_the_listed_characters_turned(cache: Path, data_folder: Path) -> None:
    task = get_loader("omniglot").load("task", VINYALS)
    for part, pool in (("train", task.train), ("val", task.validation), ("test", task.test)):
        classes = read_split(part, print)
        for row in (0, 1, 2, 3, len(classes) // 2, len(classes) - 1):
            name, degrees = classes[row]
            expected = np.rot90(scaled(original(data_folder, name)), degrees // 90, axes=(1, 2))
            assert np.array_equal(pool.images[row], expected), (part, name, degrees)  # type: ignore[attr-defined]


def test_mamls_classes_are_the_chosen_characters(cache: Path, data_folder: Path) -> None:
    task = get_loader("omniglot").load("task", MAML)
    for part, pool in (("train", task.train), ("val", task.validation), ("test", task.test)):
        for row in (0, 50, -1):
            found = pool.images[pool.classes[row]]  # type: ignore[attr-defined]
            assert np.array_equal(found, scaled(original(data_folder, maml_split()[part][row])))


def test_turning_is_counter_clockwise_as_pillow_does() -> None:
    # ProtoNet's code turns with Pillow
    from PIL import Image

    image = np.arange(784, dtype=np.uint8).reshape(28, 28)
    for degrees in (90, 180, 270):
        turned = np.asarray(Image.fromarray(image).rotate(degrees))
        assert np.array_equal(turned, np.rot90(image, degrees // 90))


def test_queries_follow_the_papers() -> None:
    info = get_loader("omniglot").info
    assert info("t", {"split": "vinyals", "way": 20, "shot": 1}).n_query == 100
    assert info("t", {"split": "maml", "way": 20, "shot": 5}).n_query == 100
    assert info("t", {"split": "maml", "way": 20, "shot": 1}).n_query == 20
    assert info("t", {"split": "maml", "way": 5, "shot": 1, "query": 15}).n_query == 75


def test_fingerprints_tell_protocols_apart(cache: Path) -> None:
    loader = get_loader("omniglot")
    variants = [VINYALS, MAML, {**VINYALS, "way": 20}, {**VINYALS, "shot": 5}, {**VINYALS, "seed": 1}]
    assert len({loader.fingerprint(options) for options in variants}) == len(variants)
    assert loader.fingerprint(VINYALS) == loader.fingerprint({**VINYALS, "query": 5, "seed": 0})


def test_not_prepared_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path))
    for options in (VINYALS, MAML):
        with pytest.raises(DataMissingError, match="not prepared"):
            get_loader("omniglot").fingerprint(options)
        with pytest.raises(DataMissingError, match="not prepared"):
            get_loader("omniglot").load("task", options)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"splits": "maml", "way": 5, "shot": 1}, InputError, "did you mean 'split'"),
        ({"way": 5, "shot": 1}, InputError, "'split' is missing"),
        ({**VINYALS, "split": "vinyal"}, InputError, "did you mean 'vinyals'"),
        ({**VINYALS, "split": 1}, InputError, "expected str, got 1"),
        ({**VINYALS, "way": 689}, InputError, "expected 2 to 688"),
        ({**MAML, "way": 101}, InputError, "expected 2 to 100"),
        ({**MAML, "way": 1}, InputError, "is 1; expected 2 to"),
        ({**MAML, "shot": 0}, InputError, "is 0; expected 1 to 19"),
        ({**MAML, "shot": 11}, InputError, "shot 11 and query 11 are more than the 20"),
        ({**VINYALS, "shot": 16}, InputError, "shot 16 and query 5 are more than the 20"),
        ({**VINYALS, "query": 20}, InputError, "shot 1 and query 20 are more than the 20"),
        ({**VINYALS, "query": -1}, InputError, "is -1; expected 1 to 20"),
    ],
)
def test_wrong_options(options: dict[str, Any], error: type[InputError], says: str) -> None:
    with pytest.raises(error, match=says):
        get_loader("omniglot").check(options)
