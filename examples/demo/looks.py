"""The looks of the demo's pages: those it trains on, and the new ones it reads at the end.

`TRAINING` and `NEW` share their characters, since a recogniser reads only what its dictionary has. Everything else
differs: faces, words, lengths of numbers, paper, noise and blur. `tests/unit/examples/test_demo.py` proves it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from examples.demo import faces
from examples.demo.faces import Face

Range = tuple[float, float]
"""The least and the greatest value."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """How pages are drawn."""

    faces: tuple[Callable[[int], Face], ...]
    """Makers of faces from a size in pixels. The rows of a page take one after the other."""

    sizes: tuple[int, int]
    """Size of the faces, in pixels."""

    words: tuple[str, ...]
    """Texts of the left column, which has as many words as numbers."""

    anywhere: bool = False
    """Whether the right column has words too. If not, it has numbers only."""

    digits: tuple[int, ...]
    """How many digits a number may have."""

    paper: tuple[int, int]
    """Brightness of the paper, 0 to 255."""

    shade: Range
    """How much brighter the paper is at its right than at its left, and at its bottom than at its top."""

    noise: Range
    """Standard deviation of the noise, in levels of 255."""

    blur: Range
    """Radius of the blur in pixels."""

    @property
    def typefaces(self) -> str:
        """The names of the faces."""
        return ", ".join(make(self.sizes[0]).name for make in self.faces)

    @property
    def lengths(self) -> str:
        """How many digits a number has, in words."""
        return " or ".join(map(str, self.digits))


PLAIN: Final = Look(
    faces=(faces.aileron,),
    sizes=(24, 32),
    words=("TOTAL", "CASH", "TAX", "TABLE", "DATE", "NET", "ITEM", "SALE"),
    digits=(3, 4, 5),
    paper=(215, 250),
    shade=(-20, 20),
    noise=(2, 8),
    blur=(0, 0),
)
"""One face, few words: for tests and benchmarks, where a network has to learn something soon."""

# Ten letters. No O and no I: in a face that was never seen nobody tells them from 0 and 1.
_WORDS: Final = """
ACE ACRE ALARM ALL ARC ARM ART CALL CALM CAMEL CANAL CARE CASE CELL CENT CHARM CHART CHASE CHEST CLEAN EARTH
ENTER HALL HARM HEART HEAT HEN LAST LATER LEARN LESS MALL MAN MATCH MEAL MEET MELT METAL METER NAME NEAR NEST
NET RACE RAN RATE REACH RENT REST SALE SANE SCALE SCENT SEAL SEAT SHELL SMALL STEEL STEM TALE TEAM TENTH TEST
THAN THREE TRACE TREES
"""

_NEW_WORDS: Final = "CASH CRATE CREAM EAST HAT HEEL LACE LANE MARCH MATE MEN SALT SHARE START STEAM TEA TEACH TRAM"

TRAINING: Final = Look(
    faces=(
        faces.dejavu,
        faces.hershey_simplex,
        faces.dejavu_bold,
        faces.hershey_complex,
        faces.dejavu_condensed,
        faces.hershey_complex_bold,
        faces.dejavu_oblique,
        faces.hershey_plain,
        faces.dejavu_light,
        faces.hershey_italic,
        faces.dejavu_bold_wide,
        faces.hershey_duplex,
        faces.hershey_simplex_bold,
        faces.hershey_complex_wide,
        faces.hershey_wide,
        faces.hershey_duplex_narrow,
    ),
    sizes=(28, 36),
    words=tuple(_WORDS.split()),
    anywhere=True,
    digits=(3, 5),
    paper=(150, 245),
    shade=(-20, 20),
    noise=(0, 8),
    blur=(0.2, 0.9),
)
"""What the demo trains and tests on."""

NEW: Final = Look(
    faces=(faces.aileron, faces.hershey_triplex),
    sizes=(28, 36),
    words=tuple(_NEW_WORDS.split()),
    anywhere=True,
    digits=(4,),
    paper=(180, 220),
    shade=(25, 40),
    noise=(9, 12),
    blur=(0, 0.1),
)
"""What the demo reads at the end."""
