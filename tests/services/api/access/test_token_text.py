"""What a token looks like, and that what only resembles one is recognised without a look-up."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.access.token_text import RANDOM_BYTES, digest_of, is_token_text, token_text

random_bytes = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)
WHOLE = token_text(bytes(range(32)))


@given(random_bytes)
def test_every_token_is_recognised_and_needs_no_quoting(random: bytes) -> None:
    text = token_text(random)
    assert re.fullmatch(r"orc_[A-Za-z0-9_-]{49}", text)
    assert is_token_text(text)


@given(random_bytes, st.integers(4, 52), st.characters(codec="ascii"))
def test_a_typo_is_recognised(random: bytes, place: int, typed: str) -> None:
    text = token_text(random)
    mistyped = text[:place] + typed + text[place + 1 :]
    assert is_token_text(mistyped) is (mistyped == text)


@given(random_bytes, st.integers(0, 53), st.integers(0, 53))
def test_a_fragment_is_recognised(random: bytes, begin: int, end: int) -> None:
    text = token_text(random)
    fragment = text[begin:end]
    assert is_token_text(fragment) is (fragment == text)


@pytest.mark.parametrize(
    "text",
    ["", "orc_", WHOLE + "x", WHOLE * 2, WHOLE.upper(), WHOLE + "\n", " " + WHOLE, "x" * 100_000, "orc_" + "ä" * 49],
)
def test_what_is_no_token_is_none(text: str) -> None:
    assert not is_token_text(text)


def test_the_form_and_the_digest_stay_as_they_are() -> None:
    """Tokens in use must open tomorrow what they open today."""
    assert WHOLE == "orc_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh876rsaQ"
    assert digest_of(WHOLE).hex() == "d23bd9c06e91cb3c930ca0b5457ab2cbe97202f990c2f002f725b64e08531726"
