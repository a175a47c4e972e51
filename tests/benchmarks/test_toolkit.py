"""The rows of routes and middlewares: their servers answer alike, and who has a row."""

import dataclasses

import pytest

from benchmarks import throughput, toolkit
from benchmarks.cases import TOOLKIT_CASES, TOOLKIT_PEERS, ToolkitCase
from benchmarks.cores import choose
from benchmarks.process import missing
from benchmarks.servers import lowlevel_many_routes, routes
from benchmarks.suite import LOOPS
from tests.benchmarks.running import a_run, on_linux, with_wrk


@on_linux
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("case", TOOLKIT_CASES, ids=lambda case: case.name)
def test_the_servers_of_the_toolkit_answer_alike(case: ToolkitCase, loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    rows = toolkit.rows(case, a_run(loop=loop))
    names = dict.fromkeys(name for each in rows for name in (each.server, each.other))
    with throughput.started(names, loop, choose()) as servers:
        answers = [toolkit.answers(case, server) for server in servers.values()]
    assert all(each == answers[0] for each in answers)


@on_linux
@pytest.mark.parametrize("server", ["lowlevel_router", *TOOLKIT_PEERS])
def test_each_route_has_its_answer(server: str) -> None:
    if why := missing([server]):
        pytest.skip(str(why))
    expected = [*routes.STATIC.values(), *routes.VARIABLE.values()]
    answers = []
    with throughput.started((server,), "asyncio", choose()) as servers:
        for path in routes.PATHS:
            answers.append(throughput.ask(path, servers[server]))
    assert [answer.body.decode() for answer in answers] == expected
    assert {answer.content_type for answer in answers} == {routes.CONTENT_TYPE}
    assert len(set(expected)) == len(routes.PATHS) == 20


def test_the_routes_that_are_asked_for_come_behind_many() -> None:
    registered = lowlevel_many_routes.make_router().routes()
    dynamic = [route.path for route in registered if "{" in str(route.path)]
    assert len(dynamic) == 1000
    assert dynamic[-10:] == list(routes.VARIABLE)


@on_linux
def test_one_path_that_is_answered_otherwise_fails_the_row() -> None:
    case = dataclasses.replace(TOOLKIT_CASES[1], paths=(routes.STATIC_PATH, "/health"))
    (failed,) = toolkit.measure(case, a_run())
    assert "lowlevel_bare does not answer as lowlevel_router does to /health" in failed.failure


def test_applications_that_are_not_installed_have_no_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case, why = TOOLKIT_CASES[0], {"asgi-tools": "not for this Python"}
    monkeypatch.setattr("benchmarks.suite.missing", lambda names: why)
    run = a_run(loop="uvloop")
    assert [(row.server, row.other) for row in toolkit.rows(case, run)] == [
        ("lowlevel_router", "bareASGI"),
        ("lowlevel_router", "Starlette"),
        ("lowlevel_application", "bareASGI"),
        ("lowlevel_application", "Starlette"),
    ]
    assert run.left_out == why
    # On the other loop there is nobody to be compared to, and nothing is started.
    assert toolkit.measure(case, a_run()) == []


@on_linux
@with_wrk
def test_a_tiny_run_of_the_toolkit() -> None:
    (case,) = (case for case in TOOLKIT_CASES if case.name == "toolkit-middlewares")
    (row,) = toolkit.measure(case, a_run())
    assert (row.failure, row.server, row.other) == ("", "lowlevel_middlewares", "lowlevel_bare")
    assert row.ours > [0] and row.theirs > [0]
    assert row.cost.median == pytest.approx((1 / row.ratio.median - 1) / 10)
