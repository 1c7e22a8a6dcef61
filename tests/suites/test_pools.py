from __future__ import annotations

import numpy as np
import pytest

from benchbench.suites._pools import ImagePool, SinePool

N_CLASSES, N_PER_CLASS, SIZE = 12, 8, 6


def labelled_images() -> np.ndarray:
    """Images that tell their class and number: pixel (0, 0) is the class, (0, 1) the number; nothing is symmetric."""
    images = np.zeros((N_CLASSES, N_PER_CLASS, SIZE, SIZE), dtype=np.uint8)
    images[:, :, 0, 0] = 10 + np.arange(N_CLASSES)[:, None]
    images[:, :, 0, 1] = 100 + np.arange(N_PER_CLASS)
    return images


def corner(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bytes_ = np.rint(x * 255).astype(int)
    return bytes_[..., 0, 0, 0] - 10, bytes_[..., 0, 0, 1] - 100


def test_shapes_types_and_order_of_labels() -> None:
    batch = ImagePool(labelled_images()).sample(
        np.random.default_rng(0), n_way=3, k_shot=2, n_query_per_class=4, n_tasks=5
    )
    assert batch.support_x.shape == (5, 6, 1, SIZE, SIZE)
    assert batch.query_x.shape == (5, 12, 1, SIZE, SIZE)
    assert batch.support_x.dtype == batch.query_x.dtype == np.float32
    assert batch.support_y.dtype == batch.query_y.dtype == np.int64
    assert batch.support_y.tolist() == [[0, 0, 1, 1, 2, 2]] * 5
    assert batch.query_y.tolist() == [[0] * 4 + [1] * 4 + [2] * 4] * 5
    assert batch.support_x.max() <= 1
    assert batch.support_x.min() == 0


def test_an_episode_holds_distinct_classes_and_no_image_twice() -> None:
    batch = ImagePool(labelled_images()).sample(
        np.random.default_rng(1), n_way=4, k_shot=3, n_query_per_class=5, n_tasks=200
    )
    support_class, support_item = corner(batch.support_x)
    query_class, query_item = corner(batch.query_x)
    for task in range(200):
        of_label = {}
        for label in range(4):
            found = set(support_class[task, batch.support_y[task] == label])
            assert found == set(query_class[task, batch.query_y[task] == label])
            assert len(found) == 1
            of_label[label] = found.pop()
        assert len(set(of_label.values())) == 4
        for label in range(4):
            items = [
                *support_item[task, batch.support_y[task] == label],
                *query_item[task, batch.query_y[task] == label],
            ]
            assert sorted(items) == list(range(N_PER_CLASS))


def test_only_the_classes_of_the_pool_are_drawn_and_all_of_them() -> None:
    pool = ImagePool(labelled_images(), np.array([7, 2, 5]))
    assert pool.n_classes == 3
    batch = pool.sample(np.random.default_rng(0), n_way=2, k_shot=1, n_query_per_class=1, n_tasks=100)
    classes, _ = corner(batch.support_x)
    assert set(classes.ravel()) == {2, 5, 7}


@pytest.mark.parametrize("n_way", [2, 5, 10])
def test_every_class_and_image_is_equally_likely(n_way: int) -> None:
    n_tasks = 6000
    drawn = ImagePool(labelled_images()).draw(np.random.default_rng(3), n_way=n_way, n_items=2, n_tasks=n_tasks)
    # expected share of each class at each place of an episode: 1/12, standard error 0.0036
    for place in range(n_way):
        share = np.bincount(drawn.classes[:, place], minlength=N_CLASSES) / n_tasks
        assert np.abs(share - 1 / N_CLASSES).max() < 5 * 0.0036
    share = np.bincount(drawn.items[..., 0].ravel(), minlength=N_PER_CLASS) / drawn.items[..., 0].size
    assert np.abs(share - 1 / N_PER_CLASS).max() < 0.02


def test_same_state_same_episodes() -> None:
    pool = ImagePool(labelled_images(), rotates=True)
    kwargs = {"n_way": 4, "k_shot": 1, "n_query_per_class": 2, "n_tasks": 3}
    first, second = (pool.sample(np.random.Generator(np.random.PCG64(5)), **kwargs) for _ in range(2))
    assert np.array_equal(first.support_x, second.support_x)
    assert np.array_equal(first.query_x, second.query_x)
    other = pool.sample(np.random.Generator(np.random.PCG64(6)), **kwargs)
    assert not np.array_equal(first.query_x, other.query_x)


def test_rotation_turns_all_images_of_a_class_alike() -> None:
    images = labelled_images()
    batch = ImagePool(images, rotates=True).sample(
        np.random.default_rng(0), n_way=3, k_shot=2, n_query_per_class=2, n_tasks=60
    )
    rng = np.random.default_rng(0)
    drawn = ImagePool(images, rotates=True).draw(rng, n_way=3, n_items=4, n_tasks=60)
    assert set(drawn.turns.ravel()) == {0, 1, 2, 3}
    for task in range(60):
        for label in range(3):
            turns, category = int(drawn.turns[task, label]), drawn.classes[task, label]
            expected = np.rot90(images[category, drawn.items[task, label]], turns, axes=(1, 2)) / 255
            found = np.concatenate([batch.support_x[task, 2 * label :][:2], batch.query_x[task, 2 * label :][:2]])
            assert np.allclose(found[:, 0], expected, atol=1e-6)


def test_nothing_is_turned_unless_asked() -> None:
    drawn = ImagePool(labelled_images()).draw(np.random.default_rng(0), n_way=3, n_items=2, n_tasks=20)
    assert not drawn.turns.any()


def test_the_images_are_left_as_they_were() -> None:
    images = labelled_images()
    images.setflags(write=False)
    ImagePool(images, rotates=True).sample(np.random.default_rng(0), n_way=3, k_shot=1, n_query_per_class=1, n_tasks=20)
    assert np.array_equal(images, labelled_images())


@pytest.mark.parametrize(
    ("n_way", "k_shot", "n_query_per_class", "says"),
    [(13, 1, 1, "13 classes of 12"), (0, 1, 1, "0 classes"), (2, 5, 4, "9 images"), (2, 0, 0, "0 images")],
)
def test_impossible_episodes_are_refused(n_way: int, k_shot: int, n_query_per_class: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ImagePool(labelled_images()).sample(
            np.random.default_rng(0), n_way=n_way, k_shot=k_shot, n_query_per_class=n_query_per_class
        )


def test_sines_have_the_distribution_of_maml() -> None:
    rng = np.random.default_rng(0)
    batch = SinePool().sample(rng, n_way=1, k_shot=10, n_query_per_class=90, n_tasks=4000)
    assert batch.support_x.shape == batch.support_y.shape == (4000, 10, 1)
    assert batch.query_x.shape == batch.query_y.shape == (4000, 90, 1)
    assert batch.support_x.dtype == batch.query_y.dtype == np.float32
    x = np.concatenate([batch.support_x, batch.query_x], axis=1)[..., 0].astype(float)
    y = np.concatenate([batch.support_y, batch.query_y], axis=1)[..., 0].astype(float)
    # y = a sin(x - b) = p sin x + q cos x with p = a cos b, q = -a sin b: recover a and b of every task
    columns = np.stack([np.sin(x), np.cos(x)], axis=2)
    solved = np.linalg.solve(columns.transpose(0, 2, 1) @ columns, columns.transpose(0, 2, 1) @ y[..., None])[..., 0]
    assert np.abs(np.einsum("tij,tj->ti", columns, solved) - y).max() < 1e-5
    amplitude, phase = np.hypot(*solved.T), np.arctan2(-solved[:, 1], solved[:, 0])
    assert 0.1 - 1e-5 <= amplitude.min() < 0.15
    assert 4.95 < amplitude.max() <= 5 + 1e-5
    assert -1e-4 <= phase.min() < 0.02
    assert np.pi - 0.02 < phase.max() <= np.pi + 1e-4
    # means of uniform draws, within five standard errors
    assert abs(amplitude.mean() - 2.55) < 5 * 4.9 / np.sqrt(12 * 4000)
    assert abs(phase.mean() - np.pi / 2) < 5 * np.pi / np.sqrt(12 * 4000)
    assert abs(x.mean()) < 5 * 10 / np.sqrt(12 * x.size)
    assert -5 <= x.min() < -4.99
    assert 4.99 < x.max() <= 5


def test_sines_repeat_and_refuse_classes() -> None:
    pool = SinePool()
    first, second = (pool.sample(np.random.default_rng(4), n_way=1, k_shot=5, n_query_per_class=5) for _ in range(2))
    assert np.array_equal(first.query_y, second.query_y)
    with pytest.raises(ValueError, match="n_way=1"):
        pool.sample(np.random.default_rng(0), n_way=2, k_shot=1, n_query_per_class=1)


def test_equal_ids_are_equal_images_and_other_ids_are_not() -> None:
    pool = ImagePool(np.random.default_rng(0).integers(0, 256, (4, 3, 8, 8), dtype=np.uint8), rotates=True)
    batch = pool.sample(np.random.default_rng(1), n_way=3, k_shot=1, n_query_per_class=1, n_tasks=200)
    assert batch.support_id is not None
    assert batch.query_id is not None
    by_id: dict[int, bytes] = {}
    for i, x in zip(
        np.concatenate([batch.support_id, batch.query_id], axis=1).ravel(),
        np.concatenate([batch.support_x, batch.query_x], axis=1).reshape(-1, 64),
        strict=True,
    ):
        assert by_id.setdefault(int(i), x.tobytes()) == x.tobytes()
    assert len(by_id) == len(set(by_id.values())) == 4 * 3 * 4


def test_labelled_images_are_of_their_class() -> None:
    # every pixel of an image names its class; the turn shows in the corner
    images = np.zeros((3, 2, 4, 4), dtype=np.uint8) + np.arange(1, 4, dtype=np.uint8)[:, None, None, None]
    images[:, :, 0, 0] = 255
    pool = ImagePool(images, np.array([2, 0]), rotates=True)
    x, y = pool.sample_images(np.random.default_rng(0), 400)
    assert x.shape == (400, 1, 4, 4)
    assert pool.n_labels == 8
    assert set(y.tolist()) == set(range(8))
    corner = {0: (0, 0), 1: (3, 0), 2: (3, 3), 3: (0, 3)}
    for image, label in zip((x * 255).round().astype(int), y, strict=True):
        assert image[0, 1, 1] == [3, 1][label % 2]
        assert image[0][corner[int(label) // 2]] == 255


def coloured_images() -> np.ndarray:
    """The labelled images in red; green is one level less, blue two."""
    grey = labelled_images()
    grey[:, :, 1:] = 50
    return np.stack([grey, grey - 1, grey - 2], axis=-1)


def test_colour_comes_first_in_episodes_and_last_in_store() -> None:
    pool = ImagePool(coloured_images())
    assert pool.input_shape == (3, SIZE, SIZE)
    batch = pool.sample(np.random.default_rng(0), n_way=3, k_shot=2, n_query_per_class=4, n_tasks=5)
    assert batch.support_x.shape == (5, 6, 3, SIZE, SIZE)
    assert batch.query_x.shape == (5, 12, 3, SIZE, SIZE)
    assert batch.query_x.dtype == np.float32
    x, _ = pool.sample_images(np.random.default_rng(0), 7)
    assert x.shape == (7, 3, SIZE, SIZE)
    for found in (batch.support_x, batch.query_x, x):
        levels = np.rint(found[..., 1:, :] * 255).astype(int)
        assert (levels == np.array([50, 49, 48])[:, None, None]).all()


@pytest.mark.parametrize("rotates", [False, True])
def test_coloured_episodes_hold_what_grey_ones_do(rotates: bool) -> None:
    kwargs = {"n_way": 4, "k_shot": 1, "n_query_per_class": 2, "n_tasks": 30}
    grey = coloured_images()[..., 1]
    pools = (ImagePool(images, rotates=rotates) for images in (coloured_images(), grey))
    coloured, plain = (pool.sample(np.random.default_rng(5), **kwargs) for pool in pools)
    assert np.array_equal(coloured.query_x[:, :, 1:2], plain.query_x)
    assert np.array_equal(coloured.support_x[:, :, 1:2], plain.support_x)
    assert np.array_equal(coloured.query_y, plain.query_y)


@pytest.mark.parametrize("shape", [(3, 4, 6), (3, 4, 6, 6, 4), (3, 4, 3, 6, 6)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="3 colours last"):
        ImagePool(np.zeros(shape, dtype=np.uint8))
