"""Settings of training by episodes that follow from the task's images."""

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
# ways, and queries per class, of ProtoNet's training episodes on Omniglot (Snell et al. 2017), for
# all who train as it does
GREY_WAYS, GREY_QUERIES = 60, 5


def validation_queries(task: TaskInfo) -> int:
    """Return the queries per class of a validation episode."""
    return min(task.n_query // task.n_way, MAX_VALIDATION_QUERIES)


def is_colour(task: TaskInfo) -> bool:
    """Tell whether the inputs are photographs, which get the papers' settings for miniImageNet."""
    return len(task.input_shape) == 3 and task.input_shape[0] == 3


def size_factor(preset: str, task: TaskInfo) -> int:
    """Return the divisor of the gradient methods' budgets for the size of images.

    It is 3 for 84x84 at the quick preset, else 1: training then takes about as long for any size.
    """
    if preset != "quick" or len(task.input_shape) != 3:
        return 1
    return max(1, round(math.prod(task.input_shape[1:]) / FACTOR_PIXELS))


def quick_episodes(n: int, task: TaskInfo) -> int:
    """Return how many episodes take as long as `n` of one shot with `GREY_QUERIES` queries.

    Episodes of photographs may take some times as long.
    """
    # an episode costs as many times more as it has more images; photographs have more pixels as
    # well
    return max(1, n * (1 + GREY_QUERIES) // (GREY_QUERIES + task.k_shot) // (2 if is_colour(task) else 1))


def too_small(task: TaskInfo) -> str | None:
    """Return why the task's inputs are no images that four poolings leave something of, or None."""
    if len(task.input_shape) != 3 or min(task.input_shape[1:]) < SMALLEST_IMAGE:
        return f"needs images of at least {SMALLEST_IMAGE} pixels a side, got inputs of shape {task.input_shape}"
    return None
