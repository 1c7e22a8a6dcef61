"""Names of pages: what methods and tasks are called may hold anything, a file's name may not."""

from __future__ import annotations

import hashlib
import re

__all__ = ["slug"]


def slug(name: str) -> str:
    """Return a file's name for any name.

    No two names share one, even where file systems ignore case.
    """
    clean = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:80]
    return clean if clean and clean == name else f"{clean or 'x'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
