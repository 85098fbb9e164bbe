"""Which part of an object cannot be pickled? Asked only once its pickling has failed, so it may take its time.

In: the object. Out: the way to the smallest part that fails, as one would write it in Python, and why.
"""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEEPEST = 20
"""Steps into the object."""
_MOST_TRIALS = 2_000
"""Parts that are tried in all; then the innermost one found so far is named."""

Fails = Callable[[Any], "Exception | None"]


def culprit(data: Any, problem: Exception, fails: Fails) -> tuple[str, Exception]:
    """`data["model"].callback` and its own error. `fails` tries to pickle a part, and returns its error or None."""
    path, trials = "data", _MOST_TRIALS
    for _ in range(_DEEPEST):
        try:
            failed = _first_that_fails(data, fails, trials)
        except Exception:  # noqa: BLE001 - an object's own code may not let itself be walked through
            break
        if failed is None:
            break
        step, data, problem, trials = failed
        path += step
    return path, problem


def _first_that_fails(data: Any, fails: Fails, trials: int) -> tuple[str, Any, Exception, int] | None:
    """The way to the part, the part, its error, and the trials that are left."""
    for number, (step, part) in enumerate(_parts(data)):
        if number >= trials:
            return None
        error = fails(part)
        if error is not None:
            return step, part, error, trials - number - 1
    return None


def _parts(data: Any) -> Iterator[tuple[str, Any]]:
    """What an object is made of, with the way from it to each part."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield f"[{_key(key)}]", value
            yield f" key {_key(key)}", key
    elif isinstance(data, (list, tuple)):
        for number, item in enumerate(data):
            yield f"[{number}]", item
    elif isinstance(data, (set, frozenset)):
        for item in data:
            yield f" element {_key(item)}", item
    elif isinstance(getattr(data, "__dict__", None), dict) and not _is_closed(data):
        for name, value in vars(data).items():
            yield f".{name}", value


def _is_closed(data: Any) -> bool:
    """What nobody would look for the culprit in: classes, modules, functions, and the insides of a library's object."""
    package = type(data).__module__.partition(".")[0]
    return isinstance(data, (type, ModuleType, FunctionType)) or package in ("numpy", "pandas", "polars", "pyarrow")


def _key(key: Any) -> str:
    return repr(key)[:60] if isinstance(key, (str, int, float, bytes, bool, type(None))) else f"<{type(key).__name__}>"
