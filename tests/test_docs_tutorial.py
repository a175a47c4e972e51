"""The steps of docs/tutorial.rst, each followed in an empty folder as a reader would follow it."""

from __future__ import annotations

import configparser
import json
import shlex
import signal
from pathlib import Path

import pytest

from tests.deploying import UnixConnection, ask, free_port, nginx_before, verify_units
from tests.listings import Listing, Shell, listings
from tests.support import DEADLINE

PAGE = listings("docs/tutorial.rst")
HEADINGS = list(dict.fromkeys(listing.heading for listing in PAGE))

# Written where the system keeps such files, not into the folder of the program.
CONFIGURATION = ("nginx", "ini")


def shell_at(heading: str, folder: Path) -> Shell:
    """A folder in which everything above a heading has been done."""
    shell = Shell(folder, {"8080": str(free_port())})
    for listing in PAGE[: first_of(heading)]:
        if listing.language == "console":
            shell.remember(listing)
        elif listing.language not in CONFIGURATION:
            shell.write(listing)
    return shell


def first_of(heading: str) -> int:
    return next(number for number, listing in enumerate(PAGE) if listing.heading == heading)


def the(caption: str) -> Listing:
    [listing] = [listing for listing in PAGE if listing.caption == caption]
    return listing


@pytest.mark.parametrize("heading", HEADINGS)
def test_each_step(heading: str, tmp_path: Path, curl: str) -> None:
    """Files are written, commands run, and print what the page says.

    Left out, since they need the network or change the machine: pip, sudo, and making an environment.
    """
    if first_of(heading) > first_of("State"):
        (tmp_path / "notes.jsonl").write_text('"Water the plants"\n')  # as it was left there
    with shell_at(heading, tmp_path) as shell:
        for listing in PAGE:
            if listing.heading != heading or listing.language in CONFIGURATION:
                continue
            if listing.language == "console":
                shell.type(listing)
            else:
                shell.write(listing)


def test_no_listing_is_left_out() -> None:
    """Each is followed by test_each_step, but for the two files of configuration, which have tests below."""
    assert [listing.caption for listing in PAGE if listing.language in CONFIGURATION] == [
        "notes.conf",
        "notes.service",
    ]
    assert {listing.language for listing in PAGE} == {"python", "console", *CONFIGURATION}


HALF = json.dumps({"text": "half \ud800"})


@pytest.mark.parametrize("step", ["State", "A test"])
def test_no_note_breaks_the_list(step: str, tmp_path: Path) -> None:
    """Half of a character is refused, in both of the programs that take notes."""
    with shell_at(step, tmp_path) as shell:
        port = int(shell.here("8080"))
        shell.serve("python -m lowlevel notes:app")
        assert ask(port, "/notes", HALF).status == 400
        assert ask(port, "/notes", json.dumps({"text": "one\ntwo"})).status == 400
        assert ask(port, "/notes", json.dumps({"text": "Grüße, 猫"})).status == 201
        assert ask(port, "/notes").status == 200


@pytest.mark.parametrize("seen", ["99", "9" * 19, "9" * 5000])
def test_an_event_that_was_never_sent(seen: str, tmp_path: Path, curl: str) -> None:
    """Whoever says to have seen more notes than there are gets the next one."""
    with shell_at("A test", tmp_path) as shell:
        port = int(shell.here("8080"))
        shell.serve("python -m lowlevel notes:app")
        url = f"http://127.0.0.1:{port}/notes/events"
        stream = shell.start(f"curl -isSN {url} -H 'Last-Event-ID: {seen}'")
        stream.read_until(lambda said: "\r\n\r\n" in said or "\n\n" in said, "a head")
        assert ask(port, "/notes", json.dumps({"text": "Ring the bell"})).status == 201
        stream.read_until(lambda said: "data: Ring the bell" in said, "the event")


def command_of_the_unit(folder: Path) -> tuple[list[str], Path, Path]:
    """What ``ExecStart`` runs, with its socket and its file in a folder."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(the("notes.service").text.replace("\\\n", ""))
    service = unit["Service"]
    words = shlex.split(service["ExecStart"])
    assert words[0] == f"{service['WorkingDirectory']}/.venv/bin/python"
    socket = words[words.index("--path") + 1]
    assert socket == f"/run/{service['RuntimeDirectory']}/notes.sock"
    assert float(words[words.index("--shutdown-timeout") + 1]) + 10 < float(
        service["TimeoutStopSec"]
    )
    name, _, file = service["Environment"].partition("=")
    assert (name, file) == ("NOTES", f"/var/lib/{service['StateDirectory']}/notes.jsonl")
    words[0] = "python"
    words[words.index("--path") + 1] = str(folder / "notes.sock")
    return words, folder / "notes.sock", folder / "notes.jsonl"


def test_the_unit_is_what_systemd_takes(tmp_path: Path) -> None:
    verify_units({"notes.service": the("notes.service").text}, tmp_path)


def test_the_service_behind_nginx(tmp_path: Path, curl: str) -> None:
    """The command of the unit, the configuration of nginx between it and a client; then a restart."""
    command, path, file = command_of_the_unit(tmp_path)
    file.write_text('"Water the plants"\n')
    port = free_port()
    configuration = (
        the("notes.conf")
        .text.replace("/run/notes/notes.sock", str(path))
        .replace("listen 80;", f"listen 127.0.0.1:{port};")
    )
    url = f"http://127.0.0.1:{port}"
    body = json.dumps({"text": "Ring the bell"})
    with (
        nginx_before(configuration, port, tmp_path),
        shell_at("A service", tmp_path) as shell,
    ):
        shell.environment["NOTES"] = str(file)
        server = shell.serve(shlex.join(command))
        assert path.stat().st_mode & 0o777 == 0o660
        for _ in range(3):
            assert ask(port, "/notes/1").text == "Water the plants\n"
        # A stream goes through as it is made.
        stream = shell.start(f"curl -sSN {url}/notes/events -H 'Last-Event-ID: 0'")
        stream.read_until(lambda said: "Water" in said, "the first event")
        assert ask(port, "/notes", body).status == 201
        stream.read_until(lambda said: "data: Ring the bell" in said, "the second event")
        # A request that is running is answered, the stream ends in good order.
        running = UnixConnection(path)
        running.putrequest("POST", "/notes")
        running.putheader("Content-Length", str(len(body)))
        running.endheaders(body[:5].encode())
        server.process.send_signal(signal.SIGTERM)
        assert stream.process.wait(DEADLINE) == 0, stream.said
        running.send(body[5:].encode())
        answer = running.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (201, "close")
        running.close()
        assert server.process.wait(DEADLINE) == 0, server.said
        assert not path.exists()
        assert ask(port, "/notes").status == 502
        shell.serve(shlex.join(command))
        assert ask(port, "/notes/3").text == "Ring the bell\n"
