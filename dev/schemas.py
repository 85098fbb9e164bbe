"""`make schemas`: write the JSON schemas of all payloads to docs/events."""

from __future__ import annotations

from pathlib import Path

import orjson

from outbox.events.json_schema import published

FILE = Path(__file__).parents[1] / "docs" / "events" / "events.schema.json"


def main() -> None:
    FILE.write_bytes(orjson.dumps(published(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


if __name__ == "__main__":
    main()
