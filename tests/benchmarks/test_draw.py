"""The pages of numbers: what is in the tree is what the results say, and nothing else."""

import json
import re
from pathlib import Path

import pytest

from benchmarks import charts, draw, reading, readme, sections
from benchmarks.process import ROOT
from benchmarks.stats import Row, Spread, Target
from tests.benchmarks import synthetic

PAGE = ROOT / "docs" / "performance.rst"
TABLES = ROOT / draw.PAGES
README = (ROOT / draw.README).read_text("utf-8")
IN_TREE = draw.drawing(draw.RESULTS)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder with results of everything but the microbenchmarks."""
    synthetic.write(tmp_path / "full.json", synthetic.full())
    synthetic.write(tmp_path / "quick.json", synthetic.quick())
    return tmp_path


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A folder with the README to write in."""
    into = tmp_path / "into"
    into.mkdir()
    (into / "README.rst").write_text(f"above\n\n{readme.BEGIN}\nold\n{readme.END}\n\nbelow\n")
    return into


# ---- What is in the tree ---------------------------------------------------------------------


def test_the_tables_are_what_the_results_say() -> None:
    found = {file.name: file.read_text("utf-8") for file in TABLES.glob("*.rst")}
    assert found == IN_TREE.texts, "make bench-report writes them anew"


def test_there_is_a_plot_for_each_chart_and_no_other() -> None:
    found = sorted(file.stem for file in TABLES.glob("*.svg"))
    assert found == sorted(IN_TREE.charts), "make bench-report draws them anew"


def test_the_plots_are_what_the_results_say() -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="of the benchmarks' environment alone")
    pins = (ROOT / "benchmarks" / "requirements.txt").read_text("utf-8")
    pinned = re.findall(r"^matplotlib==(\S+)$", pins, re.MULTILINE)
    if pinned != [matplotlib.__version__]:
        pytest.skip(f"matplotlib {matplotlib.__version__} draws other bytes than {pinned}")
    from benchmarks import plots

    for name, chart in IN_TREE.charts.items():
        assert (TABLES / f"{name}.svg").read_bytes() == plots.svg(chart), name


def test_the_plots_are_small() -> None:
    large = [file.name for file in TABLES.glob("*.svg") if file.stat().st_size > 150_000]
    assert large == []


def test_the_readme_says_what_the_results_say() -> None:
    assert readme.rewritten(README, IN_TREE.readme) == README, "make bench-report"


def test_nobody_typed_a_number_into_the_readme() -> None:
    _, _, section = README.partition("\nSpeed\n-----\n")
    section, _, _ = section.partition("\nDocumentation\n-------------\n")
    by_hand = section.replace(IN_TREE.readme, "")
    assert re.findall(r"\d", by_hand) == []


def test_the_page_includes_every_table() -> None:
    included = re.findall(r"^\.\. include:: performance/(\S+)$", PAGE.read_text("utf-8"), re.M)
    assert sorted(included) == sorted(IN_TREE.texts)


def test_the_page_has_no_numbers_of_its_own() -> None:
    written = re.sub(r"``.*?``|<https:.*?>|HTTP/2|\b304\b", "", PAGE.read_text("utf-8"))
    written = re.sub(r"\n    make .*", "", written)
    assert re.findall(r".*\d.*", written) == []


# ---- Results that are read again -------------------------------------------------------------


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [
        Row(
            "case",
            "title",
            "uvloop",
            "aiohttp",
            "requests/s",
            Target("at least", 1.25),
            ours=[1.0, 2.0],
            theirs=[2.0, 2.0],
            server_busy=[(0.9, 0.8), (1.0, 1.0)],
            load_busy=[(0.5, 0.6), (0.5, 0.5)],
            family="headers",
            at=25.0,
            note="a note",
        ),
        Row("m", "memory", "-", "x", "KiB", Target("at most", 4, on="value", unit="KiB"), parts=2),
        Row("f", "failed", "-", "x", "ms", None, server="lowlevel_router", failure="gone"),
    ]
    for row in rows[1:2]:
        row.ours = row.theirs = [1.0]
    rows[1].server_busy = [(1.0, 1.0)]
    synthetic.write(tmp_path / "x.json", rows)
    found = reading.read(tmp_path / "x.json")
    assert found is not None
    assert found.name == "x.json"
    assert found.facts == synthetic.FACTS
    assert found.rows == rows


def test_results_that_are_not_there() -> None:
    assert reading.read(Path("no such file.json")) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"machine": {}, "rows": [{}]}', '{"machine": {}, "rows": [1]}']
)
def test_something_else_than_results(tmp_path: Path, text: str) -> None:
    file = tmp_path / "full.json"
    file.write_text(text)
    with pytest.raises(reading.NotResults, match="full.json holds no results"):
        reading.read(file)


# Those of the microbenchmarks are pyperf's.
RUNS = sorted(file for file in draw.RESULTS.glob("*.json") if file.name != "micro.json")


@pytest.mark.parametrize("file", RUNS, ids=lambda file: file.name)
def test_the_results_in_the_tree_can_be_read(file: Path) -> None:
    found = reading.read(file)
    assert found is not None
    recorded = [row["ratio"] for row in json.loads(file.read_text("utf-8"))["rows"]]
    for row, ratio in zip(found.rows, recorded, strict=True):
        assert row.failure or row.ratio == Spread(**ratio)


# ---- Charts ----------------------------------------------------------------------------------


def rows_of(case: str) -> list[Row]:
    return [row for row in synthetic.full() if row.case == case and row.loop == "uvloop"]


def test_bars_beside_lowlevel() -> None:
    chart = charts.relative("Title", {"": rows_of("plaintext")})
    [panel] = chart.panels
    values = {bar.server: bar.value for bar in panel.bars}
    assert values["lowlevel"] == Spread(1, 1, 1)
    [row] = [row for row in rows_of("plaintext") if row.other == "aiohttp"]
    assert values["aiohttp"] == Spread(
        1 / row.ratio.median, 1 / row.ratio.most, 1 / row.ratio.least
    )
    # The fastest first, then the floors; the one that failed is not there.
    assert [bar.server for bar in panel.bars][:2] == ["socketify", "lowlevel"]
    assert [bar.server for bar in panel.bars][-2:] == ["floor_asyncio", "floor_httptools"]
    assert "tornado" not in values
    assert chart.alt.startswith("Bars, Title (requests/s, lowlevel = 1). socketify 1.0")


def test_bars_with_targets() -> None:
    chart = charts.ratios("Title", rows_of("toolkit-middlewares"), reference="the other")
    [bar] = chart.panels[0].bars
    assert (bar.label, bar.target) == ("10 middlewares", 0.77)


def test_lines_that_grow() -> None:
    rows = [row for row in synthetic.full() if row.family == "headers"]
    chart = charts.growth("Title", rows, "fields", "linear")
    lines = {line.server: [x for x, _ in line.points] for line in chart.lines}
    assert lines["lowlevel"] == [1, 10, 25, 50, 100]
    assert lines["aiohttp"] == [1, 10, 25, 50]  # It failed at the last.
    assert list(lines)[-1] == "floor_httptools"
    assert chart.y_scale == "linear"
    assert "aiohttp 1 2" in chart.alt


def test_an_axis_is_logarithmic_where_it_must_be() -> None:
    rows = [row for row in synthetic.full() if row.family == "response body"]
    chart = charts.growth("Title", rows, "bytes", "log")
    assert chart.y_scale == "log"
    assert [name for _, name in chart.ticks] == ["0", "1K", "16K", "256K", "1M", "16M"]


@pytest.mark.parametrize("name", ["plaintext", "response-body", "latency", "beside-aiohttp"])
def test_a_chart_is_drawn_the_same_each_time(results: Path, name: str) -> None:
    pytest.importorskip("matplotlib", reason="of the benchmarks' environment alone")
    from benchmarks import plots

    chart = draw.drawing(results).charts[name]
    first = plots.svg(chart)
    assert first == plots.svg(chart)
    assert first.startswith(b"<?xml") and b"<text" not in first
    assert len(first) < 100_000


# ---- Pieces ----------------------------------------------------------------------------------


def test_every_piece_is_made_of_results(results: Path) -> None:
    drawn = draw.drawing(results)
    assert [name for name, text in drawn.texts.items() if "Not measured" in text] == ["micro.rst"]
    without_plot = {"cpu", "import", "findings", "machine"}
    assert set(drawn.charts) == sections.SECTIONS.keys() - without_plot


def test_a_caption_says_where_the_numbers_are_from(results: Path) -> None:
    text = draw.drawing(results).texts["plaintext.rst"]
    for said in (
        ":alt: Bars, Plaintext",
        "A processor, 2 cores, Linux 1.2.3\\_4, CPython 3.11.0, 2001-02-03 04:05 UTC.",
        "lowlevel 0.1.0, aiohttp 1.2.3, uvicorn 4.5, granian 6.7.",
        "from the smallest to the largest",
        "``benchmarks/results/full.json``",
        "- plaintext, beside tornado on uvloop: ``ServerFailed: tornado on uvloop did not start:",
    ):
        assert said in text


def test_what_is_of_another_size_has_a_table_alone(results: Path, tmp_path: Path) -> None:
    drawn = draw.drawing(results)
    chart = drawn.charts["memory"]
    assert isinstance(chart, charts.Bars)
    assert [panel.title for panel in chart.panels] == ["memory per idle connection"]
    assert "the same, compressed:\n" in drawn.texts["memory.rst"]
    alone = [row for row in synthetic.full() if row.case == "websocket-memory-deflate"]
    synthetic.write(tmp_path / "full.json", alone)
    assert "the same, compressed  " in draw.drawing(tmp_path).texts["memory.rst"]


def test_the_title_of_latency_says_the_rate(results: Path) -> None:
    assert draw.drawing(results).charts["latency"].title == "Latency at 9,000/s"


@pytest.mark.parametrize(
    ("piece", "said"),
    [
        ("memory.rst", ["memory per idle connection:", "the other loop:", "peak memory"]),
        ("websocket.rst", ["websocket 64 B:", "websocket 64 KiB:"]),
        ("beside-aiohttp.rst", ["On uvloop:", "On asyncio:", "1 MiB upload"]),
        ("toolkit.rst", ["beside Starlette  ", "10 middlewares  ", "adds, each, 3"]),
        ("latency.rst", ["p99.9\n", "- The load was busy"]),
        (
            "findings.rst",
            ["Targets missed:", "10 middlewares on uvloop", "\nFailed:", "with care:"],
        ),
    ],
)
def test_nothing_is_said_twice(results: Path, piece: str, said: list[str]) -> None:
    _, _, below = draw.drawing(results).texts[piece].rpartition("full.json``.")
    assert [below.count(each) for each in said] == [1] * len(said)


@pytest.mark.parametrize(
    ("piece", "elsewhere"),
    [
        ("memory.rst", ["beside uvicorn", "beside socketify"]),
        ("beside-aiohttp.rst", ["websocket", "middlewares", "1,000 websockets", "import"]),
        ("import.rst", ["memory"]),
    ],
)
def test_what_has_a_place_of_its_own(results: Path, piece: str, elsewhere: list[str]) -> None:
    text = draw.drawing(results).texts[piece]
    assert [each for each in elsewhere if each in text] == []


def test_what_was_not_measured_says_so(tmp_path: Path) -> None:
    drawn = draw.drawing(tmp_path)
    assert drawn.texts.keys() == {f"{name}.rst" for name in [*sections.SECTIONS, "micro"]}
    assert (
        drawn.texts["json.rst"]
        == "Not measured yet: ``make bench-full``, then ``make bench-report``.\n"
    )
    assert drawn.charts == {}
    assert drawn.readme == readme.NOT_MEASURED


def test_a_run_of_a_few_cases(tmp_path: Path) -> None:
    rows = [row for row in synthetic.full() if row.case == "plaintext" and row.other == "tornado"]
    synthetic.write(tmp_path / "full.json", [*rows, *rows_of("echo")])
    drawn = draw.drawing(tmp_path)
    assert "echo" in drawn.charts and "plaintext" not in drawn.charts
    assert drawn.texts["plaintext.rst"].startswith(
        "- plaintext, beside tornado on uvloop: ``Server"
    )
    assert drawn.texts["memory.rst"].startswith("Not measured")


def pyperf_results(folder: Path) -> None:
    """As pyperf writes them: two parts, and what they have in common."""
    parts = [
        {"metadata": {"name": name}, "runs": [{"warmups": []}, {"values": values}]}
        for name, values in (("head", [2e-6, 3e-6, 4e-6]), ("route", [5e-7]))
    ]
    metadata = {"python_version": "3.11.0 (64-bit)", "platform": "Linux_x"}
    suite = {"benchmarks": parts, "metadata": metadata, "version": "1.0"}
    (folder / "micro.json").write_text(json.dumps(suite))


def test_the_parts_alone(tmp_path: Path) -> None:
    pyperf_results(tmp_path)
    lines = [
        " ".join(line.split()) for line in draw.drawing(tmp_path).texts["micro.rst"].split("\n")
    ]
    assert "head 3.00 1.00" in lines
    assert "route 0.500 0" in lines
    where = "platform: Linux\\_x; python: 3.11.0 (64-bit); every value: "
    assert lines[-2] == f"{where}``benchmarks/results/micro.json``."


# ---- The README ------------------------------------------------------------------------------


def test_the_part_of_the_readme(results: Path) -> None:
    lines = [" ".join(line.split()) for line in draw.drawing(results).readme.splitlines()]
    assert lines[0] == ".. image:: docs/performance/plaintext.svg"
    assert "The bars are those of ``benchmarks/results/full.json``." in lines
    assert any(line.startswith("floor: httptools ") for line in lines)
    assert any(line.startswith("echo ") and line.endswith(">= 2 no") for line in lines)
    assert any(line.startswith("- echo on uvloop: 1.") for line in lines)
    assert any(line.startswith("- plaintext, beside tornado on uvloop: ``Serv") for line in lines)
    [careful] = [line for line in lines if line.startswith("- the load generator had no time")]
    assert "the ratio is: new connections on uvloop 1." in careful
    assert lines[-1].startswith("Method: median of 5 rounds of 2 s")
    assert lines[-1].endswith("samples: benchmarks/results/quick.json.")


def test_the_readme_has_a_plot_of_the_quick_run_without_a_full_one(results: Path) -> None:
    (results / "full.json").unlink()
    drawn = draw.drawing(results)
    assert list(drawn.charts) == ["plaintext"]
    assert "The bars are those of ``benchmarks/results/quick.json``." in drawn.readme


def test_the_part_of_the_readme_is_replaced() -> None:
    text = f"above\n{readme.BEGIN}\nold\n{readme.END}\nbelow\n"
    once = readme.rewritten(text, "new")
    assert once == f"above\n{readme.BEGIN}\n\nnew\n\n{readme.END}\nbelow\n"
    assert readme.rewritten(once, "new") == once


@pytest.mark.parametrize(
    "text",
    [
        "no markers\n",
        f"{readme.BEGIN}\n",
        f"{readme.END}\n{readme.BEGIN}\n",
        f"{readme.BEGIN}\n{readme.BEGIN}\n{readme.END}\n",
        f"{readme.BEGIN}\n{readme.END}\n{readme.END}\n",
    ],
)
def test_markers_that_are_missing(text: str) -> None:
    with pytest.raises(readme.NoMarkers, match=re.escape(f"one line {readme.BEGIN!r}")):
        readme.rewritten(text, "new")


# ---- The command -----------------------------------------------------------------------------


def test_files_are_written_and_stale_plots_removed(results: Path, pages: Path) -> None:
    drawn = draw.drawing(results)
    gone = pages / draw.PAGES / "gone.svg"
    gone.parent.mkdir(parents=True)
    gone.touch()
    assert draw.write(drawn, pages, {"plaintext": b"<svg/>"}) == ["gone.svg"]
    found = {file.name for file in gone.parent.iterdir()}
    assert found == {*drawn.texts, "plaintext.svg"}
    assert drawn.readme in (pages / "README.rst").read_text("utf-8")


def test_nothing_is_written_without_the_markers(
    tmp_path: Path, pages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pages / "README.rst").write_text("no markers\n")
    assert draw.main(["--results", str(tmp_path), "--into", str(pages)]) == 1
    assert readme.BEGIN in capsys.readouterr().err
    assert [file.name for file in pages.iterdir()] == ["README.rst"]


@pytest.mark.parametrize("name", ["quick.json", "full.json", "micro.json"])
def test_bad_results_end_the_command(
    tmp_path: Path, pages: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).write_text("{}")
    assert draw.main(["--results", str(tmp_path), "--into", str(pages)]) == 1
    assert f"{name} holds no results" in capsys.readouterr().err


def test_the_command(results: Path, pages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="of the benchmarks' environment alone")
    assert draw.main(["--results", str(results), "--into", str(pages)]) == 0
    said = capsys.readouterr().err
    drawn = draw.drawing(results)
    for name in drawn.charts:
        assert f"docs/performance/{name}.svg" in said
        assert (pages / draw.PAGES / f"{name}.svg").exists()
