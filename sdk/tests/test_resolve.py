from __future__ import annotations

import functools
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import orchest
from orchest import error, transfer
from orchest._store.head import Head
from orchest._store.latest import Found
from orchest.transfer import _Candidate, _most_recent

if TYPE_CHECKING:
    from orchest.testing import Site

NOON = datetime(2026, 11, 23, 12)  # noqa: DTZ001 - the format has no zone


def candidate(minutes: int, generation: int | None) -> _Candidate:
    when = NOON + timedelta(minutes=minutes)
    return _Candidate(when, generation, print, (), Found(Head(when, "PICKLE", f"{minutes} {generation}"), None))


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ([(0, None), (5, None), (3, None)], (5, None)),
        ([(0, 1), (0, 2)], (0, 2)),
        # The clock went back between the two.
        ([(9, 4), (2, 5)], (2, 5)),
        # An uncounted one counts by its time, against the latest time of the counted ones.
        ([(9, 4), (2, 5), (7, None)], (2, 5)),
        ([(9, 4), (2, 5), (10, None)], (10, None)),
        # Of equals the first wins, and a counted one is not overtaken in the same second.
        ([(5, None), (5, None)], (5, None)),
        ([(5, None), (5, 1)], (5, 1)),
    ],
)
def test_the_most_recent_wins(candidates: list[Any], expected: Any) -> None:
    chosen = _most_recent([candidate(*one) for one in candidates])
    assert (chosen.timestamp, chosen.generation) == (NOON + timedelta(minutes=expected[0]), expected[1])
    reversed_too = _most_recent([candidate(*one) for one in reversed(candidates)])
    assert (reversed_too.timestamp, reversed_too.generation) == (chosen.timestamp, chosen.generation)


def test_it_tells_how_to_get_the_output(site: Site) -> None:
    with site.step("load"):
        orchest.output({"a": 1}, name="data")
    function, args, kwargs, metadata = transfer.resolve(site.step_uuid("load"))
    assert function(*args, **kwargs) == {"a": 1}
    assert set(metadata) == {"timestamp", "serialization", "name"}
    assert metadata["serialization"] == "PICKLE"
    assert metadata["name"] == "data"
    assert datetime.fromisoformat(metadata["timestamp"]).microsecond == 0


def test_what_was_resolved_stays_that_output_while_the_step_puts_out_anew(site: Site) -> None:
    for value in (b"first" * 50_000, b"first"):
        with site.step("load"):
            orchest.output(value, name="data")
        function, args, kwargs, _ = transfer.resolve(site.step_uuid("load"), consumer="x")
        with site.step("load"):
            orchest.output("second", name="other")
        assert function(*args, **kwargs) == value


def test_get_inputs_goes_through_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.step("load"):
        orchest.output(1, name="data")
    asked = []
    real = transfer.resolve

    def watched(step: str) -> Any:
        asked.append(step)
        return real(step)

    monkeypatch.setattr(transfer, "resolve", watched)
    with site.step("clean"):
        assert orchest.get_inputs() == {"unnamed": [], "data": 1}
    assert asked == [site.step_uuid("load")]


def _other(**_: Any) -> str:
    return "other"


def _constant(value: Any, _: str) -> Any:
    return value


def test_another_transfer_type_wins_by_its_timestamp(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is only disk today; the registry is what a further type would be put into."""
    with site.step("load"):
        orchest.output("disk", name="data")
    for minutes, expected in ((-1, "disk"), (1, "other")):
        when = transfer._find_on_disk(site.step_uuid("load")).timestamp + timedelta(minutes=minutes)
        other = _Candidate(when, None, _other, (), Found(Head(when, "PICKLE", "data"), None))
        monkeypatch.setattr(transfer, "_TRANSFERS", [transfer._find_on_disk, functools.partial(_constant, other)])
        function, args, kwargs, _ = transfer.resolve(site.step_uuid("load"))
        assert function(*args, **kwargs) == expected


def test_a_step_without_output_is_named(site: Site) -> None:
    with pytest.raises(error.DiskOutputNotFoundError, match=r'step "load" .*Run that step first'):
        transfer.resolve(site.step_uuid("load"))


def test_a_hundred_outputs_in_one_second_are_told_apart(site: Site) -> None:
    with site.step("load"):
        for number in range(100):
            orchest.output(number, name="data")
            assert transfer.describe(site.step_uuid("load"))["generation"] == number + 1
    with site.step("clean"):
        assert orchest.get_inputs()["data"] == 99
