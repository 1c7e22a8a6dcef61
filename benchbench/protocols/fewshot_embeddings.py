"""Embeds every distinct test image once, however many test episodes it occurs in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchbench.contracts.fewshot import EmbeddingAdapter, EpisodeBatch
from benchbench.errors import ProtocolViolation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["EmbeddingTable"]

LIMIT_BYTES = 512 * 2**20
# images per call of `embed`; methods may split further to fit their caches
CHUNK_IMAGES = 512


class EmbeddingTable:
    """Embeddings of the test images so far, by the episodes' ids.

    Parameters
    ----------
    adapter : EmbeddingAdapter
    limit_bytes : int
        Memory for embeddings. When the images of a batch no longer fit, all earlier ones are
        dropped and embedded again when needed. The images of the current batch are always held.
    """

    def __init__(self, adapter: EmbeddingAdapter, limit_bytes: int = LIMIT_BYTES) -> None:
        self._adapter = adapter
        self._limit_bytes = limit_bytes
        self._row_of: dict[int, int] = {}
        self._table: NDArray[np.float32] | None = None

    def predict(self, batch: EpisodeBatch) -> NDArray[np.floating[Any]]:
        """Return what `classify` predicts for the queries; it gets neither ids nor query labels.

        Parameters
        ----------
        batch : EpisodeBatch
            With ids.

        Raises
        ------
        ProtocolViolation
            If embeddings are not finite numbers with one row per image, or change their shape.
        """
        import numpy as np

        assert batch.support_id is not None and batch.query_id is not None
        ids = np.concatenate([batch.support_id, batch.query_id], axis=1)
        images = np.concatenate([batch.support_x, batch.query_x], axis=1)
        rows = self._rows(ids.ravel(), images.reshape(-1, *images.shape[2:]))
        assert self._table is not None
        embedded = self._table[rows].reshape(*ids.shape, *self._table.shape[1:])
        n_support = batch.support_id.shape[1]
        return self._adapter.classify(embedded[:, :n_support], batch.support_y, embedded[:, n_support:])

    def _rows(self, ids: NDArray[np.int64], images: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the rows (n,) of the embeddings of these images (n, *input) in the table."""
        import numpy as np

        distinct, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
        by_occurrence = np.argsort(first)
        new = [int(k) for k in by_occurrence if int(distinct[k]) not in self._row_of]
        if len(self._row_of) + len(new) > self._most_rows():
            self._row_of.clear()
            new = by_occurrence.tolist()
        for start in range(0, len(new), CHUNK_IMAGES):
            chunk = np.array(new[start : start + CHUNK_IMAGES])
            self._append(distinct[chunk].tolist(), self._embed(images[first[chunk]]))
        rows = np.array([self._row_of[i] for i in distinct.tolist()])
        return rows[inverse]

    def _most_rows(self) -> float:
        """Return how many embeddings fit; infinite until their size is known."""
        if self._table is None:
            return float("inf")
        return float(self._limit_bytes // max(1, self._table[0].nbytes))

    def _append(self, ids: list[int], embedded: NDArray[np.float32]) -> None:
        import numpy as np

        n, needed = len(self._row_of), len(self._row_of) + len(ids)
        if self._table is None:
            self._table = np.empty((needed, *embedded.shape[1:]), np.float32)
        elif needed > len(self._table):
            grown = np.empty((max(needed, int(min(2 * needed, self._most_rows()))), *self._table.shape[1:]), np.float32)
            grown[:n] = self._table[:n]
            self._table = grown
        self._table[n:needed] = embedded
        self._row_of.update(zip(ids, range(n, needed), strict=True))

    def _embed(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return checked embeddings (n, *features)."""
        import numpy as np

        found = self._adapter.embed(images)
        try:
            embedded = np.asarray(found, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise ProtocolViolation(f"embeddings are not numbers but {type(found).__name__}: {error}") from error
        if embedded.ndim == 0 or len(embedded) != len(images):
            raise ProtocolViolation(
                f"embeddings have shape {embedded.shape}, expected one row for each of {len(images)} images"
            )
        if self._table is not None and embedded.shape[1:] != self._table.shape[1:]:
            raise ProtocolViolation(
                f"embeddings have shape {embedded.shape[1:]} per image, earlier ones had {self._table.shape[1:]}"
            )
        if not np.isfinite(embedded).all():
            n = int((~np.isfinite(embedded)).sum())
            raise ProtocolViolation(f"{n} of {embedded.size} numbers of the embeddings are NaN or infinite")
        return embedded
