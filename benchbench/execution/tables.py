"""Tables as uncompressed Arrow files: how rows travel between interpreters whose pandas may differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_table", "write_table"]


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write the columns: numbers, categories (with those that no row has) and strings; the index is left out."""
    import pyarrow as pa

    table = pa.Table.from_pandas(frame, preserve_index=False)
    # another pandas may not know the types that this one's notes name
    table = table.replace_schema_metadata(None)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def read_table(path: Path) -> pd.DataFrame:
    """Read what `write_table` wrote, with the types that this interpreter's pandas has for it; rows are numbered from 0."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        frame: pd.DataFrame = pa.ipc.open_file(source).read_all().to_pandas()
    return frame
