"""Lines of growth: each point asks for what its place on the axis says, and limits are named."""

import dataclasses
from collections.abc import Callable

import pytest

from benchmarks import growth, throughput
from benchmarks.cases import Case
from benchmarks.cores import choose
from benchmarks.growth import CASES
from benchmarks.process import PROGRAMS, missing
from benchmarks.suite import PEERS_LOOP
from tests.benchmarks.running import a_run, on_linux, with_wrk


def test_the_points_of_each_line() -> None:
    lines: dict[str, list[float | None]] = {}
    for case in CASES:
        lines.setdefault(case.family, []).append(case.at)
    assert lines == {
        "connections": [1, 10, 100, 1000, 10_000],
        "headers": [1, 10, 25, 50, 100],
        "response body": [0, 1024, 16_384, 262_144, 1_048_576, 16_777_216],
        "request body": [0, 1024, 16_384, 262_144, 1_048_576, 16_777_216],
        "pipelining": [1, 4, 16, 64],
    }


def size_of_request(case: Case) -> int:
    assert case.sample is not None
    assert case.arguments == (str(len(case.sample)),)
    return len(case.sample)


ASKED: dict[str, Callable[[Case], int]] = {
    "connections": lambda case: case.connections,
    "headers": lambda case: len(case.headers) + 1,  # Host
    "response body": lambda case: int(case.path.removeprefix("/bytes/")),
    "request body": size_of_request,
    "pipelining": lambda case: int(case.arguments[0]),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_point_is_what_it_says(case: Case) -> None:
    assert ASKED[case.family](case) == case.at


def test_a_line_has_fewer_rounds_than_a_table() -> None:
    assert [growth.fewer(a_run(rounds=rounds)).rounds for rounds in (1, 3, 5, 10)] == [1, 1, 3, 6]


# As they are asked for; to prove that, a body of each kind is enough.
PROVED = [case for case in CASES if case.at is not None and case.at <= 1024 and case.settle < 1]


@on_linux
@pytest.mark.parametrize("server", list(growth.WITH_FLOOR))
def test_the_servers_answer_the_points_as_lowlevel_does(server: str) -> None:
    pytest.importorskip("uvloop")
    if why := missing([server]):
        pytest.skip(str(why))
    cases = [case for case in PROVED if server in case.beside and case.family != "headers"]
    with throughput.started(["lowlevel", server], PEERS_LOOP, choose()) as servers:
        expected = [throughput.answers(case, servers["lowlevel"]) for case in cases]
        assert [throughput.answers(case, servers[server]) for case in cases] == expected
    for case, answers in zip(cases, expected, strict=True):
        ((path, answer),) = answers.items()
        if case.family == "response body":
            assert answer.body == bytes(int(case.at or 0))
        elif case.family == "request body":
            assert answer.body == str(int(case.at or 0)).encode()
        else:
            assert (path, answer.body) == ("/", b"Hello, world!")


@on_linux
@with_wrk
@pytest.mark.parametrize("name", ["growth-connections-100", "growth-headers-100"])
def test_a_tiny_run(name: str) -> None:
    (case,) = (case for case in CASES if case.name == name)
    case = dataclasses.replace(case, beside={"aiohttp": None})
    (row,) = growth.measure(case, a_run())
    assert (row.failure, row.family, row.at) == ("", case.family, 100)
    assert row.ours > [0] and row.theirs > [0]


@on_linux
@with_wrk
def test_a_peer_that_refuses_is_left_out_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROGRAMS, "aiohttp", PROGRAMS["lowlevel_router"])  # Has no /json.
    case = dataclasses.replace(
        CASES[0], title="point", path="/json", beside={"aiohttp": None, "lowlevel_masker": None}
    )
    monkeypatch.setitem(PROGRAMS, "lowlevel_masker", PROGRAMS["lowlevel"])
    run = a_run()
    rows = growth.measure(case, run)
    assert [(row.other, row.failure) for row in rows] == [("lowlevel_masker", "")]
    assert run.left_out == {"aiohttp at point": "aiohttp answers 404 to /json"}


@on_linux
def test_where_lowlevel_refuses_the_rows_fail() -> None:
    case = dataclasses.replace(CASES[0], path="/none", beside={"floor_httptools": None})
    run = a_run()
    (row,) = growth.measure(case, run)
    assert "lowlevel answers 500" in row.failure
    assert run.left_out == {}


@on_linux
def test_a_peer_that_does_not_start_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROGRAMS, "aiohttp", "benchmarks.servers.no_such_server")
    run = a_run()
    (row,) = growth.measure(dataclasses.replace(CASES[0], beside={"aiohttp": None}), run)
    assert "aiohttp on asyncio did not start" in row.failure
    assert run.left_out == {}
