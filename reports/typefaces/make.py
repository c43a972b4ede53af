"""Make the typefaces beside this file from Debian's package fonts-texgyre; run by hand, rarely.

    apt-get install fonts-texgyre && pip install fonttools brotli
    python3 -m reports.typefaces.make

They are kept here, small and renamed as their licence asks, so that a document is the same bytes
on every release of Debian, needs no font package, and takes no two seconds to subset them again.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from reports.fonts import CHARACTERS

subset: Any = import_module("fontTools.subset")  # no dependency of ours: this runs once in years

SOURCE = Path("/usr/share/texmf/fonts/opentype/public/tex-gyre")
FACES = {
    "texgyrebonum-regular": ("Tameng Serif", "Regular"),
    "texgyrebonum-bold": ("Tameng Serif", "Bold"),
    "texgyreheros-regular": ("Tameng Sans", "Regular"),
    "texgyreheros-bold": ("Tameng Sans", "Bold"),
}
NAMES = {1: "{0}", 2: "{1}", 3: "{0} {1}", 4: "{0} {1}", 6: "{2}-{1}", 16: "{0}", 17: "{1}"}


def main() -> None:
    for file, (family, style) in FACES.items():
        options = subset.Options(hinting=False, recalc_timestamp=False)
        options.layout_features = ["kern", "liga", "mark", "mkmk", "ccmp", "locl"]
        font = subset.load_font(str(SOURCE / f"{file}.otf"), options)
        subsetter = subset.Subsetter(options)
        subsetter.populate(text="".join(sorted(CHARACTERS)))
        subsetter.subset(font)
        for record in font["name"].names:
            if name := NAMES.get(record.nameID):
                record.string = name.format(family, style, family.replace(" ", ""))
        cff = font["CFF "].cff
        cff.fontNames = [f"{family.replace(' ', '')}-{style}"]
        cff.topDictIndex[0].FamilyName = family
        cff.topDictIndex[0].FullName = f"{family} {style}"
        slug = f"{family} {style}".lower().replace(" ", "-")
        for flavour, ending in ((None, "otf"), ("woff2", "woff2")):
            options.flavor = flavour
            subset.save_font(font, str(Path(__file__).with_name(f"{slug}.{ending}")), options)


if __name__ == "__main__":
    main()
