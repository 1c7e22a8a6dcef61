"""Embedding each test image once gives what embedding it in every episode gives, whatever is remembered."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from benchbench.cards import MethodCard
from benchbench.contracts.fewshot import EmbeddingAdapter, EpisodeBatch, FewShotTask, TaskInfo
from benchbench.errors import ProtocolViolation
from benchbench.protocols import fewshot as protocol
from benchbench.protocols import fewshot_embeddings
from benchbench.protocols.base import PhaseClock
from benchbench.protocols.fewshot_embeddings import EmbeddingTable
from benchbench.suites._pools import ImagePool, SinePool

INFO = TaskInfo(name="tiny", kind="classification", n_way=4, k_shot=2, n_query=12, input_shape=(1, 6, 6))
N_FEATURES = 5


class Centroids(EmbeddingAdapter):
    """Random features and class means; counts the images that it embeds."""

    card: ClassVar[MethodCard] = MethodCard(
        name="centroids", track="fewshot", title="", summary="", paper="", url="", year=2026, batched=True
    )

    def __init__(self, how: str = "") -> None:
        self.how = how
        self.task = INFO
        self.embedded: list[int] = []

    def embed(self, x: Any) -> Any:
        self.embedded.append(len(x))
        found = np.tanh(x.reshape(len(x), -1) @ np.random.default_rng(0).normal(size=(36, N_FEATURES)) / 3)
        if self.how == "nan":
            found[len(x) // 2] = np.nan
        if self.how == "grows":
            found = np.repeat(found, len(self.embedded), axis=1)
        return {"short": found[1:], "text": "none", "scalar": 1.0}.get(self.how, found.astype(np.float32))

    def classify(self, support_z: Any, support_y: Any, query_z: Any) -> Any:
        members = np.eye(INFO.n_way)[support_y].swapaxes(1, 2)
        centres = members @ support_z / members.sum(-1, keepdims=True)
        distance = ((query_z[:, :, None] - centres[:, None]) ** 2).sum(-1)
        scores = np.exp(-distance)
        return scores / scores.sum(-1, keepdims=True)


@pytest.fixture(scope="module")
def task() -> FewShotTask:
    images = np.random.default_rng(0).integers(0, 256, (7, 9, 6, 6), dtype=np.uint8)
    pool = ImagePool(images, rotates=True)
    return FewShotTask(info=INFO, train=pool, validation=pool, test=pool, metric="accuracy", seed=3)


def predictions(task: FewShotTask, adapter: EmbeddingAdapter, n_episodes: int) -> tuple[Any, PhaseClock]:
    clock = PhaseClock()
    predict = protocol.Predict(adapter, task.info, clock)
    return np.concatenate([predict(batch) for batch in protocol.test_episodes(task, n_episodes)]), clock


def one_by_one(task: FewShotTask, n_episodes: int) -> Any:
    adapter = Centroids()
    parts = []
    for batch in protocol.test_episodes(task, n_episodes):
        for x, y, q in zip(batch.support_x, batch.support_y, batch.query_x, strict=True):
            parts.append(adapter.adapt(protocol.Support(x, y, INFO.n_way)).predict(q))
    return np.stack(parts)


# bytes of input a chunk: all episodes at once, or three a chunk
@pytest.mark.parametrize("chunk_bytes", [2**24, 3 * 20 * 36 * 4])
@pytest.mark.parametrize("chunk_images", [512, 7])
def test_every_image_is_embedded_once_and_predictions_stay(
    task: FewShotTask, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int, chunk_images: int
) -> None:
    monkeypatch.setattr(protocol, "CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(fewshot_embeddings, "CHUNK_IMAGES", chunk_images)
    adapter = Centroids()
    found, clock = predictions(task, adapter, 40)
    np.testing.assert_allclose(found, one_by_one(task, 40), rtol=1e-5, atol=1e-7)
    # 7 classes x 4 turns x 9 drawings
    assert 200 < sum(adapter.embedded) <= 252
    assert max(adapter.embedded) <= chunk_images
    assert set(clock.seconds) == {"predict"}


@pytest.mark.parametrize("n_fit", [1, 30, 100, 200])
def test_the_memory_bound_only_costs_time(task: FewShotTask, monkeypatch: pytest.MonkeyPatch, n_fit: int) -> None:
    monkeypatch.setattr(protocol, "CHUNK_BYTES", 20 * 36 * 4)
    adapter = Centroids()
    table = EmbeddingTable(adapter, limit_bytes=n_fit * N_FEATURES * 4)
    found = []
    for batch in protocol.test_episodes(task, 40):
        found.append(table.predict(batch))
        assert table._table is not None
        # the images of one episode are held whatever the bound
        assert len(table._row_of) <= len(table._table) <= max(n_fit, 20)
    np.testing.assert_allclose(np.concatenate(found), one_by_one(task, 40), rtol=1e-5, atol=1e-7)
    assert sum(adapter.embedded) > 252


def test_ids_go_with_the_shuffled_rows_and_equal_ids_are_equal_images(task: FewShotTask) -> None:
    seen: dict[int, Any] = {}
    for batch in protocol.test_episodes(task, 30):
        assert batch.support_id is not None
        assert batch.query_id is not None
        for ids, images in ((batch.support_id, batch.support_x), (batch.query_id, batch.query_x)):
            for i, image in zip(ids.ravel(), images.reshape(-1, 1, 6, 6), strict=True):
                np.testing.assert_array_equal(seen.setdefault(int(i), image), image)
    assert len(seen) > 200


def test_without_ids_whole_episodes_are_predicted(task: FewShotTask) -> None:
    adapter = Centroids()
    predict = protocol.Predict(adapter, INFO, PhaseClock())
    (batch,) = protocol.test_episodes(task, 10)
    bare = EpisodeBatch(batch.support_x, batch.support_y, batch.query_x, batch.query_y)
    np.testing.assert_allclose(predict(bare), one_by_one(task, 10), rtol=1e-5, atol=1e-7)
    assert sum(adapter.embedded) == 10 * 20


def test_episodes_without_ids_are_stacked_without(task: FewShotTask) -> None:
    waves = SinePool()
    info = TaskInfo(name="w", kind="regression", n_way=1, k_shot=2, n_query=3, input_shape=(1,), n_outputs=1)
    (batch,) = protocol.test_episodes(
        FewShotTask(info=info, train=waves, validation=waves, test=waves, metric="neg_mse", seed=0), 4
    )
    assert batch.support_id is None
    assert batch.query_id is None
    assert batch.n_tasks == 4


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("nan", "NaN or infinite"),
        ("short", "expected one row for each of"),
        ("text", "not numbers"),
        ("scalar", "expected one row"),
        ("grows", "earlier ones had"),
    ],
)
def test_embeddings_that_break_the_contract(
    task: FewShotTask, monkeypatch: pytest.MonkeyPatch, how: str, words: str
) -> None:
    monkeypatch.setattr(fewshot_embeddings, "CHUNK_IMAGES", 16)
    with pytest.raises(ProtocolViolation, match=words):
        predictions(task, Centroids(how), 10)
