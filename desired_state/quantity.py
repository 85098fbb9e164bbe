"""Kubernetes quantities by value: `500m` and `0.5`, `1Gi` and `1024Mi` are equal here.

In: text as a manifest has it. Out: an exact fraction. Never: floats, or a quantity's text in another notation.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

_QUANTITY = re.compile(
    r"(?P<sign>[+-]?)(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
    r"(?:(?P<suffix>[numkMGTPE]|[KMGTPE]i)|[eE](?P<exponent>[+-]?[0-9]{1,4}))?"
)
_SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{suffix: Fraction(1000**power) for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Fraction(1024**power) for power, suffix in enumerate("KMGTPE", start=1)},
}
_NANO = 10**9


@lru_cache(maxsize=4096)
def parse_quantity(text: str) -> Fraction:
    """The value of `text`, exact to a billionth: as on the server, what is finer is rounded away from zero.

    Raises ValueError when `text` is not a quantity.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(
            f'{text!r} is not a quantity: write a number with an optional suffix, such as "500m", "2" or "50Gi"'
        )
    value = Fraction(match["number"])
    if match["suffix"]:
        value *= _SUFFIXES[match["suffix"]]
    elif match["exponent"]:
        value *= Fraction(10) ** int(match["exponent"])
    if _NANO % value.denominator:
        value = Fraction(-(-value.numerator * _NANO // value.denominator), _NANO)
    return -value if match["sign"] == "-" else value
