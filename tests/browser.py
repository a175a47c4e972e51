"""A real browser: Debian's Chromium, without a screen, driven by its own driver."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.support import DEADLINE

if TYPE_CHECKING:
    from selenium.webdriver import Remote

SWITCHES = (
    "--headless",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    # A browser likes to talk to its maker. This one talks to this machine alone.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
)


@contextmanager
def chromium(profile: Path) -> Iterator["Remote"]:
    """A new Chromium with `profile` as its folder; at the end it is gone with all its processes.

    What it downloads goes into the folder ``downloads`` there.
    Without Chromium or its driver the test is skipped. With ``CI=true`` it fails: there it must run.
    """
    program = _find("chromium", package="chromium")
    driver_program = _find("chromedriver", package="chromium-driver")

    from selenium.webdriver import ChromeOptions, Remote
    from selenium.webdriver.remote.client_config import ClientConfig
    from selenium.webdriver.remote.file_detector import UselessFileDetector
    from selenium.webdriver.remote.remote_connection import RemoteConnection

    options = ChromeOptions()
    options.binary_location = program
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # which Chromium does not have for root
    downloads = {"download.default_directory": str(profile / "downloads")}
    options.add_experimental_option("prefs", downloads)

    with _driver(driver_program) as url:
        config = ClientConfig(url, timeout=DEADLINE)
        driver = Remote(
            RemoteConnection(client_config=config, ignore_proxy=True),
            options=options,
            file_detector=UselessFileDetector(),  # it would send files to a driver far away
        )
        try:
            yield driver
        finally:
            driver.quit()


@contextmanager
def _driver(program: str) -> Iterator[str]:
    """Run the driver, and give the URL where it takes commands.

    It is not left to selenium because the browser shares its process group: whatever happens to
    either of them, nothing of it outlives the test.
    """
    process = subprocess.Popen(
        [program, "--port=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        said = ""
        while (started := re.search(r"started successfully on port (\d+)", said)) is None:
            line = process.stdout.readline()
            assert line, f"the driver ended: {said}"
            said += line
        yield f"http://127.0.0.1:{started[1]}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _find(program: str, *, package: str) -> str:
    path = shutil.which(program)
    if path is None:
        _give_up(f"there is no {program} here (Debian: apt-get install {package})")
    return path


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and with CI=true this test must run")
    pytest.skip(reason)
