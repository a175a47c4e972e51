"""What a run prints: numbers, tables, what is said beside them, and the JSON."""

import json
import re

import pytest

from benchmarks import amounts, labels, markup, notes, report, sides, tables
from benchmarks.stats import Row, Spread, Target


def row(**changes: object) -> Row:
    values: dict[str, object] = {
        "case": "plaintext",
        "title": "plaintext",
        "loop": "uvloop",
        "other": "aiohttp",
        "unit": "requests/s",
        "ours": [300.0, 200.0, 100.0],
        "theirs": [100.0, 100.0, 100.0],
    }
    return Row(**values | changes)  # type: ignore[arg-type]


def words(text: str) -> list[str]:
    """The lines, with single blanks."""
    return [" ".join(line.split()) for line in text.splitlines()]


# ---- Numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (47189.4, "requests/s", "47,189/s"),
        (1500.2, "MiB/s", "1,500 MiB/s"),
        (5.87, "KiB", "5.9 KiB"),
        (0.4123, "ms", "0.412 ms"),
        (41.34, "ms", "41.3 ms"),
        (1234.5, "ms", "1,234 ms"),
    ],
)
def test_amounts(value: float, unit: str, expected: str) -> None:
    assert amounts.amount(value, unit) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1_200_000, "1.20M"), (47_189, "47.2k"), (812.3, "812"), (0.4121, "0.412"), (0, "0")],
)
def test_short_numbers(value: float, expected: str) -> None:
    assert amounts.short(value) == expected


def test_how_far_the_samples_are_from_their_median() -> None:
    assert amounts.farthest(Spread(100, 96, 109)) == "±9%"
    assert amounts.farthest(Spread(100, 88, 109)) == "±12%"
    assert amounts.farthest(Spread(0, 0, 5)) == "±0%"


@pytest.mark.parametrize(
    ("at", "family", "expected", "tick"),
    [
        (10_000.0, "connections", "10,000", "10,000"),
        (0.0, "request body", "0", "0"),
        (1024.0, "request body", "1 KiB", "1K"),
        (2.0**24, "response body", "16 MiB", "16M"),
        (99.9, "latency", "p99.9", "100"),
    ],
)
def test_places_on_an_axis(at: float, family: str, expected: str, tick: str) -> None:
    assert amounts.point(at, family) == expected
    assert amounts.tick(at) == tick


# ---- Markup ----------------------------------------------------------------------------------


def test_a_table() -> None:
    assert markup.table(("case", "x"), [("long name", "1"), ("b", "1,000")]) == "\n".join(
        [
            "=========  =====",
            "case           x",
            "=========  =====",
            "long name      1",
            "b          1,000",
            "=========  =====",
        ]
    )


def test_what_programs_say_is_no_markup() -> None:
    assert markup.escaped("6.18_x *a* `b` |c|") == r"6.18\_x \*a\* \`b\` \|c\|"
    assert markup.literal("Traceback:\n  ``x``\n") == "``Traceback: ''x''``"
    assert len(markup.literal("x" * 1000)) == 304


# ---- Servers ---------------------------------------------------------------------------------


def test_the_versions_of_some_servers() -> None:
    facts = {
        "python": "CPython 3.11.7",
        "packages": "lowlevel 0.1.0, granian 2.8.7, picows (missing)",
    }
    servers = ["lowlevel_router", "granian-rsgi", "granian-asgi", "picows", "floor_asyncio"]
    assert labels.versions(servers, facts) == "lowlevel 0.1.0, granian 2.8.7"


def test_the_sides_of_rows_that_share_their_rounds() -> None:
    rows = [
        row(failure="gone", other="tornado", theirs=[]),
        row(other="floor_httptools"),
        row(theirs=[200.0, 100.0, 100.0]),
        row(server="lowlevel_no_masker", ours=[150.0, 200.0, 50.0]),
    ]
    found = sides.sides(rows)
    assert list(found) == ["lowlevel", "lowlevel_no_masker", "aiohttp", "floor_httptools"]
    assert found["lowlevel"].ratio is None
    assert found["lowlevel_no_masker"].ratio == Spread(2.0, 1.0, 2.0)
    assert found["aiohttp"].ratio == Spread(1.5, 1.0, 2.0)
    assert sides.sides(rows[:1]) == {}


def test_each_side_says_what_limited_it() -> None:
    found = sides.sides([row(server_busy=[(1.0, 0.4)] * 3, load_busy=[(0.9, 0.3)] * 3)])
    ours, theirs = found.values()
    assert (ours.limited_by_load, ours.disturbed) == (True, False)
    assert (theirs.limited_by_load, theirs.disturbed) == (False, True)
    assert ours.cpu_microseconds == pytest.approx(5000)
    assert theirs.cpu_microseconds == pytest.approx(4000)


def test_where_the_load_was_the_limit_an_idle_server_says_nothing_of_the_machine() -> None:
    found = sides.sides([row(server_busy=[(0.4, 1.0)] * 3, load_busy=[(0.9, 0.3)] * 3)])
    assert (found["lowlevel"].limited_by_load, found["lowlevel"].disturbed) == (True, False)


# ---- Tables ----------------------------------------------------------------------------------


def test_all_servers_of_a_load_in_order() -> None:
    busy = {"server_busy": [(1.0, 0.5)] * 3, "load_busy": [(0.9, 0.3)] * 3}
    rows = [row(**busy), row(other="floor_asyncio", theirs=[900.0] * 3, **busy)]
    rows.append(row(other="socketify", theirs=[400.0] * 3, **busy))
    rows.append(row(other="tornado", theirs=[], failure="did not start"))
    lines = words(tables.beside(rows))
    assert lines[1] == "server requests/s lowlevel / it CPU µs"
    assert lines[3:7] == [
        "socketify 400 ±0%‡ 0.50 (0.25-0.75) 1,250",
        "lowlevel 200 ±50%† 1 5,000",
        "aiohttp 100 ±0%‡ 2.00 (1.00-3.00) 5,000",
        "floor: asyncio 900 ±0%‡ 0.22 (0.11-0.33) 556",
    ]
    assert lines[-1].startswith("† the load generator had no time left on its core")
    assert "‡ server and load waited for each other, or" in lines[-1]


def test_where_less_is_better_the_least_comes_first() -> None:
    rows = [row(unit="KiB"), row(unit="KiB", other="uvicorn", theirs=[50.0] * 3)]
    lines = words(tables.beside(rows))
    assert [line.split()[0] for line in lines[3:-1]] == ["uvicorn", "aiohttp", "lowlevel"]
    assert lines[1] == "server KiB lowlevel / it"


def test_a_load_that_failed_has_no_table() -> None:
    assert tables.beside([row(failure="all of it")]) == ""


def test_a_family_is_one_table() -> None:
    rows = [
        row(family="request body", at=2.0**20, ours=[50.0] * 3),
        row(family="request body", at=0.0),
        row(family="request body", at=0.0, other="granian-rsgi", theirs=[1.0, 2.0, 4.0]),
        row(family="request body", at=2.0**20, other="granian-rsgi", failure="413"),
    ]
    lines = words(tables.growth(rows))
    assert lines[1] == "requests/s 0 1 MiB"
    assert lines[3:6] == [
        "lowlevel 200 ±50% 50.0 ±0%",
        "aiohttp 100 ±0% 100 ±0%",
        "granian RSGI 2.00 ±100% –",
    ]


def test_the_processor_time_of_requests_alone() -> None:
    busy = {"server_busy": [(1.0, 1.0)] * 3}
    rows = [row(**busy), row(title="uploads", unit="MiB/s", **busy), row(title="import", unit="ms")]
    lines = words(tables.cpu(rows))
    assert lines[3:-1] == ["plaintext (uvloop) 5,000 10,000 2.00"]
    assert tables.cpu(rows[2:]) == ""


def test_an_empty_cell_is_no_list() -> None:
    """In reStructuredText, a hyphen alone begins one."""
    lines = tables.ratios([row(), row(failure="gone")]).splitlines()
    assert not any(re.search(r" [-*+](?: |$)", line) for line in lines)


# ---- What is said beside them ----------------------------------------------------------------


def test_a_reason_is_given_once() -> None:
    rows = [row(failure="no `x`"), row(), row(title="json", loop="asyncio", failure="no `x`")]
    assert notes.failures(rows) == ["plaintext on uvloop; json on asyncio: ``no 'x'``"]


def test_missed_targets() -> None:
    late = {"server_busy": [(0.4, 0.4)] * 3, "load_busy": [(0.3, 0.3)] * 3}
    rows = [
        row(target=Target("at least", 2.0)),
        row(target=Target("at least", 2.5)),
        row(target=Target("at least", 2.5), failure="no figures"),
        row(target=Target("at most", 150.0, on="value", unit="KiB"), unit="KiB", loop="-"),
        row(target=Target("at least", 2.5), **late),
    ]
    by_value, _, doubtful = (notes.missed(rows)[number] for number in (1, 0, 2))
    assert notes.missed(rows)[0] == ("plaintext on uvloop: 2.00 (1.00-3.00), the target is >= 2.5.")
    assert by_value == "plaintext: 200.0 KiB, the target is <= 150 KiB."
    assert "server and load waited for each other" in doubtful
    assert doubtful.endswith("by the servers' processor time the ratio is 2.00 (1.00-3.00).")
    # Said already.
    assert notes.cautions(rows) == []


def test_remarks_are_made_once() -> None:
    assert notes.remarks([row(note="of the load"), row(), row(note="of the load")]) == [
        "of the load"
    ]


# ---- The report ------------------------------------------------------------------------------


def test_the_report_names_figures_failures_limits_and_machine() -> None:
    target = Target("at least", 2.0)
    rows = [
        row(target=target),
        row(title="broken", failure="wrk: Non-2xx or 3xx responses: 7", target=target),
        row(title="slow", theirs=[200.0] * 3, target=target),
        row(title="heavy", server_busy=[(1.0, 1.0)] * 3, load_busy=[(0.9, 0.9)] * 3),
        row(title="late", server_busy=[(0.4, 0.4)] * 3, load_busy=[(0.3, 0.3)] * 3),
        row(loop="-", title="import", unit="ms", target=Target("at most", 0.5)),
        row(title="router", ours=[80.0] * 3, server_busy=[(0.9, 0.9)] * 3, parts=1),
        row(title="middlewares", ours=[80.0] * 3, server_busy=[(0.8, 0.9)] * 3, parts=10),
        row(title="no middlewares", failure="wrk: refused", parts=10),
        row(title="1 header", family="headers", at=1.0),
    ]
    lines = words(report.rst(rows, {"python": "CPython 3.11.0"}))
    assert "plaintext 200/s 100/s 2.00 (1.00-3.00) >= 2 yes" in lines
    assert "broken – – FAILED >= 2 no" in lines
    assert "FAILED broken on uvloop: ``wrk: Non-2xx or 3xx responses: 7``" in lines
    assert "MISSED slow on uvloop: 1.00 (0.50-1.50), the target is >= 2." in lines
    assert any(line.startswith("heavy on uvloop: the load generator had no time") for line in lines)
    assert any(line.startswith("late on uvloop: server and load waited") for line in lines)
    cost = "(25.0% to 25.0%) to a request, 25.0% by the servers' processor time."
    assert f"router on uvloop: adds 25.0% {cost}" in lines
    cost = "(2.5% to 2.5%) to a request, 1.1% by the servers' processor time."
    assert f"middlewares on uvloop: adds, each, 2.5% {cost}" in lines
    assert not any(line.startswith("no middlewares on uvloop: adds") for line in lines)
    assert ":python: CPython 3.11.0" in lines
    # Points of a line have a table of their own.
    assert (
        lines.index("On uvloop:") < lines.index("On uvloop, headers:") < lines.index("Either loop:")
    )
    assert not any(line.startswith("1 header") for line in lines)


def test_the_json_holds_every_sample() -> None:
    rows = [
        row(target=Target("at least", 2.0), server_busy=[(1.0, 1.0)] * 3, family="x", at=1.5),
        row(failure="x", target=Target("at least", 2.0), server_busy=[(1.0, 1.0)]),
    ]
    written = json.loads(json.dumps(report.as_json(rows, {"a": "b"}, {"rounds": 3})))
    good, failed = written["rows"]
    assert written["machine"] == {"a": "b"}
    assert good["cost"] is failed["cost"] is None
    assert good["ours"] == [300.0, 200.0, 100.0]
    assert good["target"] == ">= 2"
    assert good["ratio"] == {"median": 2.0, "least": 1.0, "most": 3.0}
    assert good["cpu_per_request"] == [pytest.approx(5000), pytest.approx(10_000)]
    assert (good["family"], good["at"]) == ("x", 1.5)
    assert failed["ratio"] is failed["ratio_per_cpu_second"] is failed["cpu_per_request"] is None
    assert failed["met"] is False
