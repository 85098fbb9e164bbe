from __future__ import annotations

from dataclasses import replace

import pytest

from desired_state.images import ImageDecision, ImageSource
from desired_state.objects import Note, Severity
from diff.action import Reason, Verb
from diff.explain import REASONS, SYMBOLS, Detail, Style, as_text, explain, summary
from tests.diff import worlds
from tests.diff.test_plan import set_image_by_hand
from tests.diff.worlds import applied, planned, usual_rendering


def text_of(detail: Detail = Detail()) -> str:  # noqa: B008, a frozen value
    return as_text(explain(planned(usual_rendering(), worlds.empty_snapshot()), detail))


def test_every_verb_and_every_reason_has_its_words() -> None:
    assert set(SYMBOLS) == set(Verb)
    assert set(REASONS) == set(Reason)
    assert {Style(verb.value) for verb in Verb} < set(Style)


def test_a_new_object_is_told_in_one_line_unless_more_is_asked_for() -> None:
    assert "data.a" not in text_of()
    assert "data.a: (absent) -> 1" in text_of(Detail(creations=True))


def test_the_last_line_sums_up() -> None:
    assert text_of().splitlines()[-1] == "Plan: 8 to create, 2 to generate."
    in_sync = planned(usual_rendering(), applied(usual_rendering()))
    assert summary(in_sync) == "No changes: the cluster is as the manifest asks."


def test_kept_and_waiting_objects_are_counted_also_when_nothing_changes() -> None:
    smaller = usual_rendering(userdir_pvc=worlds.claim("userdir-pvc", "1Gi"))
    assert summary(planned(smaller, applied(usual_rendering()))).endswith("(1 kept).")


def test_a_changed_field_shows_before_and_after_and_who_changed_it() -> None:
    lines = explain(planned(usual_rendering(), set_image_by_hand(applied(usual_rendering()))))
    (told, *_) = [line for line in lines if any(style is Style.PATH for style, _ in line)]
    assert [text for style, text in told if style in {Style.BEFORE, Style.AFTER, Style.MANAGER}] == [
        "their/image:v9",
        "orchest/thing:v1",
        "  # changed by kubectl-set",
    ]


@pytest.mark.parametrize(
    ("source", "shown"), [(ImageSource.CUSTOM, True), (ImageSource.PINNED, True), (ImageSource.RELEASE, False)]
)
def test_images_that_do_not_follow_the_release_are_shown_with_their_reason(source: ImageSource, shown: bool) -> None:
    image = ImageDecision("orchest-api", "mine/api:1", source, "mine/api:1", "because")
    made = replace(planned(usual_rendering(), applied(usual_rendering())), images=(image,))
    assert ("orchest-api: mine/api:1  (because)" in as_text(explain(made))) is shown


def test_refusals_come_last_before_the_summary() -> None:
    notes = (Note(Severity.REFUSAL, "r", "a", "stop"), Note(Severity.INFO, "i", "b", "by the way"))
    made = replace(planned(usual_rendering(), applied(usual_rendering())), notes=notes)
    assert as_text(explain(made)).splitlines()[:2] == ["info: b: by the way  [i]", "refusal: a: stop  [r]"]


def test_long_values_are_cut_and_line_feeds_are_escaped() -> None:
    wanted = usual_rendering(settings=worlds.config_map("settings", a="x\n" + "y" * 500))
    text = as_text(explain(planned(wanted, applied(usual_rendering()))))
    assert "data.a: 1 -> x\\nyyy" in text
    assert max(len(line) for line in text.splitlines()) < 200
