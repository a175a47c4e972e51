"""lowlevel.protocol.disposition: Content-Disposition as it is written by browsers, curl, and nobody in his senses."""

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowlevel.protocol.disposition import file_name, parse_content_disposition

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

parse = parse_content_disposition


@pytest.mark.parametrize(
    ("value", "kind", "parameters"),
    [
        ("", "", {}),
        ("inline", "inline", {}),
        (" Form-Data ", "form-data", {}),
        ("form-data;", "form-data", {}),
        ('form-data; name="a"', "form-data", {"name": "a"}),
        ("form-data; name=a", "form-data", {"name": "a"}),
        ("form-data;name=a;filename=b", "form-data", {"name": "a", "filename": "b"}),
        ("form-data; NAME = a ;\tX=y ", "form-data", {"name": "a", "x": "y"}),
        ("form-data; name=", "form-data", {"name": ""}),
        ('form-data; name=""', "form-data", {"name": ""}),
        ('form-data; name="a;b=c, d"', "form-data", {"name": "a;b=c, d"}),
        ("form-data; name=a b; x=y", "form-data", {"name": "a b", "x": "y"}),
        ("form-data; name=a\xe4/:@", "form-data", {"name": "a\xe4/:@"}),
        ('form-data; name="a"; name="b"', "form-data", {"name": "a"}),
        ('form-data; name="a" junk; x=y', "form-data", {"name": "a", "x": "y"}),
        ("form-data; junk; name=a", "form-data", {"name": "a"}),
        ("form-data; =a; name=b", "form-data", {"name": "b"}),
        ("form-data;;; name=a;;", "form-data", {"name": "a"}),
        ("; name=a", "", {"name": "a"}),
        ('name="a"', "name", {}),
    ],
)
def test_parameters(value: str, kind: str, parameters: dict[str, str]) -> None:
    assert parse(value) == (kind, parameters)


@pytest.mark.parametrize(
    ("quoted", "text"),
    [
        ('"a\\"b"', 'a"b'),
        ('"a\\\\b"', "a\\b"),
        # Browsers escape no backslash.
        ('"a\\b"', "a\\b"),
        ('"C:\\dir\\x"', "C:\\dir\\x"),
        ('"C:\\\\dir\\\\x"', "C:\\dir\\x"),
        ('"a%22b"', "a%22b"),
        ('"\\\\"', "\\"),
        ('"\\\\\\""', '\\"'),
        ('"no end', "no end"),
        ('"no end\\', "no end\\"),
        ('"', ""),
        ('"\u20ac\U0001f600"', "\u20ac\U0001f600"),
        ('"\udcff"', "\udcff"),
        ('" a\t"', " a\t"),
    ],
)
def test_quoted_strings(quoted: str, text: str) -> None:
    assert parse(f"form-data; filename={quoted}") == ("form-data", {"filename": text})


@pytest.mark.parametrize(
    ("parameters", "filename"),
    [
        ("filename*=UTF-8''na%C3%AFve", "na\xefve"),
        ("filename*=utf-8'en'na%c3%afve", "na\xefve"),
        ("filename*=iso-8859-1''na%EFve", "na\xefve"),
        ("filename*=''na%C3%AFve", "na\xefve"),
        ("filename*=\"UTF-8''a%20b\"", "a b"),
        ("filename*=UTF-8''a+b%zz%2", "a+b%zz%2"),
        ("filename=plain; filename*=UTF-8''%e2%82%ac", "\u20ac"),
        ("filename*=UTF-8''%e2%82%ac; filename=plain", "\u20ac"),
        ("filename*=UTF-8''a'b", "a'b"),
        # RFC 2231 §3
        ("filename*0=one; filename*1=two", "onetwo"),
        ("filename*1=two; filename*0=one", "onetwo"),
        ("filename*0*=UTF-8''%e2%82; filename*1*=%ac; filename*2=%20", "\u20ac%20"),
        ('filename*0="a;"; filename*1="b"', "a;b"),
        ("filename*0=one; filename*2=three", "one"),
        ("filename*0=one; filename=plain", "one"),
    ],
)
def test_extended_values(parameters: str, filename: str) -> None:
    """RFC 8187 §3.2, RFC 6266 §4.3."""
    assert parse(f"attachment; {parameters}") == ("attachment", {"filename": filename})


@pytest.mark.parametrize(
    "extended",
    [
        "filename*=x",
        "filename*=UTF-8'x",
        "filename*=unheard-of''x",
        "filename*=utf-8''%ff",
        "filename*=us-ascii''%ff",
        "filename*=base64''eA",
        "filename*=rot13''x",
        "filename*=punycode''a-",
        "filename*=unicode_escape''%5cx",
        "filename*=unicode_escape''%5c8",
        "filename*=undefined''x",
        "filename*=" + "u" * 5000 + "''x",
        "filename*=a/b''x",
        "filename*=''%ff",
        "filename*1=x",
        "filename**=UTF-8''x",
        "filename*x=x",
        "filename*1000=x",
        "filename*-1=x",
        "filename*\u0660=x",
    ],
)
def test_extended_values_that_are_none(extended: str) -> None:
    """They are left out, and the plain one counts."""
    kind, parameters = parse(f"attachment; filename=plain; {extended}")
    assert kind == "attachment"
    assert parameters["filename"] == "plain"
    kind, parameters = parse(f"attachment; {extended}")
    assert "filename" not in parameters


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("a.txt", "a.txt"),
        ("", ""),
        ("/", ""),
        ("\\", ""),
        ("a/", ""),
        ("../a", "a"),
        ("..\\a", "a"),
        ("a/../b", "b"),
        ("/etc/passwd", "passwd"),
        ("C:\\a\\b", "b"),
        ("C:b", "C:b"),
        ("\\\\host\\share\\b", "b"),
        ("a\\b/c", "c"),
        ("a/b\\c", "c"),
        (".", ""),
        ("..", ""),
        ("...", "..."),
        ("../..", ""),
        (".a", ".a"),
        ("a\0b", "a_b"),
        ("a\r\nb\t\x1b\x7f", "a__b___"),
        ("\0", "_"),
        ("\xe4\u20ac", "\xe4\u20ac"),
        (" a ", " a "),
        ("~", "~"),
    ],
)
def test_file_names(sent: str, name: str) -> None:
    assert file_name(sent) == name


anything = st.text(max_size=80) | st.text("\"\\;=*%'0123 \tabnmefilx\0\r\n/.", max_size=80)


@given(anything)
@settings(max_examples=300)
def test_reading_is_total(value: str) -> None:
    kind, parameters = parse(value)
    assert kind == kind.lower()
    for name, text in parameters.items():
        assert name and name == name.lower()
        assert isinstance(text, str)


@given(anything)
def test_file_names_lead_nowhere(sent: str) -> None:
    name = file_name(sent)
    assert not set(name) & {*map(chr, range(32)), "\x7f", "/", "\\"}
    assert name not in (".", "..")


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(texts, texts)
def test_what_was_escaped_comes_back(name: str, filename: str) -> None:
    """With the two escapes that RFC 9110 §5.6.4 has."""
    one, two = (text.replace("\\", "\\\\").replace('"', '\\"') for text in (name, filename))
    value = f'form-data; name="{one}"; filename="{two}"'
    assert parse(value) == ("form-data", {"name": name, "filename": filename})


@given(texts)
def test_what_was_percent_encoded_comes_back(filename: str) -> None:
    value = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
    assert parse(value) == ("attachment", {"filename": filename})


@pytest.mark.parametrize(
    "odd", ["\\", '"', ";", " ", "=", "*", "'", "%", '\\"', "; ", '="', ";a", "a*0=;"]
)
def test_long_values(odd: str) -> None:
    """CVE-2024-24762, CVE-2026-28356: regular expressions of others took for ever for such values."""
    for start in ("", "form-data; name=", 'form-data; name="', "form-data; name*=", "form-data"):
        kind, _ = parse(start + odd * (100_000 // len(odd)))
        assert isinstance(kind, str)
