"""Where and with what the numbers were taken: they mean nothing without it."""

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from . import load, peers
from .programs import ENVIRONMENTS

# What runs in the environment of the benchmarks itself; each peer elsewhere has its own.
PACKAGES = (
    "lowlevel",
    "aiohttp",
    "httptools",
    "multidict",
    "yarl",
    "uvloop",
    "wsproto",
    "websockets",
)


def facts() -> dict[str, str]:
    """What to print below the numbers, in this order."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB",
        "load before": f"{os.getloadavg()[0]:.2f} (1 minute average)",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "peers": ", ".join(f"{name} {version}" for name, version in _peers().items()),
        "load generator": f"{load.version()}; for websockets and uploads sockets in this Python",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "(this checkout)" if name == "lowlevel" else "(missing)"


def _peers() -> dict[str, str]:
    names = dict.fromkeys(ENVIRONMENTS.values())
    return {name: peers.version(name) or "(missing)" for name in names}
