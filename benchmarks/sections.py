"""The pieces of the page of numbers: for each a text, and the charts that the text shows."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from . import charts, notes, tables
from .charts import Chart, Scale
from .labels import versions
from .markup import bullets, escaped, fields, figure, paragraphs
from .reading import Results
from .stats import Row

# Peers are measured on this loop alone.
LOOP = "uvloop"

_WHISKERS = "The thin lines go from the smallest to the largest sample."
_RATIO_WHISKERS = "The thin lines go from the smallest to the largest ratio of a round."


@dataclass(frozen=True, slots=True)
class Piece:
    """text: empty where nothing of it was measured. charts: by the name of their files."""

    text: str = ""
    charts: Mapping[str, Chart] = field(default_factory=dict)


Section = Callable[[Results], Piece]


def load(case: str, title: str, results: Results, *, name: str = "") -> Piece:
    """Every server on one load. name: of the plot, if it is not that of the case."""
    rows = [row for row in _of_case(results, case) if row.loop == LOOP]
    if not _measured(rows):
        return _nothing(rows)
    chart = charts.relative(title, {"": rows})
    about = f"Longer is faster. {_RATIO_WHISKERS}"
    return _drawn(name or case, chart, about, rows, results, tables.beside(rows))


def beside_aiohttp(results: Results) -> Piece:
    """Each case of HTTP on each loop, with its target."""
    rows = [
        row
        for row in _single(results)
        if row.other == "aiohttp" and row.unit.endswith("/s") and not _is_other_page(row)
    ]
    if not _measured(rows):
        return _nothing(rows)
    chart = charts.ratios("Beside aiohttp, case by case", rows, reference="aiohttp")
    about = f"Longer is faster; the upright red lines are the targets. {_RATIO_WHISKERS}"
    return _drawn("beside-aiohttp", chart, about, rows, results, _by_loop(rows, tables.ratios))


def websocket(results: Results) -> Piece:
    rows = [
        row
        for row in _single(results)
        if row.case.startswith("websocket") and row.unit == "messages/s" and row.loop == LOOP
    ]
    if not _measured(rows):
        return _nothing(rows)
    groups = _by_case([row for row in rows if not row.failure])
    chart = charts.relative("WebSocket echo", groups)
    about = f"Longer is faster. {_RATIO_WHISKERS}"
    return _drawn("websocket", chart, about, rows, results, _beside_each(groups))


def toolkit(results: Results) -> Piece:
    rows = [row for row in _single(results) if row.case.startswith("toolkit")]
    if not _measured(rows):
        return _nothing(rows)
    chart = charts.ratios("Routes and middlewares", rows, reference="the other")
    about = f"Longer is faster; the upright red lines are the targets. {_RATIO_WHISKERS}"
    piece = _drawn("toolkit", chart, about, rows, results, _by_loop(rows, tables.ratios))
    return Piece(paragraphs(piece.text, bullets(notes.costs(rows))), piece.charts)


def growth(family: str, title: str, axis: str, scale: Scale, results: Results) -> Piece:
    rows = [row for row in results.rows if row.family == family]
    if not _measured(rows):
        return _nothing(rows)
    name = family.replace(" ", "-")
    chart = charts.growth(title, rows, axis, scale)
    higher = "lower" if rows[0].unit in tables.LOWER_IS_BETTER else "higher"
    about = f"What is {higher} is better. {_WHISKERS}"
    return _drawn(name, chart, about, rows, results, _by_loop(rows, tables.growth))


def latency(results: Results) -> Piece:
    """The title says the rate, which the run has chosen."""
    titles = [row.title for row in results.rows if row.family == "latency" and not row.failure]
    title = capital(titles[0].partition(", p")[0]) if titles else ""
    return growth("latency", title, "percentile", "even", results)


def memory(results: Results) -> Piece:
    rows = [row for row in _single(results) if row.unit in ("KiB", "MiB")]
    if not _measured(rows):
        return _nothing(rows)
    beside = [row for row in rows if row.unit == "KiB" and row.loop == LOOP and not row.failure]
    # A compressor in each connection is another order of magnitude: in the tables alone.
    drawn = _by_case([row for row in beside if not row.case.endswith("-deflate")])
    if not drawn:
        return Piece(paragraphs(_classed(tables.ratios(rows)), _remarks(rows)))
    chart = charts.values("Memory of an idle connection", drawn)
    about = f"Shorter is better. {_WHISKERS}"
    others = [row for row in rows if row not in beside]
    below = f"Uploads, and the other loop:\n\n{tables.ratios(others)}" if others else ""
    return _drawn(
        "memory", chart, about, rows, results, paragraphs(_beside_each(_by_case(beside)), below)
    )


def imports(results: Results) -> Piece:
    rows = _of_case(results, "import")
    return Piece(paragraphs(_classed(tables.ratios(rows)), _remarks(rows))) if rows else Piece()


def cpu(results: Results) -> Piece:
    rows = [row for row in _single(results) if row.other == "aiohttp"]
    return Piece(_classed(tables.cpu(rows)))


def findings(results: Results) -> Piece:
    """Which targets were missed, what failed, and which ratios say less than they seem to."""
    rows = results.rows
    lists = (
        ("Targets missed", notes.missed(rows)),
        ("Failed", notes.failures(rows)),
        ("To be read with care", notes.grouped_cautions(_single(results))),
    )
    parts = [f"{name}:\n\n{bullets(found) if found else '- none'}" for name, found in lists]
    return Piece("\n\n".join(parts))


def machine(results: Results) -> Piece:
    facts = {"results": results.name, **results.facts}
    return Piece(fields({name: escaped(text) for name, text in facts.items()}))


SECTIONS: Mapping[str, Section] = {
    "plaintext": partial(load, "plaintext", "Plaintext, keep-alive"),
    "json": partial(load, "json", "JSON, browser's headers"),
    "echo": partial(load, "echo", "POST of 1 KiB, echoed"),
    "tls-plaintext": partial(load, "tls-plaintext", "Plaintext over TLS, keep-alive"),
    "beside-aiohttp": beside_aiohttp,
    "connections": partial(growth, "connections", "More connections", "open connections", "log"),
    "headers": partial(growth, "headers", "More header fields", "fields of a request", "linear"),
    "response-body": partial(growth, "response body", "Larger responses", "bytes of each", "log"),
    "request-body": partial(growth, "request body", "Larger requests", "bytes of each", "log"),
    "pipelining": partial(growth, "pipelining", "Deeper pipelines", "requests at once", "log"),
    "latency": latency,
    "websocket": websocket,
    "fanout": partial(load, "fanout-1000", "One message to 1,000 websockets", name="fanout"),
    "toolkit": toolkit,
    "cpu": cpu,
    "memory": memory,
    "import": imports,
    "findings": findings,
    "machine": machine,
}
"""By the names of their files."""


def _drawn(
    name: str,
    chart: Chart,
    about: str,
    rows: Sequence[Row],
    results: Results,
    below: str,
) -> Piece:
    """A picture, the same in figures, and what is to be said of it."""
    shown = figure(f"performance/{name}.svg", chart.alt, caption(about, rows, results))
    return Piece(paragraphs(shown, _classed(below), _remarks(rows)), {name: chart})


def caption(about: str, rows: Sequence[Row], results: Results) -> str:
    """How to read it, and where, when and with what it was measured."""
    facts = results.facts
    servers = dict.fromkeys(name for row in rows for name in (row.server, row.other))
    where = [facts[name] for name in ("processor", "kernel", "python", "date") if name in facts]
    parts = [
        about,
        _rounds(rows),
        f"{escaped(', '.join(where))}." if where else "",
        f"{escaped(found)}." if (found := versions(servers, facts)) else "",
        f"Every sample: ``benchmarks/results/{results.name}``.",
    ]
    return " ".join(part for part in parts if part)


def _by_case(rows: Sequence[Row]) -> Mapping[str, Sequence[Row]]:
    """The rows of each case, by the title of its first one."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.case, []).append(row)
    return {each[0].title: each for each in groups.values()}


def _rounds(rows: Sequence[Row]) -> str:
    """How often it was measured: the most, where servers have failed."""
    count = max(len(row.ours) for row in rows)
    if rows[0].unit == "KiB":
        return f"Median of {count} fresh servers of each."
    return f"Median of {count} round{'s' if count != 1 else ''}, servers in turn on one core."


def _beside_each(groups: Mapping[str, Sequence[Row]]) -> str:
    return paragraphs(*(f"{title}:\n\n{tables.beside(rows)}" for title, rows in groups.items()))


def _by_loop(rows: Sequence[Row], table: Callable[[Sequence[Row]], str]) -> str:
    names = dict.fromkeys(row.loop for row in rows)
    found = {name: table([row for row in rows if row.loop == name]) for name in names}
    if len(found) == 1:
        return next(iter(found.values()))
    return paragraphs(*(f"On {name}:\n\n{text}" for name, text in found.items()))


def _classed(text: str) -> str:
    """With the style sheet's class for columns of numbers before each table."""
    return re.sub(r"(?:^|(?<=\n\n))(?==+  =)", ".. rst-class:: figures\n\n", text)


def _remarks(rows: Sequence[Row]) -> str:
    return paragraphs(bullets(notes.remarks(rows)), bullets(notes.failures(rows)))


def _nothing(rows: Sequence[Row]) -> Piece:
    """Nothing to draw: it was left out, or all of it failed."""
    return Piece(bullets(notes.failures(rows)))


def _measured(rows: Sequence[Row]) -> bool:
    return any(not row.failure for row in rows)


def _of_case(results: Results, case: str) -> Sequence[Row]:
    return [row for row in _single(results) if row.case == case]


def _single(results: Results) -> Sequence[Row]:
    """The rows that are no points of a family."""
    return [row for row in results.rows if not row.family]


def _is_other_page(row: Row) -> bool:
    return row.case.startswith(("websocket", "toolkit", "fanout"))


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]
