"""What `output` and its sisters say to their caller."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, Callable

import pytest

import orchest
from orchest import Config, error, transfer

if TYPE_CHECKING:
    from orchest.testing import Site


@pytest.mark.parametrize("data", ["text", None, memoryview(b"abcdef")[::2]], ids=["text", "None", "every second"])
def test_what_is_no_buffer_cannot_be_serialized_already(site: Site, data: Any) -> None:
    with site.step("load"), pytest.raises(error.SerializationError, match="contiguous buffer"):
        transfer.output_to_disk(data, "x", transfer.Serialization.PICKLE)


_OUTPUTS: dict[str, Callable[[], None]] = {
    "orchest.output": lambda: orchest.output(1, "b"),
    "transfer.output_to_disk": lambda: transfer.output_to_disk(1, "b"),
    "transfer.output_to_memory": lambda: transfer.output_to_memory(1, "b"),
}


@pytest.mark.parametrize("output", _OUTPUTS.values(), ids=_OUTPUTS)
def test_a_warning_points_to_the_callers_line(site: Site, output: Callable[[], None]) -> None:
    with site.step("load"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        orchest.output(1, "a")
        output()
    assert {one.filename for one in caught} == {__file__}


def test_a_forked_child_is_a_run_of_its_own(site: Site) -> None:
    """Or what it puts out would stand beside the outputs of its parent, as if one process had made both."""
    with site.step("load"):
        Config.keep_named_outputs = True
        try:
            orchest.output(1, "parent")
            child = os.fork()
            if not child:
                try:
                    orchest.output(2, "child")
                finally:
                    os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        finally:
            Config.keep_named_outputs = False
    with site.step("clean"):
        assert orchest.get_inputs() == {"unnamed": [], "child": 2}
