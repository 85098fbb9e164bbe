"""The same promises as in `test_interop.py`, over arrays and mixtures that Hypothesis thinks of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from equality import difference
from examples import filled
from orchest import get_inputs, output, testing
from orchest.config import Config
from original import reader, writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GENTLE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.binary()
    | st.binary().map(bytearray)
    | st.dates()
    | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=5)
        | st.tuples(inner, inner)
        | inner.map(lambda value: [value, value])
    ),
    max_leaves=30,
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[testing.Site]:
    monkeypatch.setattr(Config, "durable", False)
    with testing.pipeline({"load": [], "train": ["load"]}, tmp_path) as site:
        yield site


def check_all_ways(site: testing.Site, value: Any) -> None:
    """Ours to ours, ours to the original, the original to ours."""
    directory, uuid = site.data_dir("load"), site.step_uuid("load")
    with site.step("load"):
        output(value, "rows")
    assert difference(value, received(site)) == ""
    assert difference(value, reader.read(directory, uuid).value) == ""
    writer.write(value, "rows", directory, uuid)
    assert difference(reader.read(directory, uuid).value, received(site)) == ""


def received(site: testing.Site) -> Any:
    with site.step("train"):
        return get_inputs()["rows"]


@GENTLE
@given(value=PLAIN)
def test_plain_mixtures_pass(site: testing.Site, value: Any) -> None:
    check_all_ways(site, value)


@GENTLE
@given(sizes=st.lists(st.sampled_from([0, 1, 63, 64, 65, 65_535, 65_536, 65_537, 200_000]), max_size=6), data=st.data())
def test_buffers_around_every_limit_pass(site: testing.Site, sizes: list[int], data: st.DataObject) -> None:
    kinds = [data.draw(st.sampled_from([bytes, bytearray, str])) for _ in sizes]
    check_all_ways(site, [kind("x" * n) if kind is str else kind(b"x" * n) for kind, n in zip(kinds, sizes)])


@GENTLE
@given(data=st.data())
def test_arrays_of_every_dtype_shape_and_view_pass(site: testing.Site, data: st.DataObject) -> None:
    check_all_ways(site, data.draw(arrays()))


@GENTLE
@given(data=st.data())
def test_mixtures_with_arrays_pass(site: testing.Site, data: st.DataObject) -> None:
    shared = data.draw(arrays())
    mixture = st.recursive(
        PLAIN | arrays() | st.just(shared),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=8,
    )
    check_all_ways(site, data.draw(mixture))


def arrays() -> Any:
    """Arrays and views of them: any dtype, up to four dimensions, small or beyond 64 KiB, any order and stride."""
    np = pytest.importorskip("numpy")
    from hypothesis.extra import numpy as of_numpy

    dtypes = st.one_of(
        of_numpy.boolean_dtypes(),
        of_numpy.integer_dtypes(),
        of_numpy.unsigned_integer_dtypes(),
        of_numpy.floating_dtypes(),
        of_numpy.complex_number_dtypes(),
        of_numpy.datetime64_dtypes(),
        of_numpy.timedelta64_dtypes(),
        of_numpy.byte_string_dtypes(),
        of_numpy.unicode_string_dtypes(),
        of_numpy.array_dtypes(),
        of_numpy.nested_dtypes(),
    )

    @st.composite
    def array(draw: Any) -> Any:
        dtype = np.dtype(draw(dtypes))
        shape = draw(of_numpy.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
        if shape and draw(st.booleans()):
            shape = (70_000 // max(1, dtype.itemsize * math.prod(shape[1:])) + 1, *shape[1:])
        value = np.asarray(filled(shape, dtype), order=draw(st.sampled_from("CF")))
        if shape and draw(st.booleans()):
            value = value[draw(of_numpy.basic_indices(shape, allow_ellipsis=True))]
        value = np.transpose(value) if draw(st.booleans()) else value
        value = np.asarray(value)
        if draw(st.booleans()):
            value.flags.writeable = False
        return value

    return array()
