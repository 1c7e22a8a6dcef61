from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from benchbench.errors import InputError
from benchbench.suites._safe_pickle import StoredArray, read_pickle, text


def read(content: bytes) -> dict[str, Any]:
    return read_pickle(io.BytesIO(content), "the file")


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined,misc]
    """Writes as Python 2 does: text and the content of arrays as 8-bit strings, numpy under its old name."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_string(self, value: str | bytes) -> None:
        content = value.encode("latin1") if isinstance(value, str) else value
        self.write(b"T" + struct.pack("<i", len(content)) + content)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string


def python2(value: Any) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, 2).dump(value)
    return file.getvalue().replace(b"numpy._core.", b"numpy.core.")


WRITERS: dict[str, Callable[[Any], bytes]] = {
    **{f"protocol {n}": lambda value, n=n: pickle.dumps(value, protocol=n) for n in range(6)},
    "numpy 1": lambda value: pickle.dumps(value, protocol=2).replace(b"numpy._core.", b"numpy.core."),
    "Python 2": python2,
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("dtype", ["u1", "<i8", ">i4", "f4", "?"])
def test_arrays_and_containers_are_read(writer: str, dtype: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    value = {
        "image_data": array,
        "turned": np.asfortranarray(array[0]),
        "empty": np.zeros((0, 3), dtype=dtype),
        "class_dict": OrderedDict([("a", [0, 1]), ("b", [2])]),
        "labels": [np.int64(3), np.int64(500), 7],
    }
    found = read(WRITERS[writer](value))
    assert set(found) == set(value)
    for key in ("image_data", "turned", "empty"):
        assert isinstance(found[key], StoredArray)
        assert np.asarray(found[key]).dtype == dtype
        assert np.array_equal(np.asarray(found[key]), value[key])  # type: ignore[arg-type]
    assert {text(k): list(v) for k, v in found["class_dict"].items()} == {"a": [0, 1], "b": [2]}
    assert np.asarray(found["labels"]).tolist() == [3, 500, 7]


def test_content_is_not_copied() -> None:
    # miniImageNet's training images are 0.8 GB
    found = read(pickle.dumps({"x": np.arange(1000)}))["x"]
    assert np.shares_memory(found.array, np.asarray(found))
    with pytest.raises(ValueError, match="read-only"):
        found.array[0] = 1


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_is_refused_and_not_executed(protocol: int, tmp_path: Path) -> None:
    import os

    victim = tmp_path / "executed"
    for value in (
        Calls(os.system, f"touch {victim}"),
        Calls(exec, f"open({str(victim)!r}, 'w')"),
        Calls(Path.touch, victim),
        Calls(getattr, np.ndarray, "tofile"),
    ):
        content = pickle.dumps({"image_data": np.zeros(3), "class_dict": {"a": value}}, protocol=protocol)
        with pytest.raises(InputError, match=r"the file is refused: .* names \w+[.]\w+") as error:
            read(content)
        assert "Nothing of it was executed" in str(error.value)
    assert not victim.exists()
    # the first one does work, so that the test would see it
    pickle.loads(pickle.dumps(Calls(os.system, f"touch {victim}"), protocol=protocol))
    assert victim.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("__builtin__", "getattr"),
        ("numpy", "load"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy", "ndarray.tofile"),
        ("benchbench.suites._safe_pickle", "read_pickle"),
        ("_codecs", "decode"),
        ("copyreg", "_reconstructor"),
        ("collections", "defaultdict"),
    ],
)
def test_the_refused_name_is_said(module: str, name: str) -> None:
    for named in (
        b"c" + f"{module}\n{name}\n".encode(),
        b"\x80\x04" + b"".join(b"\x8c" + bytes([len(x)]) + x.encode() for x in (module, name)) + b"\x93",
    ):
        with pytest.raises(InputError, match=f"names {module}.{name}, and only arrays"):
            read(named + b".")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "EOFError"),
        (b"nonsense", "cannot be read as a pickle"),
        (pickle.dumps({"x": np.arange(99)})[:60], "cannot be read as a pickle"),
        (pickle.dumps([1, 2]), "holds a list, expected a dictionary"),
        # sets the state of a stand-in itself, a class, to change what it does
        (b"\x80\x02cnumpy\nndarray\n}X\x05\x00\x00\x00arrayK\x01sb.", "cannot be read as a pickle"),
        (b"\x80\x02c_codecs\nencode\n}X\x01\x00\x00\x00aK\x01sb.", "cannot be read as a pickle"),
        (b"\x80\x02ccollections\nOrderedDict\n}X\x04\x00\x00\x00keysK\x01sb.", "cannot be read as a pickle"),
        (pickle.dumps({"x": b"a"}, protocol=2).replace(b"latin1", b"utf-16"), "cannot be read|expected 'latin1'"),
    ],
)
def test_what_is_no_pickle_of_arrays(content: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(content)
    assert hasattr(StoredArray, "array")


def stored(*state: Any) -> StoredArray:
    found = StoredArray()
    found.__setstate__(state)
    return found


def test_arrays_that_lie_are_refused() -> None:
    real = pickle.dumps({"x": np.zeros((3, 4), dtype=np.uint8)}, protocol=2)
    # the shape says 9 x 4, the content has 12 bytes
    for content, says in (
        (real.replace(b"K\x03K\x04\x86", b"K\x09K\x04\x86"), "has 12 bytes"),
        (pickle.dumps({"x": np.array([{}, []], dtype=object)}, protocol=2), "holds objects"),
        (pickle.dumps({"x": np.zeros(2, dtype="u1,f4")}, protocol=2), "structured type"),
        (pickle.dumps({"x": np.array(["a"])}, protocol=2), "type '<U1', expected numbers"),
    ):
        with pytest.raises(InputError, match=says):
            np.asarray(read(content)["x"])
    with pytest.raises(InputError, match="shape"):
        _ = stored(1, (-1, 4), None, False, b"").array
