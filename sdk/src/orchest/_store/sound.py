"""Do the parts of an object of pandas fit each other? Asked of what a distrusted pickle has put together.

pandas believes its own pickles: codes beyond their categories, or a column beyond the frame, make it read and write
outside of its memory. In: an object. Out: whether it is sound. Objects of other classes are.
"""

from __future__ import annotations

from typing import Any, Callable


def is_checked(value: Any) -> bool:
    """Whether objects of this class can be unsound."""
    return _check_for(type(value)) is not None


def is_sound(value: Any) -> bool:
    check = _check_for(type(value))
    return check is None or check(value)


def _check_for(kind: type) -> Callable[[Any], bool] | None:
    for base in kind.__mro__:
        if base.__name__ in _CHECKS and base.__module__.partition(".")[0] == "pandas":
            return _CHECKS[base.__name__]
    return None


def _within(codes: Any, places: int) -> bool:
    return len(codes) == 0 or bool(codes.min() >= -1 and codes.max() < places)


def _categorical(value: Any) -> bool:
    return _within(value.codes, len(value.categories))


def _multi_index(value: Any) -> bool:
    lengths = {len(codes) for codes in value.codes}
    pairs = zip(value.codes, value.levels)
    return len(lengths) <= 1 and all(_within(codes, len(level)) for codes, level in pairs)


def _manager(value: Any) -> bool:
    """Each row of each block has a place of its own, and every place a row."""
    lengths = [len(axis) for axis in value.axes]
    if len(lengths) == 1:
        return [block.shape for block in value.blocks] == [(lengths[0],)]
    places = sorted(int(place) for block in value.blocks for place in block.mgr_locs.as_array)
    fits = all(block.shape == (len(block.mgr_locs), lengths[1]) for block in value.blocks)
    return fits and places == list(range(lengths[0]))


def _masked(value: Any) -> bool:
    data, mask = value._data, value._mask  # noqa: SLF001
    return bool(mask.shape == data.shape and mask.dtype.kind == "b" and data.dtype.kind in "biuf")


def _of_kind(kind: str) -> Callable[[Any], bool]:
    """What pandas takes for times it asks for their unit."""

    def is_of_kind(value: Any) -> bool:
        dtype = value._ndarray.dtype  # noqa: SLF001
        return bool(dtype.kind == kind and dtype.itemsize == _TIME_SIZE)

    return is_of_kind


_TIME_SIZE = 8
"""Bytes of a time, a span of time, or a number of periods."""


def _sparse(value: Any) -> bool:
    return bool(len(value.sp_values) == value.sp_index.npoints)


def _interval(value: Any) -> bool:
    return len(value._left) == len(value._right)  # noqa: SLF001


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "Categorical": _categorical,
    "MultiIndex": _multi_index,
    "BlockManager": _manager,
    "SingleBlockManager": _manager,
    "BaseMaskedArray": _masked,
    "DatetimeArray": _of_kind("M"),
    "TimedeltaArray": _of_kind("m"),
    "PeriodArray": _of_kind("i"),
    "SparseArray": _sparse,
    "IntervalArray": _interval,
}
