"""A document's strings to HTML, and that same HTML to PDF. Same strings, same bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import jinja2
import weasyprint  # type: ignore[import-untyped] # ships no types
from markupsafe import Markup, escape

from reports import fonts

TEMPLATES = Path(__file__).parent / "templates"
OFFLINE = weasyprint.URLFetcher(allowed_protocols=("data",), fail_on_errors=True)


def html(template: str, doc: Any) -> str:
    """The self-contained page: style and typefaces are in it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["breakable"] = breakable
    style = Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))  # noqa: S704 (our own file)
    faces = Markup(fonts.css())  # noqa: S704 (base64 of our own making)
    page = environment.get_template(template).render(doc=doc, style=style, fonts=faces)
    return page + "\n"


def pdf(page: str) -> bytes:
    """The page as a tagged PDF/UA-1. Nothing is fetched: all it needs is in the page."""
    document = weasyprint.HTML(string=page, url_fetcher=OFFLINE)
    identifier = hashlib.sha256(page.encode()).digest()[:16]
    return bytes(document.write_pdf(pdf_variant="pdf/ua-1", pdf_identifier=identifier))


def breakable(text: str) -> Markup:
    """Let long names break after an underscore, a slash or an equals sign."""
    safe = str(escape(text))
    for sign in ("_", "/", "="):
        safe = safe.replace(sign, f"{sign}<wbr>")
    return Markup(safe)  # noqa: S704 (escaped above; only <wbr> was added)
