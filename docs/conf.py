"""The site: ``make docs`` builds it. Nothing in it comes from the network, when it is built or read."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from sphinx.util.inspect import TypeAliasForwardRef

from lowlevel._version import __version__

if TYPE_CHECKING:
    from docutils.nodes import Element, TextElement, reference
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "lowlevel"
author = "The lowlevel authors"
copyright = author
version = release = __version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["performance/*.rst"]  # tables, which performance.rst includes
highlight_language = "default"  # Python where it is Python, else plain
nitpicky = True

nitpick_ignore_regex = [
    # Documented elsewhere, and a build asks no other site where.
    (
        "py:.*",
        r"_?(asyncio|collections|concurrent|contextlib|datetime|enum|http|io|logging|os|pathlib)\..*",
    ),
    ("py:.*", r"(re|socket|ssl|types|typing|uuid|aiohttp|multidict|pytest|yarl)\..*"),
    ("py:.*", "AbstractAsyncContextManager|AbstractCookieJar|LooseCookies|LooseHeaders"),
    ("py:.*", "MultiDictProxy|SSLContext"),
    # Type variables and private aliases; types of options and values, which the text spells out.
    ("py:.*", r"([\w.]+\.)?_\w+"),
    (
        "py:.*",
        r"([\w.]+\.)?(AppState|BodySource|Channel|DecodeText|FormValue|Payload|ReadIterator)",
    ),
    (
        "py:.*",
        r"([\w.]+\.)?(Registry|RequestFactory|ServerOptions|UploadTo|WebSocketHandler|WebSocketOptions|Wrapper)",
    ),
]

# ---- Reference ---------------------------------------------------------------------------------

autodoc_member_order = "bysource"
# Annotations keep these names, which are long when they are written out.
autodoc_type_aliases = {
    name: name for name in ("Handler", "Middleware", "RequestFactory", "Wrapper")
}
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"


# Where the reference has what annotations take from the modules that define it.
PUBLIC = ("lowlevel", "lowlevel.toolkit", "lowlevel.testing", "lowlevel.errors", "lowlevel.headers")
ALIASES = {"Connection": "RequestHandler"}


def _by_public_name(
    app: Sphinx, env: BuildEnvironment, node: Element, content: TextElement
) -> reference | None:
    """Link ``lowlevel.request.Request``, or ``Request``, as what it is for users: ``lowlevel.Request``."""
    module, _, name = node["reftarget"].rpartition(".")
    if node.get("refdomain") != "py" or module.partition(".")[0] not in ("", "lowlevel"):
        return None
    for public in PUBLIC:
        target = f"{public}.{ALIASES.get(name, name)}"
        found = env.domains.python_domain.resolve_xref(
            env, node.get("refdoc", env.docname), app.builder, "obj", target, node, content
        )
        if found is not None:
            return found
    return None


def _show_numbers(
    app: Sphinx,
    what: str,
    name: str,
    obj: object,
    options: object,
    signature: str | None,
    returns: str,
) -> tuple[str, str] | None:
    """Show defaults that have a private name in their module, ``_DEADLINE``, as the numbers they are."""
    if signature is None:
        return None
    values = vars(sys.modules[obj.__module__])

    def number(match: re.Match[str]) -> str:
        value = values.get(match[0])
        return repr(value) if isinstance(value, int | float) else match[0]

    return re.sub(r"\b_[A-Z_]+\b", number, signature), returns


def setup(app: Sphinx) -> None:
    TypeAliasForwardRef.__repr__ = lambda self: self.name  # which is what a union of them shows
    app.connect("autodoc-process-signature", _show_numbers)
    app.connect("missing-reference", _by_public_name)


# ---- Look --------------------------------------------------------------------------------------

html_theme = "furo"
pygments_dark_style = "a11y-dark"
html_title = f"lowlevel {release}"
html_logo = html_favicon = "_static/mark.svg"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_copy_source = False
html_show_copyright = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0b6b66",
        "color-brand-content": "#0b6b66",
        "color-brand-visited": "#0b6b66",
        "color-api-name": "#0b6b66",
        "color-api-pre-name": "#0b6b66",
        "color-foreground-primary": "#1b2224",
    },
    "dark_css_variables": {
        "color-brand-primary": "#5fc9bf",
        "color-brand-content": "#5fc9bf",
        "color-brand-visited": "#5fc9bf",
        "color-api-name": "#5fc9bf",
        "color-api-pre-name": "#5fc9bf",
    },
}
copybutton_prompt_text = "$ "
