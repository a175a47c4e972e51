"""The files that the handler sends: each is made when it is first asked for, and gone with the server."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

_PATTERN = bytes(range(256))


@cache
def sized_file(size: int) -> Path:
    """The path of a file of so many bytes, a multiple of 256."""
    path = Path(_folder().name, f"{size}.bin")
    path.write_bytes(_PATTERN * (size // len(_PATTERN)))
    return path


@cache
def _folder() -> "TemporaryDirectory[str]":
    return TemporaryDirectory(prefix="lowlevel-bench-")
