"""The part of README.rst that is generated: between two comments, and nothing else there."""

from . import notes, sections, tables
from .charts import Chart
from .labels import versions
from .markup import bullets, escaped, paragraphs
from .reading import Results
from .stats import Row

BEGIN, END = ".. bench:begin", ".. bench:end"
PLOT = "plaintext"
NOT_MEASURED = "Not measured yet: ``make bench`` and then ``make bench-report`` fill this in."


class NoMarkers(Exception):
    """The text does not say where the generated part goes."""


def rewritten(text: str, generated: str) -> str:
    """The text with another generated part. Raises NoMarkers."""
    before, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(f"{END}\n")
    if not begin or not end or f"{BEGIN}\n" in rest or f"{END}\n" in after:
        raise NoMarkers(f"there must be one line {BEGIN!r}, and below it one line {END!r}")
    return f"{before}{BEGIN}\n\n{generated}\n\n{END}\n{after}"


def section(quick: Results | None, plot: Chart | None, plotted: Results | None) -> str:
    """The plot, and the quick run: plaintext beside all servers, the other cases beside aiohttp."""
    if quick is None:
        return paragraphs(_image(plot, plotted), NOT_MEASURED)
    single = [row for row in quick.rows if not row.family and row.loop in (sections.LOOP, "-")]
    plaintext = [row for row in single if row.case == PLOT]
    others = [row for row in single if row.case != PLOT and _is_shown(row)]
    return paragraphs(
        _image(plot, plotted),
        _listed(f"Plaintext on {sections.LOOP}, one core each", tables.beside(plaintext)),
        _listed("Other loads", tables.ratios(others) if others else ""),
        _listed("Targets missed in this run", bullets(notes.missed(single))),
        _listed("Not measured in this run", bullets(notes.failures(single))),
        _listed("To be read with care", bullets(notes.grouped_cautions(single))),
        _where(quick),
    )


def _is_shown(row: Row) -> bool:
    """Beside aiohttp, and what of the toolkit has no aiohttp beside it."""
    return row.other == "aiohttp" or row.case.startswith("toolkit")


def _image(plot: Chart | None, plotted: Results | None) -> str:
    if plot is None or plotted is None:
        return ""
    drawn = f".. image:: docs/performance/{PLOT}.svg\n   :alt: {plot.alt}"
    return f"{drawn}\n\nThe bars are those of ``benchmarks/results/{plotted.name}``."


def _listed(heading: str, text: str) -> str:
    return f"{heading}:\n\n{text}" if text else ""


def _where(quick: Results) -> str:
    servers = dict.fromkeys(name for row in quick.rows for name in (row.server, row.other))
    facts = {
        **quick.facts,
        "packages": versions(servers, quick.facts),
        "samples": f"benchmarks/results/{quick.name}",
    }
    wanted = ("method", "processor", "kernel", "python", "packages", "date", "left out", "samples")
    found = (f"{name}: {facts[name]}" for name in wanted if facts.get(name))
    return f"{sections.capital(escaped('; '.join(found)))}."
