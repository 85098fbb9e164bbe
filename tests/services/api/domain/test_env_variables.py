"""Environment variables: what they may be, and that nothing tells them."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from outbox.events.facts import ChangedObject, ChangeType
from outbox.key_ring import KeyRing, KeyRingError
from services.api.domain.env_variables import EnvVariables, changes, opened, sealed

RING = KeyRing(["a-key-for-the-variables-of-this-test-0123456789"])
NAMES = st.text("ABCdef019_-", min_size=1, max_size=5)
VARIABLES = st.dictionaries(NAMES, st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=5))


class Body(BaseModel):
    env_variables: EnvVariables


@given(VARIABLES)
def test_what_is_valid_is_taken_as_it_is_and_survives_the_database(variables: dict[str, str]) -> None:
    taken = Body.model_validate_json(json.dumps({"env_variables": variables})).env_variables
    assert taken == variables
    assert opened(RING, sealed(RING, taken, "here"), "here") == variables


@given(
    st.dictionaries(
        st.text(max_size=3), st.none() | st.integers() | st.text(max_size=3) | st.lists(st.text(max_size=1)), max_size=4
    )
)
def test_only_names_of_the_right_form_with_texts_are_taken(variables: dict[str, object]) -> None:
    allowed = set("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-")
    good = all(
        name and set(name) <= allowed and isinstance(value, str) and "\0" not in value
        for name, value in variables.items()
    )
    try:
        Body(env_variables=variables)
    except ValidationError:
        assert not good
    else:
        assert good


def test_all_mistakes_are_told_without_a_name_or_a_value() -> None:
    wrong = {"canary 1": "x", "ok": 7, "canary 2": ["canary 3"], **{f"A{number}": "" for number in range(1000)}}
    with pytest.raises(ValidationError) as caught:
        Body(env_variables=wrong)
    (error,) = caught.value.errors(include_input=False)
    assert error["loc"] == ("env_variables",)
    assert error["msg"].startswith("2 names are not valid")
    assert "2 values are not valid" in error["msg"]
    assert "At most 1000" in error["msg"]
    assert "canary" not in str(error)


def test_a_ciphertext_is_of_use_at_its_own_place_only() -> None:
    ciphertext = sealed(RING, {"A": "1"}, "projects/1/env_variables")
    with pytest.raises(KeyRingError):
        opened(RING, ciphertext, "projects/2/env_variables")


@given(VARIABLES, VARIABLES)
def test_a_change_is_told_of_each_variable_that_differs_and_of_no_other(
    before: dict[str, str], after: dict[str, str]
) -> None:
    found = changes(before, after)
    kinds = Counter(change.type for change in found)
    assert kinds[ChangeType.CREATED] == len(after.keys() - before.keys())
    assert kinds[ChangeType.DELETED] == len(before.keys() - after.keys())
    assert kinds[ChangeType.UPDATED] == sum(before[name] != after[name] for name in before.keys() & after.keys())
    assert {change.changed_object for change in found} <= {ChangedObject.ENVIRONMENT_VARIABLE}
    assert all(change.old_value is None and change.new_value is None for change in found)
    assert (found == ()) == (before == after)
