"""A document's strings to HTML and to PDF. Same strings, same bytes, on any machine."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jinja2
import typst
from markupsafe import Markup, escape

from reports import fonts

TEMPLATES = Path(__file__).parent / "templates"


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


def pdf(doc: Any) -> bytes:
    """The document as a tagged PDF/UA-1. Nothing is fetched, and no font of the machine is used."""
    return typst.compile(
        TEMPLATES / "document.typ",
        sys_inputs={"doc": as_json(doc)},
        font_paths=[fonts.FOLDER],
        ignore_system_fonts=True,
        format="pdf",
        pdf_standards=["ua-1"],
    )


def as_json(doc: Any) -> str:
    """What document.typ reads."""
    return json.dumps(_printable(dataclasses.asdict(doc)), ensure_ascii=False)


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return fonts.printable(value)
    if isinstance(value, dict):
        return {key: _printable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(item) for item in value]
    return value


def breakable(text: str) -> Markup:
    """Let long names break after an underscore, a slash or an equals sign."""
    safe = str(escape(text))
    for sign in ("_", "/", "="):
        safe = safe.replace(sign, f"{sign}<wbr>")
    return Markup(safe)  # noqa: S704 (escaped above; only <wbr> was added)
