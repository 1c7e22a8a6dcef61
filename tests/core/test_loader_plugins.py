"""Task loaders of a user's own are found through BENCHBENCH_LOADERS, and say what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbench.errors import InputError, UnknownNameError
from benchbench.registry import DuplicateNameError, get_loader

LOADER = """
from benchbench.contracts.loading import TaskLoader


class Mine(TaskLoader):
    name = "mine"
    track = "hpo"

    def check(self, options): ...
    def info(self, name, options): ...
    def prepare(self, options, progress): ...
    def fingerprint(self, options): return "f"
    def load(self, name, options): ...
"""


def test_a_file_or_folder_with_loaders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.py"
    file.write_text(LOADER)
    with pytest.raises(UnknownNameError):
        get_loader("mine")
    for listed in (file, tmp_path):
        monkeypatch.setenv("BENCHBENCH_LOADERS", str(listed))
        assert get_loader("mine").fingerprint({}) == "f"
        assert get_loader("sinusoid").name == "sinusoid"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (LOADER.replace('"mine"', '"sinusoid"'), DuplicateNameError, "two loaders are named 'sinusoid'"),
        ("1 / 0\n", InputError, r"odd\.py cannot be imported: line 1: ZeroDivisionError"),
    ],
)
def test_what_is_wrong_with_a_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, error: type[Exception], message: str
) -> None:
    file = tmp_path / "odd.py"
    file.write_text(text)
    monkeypatch.setenv("BENCHBENCH_LOADERS", str(file))
    with pytest.raises(error, match=message):
        get_loader("sinusoid")
    monkeypatch.setenv("BENCHBENCH_LOADERS", str(tmp_path / "none.py"))
    with pytest.raises(InputError, match=r"BENCHBENCH_LOADERS lists .*, which does not exist"):
        get_loader("sinusoid")
