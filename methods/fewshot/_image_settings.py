"""What settings of training by episodes follow from the task's images: their size, and whether they are photographs."""

from __future__ import annotations

import math

from benchbench.contracts.fewshot import TaskInfo

__all__ = [
    "GREY_QUERIES",
    "GREY_WAYS",
    "MAX_VALIDATION_QUERIES",
    "SMALLEST_IMAGE",
    "is_colour",
    "quick_episodes",
    "size_factor",
    "too_small",
    "validation_queries",
]

# four poolings of 2 leave nothing of a smaller image
SMALLEST_IMAGE = 16
MAX_VALIDATION_QUERIES = 5
# three drawings of Omniglot
FACTOR_PIXELS = 3 * 784
# ways, and queries a class, of ProtoNet's training episodes on Omniglot (Snell et al. 2017), for all who train as it does
GREY_WAYS, GREY_QUERIES = 60, 5


def validation_queries(task: TaskInfo) -> int:
    """Return the queries a class of a validation episode."""
    return min(task.n_query // task.n_way, MAX_VALIDATION_QUERIES)


def is_colour(task: TaskInfo) -> bool:
    """Whether the inputs are photographs, for which papers have the settings of their experiments on miniImageNet."""
    return len(task.input_shape) == 3 and task.input_shape[0] == 3


def size_factor(preset: str, task: TaskInfo) -> int:
    """Return by what the gradient methods' budgets are divided for the size of images: at the quick preset 3 for 84x84, else 1.

    So meta-training of MAML on one thread of an Intel Xeon takes 270 s for 5 ways and 1 shot of 84x84, and 290 s of 32x32.
    """
    if preset != "quick" or len(task.input_shape) != 3:
        return 1
    return max(1, round(math.prod(task.input_shape[1:]) / FACTOR_PIXELS))


def quick_episodes(n: int, task: TaskInfo) -> int:
    """Return how many episodes take as long as `n` of one shot do with `GREY_QUERIES` queries; of photographs, some times as long."""
    # an episode costs as many times more as it has more images; photographs have more pixels as well
    return max(1, n * (1 + GREY_QUERIES) // (GREY_QUERIES + task.k_shot) // (2 if is_colour(task) else 1))


def too_small(task: TaskInfo) -> str | None:
    """Return why the task's inputs are no images that four poolings leave something of, or None."""
    if len(task.input_shape) != 3 or min(task.input_shape[1:]) < SMALLEST_IMAGE:
        return f"needs images of at least {SMALLEST_IMAGE} pixels a side, got inputs of shape {task.input_shape}"
    return None
