"""`make schemas`: write what is published and made from code: the schemas of all payloads, and the API's document."""

from __future__ import annotations

from pathlib import Path

import orjson

from dev.api_document import api_document
from outbox.events.json_schema import published

_DOCS = Path(__file__).parents[1] / "docs"
FILE = _DOCS / "events" / "events.schema.json"
API_FILE = _DOCS / "reference" / "openapi.json"


def main() -> None:
    for file, content in ((FILE, published()), (API_FILE, api_document())):
        file.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


if __name__ == "__main__":
    main()
