"""What wrk prints is read, and every error in it is a failure; its scripts do what they say."""

import pytest

from benchmarks import load
from benchmarks.cases import CASES, SCRIPTS
from benchmarks.cores import choose
from benchmarks.servers import routes
from tests.benchmarks.recording import recording_server
from tests.benchmarks.running import on_linux, with_wrk

QUIET_RUN = """\
Running 2s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
  121034 requests in 2.00s, 18.58MB read
Requests/sec:  60512.33
Transfer/sec:      9.29MB
"""


def test_the_rate_is_read() -> None:
    assert load.read_rate(QUIET_RUN) == 60512.33


@pytest.mark.parametrize(
    "line",
    [
        "  Socket errors: connect 0, read 12, write 0, timeout 0\n",
        "  Non-2xx or 3xx responses: 7\n",
    ],
)
def test_any_error_counted_by_wrk_is_a_failure(line: str) -> None:
    with pytest.raises(load.LoadFailed, match=line.strip()):
        load.read_rate(QUIET_RUN.replace("Requests/sec", f"{line}Requests/sec"))


@pytest.mark.parametrize("said", ["unable to connect to 127.0.0.1:1 Connection refused\n", ""])
def test_no_rate_is_a_failure(said: str) -> None:
    with pytest.raises(load.LoadFailed, match="no rate"):
        load.read_rate(said)


def test_no_answer_is_a_failure() -> None:
    with pytest.raises(load.LoadFailed, match="no answer"):
        load.read_rate("Requests/sec:      0.00\n")


def test_the_rate_of_a_part_of_the_run_is_the_one_that_counts() -> None:
    assert load.read_rate(f"{QUIET_RUN}Steady requests/sec: 61000.25\n") == 61000.25


def test_a_run_that_ended_before_that_part_is_a_failure() -> None:
    with pytest.raises(load.LoadFailed, match="before it began to count"):
        load.read_rate(f"{QUIET_RUN}Steady requests/sec: none\n")


def test_every_script_of_a_case_is_there() -> None:
    scripts = [case.script_file for case in CASES if case.script_file is not None]
    assert scripts
    assert [script for script in scripts if not script.is_file()] == []


@on_linux
@with_wrk
def test_the_paths_are_asked_for_in_turn() -> None:
    with recording_server() as (port, requests):
        load.run(
            f"http://127.0.0.1:{port}/",
            seconds=1,
            connections=1,
            script=SCRIPTS / "paths.lua",
            core=choose().load,
            arguments=routes.PATHS,
        )
    # wrk has had one of the requests made before, to look at it.
    expected = [*routes.PATHS[1:], *routes.PATHS, routes.PATHS[0]]
    assert [request.target for request in requests[:40]] == expected


@on_linux
@with_wrk
def test_the_headers_are_those_that_were_given_and_host() -> None:
    with recording_server() as (port, requests):
        load.run(
            f"http://127.0.0.1:{port}/",
            seconds=1,
            connections=1,
            script=None,
            core=choose().load,
            headers={"X-One": "1", "X-Two": "2"},
        )
    assert requests[0].headers == {"Host": f"127.0.0.1:{port}", "X-One": "1", "X-Two": "2"}


@on_linux
@with_wrk
@pytest.mark.parametrize("size", [0, 1, 20_000])
def test_a_post_has_a_body_of_the_size_that_was_given(size: int) -> None:
    with recording_server() as (port, requests):
        load.run(
            f"http://127.0.0.1:{port}/",
            seconds=1,
            connections=1,
            script=SCRIPTS / "post.lua",
            core=choose().load,
            arguments=(str(size),),
        )
    assert (requests[0].method, len(requests[0].body)) == ("POST", size)
    assert requests[0].headers["Content-Type"] == "application/octet-stream"


@on_linux
@with_wrk
def test_as_many_requests_are_pipelined_as_were_asked_for() -> None:
    # The server answers when four requests are here: it would wait for ever for what comes singly.
    with recording_server(batch=4) as (port, requests):
        done = load.run(
            f"http://127.0.0.1:{port}/",
            seconds=1,
            connections=1,
            script=SCRIPTS / "pipelined.lua",
            core=choose().load,
            arguments=("4",),
        )
    assert done.rate > 0
    assert len(requests) % 4 == 0


@on_linux
@with_wrk
def test_a_part_of_the_run_is_counted() -> None:
    with recording_server() as (port, requests):
        done = load.run(
            f"http://127.0.0.1:{port}/",
            seconds=1.5,
            connections=1,
            script=SCRIPTS / "steady.lua",
            core=choose().load,
            arguments=("0.1",),
        )
    assert done.rate > 0
    assert {request.target for request in requests} == {"/"}


@on_linux
@with_wrk
def test_a_run_that_does_not_settle_fails() -> None:
    with recording_server() as (port, _), pytest.raises(load.LoadFailed, match="began to count"):
        load.run(
            f"http://127.0.0.1:{port}/",
            seconds=0.5,
            connections=1,
            script=SCRIPTS / "steady.lua",
            core=choose().load,
            arguments=("60",),
        )
