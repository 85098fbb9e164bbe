from __future__ import annotations

import pytest

from outbox.events.types import EventType, Layer, layer_of

ORIGINAL = {
    "project": "created updated deleted",
    "project:pipeline": "created updated deleted",
    "project:environment": "created deleted",
    "project:environment:image-build": "created started cancelled failed succeeded",
    "jupyter:image-build": "created started cancelled failed succeeded",
    "project:pipeline:interactive-session": "started stopped service-restarted failed succeeded",
    "project:pipeline:interactive-session:pipeline-run": "created started cancelled failed succeeded",
    "project:one-off-job": "created started deleted cancelled failed updated succeeded",
    "project:one-off-job:pipeline-run": "created started cancelled failed deleted succeeded",
    "project:cron-job": "created started deleted cancelled failed succeeded updated paused unpaused",
    "project:cron-job:run": "started succeeded failed",
    "project:cron-job:run:pipeline-run": "created started cancelled failed deleted succeeded",
}
OURS = "created updated plan-applied drift-detected drift-repaired unhealthy paused resumed rolled-back deleted"


def test_the_59_types_of_the_original_and_ten_of_clusters() -> None:
    original = {f"{family}:{name}" for family, names in ORIGINAL.items() for name in names.split()}
    assert len(original) == 59
    assert set(EventType) == original | {f"cluster:{name}" for name in OURS.split()}
    assert len(EventType) == 69


def test_the_name_of_a_member_is_its_value() -> None:
    for event_type in EventType:
        assert event_type.name == event_type.value.upper().replace(":", "_").replace("-", "_")


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("project:deleted", Layer.PROJECT),
        ("project:updated", Layer.PROJECT_UPDATE),
        ("project:pipeline:updated", Layer.PIPELINE_UPDATE),
        ("project:pipeline:interactive-session:failed", Layer.INTERACTIVE_SESSION),
        ("project:pipeline:interactive-session:pipeline-run:failed", Layer.INTERACTIVE_PIPELINE_RUN),
        ("project:cron-job:updated", Layer.CRON_JOB_UPDATE),
        ("project:cron-job:paused", Layer.CRON_JOB),
        ("project:cron-job:run:failed", Layer.CRON_JOB_RUN),
        ("project:cron-job:run:pipeline-run:failed", Layer.CRON_JOB_RUN_PIPELINE_RUN),
        ("jupyter:image-build:failed", Layer.JUPYTER_IMAGE_BUILD),
        ("cluster:updated", Layer.CLUSTER),
    ],
)
def test_the_longest_family_decides_the_layer_and_an_update_has_its_own(name: str, layer: Layer) -> None:
    assert layer_of(EventType(name)) is layer


def test_no_layer_is_without_a_type() -> None:
    assert {layer_of(event_type) for event_type in EventType} == set(Layer)
