"""lowlevel.cookies, and cookies on their way from and to a client."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

import lowlevel as web
from lowlevel import cookies
from tests.linear import rounds
from tests.support import Answer, Peer, request, serving


async def ask(handler: object, *fields: str) -> Answer:
    async with serving(handler) as server, Peer.connect(server.port) as peer:
        return await peer.ask(request("GET", "/", *fields))


# --- The module ----------------------------------------------------------------------------------


def test_all_is_there() -> None:
    for name in cookies.__all__:
        assert hasattr(cookies, name)
    assert web.cookies is cookies


def test_parse_cookie_keeps_all_values() -> None:
    assert cookies.parse_cookie('a=1; b="x;y"; a=2;c') == {"a": ["1", "2"], "b": ["x;y"], "c": [""]}
    assert cookies.parse_cookie("") == {}


def test_parse_set_cookie() -> None:
    cookie = cookies.parse_set_cookie(
        "id=a3fWa; Expires=Thu, 31 Oct 2021 07:28:00 GMT; Max-Age=3600; Path=/; Domain=E.org; "
        "Secure; HttpOnly; SameSite=Lax; Partitioned"
    )
    assert cookie == cookies.SetCookie(
        name="id",
        value="a3fWa",
        expires=datetime(2021, 10, 31, 7, 28, tzinfo=UTC),
        max_age=timedelta(hours=1),
        path="/",
        domain="e.org",
        secure=True,
        httponly=True,
        samesite="Lax",
        partitioned=True,
    )
    with pytest.raises(ValueError, match="no usable name"):
        cookies.parse_set_cookie("nothing")


def test_format_set_cookie() -> None:
    text = cookies.format_set_cookie(
        "__Host-id", "a b", path="/", secure=True, max_age=timedelta(minutes=1), samesite="strict"
    )
    assert text == '__Host-id="a b"; Max-Age=60; Path=/; SameSite=Strict; Secure'


# --- Over a socket -------------------------------------------------------------------------------


async def test_one_cookie_is_one_field() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        response = web.Response(text="Hello")
        response.cookies["rocky"] = "road"
        response.cookies["rocky"]["path"] = "/cookie"
        return response

    answer = await ask(handler)
    assert answer.headers["set-cookie"] == ["rocky=road; Path=/cookie"]
    assert answer.head.count(b"Set-Cookie: rocky=road; Path=/cookie\r\n") == 1


async def test_each_cookie_has_a_field_of_its_own() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        response = web.Response(headers={"Set-Cookie": "own=1"})
        response.set_cookie("a", "x, y", samesite="none", secure=True, partitioned=True)
        response.del_cookie("__Host-b")
        return response

    answer = await ask(handler)
    assert answer.headers["set-cookie"] == [
        "own=1",
        'a="x\\054 y"; Partitioned; Path=/; SameSite=None; Secure',
        '__Host-b=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; Secure',
    ]


async def test_cookies_of_exceptions_and_streams_are_sent() -> None:
    async def raising(request: web.BaseRequest) -> web.Response:
        response = web.HTTPForbidden()
        response.set_cookie("a", "1")
        raise response

    async def streaming(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.set_cookie("a", "1")
        await response.prepare(request)
        return response

    for handler in (raising, streaming):
        assert (await ask(handler)).headers["set-cookie"] == ["a=1; Path=/"]


async def test_what_is_set_comes_back_as_it_was() -> None:
    values = ["", "plain", 'a "b"; c=d, \\e', "é€ \u2028", "tab\t", '{"json": [1, 2]}', "%20"]

    async def handler(request: web.BaseRequest) -> web.Response:
        if not request.cookies:
            response = web.Response()
            for number, value in enumerate(values):
                response.set_cookie(f"jar{number}", value)
                response.headers.add(
                    "Set-Cookie", cookies.format_set_cookie(f"format{number}", value)
                )
            return response
        for number, value in enumerate(values):
            assert request.cookies[f"jar{number}"] == value
            assert request.cookies[f"format{number}"] == value
        return web.Response(text=str(len(request.cookies)))

    async with serving(handler) as server, Peer.connect(server.port) as peer:
        answer = await peer.ask(request())
        # A browser keeps what is before the first semicolon, and knows nothing of quotes.
        pairs = [field.partition(";")[0] for field in answer.headers["set-cookie"]]
        answer = await peer.ask(request("GET", "/", f"Cookie: {'; '.join(pairs)}"))
        assert (answer.status, answer.body) == (200, b"14")


async def test_cookies_of_a_request() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        assert cookies.parse_cookie(request.headers["Cookie"]) == {"a": ["1", "2"], "b": ["x y"]}
        return web.json_response(dict(request.cookies))

    answer = await ask(handler, 'Cookie: a=1; b="x y"; a=2', "cookie: c=3")
    assert answer.body == b'{"a": "2", "b": "x y", "c": "3"}'


# --- Faults of peers -----------------------------------------------------------------------------


def test_cve_2016_7401_only_semicolons_separate_cookies() -> None:
    """Django and http.cookies ended a cookie at a bracket or a space, so that a tracker's value set another."""
    for separator in ("]", " ", ",", "[", "\t", '"'):
        value = f"__utmz=1.utmcsr=a{separator}csrftoken=evil; csrftoken=mine"
        assert cookies.parse_cookie(value)["csrftoken"] == ["mine"]


def test_cve_2023_23934_a_cookie_without_a_name_is_none() -> None:
    """Werkzeug read ``=__Host-test=bad``, which any subdomain may set, as the cookie ``__Host-test``."""
    assert cookies.parse_cookie("=__Host-test=bad; a=1; ==__Host-test=bad") == {"a": ["1"]}
    assert cookies.parse_cookie(" = __Host-test=bad; __Host-test=good") == {"__Host-test": ["good"]}
    with pytest.raises(ValueError, match="no usable name"):
        cookies.parse_set_cookie("=__Host-test=bad; Secure; Path=/")


@pytest.mark.parametrize("bait", ["\\", "\\\\", '\\"', "\\1", "\\012", 'a=\\"', '"\\'])
def test_cve_2024_7592_and_cve_2024_52804_escapes_are_read_once(bait: str) -> None:
    """http.cookies and Tornado looked through the rest of a quoted value again at each backslash."""
    once, twice = (
        rounds(cookies.parse_cookie, f'a="{bait * (size // len(bait))}"') for size in (2000, 4000)
    )
    assert twice <= 2 * once + 10
    cookies.parse_cookie(f'a="{bait * 100_000}"')


async def test_cve_2025_69230_bad_cookies_do_not_fill_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """aiohttp wrote a warning for each of the thousands of bad cookies that fit into one field."""

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.json_response(dict(request.cookies))

    with caplog.at_level(logging.DEBUG):
        answer = await ask(handler, "Cookie: " + 'é=1;(,)=2;"=3;' * 400 + "a=1")
    assert answer.body == b'{"a": "1"}'
    assert not [record for record in caplog.records if record.name.startswith("lowlevel")]


@pytest.mark.parametrize("evil", ["a; Max-Age=2592000; b", "a=b; Domain=evil; c", "a\r\nX: y"])
def test_cve_2024_47764_no_part_of_a_cookie_becomes_another(evil: str) -> None:
    """The cookie package of npm wrote names, paths and domains as they were, with attributes in them."""
    with pytest.raises(ValueError, match="must be a token"):
        cookies.format_set_cookie(evil, "v")
    for options in ({"path": evil}, {"domain": evil}, {"samesite": evil}, {"expires": evil}):
        with pytest.raises(ValueError, match=r"semicolon|CR, LF|samesite must be"):
            cookies.format_set_cookie("n", "v", **options)  # type: ignore[arg-type]


async def test_cve_2026_0672_cookies_set_by_hand_inject_no_field(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """http.cookies let line breaks through in attributes of a Morsel, and so into the head of an answer."""

    async def handler(request: web.BaseRequest) -> web.Response:
        response = web.Response()
        response.cookies["a"] = "1"
        response.cookies["a"]["path"] = "/\r\nX-Evil: 1"
        return response

    answer = await ask(handler)
    assert answer.status == 500
    assert b"X-Evil" not in answer.head
    assert "CR, LF or NUL" in caplog.text or "Control characters" in caplog.text
