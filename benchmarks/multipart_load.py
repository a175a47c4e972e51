"""The load of uploads: one connection, one form with one file after the other, nothing held but a piece of it."""

import http.client
import random
import time
from contextlib import closing

from .cores import pinned
from .load import Load, LoadFailed

PATH = "/multipart"
ANSWER_SECONDS = 30.0
MIB = 1024 * 1024

_BOUNDARY = b"----------------------------7f3a90c25d1e4b68"
_BEFORE = (
    b'--%b\r\nContent-Disposition: form-data; name="file"; filename="upload.bin"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n" % _BOUNDARY
)
_AFTER = b"\r\n--%b--\r\n" % _BOUNDARY
# What could begin a boundary is in it as often as in any compressed file.
_PIECE = memoryview(random.Random(7578).randbytes(MIB))


def connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)


def upload(client: http.client.HTTPConnection, size: int) -> None:
    """Upload a file of so many bytes.

    Raises LoadFailed unless the server says that it got it, and OSError or HTTPException where the
    connection fails.
    """
    whole, rest = divmod(size, MIB)
    body: list[bytes | memoryview] = [_BEFORE, *[_PIECE] * whole, _PIECE[:rest], _AFTER]
    headers = {
        "Content-Type": f"multipart/form-data; boundary={_BOUNDARY.decode()}",
        "Content-Length": str(sum(map(len, body))),
    }
    client.request("POST", PATH, body=body, headers=headers)
    with client.getresponse() as response:
        answer = response.read()
        if (response.status, answer) != (200, b"upload.bin: %d" % size):
            raise LoadFailed(f"the answer to the upload was {response.status} {answer[:100]!r}")


def run(port: int, size: int, *, seconds: float, core: int) -> Load:
    """Upload for so long from `core`, and to the end of the last file; the rate is in MiB per second.

    Raises what `upload` does.
    """
    with pinned(core), closing(connect(port)) as client:
        uploads, took = 0, 0.0
        used, began = time.process_time(), time.perf_counter()
        while not uploads or took < seconds:
            upload(client, size)
            uploads += 1
            took = time.perf_counter() - began
        return Load(uploads * size / MIB / took, time.process_time() - used)
