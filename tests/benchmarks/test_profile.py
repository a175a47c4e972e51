"""One request's path, without sockets, to be profiled."""

import pytest

from benchmarks import profile


@pytest.mark.parametrize("server", profile.MODULES)
@pytest.mark.parametrize("case", profile.REQUESTS)
async def test_requests_without_sockets(server: str, case: str) -> None:
    request, answers = profile.REQUESTS[case]
    assert await profile.drive(server, request, answers, 3) > 0
