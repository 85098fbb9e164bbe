"""Pydantic's errors about a spec, in words for the person who wrote it.

In: a ValidationError of the models. Out: findings with a path, what was found and expected, and the mend.
Never: judgement of its own; what is wrong was decided by the models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from desired_state.cluster import OrchestClusterSpec
from desired_state.core_types import shown
from desired_state.errors import FieldPath, Finding, closest, path_text
from desired_state.images import ImageSyntaxError, parse_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_EXPECTED = {
    "string_type": "a string",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "mapping_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
}
_UNKNOWN_TO_A_MODEL = "Extra inputs are not permitted"


def spec_findings(error: ValidationError) -> Iterator[Finding]:
    """One finding for each error, in the models' order. `error` is about a whole spec; paths begin with `spec`."""
    for detail in error.errors(include_url=False):
        yield _finding(detail, ("spec", *_without_markers(detail["loc"])))


def _without_markers(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Pydantic marks a bad key of a mapping with an extra step."""
    return loc[:-1] if loc and loc[-1] == "[key]" else loc


def _finding(detail: ErrorDetails, path: FieldPath) -> Finding:
    kind, found = detail["type"], detail["input"]
    if kind in _EXPECTED:
        return Finding(path, found=shown(found), expected=_EXPECTED[kind])
    if kind == "missing":
        return Finding(path, "is missing", mend="add it")
    if kind == "literal_error":
        choices = detail["ctx"]["expected"].replace("'", "")
        return Finding(path, found=shown(found), expected=choices, suggestion=_closest_choice(found, choices))
    if kind == "extra_forbidden" and detail["msg"] == _UNKNOWN_TO_A_MODEL:
        return _unknown_field(path)
    if kind == "image" and isinstance(found, str):
        return Finding(path, _image_message(found) or detail["msg"])
    return Finding(path, detail["msg"].removeprefix("Value error, "))


def _closest_choice(found: Any, choices: str) -> str:
    known = choices.replace(" or ", ", ").split(", ")
    return closest(found, known) if isinstance(found, str) else ""


def _image_message(image: str) -> str:
    try:
        parse_image(image)
    except ImageSyntaxError as error:
        return str(error)
    return ""


def _unknown_field(path: FieldPath) -> Finding:
    """With the field of the same mapping that was meant, or else the place where a field of just that name belongs."""
    *above, name = path
    model = _model_at(OrchestClusterSpec, above[1:])
    siblings = _fields(model)
    meant = closest(str(name), siblings)
    if meant:
        return Finding(path, "unknown field", suggestion=meant)
    homes = [path_text(home) for home in _homes(OrchestClusterSpec, str(name), ("spec",))]
    if homes:
        return Finding(path, "unknown field", mend=f"it belongs at {' or '.join(homes[:2])}")
    return Finding(path, "unknown field", mend=f"known are {', '.join(sorted(siblings))}")


def _model_at(model: type[BaseModel], path: list[str | int]) -> type[BaseModel]:
    for step in path:
        if isinstance(step, str):
            model = _fields(model)[step] or model
    return model


def _fields(model: type[BaseModel]) -> Mapping[str, type[BaseModel] | None]:
    """The model's fields by the name that users write, with the model of what stands there (or its items)."""
    return {field.alias or name: _model_in(field.annotation) for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for argument in get_args(annotation) if (model := _model_in(argument))), None)


def _homes(model: type[BaseModel], name: str, path: FieldPath) -> Iterator[FieldPath]:
    for field, inner in _fields(model).items():
        if field == name:
            yield (*path, field)
        if inner is not None:
            yield from _homes(inner, name, (*path, field))
