"""`python -m dev.crd [OPENAPI|-]`: write `crds/` and its page in the docs.

Given an API server's OpenAPI document of the core group, refresh `core.json` from it first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dev.crd import core, definition, reference

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    """Write the files; 64 when called with anything but one file name or nothing."""
    if len(arguments) > 1:
        print(__doc__, file=sys.stderr)
        return 64
    for name in arguments:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
        core.CORE.write_text(json.dumps(core.definitions(json.loads(text)), indent=1, sort_keys=True) + "\n")
    definitions = core.committed()
    (ROOT / "crds" / "orchestcluster.yaml").write_text(
        definition.as_yaml(definition.custom_resource_definition(definitions))
    )
    (ROOT / "crds" / "core_types.json").write_text(definition.core_types_as_json(definitions))
    (ROOT / "docs" / "reference" / "orchestcluster.md").write_text(reference.as_markdown(definitions))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
