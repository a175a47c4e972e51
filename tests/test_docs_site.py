"""The pages of docs/ as a site: what links them, and how they look where ``make docs`` has built them."""

import json
import os
import re
from pathlib import Path

import pytest

from tests.browser import chromium
from tests.docpages import Page, asking
from tests.program import ROOT, running
from tests.support import DEADLINE

DOCS = ROOT / "docs"
SITE = ROOT / "build/docs"
PARTS = DOCS / "performance"  # what performance.rst is put together from

PAGES = sorted(path for path in DOCS.rglob("*.rst") if PARTS not in path.parents)
SOURCES = [path for path in DOCS.rglob("*.*") if "__pycache__" not in path.parts]
NAMES = [str(path.relative_to(DOCS).with_suffix("")) for path in PAGES]

PHONE = 390
"""The width of a page on a phone, in pixels of CSS."""


# ---- The sources -------------------------------------------------------------------------------


def entries(page: Path) -> list[Path]:
    """The pages that the toctrees of a page name, without those that are not ours to keep."""
    found = []
    for options in re.findall(r"^\.\. toctree::\n((?:(?: .*)?\n)+)", page.read_text("utf-8"), re.M):
        for line in options.split("\n"):
            entry = re.sub(r".*<(.+)>$", r"\1", line.strip())
            if entry and not entry.startswith(":") and entry != "self":
                found.append(target(page, entry))
    return found


def target(page: Path, name: str) -> Path:
    """The page that another one names, from its own folder or with a slash from that of all."""
    return Path(
        os.path.normpath((DOCS if name[0] == "/" else page.parent) / f"{name.strip('/')}.rst")
    )


def test_every_page_is_found_from_the_first() -> None:
    reached = {DOCS / "index.rst"}
    waiting = list(reached)
    while waiting:
        for page in entries(waiting.pop()):
            assert page not in reached, f"{page} is in two tables of contents"
            reached.add(page)
            waiting.append(page)
    assert sorted(reached) == PAGES


@pytest.mark.parametrize("name", NAMES)
def test_what_a_page_links_to_is_there(name: str) -> None:
    page = DOCS / f"{name}.rst"
    text = page.read_text("utf-8")
    for link in re.findall(r":doc:`(?:[^`<]*<)?([^`>]+)>?`", text):
        assert target(page, link).exists(), f":doc:`{link}`"
    for file in re.findall(r"^ *\.\. (?:include|literalinclude|image|figure):: (\S+)", text, re.M):
        assert (page.parent / file).exists(), file


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_what_its_pictures_show(name: str) -> None:
    text = (DOCS / f"{name}.rst").read_text("utf-8")
    for picture in re.findall(r"^( *)\.\. (image|figure):: (\S+)\n((?:\1 +:.*\n)*)", text, re.M):
        assert re.search(r":alt: \S", picture[3]), picture[2]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_knows_nothing_of_the_machine_it_was_written_on(name: str) -> None:
    text = (DOCS / f"{name}.rst").read_text("utf-8")
    assert re.findall(r"(?:^|[\s`'\"(=])/(?:root|work|home/(?!app\b|user\b)\w+)\b.*", text) == []


async def test_the_first_program() -> None:
    page = Page("docs/index.rst")
    assert page.counts == {"": 1}
    served = page.run()["served"]
    assert served.kwargs == {"host": "127.0.0.1"}
    async with asking(*served.args) as client, client.get("/a/b") as response:
        assert f"    {await response.text()}" in page.text


# ---- The site ----------------------------------------------------------------------------------


@pytest.fixture
def site() -> Path:
    """The folder that ``make docs`` has made of the pages as they are now."""
    inventory = SITE / "objects.inv"
    newest = max(path.stat().st_mtime for path in SOURCES)
    if inventory.exists() and inventory.stat().st_mtime >= newest:
        return SITE
    reason = "build/docs is missing or older than docs: make docs"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def test_the_site_asks_no_other(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        loaded = re.findall(r"<(?:script|img|iframe)\b[^>]* src=\"([^\"]*)\"", text)
        loaded += re.findall(r"<link\b[^>]* href=\"([^\"]*)\"", text)
        assert len(loaded) > 5, page
        assert [url for url in loaded if re.match(r"(?:\w+:)?//", url)] == [], page


LOOK = """
const [page, width, done] = arguments;
const frame = document.createElement("iframe");
frame.style.cssText = `width: ${width}px; height: 844px; border: 0`;
frame.src = `/${page}.html`;
frame.onload = () => {
  const root = frame.contentDocument.documentElement;
  const found = [];
  if (frame.contentWindow.innerWidth !== width) found.push("the frame has another width");
  for (let part = root.querySelector("article"); part; part = part.parentElement)
    if (part.scrollWidth > width) found.push(`<${part.localName}> is ${part.scrollWidth} pixels wide`);
  for (const row of root.querySelectorAll("article tr")) {
    const [first, ...others] = [...row.children].map((cell) => cell.textContent.trim());
    if (first && !others.some(Boolean)) found.push(`a row that breaks off: ${first}`);
  }
  for (const image of root.querySelectorAll("article img"))
    if (!image.naturalWidth) found.push(`a picture that is none: ${image.src}`);
  if (!root.querySelector("article h1")) found.push("it has no heading");
  done(found);
};
document.body.replaceChildren(frame);
"""

SEARCH = """
const [done] = arguments;
const look = () => {
  const links = [...document.querySelectorAll("#search-results a")];
  if (links.some((link) => link.href.includes("forms-and-files"))) done(links.length);
  else setTimeout(look, 50);
};
look();
"""


@pytest.mark.timeout(120)  # a browser takes its time to start on a machine that is busy
def test_the_pages_in_a_browser(site: Path, tmp_path: Path) -> None:
    """On a phone nothing stands out of a page, tables are whole, and the search finds."""
    program = ("examples/static_site.py", str(site), "--port=0")
    with chromium(tmp_path) as browser, running(*program) as served:
        browser.set_script_timeout(DEADLINE / 2)
        browser.get(f"{served.url}index.html")
        looked = {name: browser.execute_async_script(LOOK, name, PHONE) for name in NAMES}
        faults = {name: found for name, found in looked.items() if found}
        assert faults == {}, json.dumps(faults, indent=1)
        browser.get(f"{served.url}search.html?q=multipart")
        assert browser.execute_async_script(SEARCH) > 1
