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
