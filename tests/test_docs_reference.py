"""``docs/reference``: every public name stands there once, and its docstring says what a reader has to know."""

from __future__ import annotations

import builtins
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from typing import Any, NamedTuple

import pytest

import lowlevel as web
from lowlevel import errors
from tests.program import ROOT

PAGES = sorted(path.stem for path in (ROOT / "docs/reference").glob("*.rst"))
MODULES = ("", ".cookies", ".errors", ".headers", ".testing", ".toolkit")
FIXTURES = ("lowlevel_client", "lowlevel_server")

# ---- What stands on the pages ------------------------------------------------------------------

_DIRECTIVE = re.compile(
    r"^\.\. (?:py:)?(?P<auto>auto)?(?P<kind>class|exception|function|data|module):: (?P<name>[\w.]+)"
    r".*\n(?P<body>(?:(?:   .*)?\n)*)",
    re.MULTILINE,
)
_OPTION = re.compile(r"^   :([\w-]+): *(.*)$", re.MULTILINE)
_NESTED = re.compile(
    r"^   \.\. (?:py:|auto)?(?:attribute|property|method):: ([\w.]+)", re.MULTILINE
)


class Entry(NamedTuple):
    """A name on a page, and what is shown of it."""

    page: str
    kind: str
    options: dict[str, str]
    nested: list[str]

    def listed(self, option: str) -> set[str]:
        """The names that an option has."""
        return set(filter(None, self.options.get(option, "").split(", ")))


def entries() -> Iterator[tuple[str, Entry]]:
    """The names of all pages."""
    for page in PAGES:
        text = (ROOT / f"docs/reference/{page}.rst").read_text("utf-8")
        for match in _DIRECTIVE.finditer(text):
            body = match["body"]
            nested = [name.rpartition(".")[2] for name in _NESTED.findall(body)]
            yield match["name"], Entry(page, match["kind"], dict(_OPTION.findall(body)), nested)


ENTRIES = list(entries())


def find(name: str) -> Any:
    """Return what a name of a page stands for."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def public_names() -> Iterator[str]:
    """What programs may import."""
    for end in MODULES:
        module = importlib.import_module(f"lowlevel{end}")
        for name in module.__all__:
            if not inspect.ismodule(getattr(module, name)):
                yield f"{module.__name__}.{name}"


OBJECTS = {name: find(name) for name, entry in ENTRIES if entry.kind != "module" and "." in name}
CLASSES = {name: value for name, value in OBJECTS.items() if inspect.isclass(value)}
FUNCTIONS = {name: value for name, value in OBJECTS.items() if inspect.isfunction(value)}


def test_every_public_name_stands_on_one_page() -> None:
    known = {name for name, _ in ENTRIES}
    for name in public_names():
        # A name that is only an alias in another module stands under the other.
        value = find(name)
        others = [other for other, found in OBJECTS.items() if found is value]
        assert name in known or len(others) == 1, f"{name} is on no page"


def test_nothing_else_stands_there_twice_or_is_unknown() -> None:
    names = [name for name, _ in ENTRIES]
    assert sorted(names) == sorted(set(names))
    modules = {f"lowlevel{end}" for end in MODULES} | {"lowlevel.hdrs"}
    assert {name for name, entry in ENTRIES if entry.kind == "module"} == modules
    # Of other modules, only what public names hand out.
    assert set(names) - set(public_names()) - modules == {
        *FIXTURES,
        "lowlevel.writer.ResponseWriter",
        "lowlevel.protocol.head.RequestHead",
    }


def test_every_page_is_in_the_list() -> None:
    index = (ROOT / "docs/reference/index.rst").read_text("utf-8")
    listed = re.findall(r"^   ([a-z-]+)$", index, re.MULTILINE)
    assert sorted([*listed, "index"]) == PAGES


# ---- Members -----------------------------------------------------------------------------------

# What the server calls, or aiohttp's callers do, and no program has to know.
HIDDEN = {
    "lowlevel.BaseRequest": "make below",
    "lowlevel.StreamReader": (
        "feed_data feed_eof end_chunk set_exception received_bytes streamed read_whole discard"
    ),
    "lowlevel.StreamResponse": "go_away",
    "lowlevel.Response": "send_whole streamed",
    "lowlevel.EventSourceResponse": "go_away",
    "lowlevel.RequestHandler": (
        "access_logger at_end background body_wanted cancel_handler check_deadline congested"
        " connection_lost connection_made data_received describe drain drain_needed end_upgrade"
        " eof_received go_away handle_error lets_persist log_access log_debug log_exception"
        " max_field_size max_headers max_line_size note_interim pause_body pause_writing read_bufsize"
        " resume_body resume_writing send send_file send_parts send_whole server_header upgrade"
        " wait_disconnected"
    ),
    "lowlevel.Server": (
        "add_background connection_lost connection_made current_access_logger log_refusal"
        " run_background"
    ),
    "lowlevel.TCPSite": "name",
    "lowlevel.UnixSite": "name",
    "lowlevel.SockSite": "name",
    "lowlevel.NamedPipeSite": "name",
    "lowlevel.MultipartReader": "next_event",
    "lowlevel.BodyPartReader": "transfer_decoder",
    "lowlevel.Router": "look_up",
    "lowlevel.writer.ResponseWriter": (
        "abandon encode_with encodes end full pause put send_file send_head upgrade"
    ),
    "lowlevel.protocol.head.RequestHead": "offers_websocket read_headers replace with_target",
}


def is_described(value: object) -> bool:
    """Whether a member has a docstring of its own: a method or some kind of property."""
    return (
        callable(value)
        or isinstance(value, classmethod | staticmethod)
        or hasattr(value, "__get__")
    )


def tuple_fields(cls: type) -> tuple[str, ...]:
    """The fields of a NamedTuple."""
    return getattr(cls, "_fields", ()) if issubclass(cls, tuple) else ()


def own_members(cls: type) -> dict[str, Any]:
    """The public methods and properties that a class defines, but for the slots of its attributes."""
    return {
        name: value
        for name, value in vars(cls).items()
        if not name.startswith("_")
        and is_described(value)
        and not inspect.isclass(value)
        and not inspect.ismemberdescriptor(value)
        and name not in tuple_fields(cls)
    }


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties of a class, and of its bases that stand on no page, not with another class."""
    public = [base for base in cls.__mro__[1:] if base in CLASSES.values()]
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        is_ours = base.__module__.partition(".")[0] == "lowlevel"
        if is_ours and not any(issubclass(other, base) for other in public):
            found = {**own_members(base), **found}
    yield from found.items()


def visible_members() -> Iterator[tuple[str, type, str, Any]]:
    """What the pages show of all classes: the name of the class, the class, the name of the member, the member."""
    for class_name, cls in CLASSES.items():
        hidden = HIDDEN.get(class_name, "").split()
        for name, value in members(cls):
            if name not in hidden:
                yield class_name, cls, name, value


def shown_members(name: str, entry: Entry) -> set[str]:
    """What a page shows of a class."""
    shown = set(entry.nested)
    if "members" in entry.options:
        everything = own_members if "inherited-members" not in entry.options else members
        listed = entry.listed("members") or set(dict(everything(CLASSES[name])))
        shown |= listed - entry.listed("exclude-members")
    return shown


@pytest.mark.parametrize("name", sorted(CLASSES.keys() - {"lowlevel.Request"}))
def test_the_members_of_a_class_stand_there(name: str) -> None:
    cls = CLASSES[name]
    [entry] = [entry for known, entry in ENTRIES if known == name]
    missing = dict(members(cls)).keys() - shown_members(name, entry)
    assert missing == set(HIDDEN.get(name, "").split()), "on the page, or hidden on purpose"
    if cls is not web.HttpVersion:
        assert set(tuple_fields(cls)) <= fields(DOCSTRINGS[name], "Attributes").keys() | set(
            entry.nested
        )


def test_the_attributes_of_a_server_exist() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response()

    server = web.Server(handler)
    [entry] = [entry for name, entry in ENTRIES if name == "lowlevel.Server"]
    assert entry.nested
    assert [name for name in entry.nested if not hasattr(server, name)] == []


# ---- Docstrings --------------------------------------------------------------------------------


def docstring(cls: type, name: str) -> str:
    """The docstring of a member, be it that of a base."""
    found = (inspect.getdoc(vars(base)[name]) for base in cls.__mro__ if name in vars(base))
    return next(filter(None, found), "")


# All there is to read, by name: first what stands on the pages, then its members.
DOCSTRINGS = {
    **{name: inspect.getdoc(value) or "" for name, value in OBJECTS.items()},
    **{
        f"{class_name}.{name}": docstring(cls, name)
        for class_name, cls, name, _ in visible_members()
    },
}
# Values and types, which the pages describe.
NO_DOCSTRING = {
    "lowlevel.Handler",
    "lowlevel.Middleware",
    "lowlevel.cookies.SameSite",
}


def test_everything_has_a_docstring() -> None:
    assert {name for name, text in DOCSTRINGS.items() if not text} == NO_DOCSTRING


_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns):\n((?:    .*\n|\n)+)", re.MULTILINE)
_FIELD = re.compile(r"^    ([\w.]+(?:, [\w.]+)*): ", re.MULTILINE)


def sections(text: str) -> dict[str, str]:
    """The sections of a docstring."""
    return dict(_SECTION.findall(f"{text}\n"))


def fields(text: str, section: str = "Args") -> dict[str, str]:
    """The entries of a section: names, and what is said of them."""
    parts = _FIELD.split(sections(text).get(section, ""))
    return {
        name: " ".join(body.split())
        for names, body in zip(parts[1::2], parts[2::2], strict=True)
        for name in names.split(", ")
    }


# Whose docstring says for all of its methods what a cancellation does.
SAYS_FOR_ALL = {
    "lowlevel.BodyPartReader": "Its methods may be cancelled",
    "lowlevel.MultipartReader": "Its methods may be cancelled",
    "lowlevel.StreamReader": "Every read may be cancelled",
    "lowlevel.testing.Peer": "failed or was cancelled may be lost",
}


def coroutines() -> Iterator[str]:
    """The names of what is awaited."""
    for name, function in FUNCTIONS.items():
        if inspect.iscoroutinefunction(function):
            yield name
    for class_name, _, name, value in visible_members():
        function = inspect.unwrap(getattr(value, "__func__", value))
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            yield f"{class_name}.{name}"


# Of the call itself, not of what it cancels.
CANCELLED = re.compile(
    r"[Ss]afe to cancel|nothing to cancel|Nothing to cancel|Cancell(?:ed|ing)\b|be cancelled"
    r"|(?:call|this|that) is cancelled|(?:[Ww]hen|[Ii]f) (?:it fails or is )?cancelled|; cancelled"
)


@pytest.mark.parametrize("name", sorted(coroutines()))
def test_a_coroutine_says_what_a_cancellation_does(name: str) -> None:
    for_all = SAYS_FOR_ALL.get(name.rpartition(".")[0])
    if for_all is None:
        assert CANCELLED.search(" ".join(DOCSTRINGS[name].split()))
    else:
        assert for_all in " ".join(DOCSTRINGS[name.rpartition(".")[0]].split())


def test_coroutines_are_found() -> None:
    names = set(coroutines())
    assert len(names) > 60
    assert {
        "lowlevel.coerce",
        "lowlevel.BaseRequest.post",
        "lowlevel.testing.Peer.connect",
    } <= names


# ---- Parameters --------------------------------------------------------------------------------


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a function, or of a method for who calls it."""
    found = inspect.signature(function).parameters.values()
    return [parameter for parameter in found if parameter.name not in ("self", "cls")]


def has_constructor(cls: Any) -> bool:
    """Whether a class, or a base that stands on no page, says how it is made."""
    owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
    ours = owner.__module__.startswith("lowlevel")
    return ours and (owner is cls or owner not in CLASSES.values())


# Programs are given them, and make none.
MADE_FOR_THEM = {
    "lowlevel.BodyPartReader",
    "lowlevel.Request",
    "lowlevel.RequestHandler",
    "lowlevel.StreamReader",
    "lowlevel.protocol.head.RequestHead",
    "lowlevel.testing.ClientFactory",
    "lowlevel.testing.ServerFactory",
    "lowlevel.writer.ResponseWriter",
}
CALLED = {
    **{name: parameters(function) for name, function in FUNCTIONS.items()},
    **{
        name: parameters(cls.__init__)
        for name, cls in CLASSES.items()
        if name not in MADE_FOR_THEM and has_constructor(cls)
    },
}
# What the sentence says already.
OBVIOUS = {
    "lowlevel.cookies.parse_cookie",
    "lowlevel.cookies.parse_set_cookie",
    "lowlevel.headers.parse_http_date",
    "lowlevel.to_response",
}
_OF_EXCEPTIONS = {parameter.name for parameter in parameters(web.HTTPException.__init__)}


@pytest.mark.parametrize("name", sorted(CALLED.keys() - OBVIOUS))
def test_every_parameter_is_described(name: str) -> None:
    text = DOCSTRINGS[name]
    wanted = [parameter.name for parameter in CALLED[name]]
    if "The others are those of HTTPException." in text:
        wanted = [name for name in wanted if name not in _OF_EXCEPTIONS]
    # Fields of a dataclass are what it is made of.
    section = "Attributes" if is_dataclass(OBJECTS[name]) else "Args"
    assert list(fields(text, section)) == wanted


# Of methods, whose sentences say it for these.
PLAIN = set(
    """
    allow_head args callback code compress data default dumps encoding handler host hosts item key manager method
    methods middleware name n options other path paths prefix request types value values websocket
    """.split()
)


def test_every_parameter_of_a_method_is_named() -> None:
    unnamed = [
        f"{class_name}.{name}({parameter.name})"
        for class_name, _, name, value in visible_members()
        if inspect.isfunction(value)
        for parameter in parameters(value)
        if parameter.name not in PLAIN
        and not re.search(rf"\b{parameter.name}\b", DOCSTRINGS[f"{class_name}.{name}"])
    ]
    assert not unnamed


SECONDS = re.compile(r"\b[Ss]econds\b")
UNITS = re.compile(
    r"\b([Ss]econds?|[Bb]ytes?|Milliseconds|characters|log2|[Cc]onnections|fields|requests|Fields"
    r"|octal|[Pp]ermissions)\b"
)
# Numbers of nothing, or of a kind that the name tells.
UNITLESS = {"code", "major", "minor", "port", "status", "strategy", "version"}


def test_every_number_has_a_unit() -> None:
    bare = []
    for name, given in CALLED.items():
        said = fields(DOCSTRINGS[name])
        for parameter in given:
            text = said.get(parameter.name, "")
            if (
                re.search(r"\b(int|float)\b", str(parameter.annotation))
                and parameter.name not in UNITLESS
                and not text.startswith("Taken for aiohttp's callers")
                and not (SECONDS if parameter.name.endswith("timeout") else UNITS).search(text)
            ):
                bare.append(f"{name}({parameter.name})")
    assert not bare


# ---- Form --------------------------------------------------------------------------------------


def test_every_error_that_is_named_exists() -> None:
    named = {error for text in DOCSTRINGS.values() for error in fields(text, "Raises")}
    assert [error for error in sorted(named) if not is_error(error)] == []
    assert {"HTTPRequestEntityTooLarge", "asyncio.IncompleteReadError", "NotAResponse"} <= named


def is_error(name: str) -> bool:
    """Whether a name is that of an exception: a builtin one, one of ours, or one of ``module.Name``."""
    module, _, attribute = name.rpartition(".")
    places = [importlib.import_module(module)] if module else [builtins, web, errors]
    found = next((vars(place)[attribute] for place in places if attribute in vars(place)), None)
    return isinstance(found, type) and issubclass(found, BaseException)


def test_sections_are_read_as_they_are_meant() -> None:
    """An entry is ``name: text``. What stands in front of a colon elsewhere must not pass for a type."""
    wrong = []
    for name, text in DOCSTRINGS.items():
        for section, body in sections(text).items():
            if section == "Returns":
                wrong += [name] if _has_colon(body) else []
            else:
                entries = re.findall(r"^    \S.*", body, re.MULTILINE)
                wrong += [f"{name}: {entry}" for entry in entries if not _FIELD.match(entry)]
    assert not wrong


def test_a_property_does_not_begin_with_a_type() -> None:
    """Sphinx takes ``The path: decoded.`` of a property for a type, ``The path``."""
    wrong = [
        f"{class_name}.{name}"
        for class_name, _, name, value in visible_members()
        if not inspect.isroutine(value) and _has_colon(DOCSTRINGS[f"{class_name}.{name}"])
    ]
    assert not wrong


def _has_colon(text: str) -> bool:
    first = text.strip().partition("\n")[0]
    return re.search(r":(\s|$)", re.sub(r"``.*?``", "", first)) is not None


def test_code_stands_in_double_backquotes() -> None:
    code = re.compile("``.+?``", re.DOTALL)
    assert not [name for name, text in DOCSTRINGS.items() if "`" in code.sub("", text)]


def test_every_exception_names_its_section() -> None:
    for name, cls in CLASSES.items():
        if issubclass(cls, web.HTTPException) and cls.status_code > 0:
            text = DOCSTRINGS[name]
            assert cls is web.RequestDecodeError or re.search(r"\(RFC \d{4} §[\d.]+\)", text), name
