"""Hashes of the code that made a result."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbench.provenance import code_hash


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "hashed_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('hashing must not import')\n")
    (folder / "part.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_changed_an_added_and_a_renamed_file_change_the_hash(package: Path) -> None:
    before = code_hash("hashed_package")
    assert code_hash("hashed_package") == before
    (package / "part.py").write_text("x = 2\n")
    changed = code_hash("hashed_package")
    (package / "more.py").write_text("")
    added = code_hash("hashed_package")
    (package / "part.py").rename(package / "other.py")
    assert len({before, changed, added, code_hash("hashed_package")}) == 4


def test_what_has_no_source_is_an_error() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"^no source of hashed_package$"):
        code_hash("hashed_package")
