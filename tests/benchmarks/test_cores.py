"""Programs are pinned to their cores."""

import os
from pathlib import Path

import pytest

from benchmarks import cores
from benchmarks.cores import Cores, choose, pinned
from tests.benchmarks.running import on_linux


@on_linux
def test_what_is_pinned_stays_there_alone() -> None:
    before = os.sched_getaffinity(0)
    core = choose().load
    with pinned(core):
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize(
    ("usable", "siblings", "chosen"),
    [
        ({0, 1, 2, 3}, "0-1\n", Cores(server=0, load=2)),
        ({0, 1, 2, 3}, "0,2\n", Cores(server=0, load=1)),
        ({0, 1}, "0-1\n", Cores(server=0, load=1)),
        ({0, 5}, None, Cores(server=0, load=5)),
        ({0}, "0\n", Cores(server=0, load=0)),
    ],
)
def test_server_and_load_have_cores_of_their_own_where_there_are_two(
    usable: set[int],
    siblings: str | None,
    chosen: Cores,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: usable, raising=False)
    monkeypatch.setattr(cores, "TOPOLOGY", f"{tmp_path}/{{}}")
    if siblings is not None:
        (tmp_path / "0").write_text(siblings)
    assert choose() == chosen
    assert chosen.shared == (len(usable) == 1)
