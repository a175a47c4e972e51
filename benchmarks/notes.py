"""What has to be said beside the tables, a sentence for each row that it is about."""

from collections.abc import Iterable, Sequence
from statistics import median

from .amounts import amount, ratio
from .markup import literal
from .stats import Row


def failures(rows: Iterable[Row]) -> Sequence[str]:
    """Each reason once, with the rows that it is the reason of."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.failure:
            reasons.setdefault(row.failure, []).append(_place(row))
    return [f"{'; '.join(places)}: {literal(reason)}" for reason, places in reasons.items()]


def missed(rows: Iterable[Row]) -> Sequence[str]:
    """The targets that were not reached, and by how much; rows that failed left out."""
    return [_missed(row) for row in rows if row.met is False and not row.failure]


def remarks(rows: Iterable[Row]) -> Sequence[str]:
    """How some of the rows were taken, each thing once."""
    return list(dict.fromkeys(row.note for row in rows if row.note))


def costs(rows: Iterable[Row]) -> Sequence[str]:
    """What a part adds to a request."""
    return [_cost(row) for row in rows if row.parts and not row.failure]


def cautions(rows: Iterable[Row]) -> Sequence[str]:
    """The rows whose ratio says less than it seems to; those of missed targets left out."""
    doubtful = [row for row in rows if _is_doubtful(row) and row.met is not False]
    return [f"{_place(row)}: {_doubt(row)}." for row in doubtful]


def grouped_cautions(rows: Iterable[Row]) -> Sequence[str]:
    """The same with each reason once, for a page."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if _is_doubtful(row) and row.met is not False:
            reasons.setdefault(_why(row), []).append(
                f"{_place(row)} {ratio(row.ratio_per_cpu_second)}"
            )
    return [
        f"{why}; by the servers' processor time the ratio is: {', '.join(found)}."
        for why, found in reasons.items()
    ]


def _missed(row: Row) -> str:
    on_value = row.target is not None and row.target.on == "value"
    reached = amount(median(row.ours), row.unit) if on_value else ratio(row.ratio)
    said = f"{_place(row)}: {reached}, the target is {row.target}"
    return f"{said}; {_doubt(row)}." if _is_doubtful(row) else f"{said}."


def _cost(row: Row) -> str:
    cost = row.cost
    each = "adds" if row.parts == 1 else "adds, each,"
    return (
        f"{_place(row)}: {each} {cost.median:.1%} ({cost.least:.1%} to {cost.most:.1%}) "
        f"to a request, {row.cost_per_cpu_second.median:.1%} by the servers' processor time."
    )


def _is_doubtful(row: Row) -> bool:
    return not row.failure and (row.limited_by_load or row.disturbed)


def _doubt(row: Row) -> str:
    by_time = ratio(row.ratio_per_cpu_second)
    return f"{_why(row)}; by the servers' processor time the ratio is {by_time}"


def _why(row: Row) -> str:
    if row.limited_by_load:
        return "the load generator had no time left on its core"
    return "server and load waited for each other, or the machine had other work"


def _place(row: Row) -> str:
    return row.title if row.loop == "-" else f"{row.title} on {row.loop}"
