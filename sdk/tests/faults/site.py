"""A pipeline of two steps in a folder: one step that outputs, one that gets its inputs.

In: a folder. Out: outputs made and inputs read through `orchest.transfer`, in whichever process asks.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from .payloads import kind_of_value, number_of, numbered

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PRODUCER, CONSUMER = "producer-uuid", "consumer-uuid"
PRODUCER_TITLE = "Clean the data"


class Reading(NamedTuple):
    """What a reader got from the producer: (name, kind, number) of each input, or the name of the exception."""

    inputs: tuple[tuple[str | None, str, int], ...]
    error: str | None = None


class Site(NamedTuple):
    root: Path

    @property
    def directory(self) -> Path:
        """The producer's."""
        return self.root / "data" / PRODUCER

    @property
    def head(self) -> Path:
        return self.directory / "HEAD"

    def data(self, serialization: str = "PICKLE") -> Path:
        return self.directory / f"{PRODUCER}.{serialization}"

    def files(self) -> frozenset[str]:
        return frozenset(file.name for file in self.directory.glob("*"))

    def lay_out(self, parents: Iterable[str] = (PRODUCER,)) -> Site:
        steps = {PRODUCER: _step(PRODUCER, PRODUCER_TITLE, ()), CONSUMER: _step(CONSUMER, "Train", parents)}
        pipeline = {"name": "Two steps", "uuid": "pipeline-uuid", "version": "1.2.3", "steps": steps, "parameters": {}}
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "pipeline.orchest").write_text(json.dumps(pipeline), encoding="utf-8")
        return self

    def enter(self, step: str, verify: str = "full", durable: bool = True, keeps: bool = False) -> None:
        """Make this process one of the step's; for a child that does nothing else afterwards."""
        from orchest.config import Config

        Config.PIPELINE_DEFINITION_PATH = str(self.root / "pipeline.orchest")
        Config.STEP_DATA_DIR = str(self.root / "data" / "{step_uuid}")
        Config.silence_multiple_data_transfer_calls_warning = True
        Config.verify, Config.durable, Config.keep_named_outputs = verify, durable, keeps
        os.environ["ORCHEST_STEP_UUID"] = step

    def output(self, kind: str, number: int, size: int) -> None:
        from orchest import transfer

        transfer.output(*numbered(kind, number, size))

    def inputs(self) -> dict[str, Any]:
        from orchest import transfer

        return transfer.get_inputs()

    def read(self) -> Reading:
        """One `get_inputs`; an exception that is not of `orchest.error` goes through."""
        from orchest import error

        try:
            inputs = self.inputs()
        except (error.DeserializationError, error.OutputNotFoundError) as refused:
            return Reading((), type(refused).__name__)
        unnamed = [(None, value) for value in inputs.pop("unnamed")]
        named = sorted(inputs.items())
        return Reading(tuple((name, kind_of_value(one), number_of(one)) for name, one in [*unnamed, *named]))

    def headed(self) -> tuple[str, str | None]:
        """Serialization and name, as HEAD has them."""
        _, serialization, name = self.head.read_text(encoding="utf-8").split("; ", 2)
        return serialization, None if name == "unnamed" else name


def _step(uuid: str, title: str, parents: Iterable[str]) -> dict[str, Any]:
    return {
        "uuid": uuid, "title": title, "file_path": f"{uuid}.py", "environment": "", "parameters": {},
        "kernel": {"name": "python", "display_name": "Python 3"}, "incoming_connections": list(parents),
        "meta_data": {"hidden": False, "position": [0, 0]},
    }  # fmt: skip
