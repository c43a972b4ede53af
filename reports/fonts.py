"""The documents' typefaces, inlined: a document is one file that looks the same everywhere."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "typefaces"  # its README says what they are and whence
FACES = (  # family, weight, file
    ("Tameng Serif", "normal", "tameng-serif-regular.woff2"),
    ("Tameng Serif", "bold", "tameng-serif-bold.woff2"),
    ("Tameng Sans", "normal", "tameng-sans-regular.woff2"),
    ("Tameng Sans", "bold", "tameng-sans-bold.woff2"),
)

_LATIN = ((0x20, 0x7E), (0xA0, 0x137), (0x139, 0x148), (0x14A, 0x165), (0x168, 0x17F))
_SIGNS = "\u2010\u2011\u2013\u2014\u2018\u2019\u201a\u201c\u201d\u201e†‡•…‰€™→\u2212≤≥"
CHARACTERS = frozenset(_SIGNS).union(*(map(chr, range(a, b + 1)) for a, b in _LATIN))


def printable(text: str) -> str:
    """``text`` with a question mark for what these faces lack: the PDF may use no others."""
    return "".join(c if c in CHARACTERS else "?" for c in text)


@cache
def css() -> str:
    """The @font-face rules with the typefaces in them."""
    return "\n".join(
        f'@font-face {{ font-family: "{family}"; font-weight: {weight}; '
        f'src: url("data:font/woff2;base64,{_data(file)}") format("woff2") }}'
        for family, weight, file in FACES
    )


def _data(file: str) -> str:
    return base64.b64encode((FOLDER / file).read_bytes()).decode()
