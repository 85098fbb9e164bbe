"""Environment variables of projects, pipelines and jobs: what they may be, and how they lie in the database.

In: an object from a body, or a ciphertext from a row. Out: a frozen mapping of texts, a ciphertext, or what changed.
Never: a name or a value in a message or an event; the values hold passwords, and the names come from callers too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from outbox.events.facts import Change, ChangedObject, ChangeType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox.key_ring import KeyRing

MOST_VARIABLES = 1_000
MOST_NAME_CHARACTERS = 255
MOST_VALUE_CHARACTERS = 32_768
MOST_CHARACTERS = 262_144
"""Of all names and values together: a pod's whole manifest has to fit into 1 MiB."""
_NAME = re.compile(r"[0-9a-zA-Z_-]+")


def checked(value: object) -> Mapping[str, str]:
    """Raises PydanticCustomError with all that is wrong, counted, not quoted."""
    if not isinstance(value, dict):
        raise PydanticCustomError("env_variables", "An object is needed: names, and a text for each")
    if found := list(_mistakes(value)):
        raise PydanticCustomError("env_variables", "; ".join(found))
    return value


def _mistakes(variables: Mapping[object, object]) -> Iterator[str]:
    names = [name for name in variables if not _is_name(name)]
    values = [value for value in variables.values() if not _is_value(value)]
    if names:
        yield f"{len(names)} names are not valid: letters of ASCII, digits, - and _, at most {MOST_NAME_CHARACTERS}"
    if values:
        yield f"{len(values)} values are not valid: texts of at most {MOST_VALUE_CHARACTERS} characters, without NUL"
    if len(variables) > MOST_VARIABLES:
        yield f"At most {MOST_VARIABLES} variables are possible"
    if sum(len(text) for pair in variables.items() for text in pair if isinstance(text, str)) > MOST_CHARACTERS:
        yield f"Together they may have {MOST_CHARACTERS} characters at most"


def _is_name(name: object) -> bool:
    return isinstance(name, str) and len(name) <= MOST_NAME_CHARACTERS and _NAME.fullmatch(name) is not None


def _is_value(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MOST_VALUE_CHARACTERS and "\0" not in value


_SCHEMA: dict[str, Any] = {
    "type": "object",
    "maxProperties": MOST_VARIABLES,
    "propertyNames": {"pattern": "^[0-9a-zA-Z_-]+$", "maxLength": MOST_NAME_CHARACTERS},
    "additionalProperties": {"type": "string", "pattern": r"^[^\u0000]*$", "maxLength": MOST_VALUE_CHARACTERS},
}

EnvVariables: TypeAlias = Annotated[Mapping[str, str], PlainValidator(checked), WithJsonSchema(_SCHEMA)]
"""Of a body."""


def sealed(key_ring: KeyRing, variables: Mapping[str, str], place: str) -> bytes:
    """`place`: table, row and column, as for every secret."""
    return key_ring.encrypt(json.dumps(dict(variables)), place)


def opened(key_ring: KeyRing, ciphertext: bytes, place: str) -> dict[str, str]:
    """Raises KeyRingError."""
    variables: dict[str, str] = json.loads(key_ring.decrypt(ciphertext, place))
    return variables


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Change, ...]:
    """One for each variable that is new, different or gone."""
    kinds = [
        *(ChangeType.CREATED for _ in after.keys() - before.keys()),
        *(ChangeType.UPDATED for name in after.keys() & before.keys() if after[name] != before[name]),
        *(ChangeType.DELETED for _ in before.keys() - after.keys()),
    ]
    return tuple(Change(type=kind, changed_object=ChangedObject.ENVIRONMENT_VARIABLE) for kind in kinds)
