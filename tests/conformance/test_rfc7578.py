"""RFC 7578 (multipart/form-data) and RFC 2046 §5.1 (multipart), section by section, over real sockets."""

from typing import Any

import pytest

import lowlevel as web
from tests.formdata import (
    BOUNDARY,
    FORM_DATA,
    MIXED,
    Fed,
    File,
    answered,
    bytewise,
    disposition,
    every_split,
    field,
    multipart,
    part,
    posted,
    refused_form,
    sending,
    sending_chunks,
)

OCTETS = "application/octet-stream"


async def contents(body: bytes, kind: str = MIXED) -> list[bytes]:
    """The contents of the parts, which must be the same wherever the bytes are cut."""
    found: list[bytes] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        found.extend(await read_all(request))
        return web.Response()

    answer = await answered(handler, sending(body, kind))
    assert answer.status == 200, (answer.head, answer.body)
    for pieces in (bytewise(body), *map(list, every_split(body))):
        async with Fed(kind, pieces) as request:
            assert await read_all(request) == found, pieces
    return found


async def read_all(request: web.BaseRequest) -> list[bytes]:
    """The contents of all parts; the body must have been read to its end."""
    parts = []
    async for one in await request.multipart():
        assert isinstance(one, web.BodyPartReader)
        parts.append(await one.read())
    assert request.content.at_eof()
    return parts


async def refused(body: bytes, kind: str = MIXED) -> None:
    """The body is a 400, wherever the bytes are cut."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await (await request.multipart()).release()
        return web.Response()

    assert (await answered(handler, sending(body, kind))).status == 400
    for pieces in (bytewise(body), *map(list, every_split(body))):
        async with Fed(kind, pieces) as request:
            with pytest.raises(web.RequestDecodeError):
                await (await request.multipart()).release()


# --- RFC 2046 5.1.1: the boundary ---------------------------------------------------------

ALL_CHARACTERS = "0123456789 abcXYZ'()+_,-./:=?"


@pytest.mark.parametrize(
    "boundary",
    ["b", "0", "-", "--", "'", "x" * 70, ALL_CHARACTERS, "a b", "----WebKitFormBoundary", "=_b=?:"],
)
async def test_boundaries(boundary: str) -> None:
    """1 to 70 characters of a set that has blanks, too, but not at the end. Most of it needs quotes."""
    body = multipart(part(b"1"), part(b""), boundary=boundary)
    kind = f'multipart/mixed; boundary="{boundary}"'
    assert await contents(body, kind) == [b"1", b""]


async def test_a_boundary_with_escapes() -> None:
    """RFC 9110 §5.6.4: a quoted string may escape what it need not."""
    body = multipart(part(b"1"), boundary="a:b")
    assert await contents(body, 'multipart/mixed; boundary="a\\:\\b"') == [b"1"]


@pytest.mark.parametrize("boundary", ["b", "AaB03x", "----x"])
async def test_a_boundary_that_is_a_token_needs_no_quotes(boundary: str) -> None:
    body = multipart(part(b"1"), boundary=boundary)
    assert await contents(body, f"multipart/mixed; boundary={boundary}; x=y") == [b"1"]


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/mixed",
        "multipart/mixed; boundary",
        "multipart/mixed; boundary=",
        'multipart/mixed; boundary=""',
        "multipart/mixed; bound=b",
        f"multipart/mixed; boundary={'x' * 71}",
        f"multipart/mixed; boundary={'x' * 1000}",
        'multipart/mixed; boundary="b "',
        'multipart/mixed; boundary=" "',
        'multipart/mixed; boundary="a\tb"',
        "multipart/mixed; boundary=\xe4",
    ],
)
async def test_boundaries_that_are_none(kind: str) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        with pytest.raises(web.RequestDecodeError):
            await request.multipart()
        return web.Response(text="told")

    boundary = kind.partition("boundary=")[2].strip('"') or "b"
    body = multipart(part(b"1"), boundary=boundary)
    assert (await answered(handler, sending(body, kind))).body == b"told"
    await refused_form(sending(body, kind.replace("mixed", "form-data")))


async def test_the_boundary_must_be_at_the_start_of_a_line() -> None:
    text = b"in a line: --AaB03x\r\n --AaB03x\r\n---AaB03x\r\n-AaB03x--"
    assert await contents(multipart(part(text), part(b"2"))) == [text, b"2"]


@pytest.mark.parametrize(
    "text", [b"\n--AaB03x", b"\r--AaB03x", b"x\n--AaB03x--\n", b"\n\r--AaB03x"]
)
async def test_a_line_ends_with_cr_and_lf(text: bytes) -> None:
    """§4.1.1: CRLF; one of them alone is no line end, but content like any other."""
    assert await contents(multipart(part(text), part(b"2"))) == [text, b"2"]


@pytest.mark.parametrize("padding", [b" ", b"\t", b" \t  \t", b" " * 100])
async def test_boundaries_may_be_padded(padding: bytes) -> None:
    """transport-padding: composers MUST NOT generate it, receivers MUST be able to handle it."""
    delimiter = b"--AaB03x" + padding + b"\r\n"
    body = delimiter + part(b"1") + b"\r\n" + delimiter + part(b"2") + b"\r\n--AaB03x--"
    for last in (b"", padding, b"\r\n", padding + b"\r\n", padding + b"\r\nepilogue"):
        assert await contents(body + last) == [b"1", b"2"]


@pytest.mark.parametrize(
    "last", [b"", b"\r", b"\r\n", b"\n", b"\r\n\r\n", b"  \r\n", b"\r\n--AaB03x\r\n\r\nno part\r\n"]
)
async def test_the_end_needs_no_line_end(last: bytes) -> None:
    assert await contents(multipart(part(b"1"), epilogue=last)) == [b"1"]


@pytest.mark.parametrize(
    "preamble",
    [
        b"\r\n",
        b"\r\n\r\n",
        b"This is a message with multiple parts in MIME format.\r\n",
        b"line\r\nline\r\n\r\n",
        b"-\r\n--\r\n--AaB03\r\n",
        b"in a line --AaB03x\r\n",
        b"\r\r\n",
        b"\0\xff\r\n",
        b"p" * 300 + b"\r\n",
    ],
)
async def test_the_preamble_is_ignored(preamble: bytes) -> None:
    assert await contents(multipart(part(b"1"), part(b"2"), preamble=preamble)) == [b"1", b"2"]


@pytest.mark.parametrize(
    "epilogue",
    [
        b"\r\nmore",
        b"\r\n--AaB03x\r\n\r\nno part\r\n--AaB03x--\r\n",
        b"\r\n\0\xff" * 100,
        b"\r\n" + b"-" * 300,
        b"\r\n--AaB03x--",
    ],
)
async def test_the_epilogue_is_ignored(epilogue: bytes) -> None:
    assert await contents(multipart(part(b"1"), part(b"2"), epilogue=epilogue)) == [b"1", b"2"]


async def test_large_preamble_and_epilogue() -> None:
    """They are dropped as they come; for post() they count."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=repr(await read_all(request)))

    filler = b"\r\n--AaB03" * 200_000
    body = multipart(part(b"1"), preamble=filler + b"\r\n", epilogue=b"\r\n" + filler)
    assert (await answered(handler, sending(body, MIXED))).body == b"[b'1']"


@pytest.mark.parametrize(
    "body", [b"--AaB03x--", b"--AaB03x--\r\n", b"\r\n--AaB03x--\r\n", b"p\r\n--AaB03x--"]
)
async def test_no_parts_at_all(body: bytes) -> None:
    """The grammar wants one; a form without fields has none, and clients send that."""
    assert await contents(body) == []
    assert await posted(sending(body)) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"--",
        b"--AaB03x",
        b"--AaB03x-",
        b"--AaB03x\r\n",
        b"no boundary at all",
        b"AaB03x--",
        b"-AaB03x--",
        b"--Aab03x--",
        b"x--AaB03x--",
        b"\n--AaB03x--",
    ],
)
async def test_no_end_at_all(body: bytes) -> None:
    if body:
        await refused(body)
    await refused_form(sending(body))


async def test_a_body_that_was_cut_is_refused_wherever_it_was_cut() -> None:
    body = multipart(field("a", b"1"), part(b"\r\n"), epilogue=b"")
    for end in range(1, len(body)):
        async with Fed(MIXED, [body[:end]]) as request:
            with pytest.raises(web.RequestDecodeError):
                await (await request.multipart()).release()


# --- RFC 2046 5.1, 5.1.1: parts -----------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 20])
async def test_parts(count: int) -> None:
    expected = [b"%d" % number for number in range(count)]
    assert await contents(multipart(*map(part, expected))) == expected


async def test_empty_parts() -> None:
    assert await contents(multipart(part(b""), part(b""), part(b"", "X: y"))) == [b"", b"", b""]


async def test_a_part_without_header_fields() -> None:
    """NO header fields are required; then it is plain US-ASCII text. The empty line stays."""
    body = multipart(part(b"text"))
    assert body.startswith(b"--AaB03x\r\n\r\ntext")
    assert await contents(body) == [b"text"]


@pytest.mark.parametrize(
    "content",
    [
        b"\r\n",
        b"\r\n\r\n",
        b"x\r\n",
        b"\r\nx",
        b"\r",
        b"\n",
        b"x\r",
        b"\r\r\n",
        b"--",
        b"\r\n--",
        b"\r\n-",
    ],
)
async def test_the_line_end_before_a_boundary_belongs_to_the_boundary(content: bytes) -> None:
    """One CRLF, and no more: content may end with others."""
    assert await contents(multipart(part(content), part(content))) == [content, content]


async def test_every_byte_is_content() -> None:
    content = bytes(range(256)) + b"\r\n" + bytes(range(255, -1, -1))
    assert await contents(multipart(part(content))) == [content]


@pytest.mark.parametrize(
    "line",
    [
        b"X-Y : z",
        b": z",
        b"no colon",
        b"X\0: y",
        b"X Y: z",
        b"\xe4: z",
        b" X: y",
        b"X: y\r\n folded",
    ],
)
async def test_bad_header_fields_of_a_part(line: bytes) -> None:
    """RFC 9112 §5 for parts: nothing that two readers could take for different fields."""
    await refused(b"--AaB03x\r\n" + line + b"\r\n\r\n1\r\n--AaB03x--\r\n")


@pytest.mark.parametrize("line", [b"X: a\nY: b", b"X: a\rb", b"X: a\0b"])
async def test_control_characters_in_a_value_of_a_part(line: bytes) -> None:
    """RFC 9110 §5.5: CR, LF and NUL are invalid and dangerous in a value."""
    await refused(b"--AaB03x\r\n" + line + b"\r\n\r\n1\r\n--AaB03x--\r\n")


async def test_names_of_header_fields_have_no_case() -> None:
    seen: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        one = await (await request.multipart()).next()
        assert isinstance(one, web.BodyPartReader)
        seen.append((one.name, one.headers["content-TYPE"], one.headers.getall("x")))
        return web.Response()

    lines = ['CONTENT-disposition:form-data;NAME="a"', "content-type:text/x \t", "X:", "x: \t1"]
    await answered(handler, sending(multipart(part(b"1", *lines)), MIXED))
    assert seen == [("a", "text/x", ["", "1"])]


# --- RFC 7578 4.1: the boundary -----------------------------------------------------------


async def test_a_boundary_that_begins_like_another() -> None:
    """§4.1 and RFC 2046 §5.1.2: the nested one is longer, but is not at the start of a line of the outer."""
    inner = multipart(part(b"i"), boundary="AaB03").replace(b"\r\n", b"\r\n ")
    assert await posted(sending(multipart(field("a", inner)))) == [("a", inner.decode())]


# --- RFC 7578 4.2: Content-Disposition ----------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["Content-Type: text/plain"],
        ["Content-Disposition: form-data"],
        ['Content-Disposition: form-data; filename="f"'],
        ["Content-Disposition: form-data; name*=unheard-of'\\'a"],
        ["Content-Disposition:"],
    ],
)
async def test_a_part_without_a_name(lines: list[str]) -> None:
    """Each part MUST contain one with the parameter name."""
    await refused_form(sending(multipart(part(b"1", *lines), field("a", b"1"))))


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ('name="a"', "a"),
        ("name=a", "a"),
        ('Name="a"', "a"),
        ('x="name=b"; name="a"', "a"),
        (' ;; name = "a" ', "a"),
        ('name="a b;c=d"', "a b;c=d"),
        ('name="\\"\\\\"', '"\\'),
        ('name=""', ""),
        ('name="a\\b"', "a\\b"),
        ('name="\xe4\u20ac"', "\xe4\u20ac"),
        ("name=\xe4", "\xe4"),
        ("name*=utf-8''%c3%a4", "\xe4"),
        ('name="first"; name="second"', "first"),
    ],
)
async def test_names(parameters: str, name: str) -> None:
    body = multipart(part(b"1", f"Content-Disposition: form-data; {parameters}"))
    assert await posted(sending(body)) == [(name, "1")]


async def test_names_in_no_utf_8() -> None:
    """§5.1.2: some send names in the charset of the page; what is no UTF-8 is marked as such."""
    line = 'Content-Disposition: form-data; name="\xe4"'.encode("latin-1")
    assert await posted(sending(multipart(line + b"\r\n\r\n1"))) == [("\ufffd", "1")]


# --- RFC 7578 4.3: several files for one field --------------------------------------------


async def test_several_files_have_the_same_name() -> None:
    body = multipart(
        field("f", b"1", filename="one"), field("f", b"2", filename="two"), field("f", b"3")
    )
    assert await posted(sending(body)) == [
        ("f", File("one", OCTETS, b"1")),
        ("f", File("two", OCTETS, b"2")),
        ("f", "3"),
    ]


async def test_files_in_multipart_mixed() -> None:
    """As RFC 2388 had it, deprecated: no form of ours has such, and none is half read."""
    inner = multipart(part(b"1", 'Content-Disposition: file; filename="one"'), boundary="Inner")
    nested = field("f", inner, "Content-Type: multipart/mixed; boundary=Inner")
    await refused_form(sending(multipart(nested)))


# --- RFC 7578 4.4: Content-Type of a part -------------------------------------------------


async def test_the_default_type_is_text() -> None:
    assert await posted(sending(multipart(field("a", b"1")))) == [("a", "1")]


@pytest.mark.parametrize("kind", ["", "text", "/", ";", "a b/c", "text/plain/x", "text/;"])
async def test_a_type_that_is_none(kind: str) -> None:
    """The field is there all the same, as text or as bytes."""
    ((name, value),) = await posted(sending(multipart(field("a", b"1", f"Content-Type: {kind}"))))
    assert (name, value) in (("a", "1"), ("a", bytearray(b"1")))


# --- RFC 7578 4.5, 4.6: charsets ----------------------------------------------------------


async def test_the_charset_of_a_part() -> None:
    body = multipart(
        field("a", b"\xe4", "Content-Type: text/plain;charset=windows-1250"),
        field("b", "\xe4".encode()),
    )
    assert await posted(sending(body)) == [("a", "\xe4"), ("b", "\xe4")]


async def test_the_charset_field() -> None:
    """§4.6: _charset_ is the default for all parts; it comes first, or what was before is UTF-8."""
    latin, utf = b"\xe4", "\xe4".encode()
    body = multipart(
        field("before", utf),
        field("_charset_", b"iso-8859-1"),
        field("a", latin),
        field("b", utf, "Content-Type: text/plain; charset=utf-8"),
        field("c", latin, "Content-Type: text/html"),
        field("d", latin, "Content-Type: x/y"),
    )
    assert await posted(sending(body)) == [
        ("before", "\xe4"),
        ("_charset_", "iso-8859-1"),
        ("a", "\xe4"),
        ("b", "\xe4"),
        ("c", "\xe4"),
        ("d", bytearray(latin)),
    ]


@pytest.mark.parametrize(
    "charset", [b"", b"unheard-of", b"rot13", b"punycode", b"\xff", b"a" * 5000]
)
async def test_a_charset_field_that_is_none(charset: bytes) -> None:
    await refused_form(sending(multipart(field("_charset_", charset), field("a", b"\xe4"))))


async def test_a_text_that_is_not_in_its_charset() -> None:
    await refused_form(sending(multipart(field("a", b"\xff"))))
    kind = "Content-Type: text/plain; charset=us-ascii"
    await refused_form(sending(multipart(field("a", b"\xff", kind))))


# --- RFC 7578 4.7: Content-Transfer-Encoding (deprecated) ---------------------------------


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "binary", "Binary", "BASE64", "base64 "])
async def test_transfer_encodings(encoding: str) -> None:
    body = b"YQ==" if encoding.strip().lower() == "base64" else b"a"
    line = f"Content-Transfer-Encoding: {encoding}"
    assert await posted(sending(multipart(field("a", body, line)))) == [("a", "a")]


@pytest.mark.parametrize("encoding", ["x-uuencode", "gzip", "base64, base64", "quoted"])
@pytest.mark.parametrize("filename", [None, "f"])
async def test_transfer_encodings_that_are_none(encoding: str, filename: str | None) -> None:
    line = f"Content-Transfer-Encoding: {encoding}"
    await refused_form(sending(multipart(field("a", b"a", line, filename=filename))))


# --- RFC 7578 4.8: other header fields ----------------------------------------------------


async def test_other_fields_of_a_part_are_ignored() -> None:
    lines = ["Content-Length: 1", "Content-Encoding: gzip", "X: y", "Content-Range: bytes 0-1/2"]
    assert await posted(sending(multipart(field("a", b"12", *lines)))) == [("a", "12")]


# --- RFC 7578 5.2: order ------------------------------------------------------------------


async def test_the_order_is_kept() -> None:
    """Recipients MUST NOT rely on it being anything else, and intermediaries MUST NOT reorder."""
    names = ["c", "a", "b", "a", "", "c"]
    body = multipart(*[field(name, b"%d" % at) for at, name in enumerate(names)])
    expected = [(name, str(at)) for at, name in enumerate(names)]
    assert await posted(sending(body)) == expected
    assert await posted(sending_chunks(*bytewise(body))) == expected


# --- RFC 7578 appendix, HTML 4.01 17.13.4 -------------------------------------------------


async def test_the_example_of_html_4() -> None:
    file = b"... contents of file1.txt ..."
    body = multipart(
        part(b"Larry", 'Content-Disposition: form-data; name="submit-name"'),
        part(
            file,
            'Content-Disposition: form-data; name="files"; filename="file1.txt"',
            "Content-Type: text/plain",
        ),
    )
    assert BOUNDARY == "AaB03x"
    assert await posted(sending(body, FORM_DATA)) == [
        ("submit-name", "Larry"),
        ("files", File("file1.txt", "text/plain", file)),
    ]


def test_the_encoder_of_these_tests() -> None:
    """Written out once, so that the tests stand on bytes and not on themselves."""
    assert multipart(field("a", b"1", "X: y"), part(b"2")) == (
        b"--AaB03x\r\n"
        b'Content-Disposition: form-data; name="a"\r\n'
        b"X: y\r\n"
        b"\r\n"
        b"1\r\n"
        b"--AaB03x\r\n"
        b"\r\n"
        b"2\r\n"
        b"--AaB03x--\r\n"
    )
    assert disposition('a"\\', "f") == (
        'Content-Disposition: form-data; name="a\\"\\\\"; filename="f"'
    )
