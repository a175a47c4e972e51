"""lowlevel with the C masker of its extra `speed`, which must be there."""

import sys

from lowlevel.protocol import masking

from . import launch, lowlevel_server


def uses_c_masker() -> bool:
    return masking.unmask is not masking.unmask_in_python


if __name__ == "__main__":
    if not uses_c_masker():
        sys.exit("lowlevel has no C masker here: install its extra `speed`")
    launch.main(lowlevel_server.make_factory)
