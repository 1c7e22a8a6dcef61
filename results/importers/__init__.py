"""Imports results published elsewhere into the database, as runs of kind `published`.

Each reader converts files of one format to `PublishedSuite` objects; `import_published` stores
them.
"""

from __future__ import annotations

from benchbench.results.importers.published_rows import PublishedResult, PublishedSuite
from benchbench.results.importers.storing import FORMATS, PublishedReport, import_published, published_suites

__all__ = [
    "FORMATS",
    "PublishedReport",
    "PublishedResult",
    "PublishedSuite",
    "import_published",
    "published_suites",
]
