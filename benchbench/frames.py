"""Tables as uncompressed Arrow files, arrays as .npy files.

Every process of a host maps them into memory, whatever versions of packages it has.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["read_array", "read_table", "write_array", "write_table"]


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write numbers, categories (unused ones included) and strings; the index is left out."""
    import pyarrow as pa

    if frame.columns.empty:
        # Arrow keeps the number of rows of a batch without columns
        table = pa.Table.from_batches([pa.RecordBatch.from_struct_array(pa.array([{}] * len(frame), pa.struct([])))])
    else:
        table = pa.Table.from_pandas(frame, preserve_index=False, nthreads=1)
        # another version of pandas may not know the types in this one's metadata
        table = table.replace_schema_metadata(None)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def read_table(path: Path, numbers: NDArray[Any] | None = None) -> pd.DataFrame:
    """Read what `write_table` wrote, with the types of this interpreter's pandas.

    Parameters
    ----------
    path : Path
    numbers : array, optional
        (n,) Rows to read, in this order; all by default. Other rows are not copied. The result is
        numbered from 0.
    """
    import pandas as pd
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
        if not table.num_columns:
            return pd.DataFrame(index=pd.RangeIndex(table.num_rows if numbers is None else len(numbers)))
        if numbers is not None:
            table = table.take(pa.array(numbers))
        # one thread: trials run in forked children, where a pool of threads made before the fork
        # would hang
        frame: pd.DataFrame = table.to_pandas(use_threads=False)
    return frame


def write_array(array: Any, path: Path) -> None:
    """Write an array of numbers.

    Raises
    ------
    TypeError
        If it holds anything but numbers, which would need a pickle.
    """
    import numpy as np

    found = np.asarray(array)
    if found.dtype.hasobject:
        raise TypeError(f"expected numbers, got {type(array).__name__} of {found.dtype}")
    np.save(path, found, allow_pickle=False)


def read_array(path: Path) -> NDArray[Any]:
    """Read what `write_array` wrote, and remove the file.

    The array is mapped into memory; writing to it changes no file.
    """
    import numpy as np

    found: NDArray[Any] = np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))
    path.unlink()
    return found
