"""Independent, named random streams from one integer seed, without global state."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["derive_seed", "generator"]


def derive_seed(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed that depends on `seed` and on each of `names`, and on nothing else.

    Derivation is by SHA-256, so that streams of neighbouring seeds are unrelated and adding a
    stream moves no other.
    """
    text = "\x1f".join([str(int(seed)), *(str(n) for n in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return numpy's PCG64 generator for the stream `names` of `seed`."""
    import numpy as np

    return np.random.Generator(np.random.PCG64(derive_seed(seed, *names)))
