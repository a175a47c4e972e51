"""Medians, pairwise ratios, what limited a row, what a request costs."""

import pytest

from benchmarks import stats
from benchmarks.stats import Target
from tests.benchmarks.running import a_row


def test_spread_is_median_least_and_most() -> None:
    assert stats.spread([5.0, 1.0, 2.0]) == stats.Spread(median=2.0, least=1.0, most=5.0)
    with pytest.raises(ValueError, match="no samples"):
        stats.spread([])


def test_ratios_are_taken_within_a_round() -> None:
    assert stats.paired_ratios([100.0, 10.0], [50.0, 5.0]) == [2.0, 2.0]
    with pytest.raises(ValueError):
        stats.paired_ratios([1.0], [])


def test_a_target_on_the_ratio() -> None:
    assert a_row().met is True
    assert a_row(target=Target("at least", 2.01)).met is False
    assert a_row(target=Target("at most", 0.5)).met is False
    assert a_row(target=None).met is None
    assert str(Target("at least", 2.0)) == ">= 2"


def test_a_target_on_the_value() -> None:
    small = Target("at most", 5.0, on="value", unit="KiB")
    assert a_row(target=small, ours=[4.9], theirs=[9.0]).met is True
    assert a_row(target=small, ours=[5.1], theirs=[1.0]).met is False
    assert str(small) == "<= 5 KiB"


def test_a_failed_row_misses_its_target() -> None:
    assert a_row(failure="wrk: refused").met is False


def test_the_ratio_by_processor_time() -> None:
    busy = a_row(ours=[120.0], theirs=[100.0], server_busy=[(0.5, 1.0)], load_busy=[(0.95, 0.9)])
    assert busy.limited_by_load
    assert busy.ratio_per_cpu_second.median == pytest.approx(2.4)
    none = a_row(server_busy=[(0.0, 0.0)] * 3, load_busy=[(0.0, 0.0)] * 3)
    assert none.ratio_per_cpu_second.median == 2.0


def test_what_limited_a_row() -> None:
    def limits(server: float, wrk: float) -> tuple[bool, bool]:
        measured = a_row(server_busy=[(server, 1.0)] * 3, load_busy=[(wrk, 0.1)] * 3)
        return measured.limited_by_load, measured.disturbed

    assert limits(server=0.95, wrk=0.5) == (False, False)
    assert limits(server=0.5, wrk=0.95) == (True, False)
    assert limits(server=0.5, wrk=0.5) == (False, True)
    assert not a_row().limited_by_load
    assert not a_row().disturbed


def test_what_the_parts_of_a_server_cost() -> None:
    # Rates of 100 to 125 to 80: the time of a request is 100 %, 80 %, 125 % of the other's.
    ten = a_row(ours=[100.0, 125.0, 80.0], theirs=[100.0, 100.0, 100.0], parts=10)
    assert (ten.cost.median, ten.cost.least, ten.cost.most) == pytest.approx((0, -0.02, 0.025))
    one = a_row(
        ours=[80.0], theirs=[100.0], server_busy=[(0.8, 0.9)], load_busy=[(0.1, 0.1)], parts=1
    )
    assert one.cost.median == pytest.approx(0.25)
    assert one.cost_per_cpu_second.median == pytest.approx(0.8 / 80 / (0.9 / 100) - 1)
    with pytest.raises(ZeroDivisionError):
        a_row().cost  # noqa: B018


def test_processor_time_per_request() -> None:
    measured = a_row(
        ours=[1000.0, 2000.0, 4000.0],
        theirs=[500.0, 1000.0, 250.0],
        server_busy=[(1.0, 1.0), (0.5, 0.5), (1.0, 1.0)],
        load_busy=[(0.1, 0.1)] * 3,
    )
    # 1000, 250 and 250 microseconds; 2000, 500 and 4000.
    assert measured.cpu_per_request == pytest.approx((250, 2000))


@pytest.mark.parametrize("without", [{}, {"unit": "ms", "server_busy": [(1.0, 1.0)] * 3}])
def test_no_processor_time_per_request(without: dict[str, object]) -> None:
    assert a_row(**without).cpu_per_request is None
