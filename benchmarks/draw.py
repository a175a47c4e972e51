"""python -m benchmarks.draw: the results as plots and tables for the pages, and for the README.

What it writes follows from the files of results alone: the same results, the same bytes.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import micro_table, readme
from .charts import Chart
from .process import ROOT
from .reading import NotResults, read
from .sections import SECTIONS, Piece

RESULTS = ROOT / "benchmarks" / "results"
PAGES = Path("docs", "performance")
README = Path("README.rst")
_NOT_MEASURED = "Not measured yet: ``{command}``, then ``make bench-report``.\n"


@dataclass(frozen=True, slots=True)
class Drawing:
    """texts: the tables for the pages, by file name; charts: the plots, by name without suffix.

    readme: the generated part of the README.
    """

    texts: Mapping[str, str]
    charts: Mapping[str, Chart]
    readme: str


def drawing(results: Path) -> Drawing:
    """What the results in a folder give: what was not measured says so.

    Raises NotResults.
    """
    full, quick = read(results / "full.json"), read(results / "quick.json")
    charts: dict[str, Chart] = {}
    texts = {}
    for name, section in SECTIONS.items():
        piece = Piece() if full is None else section(full)
        charts.update(piece.charts)
        texts[f"{name}.rst"] = _or_not_measured(piece.text, "make bench-full")
    microbenchmarks = micro_table.text(results / "micro.json")
    texts["micro.rst"] = _or_not_measured(microbenchmarks, "make bench-micro")
    plotted = full
    if readme.PLOT not in charts and quick is not None:
        # The README has a plot of its own run until there is a better one.
        plotted = quick
        charts.update(SECTIONS[readme.PLOT](quick).charts)
    generated = readme.section(quick, charts.get(readme.PLOT), plotted)
    return Drawing(texts, charts, generated)


def write(drawn: Drawing, into: Path, plots: Mapping[str, bytes]) -> list[str]:
    """Write the files below the folder `into`; return the names of plots that are gone.

    Raises readme.NoMarkers before anything is written.
    """
    page = into / README
    text = readme.rewritten(page.read_text("utf-8"), drawn.readme)
    pages = into / PAGES
    pages.mkdir(parents=True, exist_ok=True)
    for name, table in drawn.texts.items():
        (pages / name).write_text(table, "utf-8")
    for name, plot in plots.items():
        (pages / f"{name}.svg").write_bytes(plot)
    stale = [file for file in sorted(pages.glob("*.svg")) if file.stem not in plots]
    for file in stale:
        file.unlink()
    page.write_text(text, "utf-8")
    return [file.name for file in stale]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 written, 1 the results or the README cannot be used."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.draw", description=__doc__)
    options.add_argument(
        "--results", type=Path, default=RESULTS, metavar="DIR", help="default: %(default)s"
    )
    options.add_argument(
        "--into",
        type=Path,
        default=ROOT,
        metavar="DIR",
        help="the folder with README.rst and docs/; default: %(default)s",
    )
    chosen = options.parse_args(arguments)
    try:
        return _draw(chosen.results, chosen.into)
    except (NotResults, readme.NoMarkers) as error:
        print(error, file=sys.stderr)
        return 1


def _draw(results: Path, into: Path) -> int:
    drawn = drawing(results)
    files = {}
    for number, (name, chart) in enumerate(drawn.charts.items(), 1):
        print(f"{PAGES}/{name}.svg, {number} of {len(drawn.charts)}", file=sys.stderr, flush=True)
        from . import plots  # Tables alone need no matplotlib.

        files[name] = plots.svg(chart)
    gone = write(drawn, into, files)
    print(f"{len(drawn.texts)} tables in {PAGES}, and the part of {README}", file=sys.stderr)
    if gone:
        print(f"removed, since there are no results for them: {', '.join(gone)}", file=sys.stderr)
    return 0


def _or_not_measured(text: str, command: str) -> str:
    return f"{text}\n" if text else _NOT_MEASURED.format(command=command)


if __name__ == "__main__":
    sys.exit(main())
