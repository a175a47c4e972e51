"""lowlevel as it runs without its extra `speed`: its C masker cannot be imported."""

import sys

# For the import system None means that there is no such module. It must be said before lowlevel
# looks.
sys.modules["websockets.speedups"] = None  # type: ignore[assignment]

from . import launch, lowlevel_masker, lowlevel_server  # noqa: E402

if __name__ == "__main__":
    if lowlevel_masker.uses_c_masker():
        sys.exit("lowlevel found a C masker that was hidden from it")
    launch.main(lowlevel_server.make_factory)
