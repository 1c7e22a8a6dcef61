"""Fetches files of known content: checked by SHA-256, complete under their name or missing.

`pooch` 1.9 was tried in its place. It cannot resume either, retries what a server answers with 404,
leaves files that only their owner can read (mode 0600), and takes 100 ms of CPU to import.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from benchbench.contracts.loading import Progress
from benchbench.errors import DataMissingError
from benchbench.paths import cache_dir, data_dir

__all__ = ["download_folder", "file_sha256", "find_original", "is_writable", "original_places", "retrieve"]

PAUSES_SECONDS = (1.0, 4.0)
"""Waited before the second and the third attempt."""
TIMEOUT_SECONDS = 30.0
CHUNK = 1 << 18


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_writable(folder: Path) -> bool:
    """Whether files can be made in the folder, which is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def original_places(dataset: str) -> tuple[Path, Path]:
    """Folders of a data set's original files: the user's, then the one for downloads.

    The second is used if the first is not writable.
    """
    return data_dir() / dataset, cache_dir() / dataset / "downloads"


def find_original(dataset: str, name: str) -> Path | None:
    """Return an original file, wherever it is, or None."""
    return next((place / name for place in original_places(dataset) if (place / name).is_file()), None)


def download_folder(dataset: str, title: str) -> Path:
    """Return the first place that can be written; raises `DataMissingError` if there is none."""
    places = original_places(dataset)
    for place in places:
        if is_writable(place):
            return place
    raise DataMissingError(
        f"{title} is not here, and neither {places[0]} nor {places[1]} can be written;"
        " set BENCHBENCH_DATA or BENCHBENCH_CACHE to a folder that can"
    )


def retrieve(url: str, target: Path, sha256: str, progress: Progress, hint: str) -> None:
    """Download a file unless it is there.

    Parameters
    ----------
    url : str
    target : Path
        Its folder must exist.
    sha256 : str
        What the content must be; anything else is thrown away.
    progress : callable
    hint : str
        What a user can do if it fails; the end of the error message.

    Raises
    ------
    DataMissingError
        If it is not available, or is not what was expected.
    """
    if target.is_file() and file_sha256(target) == sha256:
        return
    problem = ""
    for pause in (0.0, *PAUSES_SECONDS):
        if problem:
            progress(f"{problem}; trying again in {pause:.0f} s")
            time.sleep(pause)
        progress(f"downloading {url}")
        try:
            _retrieve_once(url, target, sha256)
            return
        except urllib.error.HTTPError as error:
            error.close()
            problem = f"{url} answered {error.code} {error.reason}"
            if 400 <= error.code < 500 and error.code != 429:
                break
        except (OSError, http.client.HTTPException, _WrongContent) as error:
            problem = f"{url}: {error or type(error).__name__}"
    raise DataMissingError(f"cannot download {problem}. {hint}")


class _WrongContent(Exception):
    """The downloaded content is not what was expected."""


def _retrieve_once(url: str, target: Path, sha256: str) -> None:
    digest, n_bytes = hashlib.sha256(), 0
    handle, name = tempfile.mkstemp(prefix=f".{target.name}-", suffix=".part", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file, urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
            while chunk := answer.read(CHUNK):
                digest.update(chunk)
                n_bytes += len(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        found = digest.hexdigest()
        if found != sha256:
            raise _WrongContent(f"got {n_bytes} bytes with sha256 {found}, expected sha256 {sha256}")
        temporary.chmod(0o644)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
