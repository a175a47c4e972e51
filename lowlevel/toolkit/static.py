"""Folders of files as a handler.

A target is taken apart before it is decoded, so that what is encoded cannot make or leave a folder: each name in it
has to be one that a file may have. What the names lead to is found out in a thread, on the same trip on which the file
is opened.
"""

from __future__ import annotations

import errno
import html
import itertools
import os
import re
import stat
from functools import partial
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from yarl import URL

from ..cached_files import open_cached
from ..exceptions import HTTPMovedPermanently, HTTPNotFound
from ..file_response import FileResponse, Found, Opened, Question, open_best, open_cached_regular
from ..options import check_flag
from ..request import BaseRequest
from ..response import Response, StreamResponse
from .method_not_allowed import method_not_allowed

__all__ = ("StaticFiles",)

_METHODS: Final = ("GET", "HEAD")

_OPEN_FOLDER: Final = getattr(os, "O_PATH", 0) | getattr(os, "O_DIRECTORY", 0)

# What no name may hold: separators of any system, NUL, and in front the letter of a drive.
_FORBIDDEN: Final = re.compile(r"[/\\\0]|^[A-Za-z]:")

# Errors that mean: nothing here for anybody. The last two are about names that a file system cannot write.
_MISSES: Final = frozenset(
    (
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.EACCES,
        errno.EPERM,
        errno.EILSEQ,
        errno.EINVAL,
    )
)

# More entries of a folder are not listed.
_MOST_ENTRIES: Final = 10_000

_PAGE: Final = """\
<!DOCTYPE html>
<html>
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
<h1>{title}</h1>
<ul>
{items}
</ul>
</body>
</html>
"""


class StaticFiles:
    """A handler that answers with files: the path of the request names one in a folder::

        server = web.Server(web.StaticFiles("public", index="index.html"))

    Each file is sent as a FileResponse, with its conditions, ranges and compressed siblings. What cannot be sent -
    missing, unreadable, not a file, a name that no file has here or on any other system, a link that leads out of its
    folder - is a 404. Files whose names begin with a dot are files like others.

    A folder is found at its path with a slash at the end; without the slash, the client is sent there.

    Args:
        folders: Where the files are; the first folder that has a file of that name wins. A relative path counts from
            the present working directory.
        index: The name of a file that is sent for the folder it is in. Without one, and without ``show_index``,
            folders are 404.
        show_index: Answer for folders without an index with a page that lists what is in them.
        follow_symlinks: Whether links may lead out of the folder they are in; within it they always may. It is looked
            at before the file is opened: who can change links at that very moment can read what this process can.

    Raises:
        TypeError: An argument of a wrong type, or no folder at all.
        ValueError: A folder that is not there, or an ``index`` that is no name of a file.
    """

    def __init__(
        self,
        *folders: str | os.PathLike[str],
        index: str | None = None,
        show_index: bool = False,
        follow_symlinks: bool = False,
    ) -> None:
        if not folders:
            raise TypeError("folders: at least one is needed")
        self._folders = tuple(_check_folder(folder) for folder in folders)
        if index is not None:
            if not isinstance(index, str):
                raise TypeError(f"index must be a str, not {type(index).__name__}")
            if not _is_name(index):
                raise ValueError(f"index must be the name of a file: {index!r}")
        self._index = index
        self._show_index = check_flag("show_index", show_index)
        self._follow_symlinks = check_flag("follow_symlinks", follow_symlinks)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {' '.join(map(repr, self._folders))}>"

    async def __call__(self, request: BaseRequest) -> StreamResponse:
        """Answer a request. Cancelled while it looks for the file, it leaves none open.

        Raises:
            HTTPMethodNotAllowed: It is neither GET nor HEAD.
            HTTPNotFound: There is no such file.
            HTTPMovedPermanently: It is a folder, and the slash is missing.
            OSError: What is no fault of the request: too many open files, a failing disk.
        """
        if request.method not in _METHODS:
            raise method_not_allowed(request.method, _METHODS)
        names = _split(request.rel_url.raw_path or "/")
        if names is None:
            raise HTTPNotFound
        query = request.rel_url.raw_query_string
        shown = self._show_index or self._index is not None
        if names == [""] and shown and not request.url.raw_path.endswith("/"):
            # A mount made it the folder: links in its page would miss what is mounted.
            raise HTTPMovedPermanently(_with_slash(request.prefix.rpartition("/")[2], query))
        response = _StaticFile(self, names)
        await response.open(request)
        if response.page is not None:
            if names[-1]:
                raise HTTPMovedPermanently(_with_slash(_quote(names[-1]), query))
            return _listing(response.page)
        if response.status in (403, 404):
            raise HTTPNotFound
        return response

    # In a thread.

    def _find(self, names: list[str]) -> str | list[str]:
        """Return the path of a file. For a folder that may be seen, the entries in it, if the last name is empty.

        Raises:
            FileNotFoundError: It is neither.
            OSError: What is no fault of the names.
        """
        *parents, last = names
        place = names if last else parents
        seen: list[str] | None = None
        for folder in self._folders:
            path, mode = self._locate(folder, place)
            if last and stat.S_ISREG(mode):
                return path
            if not stat.S_ISDIR(mode):
                continue
            if self._index is not None:
                index, index_mode = self._locate(folder, [*place, self._index])
                if stat.S_ISREG(index_mode):
                    return [] if last else index
            if self._show_index:
                if last:
                    return []
                seen = (seen or []) + self._entries(folder, place, path)
        if seen is None:
            raise FileNotFoundError(errno.ENOENT, "no such file")
        return seen

    def _locate(self, folder: str, names: list[str]) -> tuple[str, int]:
        """Return where the names lead, and the mode of what is there; 0 if it is nothing for anybody."""
        path = os.path.join(folder, *names)
        try:
            if not self._follow_symlinks:
                folder = os.path.realpath(folder)
                path = os.path.realpath(path, strict=True)
                if os.path.commonpath((folder, path)) != folder:
                    return "", 0
            return path, os.stat(path).st_mode
        except OSError as exc:
            if exc.errno not in _MISSES:
                raise
            return "", 0

    def _entries(self, folder: str, names: list[str], path: str) -> list[str]:
        """Return the names in a folder that would be found, folders with a slash."""
        entries: list[str] = []
        try:
            with os.scandir(path) as found:
                for entry in itertools.islice(found, _MOST_ENTRIES + 1):
                    if not _is_name(entry.name):
                        continue
                    if entry.is_symlink():
                        mode = self._locate(folder, [*names, entry.name])[1]
                        is_folder, is_file = stat.S_ISDIR(mode), stat.S_ISREG(mode)
                    else:
                        is_folder, is_file = entry.is_dir(), entry.is_file()
                    if is_folder or is_file:
                        entries.append(f"{entry.name}/" if is_folder else entry.name)
        except OSError as exc:
            if exc.errno not in _MISSES:
                raise
        return entries


class _StaticFile(FileResponse):
    """A file that is looked for in the thread in which it is opened.

    Attributes:
        page: What lists it, if it turned out to be a folder.
    """

    def __init__(self, files: StaticFiles, names: list[str]) -> None:
        # Not where a link leads, but what was asked for decides about the type.
        super().__init__(names[-1] or files._index or "")
        self._files = files
        self._names = names
        self.page: str | None = None

    def _look(self, question: Question, *, at_once: bool = False) -> Found:
        found = super()._look(question, at_once=at_once)
        if at_once and found.status in (403, 404):
            # There are other folders, an index, lists.
            raise BlockingIOError(errno.EAGAIN, "not where it would be found at once")
        return found

    def _open_at_once(self, accepted: str) -> Opened:
        """Open the file in the first folder, and let the system see that it is in there."""
        files = self._files
        if not self._names[-1]:
            raise BlockingIOError(errno.EAGAIN, "a folder has to be looked into")
        path = "/".join(self._names)
        if files._follow_symlinks:
            path = os.path.join(files._folders[0], path)
            return open_best(path, accepted, open_cached_regular)
        folder = open_cached(files._folders[0], _OPEN_FOLDER)
        try:
            return open_best(path, accepted, partial(open_cached_regular, beneath=folder))
        finally:
            os.close(folder)

    def _resolve(self) -> str:
        found = self._files._find(self._names)
        if isinstance(found, str):
            return found
        self.page = _page(self._names, found)
        raise FileNotFoundError(errno.ENOENT, "a folder")


def _check_folder(folder: str | os.PathLike[str]) -> str:
    path = os.fspath(folder)
    if not isinstance(path, str):
        raise TypeError(f"folders must be str or paths of str, not {path!r}")
    path = os.path.abspath(path)
    if not os.path.isdir(path):
        raise ValueError(f"folders: {path!r} is no folder")
    return path


def _is_name(name: str) -> bool:
    """Whether a file may be called like that, and nothing but a file in the folder at hand."""
    return name not in ("", ".", "..") and _FORBIDDEN.search(name) is None


def _split(path: str) -> list[str] | None:
    """Return the decoded names in the path of a URL, the last one empty for a folder; None if no file can be meant.

    Args:
        path: As it was sent, with ``%`` and all.
    """
    root, *parts = path.split("/")
    names = [os.fsdecode(unquote_to_bytes(part)) for part in parts]
    if root or not names or not all(map(_is_name, names[:-1])):
        return None
    return names if not names[-1] or _is_name(names[-1]) else None


# Pages.


def _with_slash(segment: str, query: str) -> URL:
    """Return the place of a folder, seen from its path without a slash, which a mount may have made shorter here."""
    # Encoded already: what the client wrote in its query, it gets back.
    return URL(f"{segment}/" + (f"?{query}" if query else ""), encoded=True)


def _listing(page: str) -> Response:
    # Nothing in a page of names has any business to run, should a name ever get through.
    fields = {"Content-Security-Policy": "default-src 'none'"}
    return Response(text=page, content_type="text/html", headers=fields)


def _page(names: list[str], entries: list[str]) -> str:
    """Return a page with links to the entries of a folder."""
    items = [] if names == [""] else ['<li><a href="../">../</a></li>']
    shown = sorted(set(entries))
    for entry in shown[:_MOST_ENTRIES]:
        slash = "/" if entry.endswith("/") else ""
        link = _quote(entry.removesuffix("/")) + slash
        items.append(f'<li><a href="{link}">{_escape(entry)}</a></li>')
    if len(shown) > _MOST_ENTRIES:
        items.append("<li>and more</li>")
    return _PAGE.format(title=_escape("/".join(["", *names])), items="\n".join(items))


def _quote(name: str) -> str:
    return quote_from_bytes(os.fsencode(name), safe="")


def _escape(name: str) -> str:
    return html.escape(os.fsencode(name).decode("utf-8", "replace"))
