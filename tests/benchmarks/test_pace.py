"""What is said of the time that is gone, and of the time that it takes."""

import pytest

from benchmarks.pace import Pace, minutes


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0:00"), (9.4, "0:09"), (59.6, "1:00"), (754, "12:34")]
)
def test_minutes(seconds: float, said: str) -> None:
    assert minutes(seconds) == said


def test_what_remains_is_what_was_estimated() -> None:
    clock, said = Clock(), list[str]()
    pace = Pace([20.0, 10.0], said.append, clock=clock)
    pace.tell("begin")
    clock.now += 15
    pace.tell("first")
    clock.now += 90
    pace.tell("still the first")
    pace.part_done()
    clock.now += 4
    assert pace.elapsed == 109
    pace.part_done()
    pace.tell("end")
    assert said == [
        "0:00 gone, 0:30 to go: begin",
        "0:15 gone, 0:15 to go: first",
        "1:45 gone, 0:10 to go: still the first",
        "1:49 gone, 0:00 to go: end",
    ]


def test_estimates_are_corrected_by_what_they_were_worth() -> None:
    clock = Clock()
    pace = Pace([100.0, 100.0, 100.0], print, clock=clock)
    clock.now += 150
    pace.part_done()
    clock.now += 30
    assert pace.remaining == pytest.approx(120 + 150)
