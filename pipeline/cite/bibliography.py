"""What is cited for what was used, as a table, and written as BibTeX. Pure.

References
----------
Each entry as the SAO/NASA Astrophysics Data System, or the record of the software itself, has it.
"""

from dataclasses import dataclass

from pipeline.cite.facts import Cited


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a bibliography."""

    key: str
    label: str
    """As a text cites it; empty for what is named there with its version."""
    kind: str
    """Of BibTeX: `article`, `misc`."""
    fields: tuple[tuple[str, str], ...]
    """As BibTeX has them, in order."""


_AUTHORS = (
    "Weilbacher, P. M. and Palsa, R. and Streicher, O. and Bacon, R. and Urrutia, T. and Wisotzki, L. and "
    "Conseil, S. and Husemann, B. and Jarno, A. and Kelz, A. and P{\\'e}contal-Rousset, A. and "
    "Richard, J. and Roth, M. M. and Selman, F. and Vernet, J."
)
_ASCL = "Astrophysics Source Code Library"

PIPELINE = Entry(
    "Weilbacher2020",
    "Weilbacher et al. 2020",
    "article",
    (
        ("author", _AUTHORS),
        ("title", "{The data processing pipeline for the MUSE instrument}"),
        ("journal", "Astronomy and Astrophysics"),
        ("year", "2020"),
        ("volume", "641"),
        ("pages", "A28"),
        ("doi", "10.1051/0004-6361/202037855"),
        ("eprint", "2006.08638"),
        ("archivePrefix", "arXiv"),
    ),
)
ESOREX = Entry(
    "EsoRex",
    "ESO CPL Development Team 2015",
    "misc",
    (
        ("author", "{ESO CPL Development Team}"),
        ("title", "{EsoRex: ESO Recipe Execution Tool}"),
        ("howpublished", f"{_ASCL}, record ascl:1504.003"),
        ("year", "2015"),
    ),
)
CPL = Entry(
    "CPL",
    "ESO CPL Development Team 2014",
    "misc",
    (
        ("author", "{ESO CPL Development Team}"),
        ("title", "{CPL: Common Pipeline Library}"),
        ("howpublished", f"{_ASCL}, record ascl:1402.010"),
        ("year", "2014"),
    ),
)

LIBRARIES = {
    "astropy": Entry(
        "Astropy2022",
        "Astropy Collaboration et al. 2022",
        "article",
        (
            ("author", "{Astropy Collaboration}"),
            (
                "title",
                "{The Astropy Project: Sustaining and Growing a Community-oriented Open-source Project and "
                "the Latest Major Release (v5.0) of the Core Package}",
            ),
            ("journal", "The Astrophysical Journal"),
            ("year", "2022"),
            ("volume", "935"),
            ("pages", "167"),
            ("doi", "10.3847/1538-4357/ac7c74"),
        ),
    ),
    "numpy": Entry(
        "Harris2020",
        "Harris et al. 2020",
        "article",
        (
            ("author", "Harris, C. R. and Millman, K. J. and {van der Walt}, S. J. and others"),
            ("title", "{Array programming with NumPy}"),
            ("journal", "Nature"),
            ("year", "2020"),
            ("volume", "585"),
            ("pages", "357--362"),
            ("doi", "10.1038/s41586-020-2649-2"),
        ),
    ),
    "photutils": Entry(
        "Photutils",
        "Bradley et al. 2016",
        "misc",
        (
            ("author", "Bradley, L. and Sip{\\H o}cz, B. and Robitaille, T. and others"),
            ("title", "{Photutils: Photometry tools}"),
            ("howpublished", f"{_ASCL}, record ascl:1609.011"),
            ("year", "2016"),
        ),
    ),
    "reproject": Entry(
        "Reproject",
        "Robitaille et al. 2020",
        "misc",
        (
            ("author", "Robitaille, T. and Deil, C. and Ginsburg, A."),
            ("title", "{reproject: Python-based astronomical image reprojection}"),
            ("howpublished", f"{_ASCL}, record ascl:2011.023"),
            ("year", "2020"),
        ),
    ),
    "scipy": Entry(
        "Virtanen2020",
        "Virtanen et al. 2020",
        "article",
        (
            ("author", "Virtanen, P. and Gommers, R. and Oliphant, T. E. and others"),
            ("title", "{SciPy 1.0: fundamental algorithms for scientific computing in Python}"),
            ("journal", "Nature Methods"),
            ("year", "2020"),
            ("volume", "17"),
            ("pages", "261--272"),
            ("doi", "10.1038/s41592-019-0686-2"),
        ),
    ),
}
"""By the name of the distribution: those that recipes of our own compute with."""


def used(cited: Cited) -> tuple[Entry, ...]:
    """Choose what was used, and nothing else.

    Notes
    -----
    ESO's pipeline with CPL and EsoRex, if a recipe of it ran; Python libraries, if a recipe of our own
    computed with them, which records say; Clio always, as it holds the lineage.
    """
    found = [PIPELINE, ESOREX, CPL] if cited.pipelines else []
    named = {name for name, _ in cited.libraries}
    found += [LIBRARIES[name] for name in sorted(named & LIBRARIES.keys())]
    return (*found, _clio(cited))


def bibtex(entries: tuple[Entry, ...]) -> str:
    """Write entries as BibTeX."""
    return "\n".join(_written(entry) for entry in entries)


def _written(entry: Entry) -> str:
    body = "".join(f"  {name} = {{{value}}},\n" for name, value in entry.fields)
    return f"@{entry.kind}{{{entry.key},\n{body}}}\n"


def _clio(cited: Cited) -> Entry:
    versions = ", ".join(cited.clio)
    return Entry(
        "Clio",
        "",
        "misc",
        (
            ("title", "{Clio: MUSE data reduction with recorded provenance}"),
            *((("note", f"version {versions}"),) if versions else ()),
        ),
    )
