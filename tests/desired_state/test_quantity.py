"""Quantities are compared by value, and whatever the server takes for one is one."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired_state.quantity import parse_quantity

SUFFIXES = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0.5", "500m"),
        ("1Gi", "1024Mi"),
        ("0.5Gi", "512Mi"),
        ("1000m", "1"),
        ("1e3", "1k"),
        ("1E3", "1000"),
        ("1e-3", "1m"),
        ("100e6", "100M"),
        ("+1", "1"),
        ("01", "1"),
        ("5.", "5"),
        (".5", "500m"),
        ("-0", "0"),
        ("1e+2", "100"),
    ],
)
def test_spellings_of_one_quantity_are_equal(one: str, other: str) -> None:
    assert parse_quantity(one) == parse_quantity(other)


@pytest.mark.parametrize(("one", "other"), [("1G", "1Gi"), ("1", "1m"), ("1E", "1e1"), ("-1", "1")])
def test_different_quantities_are_different(one: str, other: str) -> None:
    assert parse_quantity(one) != parse_quantity(other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "-",
        "1 Gi",
        "1gi",
        "1KI",
        "1K",
        "abc",
        "1..2",
        "1e",
        "1e1.5",
        "1Gi ",
        " 1",
        "0x10",
        "1_000",
        "\u0661",
        "Gi",
        "1mm",
        "1,5",
        "1e3Gi",
        "1\n",
    ],
)
def test_what_is_no_quantity_is_refused_with_the_text_and_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity: write a number") as refusal:
        parse_quantity(text)
    assert repr(text) in str(refusal.value)


@given(st.integers(min_value=0, max_value=10**15), st.sampled_from(sorted(SUFFIXES)), st.sampled_from(["", "+", "-"]))
def test_the_value_is_the_number_times_the_suffix(number: int, suffix: str, sign: str) -> None:
    expected = number * SUFFIXES[suffix]

    assert parse_quantity(f"{sign}{number}{suffix}") == (-expected if sign == "-" else expected)


@pytest.mark.parametrize(("fine", "kept"), [("1e-10", "1n"), ("0.1n", "1n"), ("1.5n", "2n"), ("-1.5n", "-2n")])
def test_what_is_finer_than_a_billionth_is_rounded_away_from_zero(fine: str, kept: str) -> None:
    assert parse_quantity(fine) == parse_quantity(kept)
