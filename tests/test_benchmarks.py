"""The benchmarks measure what they say: figures, table, failures, and one tiny real run."""

import dataclasses
import json
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from benchmarks import __main__ as command
from benchmarks import (
    load,
    memory,
    multipart,
    multipart_load,
    profile,
    report,
    stats,
    throughput,
    toolkit,
    websocket,
    websocket_client,
    websocket_load,
)
from benchmarks.cases import CASES, MULTIPART, TOOLKIT_CASES, WEBSOCKET_CASES, Case, ToolkitCase
from benchmarks.cores import choose, pinned
from benchmarks.process import PROGRAMS, ServerFailed, ServerProcess
from benchmarks.servers import lowlevel_many_routes, routes
from benchmarks.stats import Row, Target

on_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the benchmarks need Linux"
)
with_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")

QUIET_RUN = """\
Running 2s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
  121034 requests in 2.00s, 18.58MB read
Requests/sec:  60512.33
Transfer/sec:      9.29MB
"""


def row(**changes: object) -> Row:
    values: dict[str, object] = {
        "case": "plaintext",
        "title": "plaintext",
        "loop": "uvloop",
        "other": "aiohttp",
        "unit": "requests/s",
        "target": Target("at least", 2.0),
        "ours": [300.0, 200.0, 100.0],
        "theirs": [100.0, 100.0, 100.0],
    }
    return Row(**(values | changes))  # type: ignore[arg-type]


# ---- Figures ---------------------------------------------------------------------------------


def test_spread_is_median_least_and_most() -> None:
    assert stats.spread([5.0, 1.0, 2.0]) == stats.Spread(median=2.0, least=1.0, most=5.0)
    with pytest.raises(ValueError, match="no samples"):
        stats.spread([])


def test_ratios_are_taken_within_a_round() -> None:
    assert stats.paired_ratios([100.0, 10.0], [50.0, 5.0]) == [2.0, 2.0]
    with pytest.raises(ValueError):
        stats.paired_ratios([1.0], [])


def test_a_target_on_the_ratio() -> None:
    assert row().met is True
    assert row(target=Target("at least", 2.01)).met is False
    assert row(target=Target("at most", 0.5)).met is False
    assert row(target=None).met is None
    assert str(Target("at least", 2.0)) == ">= 2"


def test_a_target_on_the_value() -> None:
    small = Target("at most", 5.0, on="value", unit="KiB")
    assert row(target=small, ours=[4.9], theirs=[9.0]).met is True
    assert row(target=small, ours=[5.1], theirs=[1.0]).met is False
    assert str(small) == "<= 5 KiB"


def test_a_failed_row_misses_its_target() -> None:
    assert row(failure="wrk: refused").met is False


def test_the_ratio_by_processor_time() -> None:
    busy = row(ours=[120.0], theirs=[100.0], server_busy=[(0.5, 1.0)], load_busy=[(0.95, 0.9)])
    assert busy.limited_by_load
    assert busy.ratio_per_cpu_second.median == pytest.approx(2.4)
    none = row(server_busy=[(0.0, 0.0)] * 3, load_busy=[(0.0, 0.0)] * 3)
    assert none.ratio_per_cpu_second.median == 2.0


def test_what_limited_a_row() -> None:
    def limits(server: float, wrk: float) -> tuple[bool, bool]:
        measured = row(server_busy=[(server, 1.0)] * 3, load_busy=[(wrk, 0.1)] * 3)
        return measured.limited_by_load, measured.disturbed

    assert limits(server=0.95, wrk=0.5) == (False, False)
    assert limits(server=0.5, wrk=0.95) == (True, False)
    assert limits(server=0.5, wrk=0.5) == (False, True)
    assert not row().limited_by_load
    assert not row().disturbed


def test_what_the_parts_of_a_server_cost() -> None:
    # Rates of 100 to 125 to 80: the time of a request is 100 %, 80 %, 125 % of the other's.
    ten = row(ours=[100.0, 125.0, 80.0], theirs=[100.0, 100.0, 100.0], parts=10)
    assert (ten.cost.median, ten.cost.least, ten.cost.most) == pytest.approx((0, -0.02, 0.025))
    one = row(
        ours=[80.0], theirs=[100.0], server_busy=[(0.8, 0.9)], load_busy=[(0.1, 0.1)], parts=1
    )
    assert one.cost.median == pytest.approx(0.25)
    assert one.cost_per_cpu_second.median == pytest.approx(0.8 / 80 / (0.9 / 100) - 1)
    with pytest.raises(ZeroDivisionError):
        row().cost  # noqa: B018


# ---- What wrk says ---------------------------------------------------------------------------


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


# ---- The table -------------------------------------------------------------------------------


def test_the_table_is_restructured_text() -> None:
    assert report.table(("case", "x"), [("long name", "1"), ("b", "1,000")]) == "\n".join(
        [
            "=========  =====",
            "case           x",
            "=========  =====",
            "long name      1",
            "b          1,000",
            "=========  =====",
        ]
    )


def test_the_report_names_figures_failures_limits_and_machine() -> None:
    rows = [
        row(),
        row(title="broken", failure="wrk: Non-2xx or 3xx responses: 7"),
        row(title="heavy", server_busy=[(1.0, 1.0)] * 3, load_busy=[(0.9, 0.9)] * 3),
        row(title="late", server_busy=[(0.4, 0.4)] * 3, load_busy=[(0.3, 0.3)] * 3),
        row(loop="-", title="import", unit="ms", target=Target("at most", 0.5)),
        row(title="messages", unit="messages/s", ours=[5000.0] * 3, theirs=[4000.0] * 3),
        row(title="uploads", unit="MiB/s", ours=[1500.0] * 3, theirs=[500.0] * 3),
        row(title="router", ours=[80.0] * 3, server_busy=[(0.9, 0.9)] * 3, parts=1),
        row(title="middlewares", ours=[80.0] * 3, server_busy=[(0.8, 0.9)] * 3, parts=10),
        row(title="no middlewares", failure="wrk: refused", parts=10),
    ]
    printed = report.rst(rows, {"python": "CPython 3.11.0"})
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert "On uvloop:" in lines
    assert "Either loop:" in lines
    assert "plaintext 200/s 100/s 2.00 (1.00-3.00) >= 2 yes" in lines
    assert "messages 5,000/s 4,000/s 1.25 (1.25-1.25) >= 2 no" in lines
    assert "uploads 1,500 MiB/s 500 MiB/s 3.00 (3.00-3.00) >= 2 yes" in lines
    assert "broken - - FAILED >= 2 no" in lines
    assert "FAILED broken (uvloop): wrk: Non-2xx or 3xx responses: 7" in lines
    assert any(line.startswith("heavy on uvloop: the load generator had no time") for line in lines)
    assert any(line.startswith("late on uvloop: the servers had to share") for line in lines)
    cost = "(25.0% to 25.0%) to a request, 25.0% by the servers' processor time."
    assert f"router on uvloop: adds 25.0% {cost}" in lines
    cost = "(2.5% to 2.5%) to a request, 1.1% by the servers' processor time."
    assert f"middlewares on uvloop: adds, each, 2.5% {cost}" in lines
    assert not any(line.startswith("no middlewares on uvloop: adds") for line in lines)
    assert ":python: CPython 3.11.0" in lines


def test_the_json_holds_every_sample() -> None:
    written = json.dumps(report.as_json([row(), row(failure="x")], {"a": "b"}, {"rounds": 3}))
    good, failed = json.loads(written)["rows"]
    assert good["cost"] is failed["cost"] is None
    assert good["ours"] == [300.0, 200.0, 100.0]
    assert good["target"] == ">= 2"
    assert good["ratio"] == {"median": 2.0, "least": 1.0, "most": 3.0}
    assert failed["ratio"] is None
    assert failed["met"] is False


# ---- The command -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["--rounds", "0"], ["--seconds", "-1"], ["--case", "none"], ["--quick", "--full"]],
)
def test_wrong_options_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        command.main(arguments)
    assert refusal.value.code == 2


@on_linux
def test_without_wrk_it_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(load, "installed", lambda: False)
    assert command.main([]) == 2
    assert "apt-get install wrk" in capsys.readouterr().err


def test_every_script_of_a_case_is_there() -> None:
    scripts = [case.script_file for case in CASES if case.script_file is not None]
    assert scripts
    assert [script for script in scripts if not script.is_file()] == []


def test_the_form_that_is_loaded_is_the_one_that_is_proved() -> None:
    (form,) = (case for case in CASES if case.name == "form")
    assert form.sample is not None and form.script_file is not None
    assert len(parse_qsl(form.sample.decode(), strict_parsing=True)) == 10
    assert f'wrk.body = "{form.sample.decode()}"' in form.script_file.read_text()
    assert f'wrk.headers["Content-Type"] = "{form.content_type}"' in form.script_file.read_text()


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        (None, set(command.NAMES)),
        (["echo"], {"echo"}),
        (["websocket-4k", "import"], {"websocket-4k", "import"}),
        (
            ["websocket", "memory"],
            {
                "memory",
                "websocket-64",
                "websocket-64x16",
                "websocket-4k",
                "websocket-64k",
                "websocket-memory",
                "websocket-memory-deflate",
            },
        ),
        (
            ["toolkit"],
            {
                "toolkit-routes",
                "toolkit-static",
                "toolkit-variable",
                "toolkit-middlewares",
                "toolkit-many-routes",
            },
        ),
    ],
)
def test_the_cases_that_are_chosen(asked: list[str] | None, chosen: set[str]) -> None:
    assert {name for name in command.NAMES if command.is_chosen(name, asked)} == chosen


# ---- Real servers ----------------------------------------------------------------------------


@on_linux
@with_wrk
def test_a_tiny_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results.json"
    # wrk needs its time to begin, on a machine that is busy with other tests.
    options = ["--rounds", "1", "--seconds", "1", "--loop", "asyncio"]
    status = command.main([*options, "--case", "form", "--json", str(results)])
    printed = capsys.readouterr()
    assert status == 0, printed.out
    (row,) = json.loads(results.read_text())["rows"]
    assert row["other"] == "aiohttp"
    assert row["ours"] > [0] and row["theirs"] > [0]
    assert "On asyncio:" in printed.out
    assert "round 1 of 1" in printed.err


@on_linux
@pytest.mark.parametrize("loop", command.LOOPS)
def test_the_servers_answer_every_case_alike(loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    names = {"lowlevel", *(name for case in CASES for name in case.beside)}
    with throughput.started(names, loop, choose()) as servers:
        for case in CASES:
            throughput.prove(case, {name: servers[name] for name in ("lowlevel", *case.beside)})


@on_linux
def test_an_answer_that_is_not_200_fails_the_row() -> None:
    case = Case(name="none", title="none", path="/none", beside={"floor_asyncio": None})
    (failed,) = throughput.measure(
        case, "asyncio", rounds=1, seconds=1, cores=choose(), progress=print
    )
    assert "lowlevel answers 500 to /none" in failed.failure


@on_linux
def test_an_answer_that_differs_fails_the_row() -> None:
    case = Case(name="json", title="json", path="/json", beside={"floor_asyncio": None})
    (failed,) = throughput.measure(
        case, "asyncio", rounds=1, seconds=1, cores=choose(), progress=print
    )
    assert "floor_asyncio does not answer as lowlevel does" in failed.failure


@on_linux
def test_what_is_pinned_stays_there_alone() -> None:
    before = os.sched_getaffinity(0)
    core = choose().load
    with pinned(core):
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before


@on_linux
def test_a_server_that_does_not_start_says_why() -> None:
    with (
        pytest.raises(ServerFailed, match="invalid choice: 'nonsense'"),
        ServerProcess("floor_asyncio", "nonsense", choose().server),
    ):
        pass


@on_linux
@pytest.mark.parametrize("server", ["lowlevel", "aiohttp"])
@pytest.mark.parametrize("case", memory.CASES, ids=lambda case: case.name)
def test_idle_connections_are_weighed(
    case: memory.MemoryCase, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "SETTLE_SECONDS", 0.05)
    # Few connections give no figure worth comparing, only one of the right order: no megabyte
    # each. That all are answered and stay open is checked inside.
    few = dataclasses.replace(case, connections=20)
    assert memory.kib_per_connection(few, server, "asyncio", choose()) < 1000


@on_linux
def test_a_connection_closed_by_the_server_is_no_idle_connection() -> None:
    first, its_peer = socket.socketpair()
    second, gone_peer = socket.socketpair()
    with first, its_peer, second:
        gone_peer.close()
        assert memory.count_closed([first, second]) == 1


# ---- Uploads ---------------------------------------------------------------------------------

# Larger than what either server keeps in memory, and no whole number of pieces.
SIZE = 2 * multipart_load.MIB + 12345


@on_linux
@pytest.mark.parametrize("server", ["lowlevel", "aiohttp"])
def test_files_are_uploaded(server: str) -> None:
    with throughput.started((server,), "asyncio", choose()) as servers:
        multipart.prove(servers)
        port, core = servers[server].port, choose().load
        # However little time there is, one file is sent as a whole.
        assert multipart_load.run(port, SIZE, seconds=1e-9, core=core).rate > 0


@on_linux
def test_a_server_that_takes_no_upload_fails_the_row() -> None:
    case = dataclasses.replace(MULTIPART, size=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROGRAMS, "aiohttp", PROGRAMS["floor_asyncio"])
        (failed,) = multipart.measure(
            case, "asyncio", rounds=1, seconds=1e-9, cores=choose(), progress=print
        )
    assert "aiohttp: the answer to the upload was 200 b'Hello, world!'" in failed.failure


@on_linux
def test_an_upload_is_weighed() -> None:
    case = dataclasses.replace(MULTIPART, size=SIZE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multipart, "MEMORY_ROUNDS", 1)
        (row,) = multipart.measure_memory(case, "asyncio", cores=choose(), progress=print)
    assert row.failure == ""
    # Of the right order: no more than a few times the file itself.
    assert 0 < row.ours[0] < 10
    assert 0 < row.theirs[0] < 10


@on_linux
def test_the_peak_is_forgotten() -> None:
    echo = Case(name="echo", title="echo", path="/echo", sample=bytes(multipart_load.MIB))
    with throughput.started(("lowlevel",), "asyncio", choose()) as servers:
        throughput.prove(echo, servers)
        server = servers["lowlevel"]
        server.wait_idle()  # It may be at work still on what has reached the client.
        assert server.peak_resident_bytes - server.resident_bytes > multipart_load.MIB / 2
        server.forget_peak()
        assert server.peak_resident_bytes - server.resident_bytes < multipart_load.MIB / 2


# ---- Websockets ------------------------------------------------------------------------------

PAYLOAD = b"a message of 25 bytes ..."


@contextmanager
def answering(*pieces: bytes) -> Iterator[socket.socket]:
    """A connection whose server has sent these bytes, all it will ever send, and is gone."""
    client, server = socket.socketpair()
    with client:
        client.settimeout(5)
        with server:
            for piece in pieces:
                server.sendall(piece)
            server.shutdown(socket.SHUT_WR)
            yield client


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_frames_are_what_rfc_6455_5_2_says(size: int) -> None:
    payload = os.urandom(size)
    answer, frame = websocket_client.answer(payload), websocket_client.frame(payload)
    with answering(answer) as client:
        websocket_client.echo(client, payload)
    header = len(answer) - size
    key = frame[header : header + 4]
    masked = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
    assert header == (2 if size < 126 else 4 if size < 65536 else 10)
    assert frame == bytes((answer[0], answer[1] | 0x80)) + answer[2:header] + key + masked


@pytest.mark.parametrize(
    "sent",
    [
        b"\x82\x19A message of 25 bytes ...",
        b"\x81\x19a message of 25 bytes ...",
        b"\xc2\x19a message of 25 bytes ...",
        b"\x82\x19a message of 25 bytes ..",
        b"",
    ],
)
def test_anything_else_is_no_echo(sent: bytes) -> None:
    with answering(sent) as client, pytest.raises(websocket_client.Refused):
        websocket_client.echo(client, PAYLOAD)


@on_linux
@pytest.mark.parametrize("path", ["/", "/websocket"])
def test_a_server_without_websockets_is_refused(path: str) -> None:
    with (
        ServerProcess("floor_asyncio", "asyncio", choose().server) as server,
        pytest.raises(websocket_client.Refused, match="no websocket: b'HTTP/1.1 200 OK"),
    ):
        websocket_client.connect(server.port, path)


@on_linux
def test_an_offer_that_is_declined_is_refused() -> None:
    with (
        ServerProcess("lowlevel", "asyncio", choose().server) as server,
        pytest.raises(websocket_client.Refused, match="offered 'permessage-deflate"),
    ):
        websocket_client.connect(server.port, "/websocket", extensions=websocket_client.OFFER)


@on_linux
@pytest.mark.parametrize("loop", command.LOOPS)
@pytest.mark.parametrize(
    "server", ["lowlevel_masker", "lowlevel_no_masker", "aiohttp", *websocket.WEBSOCKET_PEERS]
)
def test_the_servers_echo_every_case(server: str, loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    if server == "lowlevel_masker":
        pytest.importorskip("websockets.speedups")
    if server in websocket.missing_peers():
        pytest.skip(f"{server} is not installed")
    with throughput.started((server,), loop, choose()) as servers:
        for case in WEBSOCKET_CASES:
            websocket.prove(case, servers)
            done = websocket_load.run(
                servers[server].port,
                websocket.PATH,
                case.payload,
                in_flight=case.in_flight,
                connections=2,
                seconds=0.05,
                core=choose().load,
            )
            assert done.rate > 0


@on_linux
def test_a_server_that_does_not_echo_fails_the_case() -> None:
    with (
        throughput.started(("floor_asyncio",), "asyncio", choose()) as servers,
        pytest.raises(throughput.AnswersDiffer, match="floor_asyncio: no websocket"),
    ):
        websocket.prove(WEBSOCKET_CASES[0], servers)


def test_a_case_has_a_payload_of_its_size() -> None:
    assert [len(case.payload) for case in WEBSOCKET_CASES] == [64, 64, 4096, 65536]


def test_peers_that_are_not_installed_have_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    peers = {"some": ("json", "no_such_module"), "others": ("json",)}
    monkeypatch.setattr(websocket, "WEBSOCKET_PEERS", peers)
    assert websocket.missing_peers() == ["some"]
    beside, servers = [], []
    for each in websocket.rows(WEBSOCKET_CASES[0], "uvloop"):
        beside.append(each.other)
        servers.append(each.server)
    assert beside == ["aiohttp", "aiohttp", "others"]
    assert servers == ["lowlevel_masker", "lowlevel_no_masker", "lowlevel_masker"]


@contextmanager
def scripted_server(script: bytes, *, then_close: bool) -> Iterator[int]:
    """The port of a server that accepts the handshake and then sends `script`, whatever comes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                head = connection.recv(4096).decode()
                key = head.partition("Sec-WebSocket-Key: ")[2].split()[0]
                accept = websocket_client.accept_value(key.encode()).decode()
                connection.sendall(
                    f"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode()
                )
                connection.recv(4096)
                connection.sendall(script)
                if not then_close:
                    done.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            done.set()
            thread.join()


@on_linux
@pytest.mark.parametrize(
    ("script", "then_close", "complaint"),
    [
        (websocket_client.answer(PAYLOAD) * 3, False, "more answers than messages"),
        (websocket_client.answer(PAYLOAD.upper()), False, "no answer within"),
        (websocket_client.answer(PAYLOAD), True, "closed a connection"),
        (b"", True, "closed a connection"),
        (b"", False, "no answer within"),
    ],
)
def test_the_load_counts_nothing_that_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, script: bytes, then_close: bool, complaint: str
) -> None:
    monkeypatch.setattr(websocket_load, "ANSWER_SECONDS", 0.1)
    with (
        scripted_server(script, then_close=then_close) as port,
        pytest.raises(load.LoadFailed, match=complaint),
    ):
        websocket_load.run(
            port, "/", PAYLOAD, in_flight=2, connections=1, seconds=20, core=choose().load
        )


@on_linux
def test_answers_with_other_bytes_fail_the_load() -> None:
    # As long as the echo, so counting bytes does not notice it.
    with (
        scripted_server(websocket_client.answer(PAYLOAD.upper()) * 2, then_close=False) as port,
        pytest.raises(load.LoadFailed, match="no echoes"),
    ):
        websocket_load.run(
            port, "/", PAYLOAD, in_flight=2, connections=1, seconds=1e-9, core=choose().load
        )


@on_linux
@with_wrk
def test_a_tiny_run_of_websockets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("websockets.speedups")
    monkeypatch.setattr(throughput, "WARM_UP_SECONDS", 0.01)
    monkeypatch.setattr(
        websocket, "WEBSOCKET_PEERS", {"floor_websocket": (), "none": ("no_such_module",)}
    )
    results = tmp_path / "results.json"
    options = ["--rounds", "1", "--seconds", "0.1", "--loop", "asyncio"]
    status = command.main([*options, "--case", "websocket-64x16", "--json", str(results)])
    printed = capsys.readouterr()
    assert status == 0, printed.out
    rows = json.loads(results.read_text())["rows"]
    assert [(each["server"], each["other"]) for each in rows] == [
        ("lowlevel_masker", "aiohttp"),
        ("lowlevel_no_masker", "aiohttp"),
        ("lowlevel_masker", "floor_websocket"),
    ]
    assert all(each["ours"] > [0] and each["theirs"] > [0] for each in rows)
    masker, no_masker, floor = rows
    assert masker["ours"] == floor["ours"] != no_masker["ours"]
    assert masker["theirs"] == no_masker["theirs"] != floor["theirs"]
    assert ":left out: none (not installed)" in printed.out


# ---- The toolkit ------------------------------------------------------------------------------


@on_linux
@pytest.mark.parametrize("loop", command.LOOPS)
@pytest.mark.parametrize("case", TOOLKIT_CASES, ids=lambda case: case.name)
def test_the_servers_of_the_toolkit_answer_alike(case: ToolkitCase, loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    left_out = toolkit.missing_peers()
    names = {name for each in case.compared for name in (each.server, each.other)}
    with throughput.started(sorted(names.difference(left_out)), loop, choose()) as servers:
        toolkit.prove(case, servers)


@on_linux
@pytest.mark.parametrize("server", ["lowlevel_router", *toolkit.TOOLKIT_PEERS])
def test_each_route_has_its_answer(server: str) -> None:
    if server in toolkit.missing_peers():
        pytest.skip(f"{server} is not installed")
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
    (failed,) = toolkit.measure(
        case, "asyncio", rounds=1, seconds=1, cores=choose(), progress=print
    )
    assert "lowlevel_bare does not answer as lowlevel_router does to /health" in failed.failure


def test_applications_that_are_not_installed_have_no_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peers = {"bareASGI": ("json",), "asgi-tools": ("json", "no_such_module"), "Starlette": ()}
    monkeypatch.setattr(toolkit, "TOOLKIT_PEERS", peers)
    case = TOOLKIT_CASES[0]
    assert [(row.server, row.other) for row in toolkit.rows(case, "uvloop")] == [
        ("lowlevel_router", "bareASGI"),
        ("lowlevel_router", "Starlette"),
        ("lowlevel_application", "bareASGI"),
        ("lowlevel_application", "Starlette"),
    ]
    monkeypatch.setattr(toolkit, "missing_peers", lambda: list(peers))
    assert toolkit.measure(case, "", rounds=1, seconds=1, cores=choose(), progress=print) == []


@contextmanager
def recording_server() -> Iterator[tuple[int, list[str]]]:
    """The port of a server that takes one load of one connection, and the targets it is asked for."""
    targets: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            while not targets:  # wrk connects before, to see whether somebody is there.
                connection, _ = listener.accept()
                connection.settimeout(10)
                with connection, connection.makefile("rb") as stream, suppress(ConnectionError):
                    while line := stream.readline():
                        targets.append(line.split()[1].decode())
                        while stream.readline().strip():
                            pass
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], targets
        finally:
            thread.join()


@on_linux
@with_wrk
def test_the_paths_are_asked_for_in_turn() -> None:
    with recording_server() as (port, targets):
        load.run(
            f"http://127.0.0.1:{port}/",
            seconds=1,
            connections=1,
            script=toolkit.SCRIPT,
            core=choose().load,
            arguments=routes.PATHS,
        )
    # wrk has had one of the requests made before, to look at it.
    assert targets[:40] == [*routes.PATHS[1:], *routes.PATHS, routes.PATHS[0]]


@on_linux
@with_wrk
def test_a_tiny_run_of_the_toolkit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(toolkit, "missing_peers", lambda: ["bareASGI", "asgi-tools", "Starlette"])
    results = tmp_path / "results.json"
    options = ["--rounds", "1", "--seconds", "1", "--loop", "asyncio", "--json", str(results)]
    cases = ["--case", "toolkit-routes", "--case", "toolkit-middlewares"]
    status = command.main([*options, *cases])
    printed = capsys.readouterr()
    assert status == 0, printed.out
    (row,) = json.loads(results.read_text())["rows"]
    assert (row["server"], row["other"]) == ("lowlevel_middlewares", "lowlevel_bare")
    assert row["ours"] > [0] and row["theirs"] > [0]
    assert row["cost"]["median"] == pytest.approx((1 / row["ratio"]["median"] - 1) / 10)
    assert "10 middlewares on asyncio: adds, each," in printed.out
    assert ":left out: bareASGI, asgi-tools, Starlette (not installed)" in printed.out


# ---- Without sockets -------------------------------------------------------------------------


@pytest.mark.parametrize("server", profile.MODULES)
@pytest.mark.parametrize("case", profile.REQUESTS)
async def test_requests_without_sockets(server: str, case: str) -> None:
    request, answers = profile.REQUESTS[case]
    assert await profile.drive(server, request, answers, 3) > 0
