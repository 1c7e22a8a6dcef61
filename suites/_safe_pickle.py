"""Reads numbers out of pickles that others wrote, without running anything in them.

A pickle is a program: `pickle.load` calls whatever it names. Here each of the few names that files
of numpy arrays and plain containers need is a stand-in defined below, numpy's own reconstruction
included, and any other name is refused.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from benchbench.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["StoredArray", "read_pickle", "text"]

_NUMBERS = re.compile(r"[<>|=]?[biuf](1|2|4|8)")
"""Types of arrays: truth values, integers, floats."""


def read_pickle(file: IO[bytes], source: Path | str) -> dict[str, Any]:
    """Return the dictionary that is pickled in a file, from Python 2 or 3.

    Parameters
    ----------
    file : binary file
    source : Path or str
        What errors call it.

    Returns
    -------
    dict
        Keys are str (of bytes, too). Arrays are `StoredArray`, alone or in lists and dicts:
        `numpy.asarray` turns them into arrays. Texts of Python 2 are bytes.

    Raises
    ------
    InputError
        If the file names anything but arrays and plain containers, is no pickle, is cut short, or
        holds no dictionary.
    """
    try:
        # encoding: texts of Python 2, which hold the bytes of its arrays
        found = _Reader(file, source).load()
    except InputError:
        raise
    except Exception as error:  # a broken or hostile file can raise anything
        raise InputError(f"{source} cannot be read as a pickle of arrays: {type(error).__name__}: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{source} holds a {type(found).__name__}, expected a dictionary")
    return {text(key): value for key, value in found.items()}


def text(value: Any) -> str:
    """Return a text of Python 2 (bytes) or 3 as str; anything else as it is written."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


class _Sealed:
    """Base of the stand-ins: a pickle cannot set the state of a class, so it cannot change them."""

    def __setstate__(self, state: Any) -> None:
        raise InputError(f"a pickle sets the state of {type(self).__name__}, which has none")


class StoredArray(_Sealed):
    """An array as pickles hold it: shape, type and bytes, cross-checked before use."""

    def __init__(self, *ignored: Any) -> None:
        # numpy writes an empty array of bytes first, and what it really is as its state
        self._state: tuple[Any, Any, Any, Any] = ((0,), _Dtype("u1"), False, b"")

    def __setstate__(self, state: Any) -> None:
        _, *rest = state
        shape, dtype, is_fortran, content = rest
        self._state = (shape, dtype, is_fortran, content)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        import numpy as np

        return np.array(self.array, dtype=dtype, copy=copy)

    @property
    def array(self) -> NDArray[Any]:
        """The array, read-only, without a copy."""
        import numpy as np

        shape, dtype, is_fortran, content = self._state
        if not (isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)):
            raise InputError(f"a pickled array has the shape {shape!r}, expected whole numbers")
        if not (isinstance(dtype, _Dtype) and isinstance(content, (bytes, bytearray))):
            raise InputError("a pickled array holds objects, expected numbers")
        kind = dtype.numbers()
        if prod(shape) * kind.itemsize != len(content):
            raise InputError(f"a pickled array of shape {shape} and type {kind} has {len(content)} bytes")
        array: NDArray[Any] = np.frombuffer(content, dtype=kind).reshape(shape, order="F" if is_fortran else "C")
        array.setflags(write=False)
        return array


class _Dtype(_Sealed):
    """Stands for `numpy.dtype`."""

    def __init__(self, name: Any, *ignored: Any) -> None:
        self._name, self._order = text(name), ""

    def __setstate__(self, state: Any) -> None:
        # version, byte order, sub-array, names, fields, ...
        _, order, *rest = state
        if any(rest[:3]):
            raise InputError("a pickled array has a structured type, expected numbers")
        self._order = text(order)

    def numbers(self) -> np.dtype[Any]:
        """Return the type if it is one of numbers."""
        import numpy as np

        name = self._order + self._name
        if not _NUMBERS.fullmatch(name):
            raise InputError(f"a pickled array has the type {name!r}, expected numbers")
        return np.dtype(name)


class _Scalar(_Sealed):
    """Stands for the function that makes single numbers of numpy."""

    def __new__(cls, dtype: _Dtype, content: bytes) -> Any:
        import numpy as np

        (number,) = np.frombuffer(content, dtype=dtype.numbers())
        return number.item()


class _FromBuffer(_Sealed):
    """Stands for the function that makes arrays in pickles of protocol 5."""

    def __new__(cls, content: bytes, dtype: _Dtype, shape: tuple[int, ...], order: str) -> Any:
        found = StoredArray()
        found.__setstate__((1, shape, dtype, order == "F", content))
        return found


class _Encoded(_Sealed):
    """Stands for `codecs.encode`: bytes in pickles that Python 3 wrote for Python 2."""

    def __new__(cls, content: str, encoding: str) -> Any:
        if encoding != "latin1":
            raise InputError(f"a pickle encodes as {encoding!r}, expected 'latin1'")
        return content.encode("latin1")


class _NoBytes(_Sealed):
    """Stands for `bytes`, by which Python 3 writes empty ones for Python 2."""

    def __new__(cls) -> Any:
        return b""


def _stand_ins() -> Mapping[tuple[str, str], type]:
    known: dict[tuple[str, str], type] = {
        ("numpy", "ndarray"): StoredArray,
        ("numpy", "dtype"): _Dtype,
        ("_codecs", "encode"): _Encoded,
        ("__builtin__", "bytes"): _NoBytes,
        ("collections", "OrderedDict"): dict,
    }
    # numpy 2 has renamed their module
    for core in ("numpy.core", "numpy._core"):
        known[f"{core}.multiarray", "_reconstruct"] = StoredArray
        known[f"{core}.multiarray", "scalar"] = _Scalar
        known[f"{core}.numeric", "_frombuffer"] = _FromBuffer
    return known


_STAND_INS = _stand_ins()


class _Reader(pickle.Unpickler):
    def __init__(self, file: IO[bytes], source: Path | str) -> None:
        super().__init__(file, fix_imports=False, encoding="bytes")
        self._source = source

    def find_class(self, module: str, name: str) -> type:
        known = _STAND_INS.get((module, name))
        if known is None:
            raise InputError(
                f"{self._source} is refused: it is a pickle that names {module}.{name}, and only arrays of numbers and"
                " plain containers are read from pickles. Nothing of it was executed"
            )
        return known
