from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbench.contracts.loading import TaskLoader
from benchbench.errors import DataMissingError, InputError
from benchbench.registry import get_loader
from benchbench.suites import crossdomain
from benchbench.suites._prepared import Built, prepare
from benchbench.suites.glyphs import GlyphsLoader
from benchbench.suites.omniglot import UPRIGHT, OmniglotLoader

SHAPE = {"way": 3, "shot": 1, "query": 2}
TO_OMNIGLOT = {"train": "glyphs", "test": "omniglot", **SHAPE}
TO_GLYPHS = {"train": "omniglot", "test": "glyphs", **SHAPE}
OMNIGLOT = {"split": "vinyals", **SHAPE}


@pytest.fixture
def cross() -> TaskLoader:
    return get_loader("crossdomain")


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Small stand-ins of the prepared images of both domains."""
    from benchbench.suites import glyphs, omniglot

    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path))
    rng = np.random.default_rng(0)
    arrays = {
        f"{domain}-{part}": rng.integers(0, 256, (n, 20, 28, 28), dtype=np.uint8)
        for domain, first in (("glyphs", 4), ("omniglot", 7))
        for n, part in enumerate(("train", "validation", "test"), first)
    }

    def make(domain: str, identity: Any, **names: str) -> None:
        built = Built(arrays={name: arrays[f"{domain}-{part}"] for part, name in names.items()})
        prepare(domain, identity, lambda: built, print)

    make("glyphs", glyphs._EXPECTED_ONES, train="train", validation="validation", test="test")
    make("omniglot", omniglot.TURNED, train="train", validation="val", test="test")
    prepare("omniglot", UPRIGHT, lambda: Built(arrays={"images": arrays["omniglot-test"]}), print)
    return arrays


@pytest.mark.parametrize(
    ("options", "train", "test"), [(TO_OMNIGLOT, "glyphs", "omniglot"), (TO_GLYPHS, "omniglot", "glyphs")]
)
def test_trains_and_validates_on_one_and_tests_on_the_other(
    cross: TaskLoader, prepared: dict[str, np.ndarray], options: dict[str, Any], train: str, test: str
) -> None:
    task = cross.load("task", options)
    expected = (f"{train}-train", f"{train}-validation", f"{test}-test")
    for pool, name in zip((task.train, task.validation, task.test), expected, strict=True):
        assert np.array_equal(pool.images, prepared[name])  # type: ignore[attr-defined]
    assert task.info == cross.info("task", options)
    assert (task.info.input_shape, task.info.n_way, task.info.n_query) == ((1, 28, 28), 3, 6)


def test_test_episodes_are_those_of_the_domains_own_task(cross: TaskLoader, prepared: dict[str, np.ndarray]) -> None:
    # a result across domains has one within the domain beside it, on the same episodes
    from benchbench.protocols.fewshot import test_episodes

    for mine, other, options in ((TO_OMNIGLOT, "omniglot", OMNIGLOT), (TO_GLYPHS, "glyphs", SHAPE)):
        batches = [next(test_episodes(t, 4)) for t in (cross.load("a", mine), get_loader(other).load("b", options))]
        assert np.array_equal(batches[0].query_x, batches[1].query_x)
        assert np.array_equal(batches[0].support_x, batches[1].support_x)


def test_training_fingerprint_is_that_of_the_domains_own_tasks(
    cross: TaskLoader, prepared: dict[str, np.ndarray]
) -> None:
    glyphs, omniglot = GlyphsLoader(), OmniglotLoader()
    assert cross.training_fingerprint(TO_OMNIGLOT) == glyphs.training_fingerprint(SHAPE)
    assert cross.training_fingerprint(TO_GLYPHS) == omniglot.training_fingerprint(OMNIGLOT)
    assert glyphs.training_fingerprint(SHAPE) != omniglot.training_fingerprint(OMNIGLOT)
    # way, shot, query and the seed of test episodes are no part of it, the split is
    changed = {"way": 4, "shot": 2, "query": 3, "seed": 9}
    assert glyphs.training_fingerprint({**SHAPE, **changed}) == glyphs.training_fingerprint(SHAPE)
    assert omniglot.training_fingerprint({**OMNIGLOT, **changed}) == omniglot.training_fingerprint(OMNIGLOT)
    assert omniglot.training_fingerprint({**OMNIGLOT, "split": "maml"}) != omniglot.training_fingerprint(OMNIGLOT)
    assert get_loader("sinusoid").training_fingerprint({"shot": 5}) is None


def test_training_fingerprint_is_of_training_and_validation_data_alone(
    prepared: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchbench.suites import glyphs

    def fingerprints(changed: str) -> tuple[str, str]:
        monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path / (changed or "none")))
        arrays = {part: prepared[f"glyphs-{part}"] for part in ("train", "validation", "test")}
        if changed:
            arrays[changed] = 255 - arrays[changed]
        prepare("glyphs", glyphs._EXPECTED_ONES, lambda: Built(arrays=arrays), print)
        loader = GlyphsLoader()
        return loader.training_fingerprint(SHAPE), loader.fingerprint(SHAPE)

    training, whole = fingerprints("")
    assert fingerprints("test") == (training, fingerprints("test")[1])
    assert fingerprints("test")[1] != whole
    assert fingerprints("train")[0] != training
    assert fingerprints("validation")[0] != training


def test_fingerprints_cover_both_domains_and_the_protocol(cross: TaskLoader, prepared: dict[str, np.ndarray]) -> None:
    variants = [
        TO_OMNIGLOT,
        TO_GLYPHS,
        *({**TO_GLYPHS, k: v} for k, v in (("way", 4), ("shot", 2), ("query", 3), ("seed", 1))),
    ]
    found = {cross.fingerprint(options) for options in variants}
    assert len(found) == len(variants)
    assert found.isdisjoint({get_loader("glyphs").fingerprint(SHAPE), get_loader("omniglot").fingerprint(OMNIGLOT)})


def test_prepare_prepares_both(cross: TaskLoader, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    for loader, _ in crossdomain.DOMAINS.values():
        monkeypatch.setattr(loader, "prepare", lambda options, progress, loader=loader: asked.append(loader.name))
    cross.prepare(TO_GLYPHS, print)
    assert asked == ["omniglot", "glyphs"]


def test_not_prepared_is_said(cross: TaskLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path))
    for ask in (cross.fingerprint, cross.training_fingerprint):
        with pytest.raises(DataMissingError, match="not prepared"):
            ask(TO_GLYPHS)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({**TO_GLYPHS, "train": "omnigloth"}, InputError, "option 'train' .* did you mean 'omniglot'"),
        ({**TO_GLYPHS, "train": "glyphs"}, InputError, "trains and tests on 'glyphs'"),
        ({**TO_GLYPHS, "split": "maml"}, InputError, "unknown key .split."),
        ({**TO_GLYPHS, "way": 159}, InputError, "loader 'glyphs' is 159; expected 2 to 158"),
        ({**TO_GLYPHS, "shot": 19}, InputError, "more than the 20 drawings"),
        ({k: v for k, v in TO_GLYPHS.items() if k != "query"}, InputError, "'query' is missing"),
    ],
)
def test_wrong_options(cross: TaskLoader, options: dict[str, Any], error: type[InputError], says: str) -> None:
    with pytest.raises(error, match=says):
        cross.check(options)
