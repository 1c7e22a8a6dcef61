"""Glyphs: what is drawn, that it is the same everywhere, and that no letter stands in two splits."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbench.errors import DataMissingError, InputError
from benchbench.registry import get_loader
from benchbench.suites import _glyph_drawing as drawing
from benchbench.suites import _glyph_letters as letters_module
from benchbench.suites import glyphs
from benchbench.suites._prepared import find

OPTIONS = {"way": 5, "shot": 1}


@dataclasses.dataclass
class World:
    """A cache made for these tests, and the letters that the drawings in it were made from."""

    cache: Path
    letters: list[Any]
    outlines: Any
    lines: list[str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    cache = tmp_path_factory.mktemp("cache")
    lines: list[str] = []
    read: list[Any] = []

    def reading(folder: Path) -> Any:
        read.append(letters_module.read_letters(folder))
        return read[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCHBENCH_CACHE", str(cache))
        patch.setattr(glyphs, "read_letters", reading)
        get_loader("glyphs").prepare(OPTIONS, lines.append)
        yield World(cache, *read[0], lines)


# drawing


def _outline(*contours: list[tuple[float, float]]) -> Any:
    edges = [(*a, *b) for c in contours for a, b in zip(c, c[1:] + c[:1], strict=True)]
    array = np.array(edges, dtype=np.float64)
    return letters_module.Outlines(array, np.array([0, len(array)]), np.array([10.0]))


def _square(low: float, high: float) -> list[tuple[float, float]]:
    return [(low, low), (high, low), (high, high), (low, high)]


PIXELS = np.array([[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]])


def test_a_square_fills_its_pixels_and_no_others() -> None:
    image = drawing.draw(_outline(_square(3, 9)), np.array([0]), PIXELS)[0]
    expected = np.zeros((28, 28), dtype=np.uint8)
    expected[3:9, 3:9] = 255
    np.testing.assert_array_equal(image, expected)


def test_half_covered_pixels_are_half_grey() -> None:
    image = drawing.draw(_outline([(3.5, 3), (9, 3), (9, 9), (3.5, 9)]), np.array([0]), PIXELS)[0]
    assert set(image[3:9, 3].tolist()) == {255 // 2}


def test_a_hole_is_paper_and_an_overlap_is_ink() -> None:
    inner = _square(5, 7)
    hole = drawing.draw(_outline(_square(3, 9), inner[::-1]), np.array([0]), PIXELS)[0]
    overlap = drawing.draw(_outline(_square(3, 9), inner), np.array([0]), PIXELS)[0]
    assert (hole[5:7, 5:7] == 0).all()
    assert (overlap[3:9, 3:9] == 255).all()
    assert int(hole.sum()) == (36 - 4) * 255


def test_ink_beyond_the_image_is_cut_off() -> None:
    image = drawing.draw(_outline(_square(-50, 50)), np.array([0]), PIXELS)[0]
    assert (image == 255).all()
    nothing = drawing.draw(_outline(_square(40, 50)), np.array([0]), PIXELS)[0]
    assert (nothing == 0).all()


def test_a_curve_is_near_the_true_one() -> None:
    # a circle of radius 1000 units as TrueType has it: eight curves with all points off the curve
    r = 1000 / math.cos(math.pi / 8)
    points = np.array([[r * math.cos(k * math.pi / 4), r * math.sin(k * math.pi / 4)] for k in range(8)])
    glyph = letters_module._Glyph(points, np.zeros(8, dtype=bool), np.array([7]))
    outlines = letters_module._outlines([glyph])
    radii = np.hypot(outlines.edges[:, 0], outlines.edges[:, 1])
    assert len(outlines.edges) == 8 * 4
    np.testing.assert_allclose(radii, 1000, rtol=0.005)
    image = drawing.draw(outlines, np.array([0]), np.array([[0.01, 0, 14, 0, -0.01, 14]]))[0]
    assert image.sum() / 255 == pytest.approx(math.pi * 100, rel=0.01)


def test_chunks_have_no_influence(world: World) -> None:
    chosen = np.arange(0, len(world.outlines.extents), 4001)
    affine = drawing.random_affine(drawing.uniform(1, (len(chosen), 5)), world.outlines.extents[chosen])
    whole = drawing.draw(world.outlines, chosen, affine)
    np.testing.assert_array_equal(whole, drawing.draw(world.outlines, chosen, affine, n_at_once=2))
    assert whole.max() == 255


def test_affine_maps_have_the_stated_ranges() -> None:
    u = drawing.uniform(3, (5000, 5))
    maps = drawing.random_affine(u, np.full(5000, 1000.0)) / 1.0
    scale = 16 / 2048 * (0.75 + 0.5 * u[:, 1])
    angle = np.degrees(np.arctan2(-maps[:, 3], maps[:, 0]))
    assert 19.5 < np.abs(angle).max() <= 20
    np.testing.assert_allclose(np.hypot(maps[:, 0], maps[:, 3]), scale)
    # rotation and shear keep areas; y turns downwards
    np.testing.assert_allclose(maps[:, 0] * maps[:, 4] - maps[:, 1] * maps[:, 3], -(scale**2))
    assert np.abs(maps[:, [2, 5]] - 14).max() <= 0.08 * 28
    assert np.abs(maps[:, [2, 5]] - 14).max() > 0.079 * 28


def test_random_numbers_do_not_depend_on_numpys_version() -> None:
    # PCG64's first outputs for seed 12345, as numpy has given them since 1.17
    expected = [0.22733602246716966, 0.31675833970975287, 0.7973654573327341]
    assert drawing.uniform(12345, (3,)).tolist() == expected


# letters and splits


def test_splits_have_the_stated_sizes(world: World) -> None:
    data = find("glyphs", glyphs._EXPECTED_ONES)
    for split, n_classes in glyphs.N_CLASSES.items():
        images = data.array(split)
        assert images.shape == (n_classes, 20, 28, 28)
        assert images.dtype == np.uint8
        # ink is bright and on about 6 % of the area; no drawing is empty
        assert 0.04 < images.mean() / 255 < 0.1
        assert images.reshape(-1, 784).max(axis=1).min() > 0


def test_no_outline_stands_in_two_splits(world: World) -> None:
    owner: dict[bytes, str] = {}
    offsets, edges = world.outlines.offsets, world.outlines.edges
    for letter in world.letters:
        for glyph in letter.glyphs:
            rows = edges[offsets[glyph] : offsets[glyph + 1]]
            rows = rows[np.lexsort(rows.T)]
            assert owner.setdefault(rows.tobytes(), letter.split) == letter.split, chr(letter.code_points[0])
    assert len(owner) > 10_000


def test_no_code_point_and_no_script_of_its_own_stands_in_two_splits(world: World) -> None:
    codes = [code for letter in world.letters for code in letter.code_points]
    assert len(codes) == len(set(codes))
    for letter in world.letters:
        splits = [letters_module.SPLIT_OF_SCRIPT[script] for script in letter.scripts]
        assert letter.split == min(splits, key=letters_module.SPLITS.index)


@pytest.mark.parametrize(
    ("codes", "split"),
    [
        ((0x41, 0x391, 0x410), "train"),  # Latin A, Greek Alpha, Cyrillic A
        ((0x4C, 0x14AA, 0xA4E1), "train"),  # Latin L, Canadian MA, Lisu LA
        ((0x6C, 0x627), "train"),  # Latin l, Arabic alef
        ((0x6C, 0x5DF), "train"),  # Latin l, Hebrew final nun: by other points
        ((0x628, 0xFE8F), "test"),  # Arabic beh and its isolated form
    ],
)
def test_homoglyphs_are_one_letter(world: World, codes: tuple[int, ...], split: str) -> None:
    (letter,) = [x for x in world.letters if set(codes) & set(x.code_points)]
    assert set(codes) <= set(letter.code_points)
    assert letter.split == split


def test_mirrored_letters_stay_apart(world: World) -> None:
    # Canadian PA to PO are turned and mirrored forms of each other
    found = [x for x in world.letters if set(x.code_points) & {0x1431, 0x1433, 0x1438}]
    assert len(found) == 3


def test_letters_have_at_least_four_faces(world: World) -> None:
    counts = [len(letter.glyphs) for letter in world.letters]
    assert min(counts) >= letters_module.MIN_FACES
    assert max(counts) == len(letters_module.FACES) == 12


def test_a_letters_drawings_do_not_depend_on_the_other_letters(world: World) -> None:
    chosen = [letter for letter in world.letters if letter.split == "test"]
    alone = glyphs.draw_letters(chosen[100:102], world.outlines)
    np.testing.assert_array_equal(alone, find("glyphs", glyphs._EXPECTED_ONES).array("test")[100:102])


# the same on every machine


def test_the_drawings_are_the_expected_ones(world: World) -> None:
    assert find("glyphs", glyphs._EXPECTED_ONES).content == glyphs.EXPECTED
    assert not any("not the expected" in line for line in world.lines)
    assert letters_module.font_hashes(letters_module.font_folder()) == dict(letters_module.FACES)


def test_prepared_data_are_used_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glyphs, "_build", lambda progress: pytest.fail("drawn again"))
    lines: list[str] = []
    get_loader("glyphs").prepare({"way": 20, "shot": 1}, lines.append)
    assert lines == []


def test_a_missing_font_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=r"DejaVuSans\.ttf is not in .*install matplotlib"):
        letters_module.font_hashes(tmp_path)


def _without_all_but_a_few(folder: Path) -> Any:
    letters, outlines = letters_module.read_letters(folder)
    return [x for split in letters_module.SPLITS for x in [y for y in letters if y.split == split][:6]], outlines


def test_other_fonts_give_another_fingerprint_and_a_warning(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against results on other drawings being compared in silence."""
    expected = get_loader("glyphs").fingerprint(OPTIONS)
    folder = tmp_path / "fonts"
    shutil.copytree(letters_module.font_folder(), folder, ignore=shutil.ignore_patterns("[!D]*", "*Display*"))
    shutil.copy(folder / "DejaVuSans.ttf", folder / "DejaVuSans-Bold.ttf")
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(glyphs, "font_folder", lambda: folder)
    # the whole way on other fonts, for few letters: drawing all of them takes ten seconds
    monkeypatch.setattr(glyphs, "read_letters", _without_all_but_a_few)
    loader, lines = get_loader("glyphs"), list[str]()
    loader.prepare(OPTIONS, lines.append)
    assert "DejaVuSans-Bold.ttf differ" in lines[-1]
    assert glyphs.EXPECTED[:12] in lines[-1]
    other = loader.fingerprint(OPTIONS)
    assert other != expected
    assert loader.load("x", OPTIONS).test.n_classes == 6

    # the second time they are taken from the cache, and it is said again
    lines.clear()
    monkeypatch.setattr(glyphs, "_build", lambda progress: pytest.fail("drawn again"))
    loader.prepare(OPTIONS, lines.append)
    assert len(lines) == 1
    assert "not the expected ones" in lines[0]
    assert loader.fingerprint(OPTIONS) == other


@pytest.mark.slow
def test_a_fresh_process_and_cache_give_the_same_bytes(world: World, tmp_path: Path) -> None:
    script = (
        "from benchbench.registry import get_loader\n"
        "loader = get_loader('glyphs')\n"
        "loader.prepare({'way': 5, 'shot': 1}, lambda line: None)\n"
        "print(loader.fingerprint({'way': 5, 'shot': 1}))\n"
    )
    env = {**os.environ, "BENCHBENCH_CACHE": str(tmp_path), "OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "77"}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == get_loader("glyphs").fingerprint(OPTIONS)
    for split in letters_module.SPLITS:
        (file,) = tmp_path.glob(f"glyphs/*/{split}.npy")
        (mine,) = world.cache.glob(f"glyphs/*/{split}.npy")
        assert file.read_bytes() == mine.read_bytes()


def test_the_manifest_names_the_classes_and_the_fonts(world: World) -> None:
    (path,) = world.cache.glob("glyphs/*/manifest.json")
    notes = json.loads(path.read_text(encoding="utf-8"))["notes"]
    assert notes["fonts"] == dict(letters_module.FACES)
    assert {split: len(classes) for split, classes in notes["classes"].items()} == dict(glyphs.N_CLASSES)


# the task


def test_load_gives_the_task_that_info_describes(world: World) -> None:
    loader = get_loader("glyphs")
    task = loader.load("glyphs-5w1s", {**OPTIONS, "query": 3, "seed": 7})
    assert task.info == loader.info("glyphs-5w1s", {**OPTIONS, "query": 3, "seed": 7})
    assert (task.info.n_query, task.info.input_shape, task.seed, task.metric) == (15, (1, 28, 28), 7, "accuracy")
    batch = task.train.sample(np.random.default_rng(0), n_way=5, k_shot=1, n_query_per_class=3, n_tasks=2)
    assert batch.support_x.shape == (2, 5, 1, 28, 28)
    assert batch.query_x.shape == (2, 15, 1, 28, 28)
    assert batch.query_x.dtype == np.float32
    assert batch.query_x.max() == 1.0


def test_fingerprints_tell_options_apart(world: World) -> None:
    fingerprint = get_loader("glyphs").fingerprint
    base = fingerprint(OPTIONS)
    assert fingerprint({**OPTIONS, "query": 15, "seed": 0}) == base
    others = [fingerprint({**OPTIONS, **change}) for change in ({"seed": 1}, {"query": 5}, {"shot": 2}, {"way": 6})]
    assert len({base, *others}) == 5


def test_without_prepare_the_fingerprint_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path))
    with pytest.raises(DataMissingError):
        get_loader("glyphs").fingerprint(OPTIONS)


def test_pixels_alone_solve_a_third(world: World) -> None:
    """The task is as hard as intended: far above chance (20 %) for nearest neighbour on pixels, far from solved."""
    task = get_loader("glyphs").load("x", OPTIONS)
    batch = task.test.sample(np.random.default_rng(5), n_way=5, k_shot=1, n_query_per_class=15, n_tasks=600)
    support, query = (x.reshape(600, -1, 784) for x in (batch.support_x, batch.query_x))
    distance = (support**2).sum(-1)[:, None, :] - 2 * query @ support.transpose(0, 2, 1)
    accuracy = float((distance.argmin(-1) == batch.query_y).mean())
    assert 0.355 < accuracy < 0.395


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"way": 5, "shots": 1}, InputError, "did you mean 'shot'"),
        ({"way": 5}, InputError, "'shot' is missing"),
        ({"way": 159, "shot": 1}, InputError, "expected 2 to 158"),
        ({"way": 1, "shot": 1}, InputError, "'way'"),
        ({"way": 5, "shot": 20}, InputError, "expected 1 to 19"),
        ({"way": 5, "shot": 0}, InputError, "'shot'"),
        ({"way": 5, "shot": 6}, InputError, "expected 1 to 14"),
        ({"way": 5, "shot": "1"}, InputError, "expected int, got '1'"),
        ({"way": 5, "shot": True}, InputError, "expected int, got True"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], error: type[Exception], words: str) -> None:
    loader = get_loader("glyphs")
    for refuse in (loader.check, lambda o: loader.info("x", o), lambda o: loader.prepare(o, print)):
        with pytest.raises(error, match=words):
            refuse(options)
