"""How many files may be open: each connection is one, here and in the servers."""

import resource


class TooFewDescriptors(OSError):
    """The system does not allow as many open files as are needed."""


def allow_descriptors(needed: int) -> None:
    """Raise the soft limit, here and in what is started from here. Raises TooFewDescriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise TooFewDescriptors(f"needs {needed} open files, and the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
