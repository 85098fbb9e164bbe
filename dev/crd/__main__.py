"""`python -m dev.crd [OPENAPI|-]`: write `crds/`; given an API server's OpenAPI document, refresh `core.json` first."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dev.crd import core, definition

CRDS = Path(__file__).resolve().parents[2] / "crds"


def main(arguments: list[str]) -> int:
    """Write the files; 64 when called with anything but one file name or nothing."""
    if len(arguments) > 1:
        print(__doc__, file=sys.stderr)
        return 64
    for name in arguments:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
        core.CORE.write_text(json.dumps(core.definitions(json.loads(text)), indent=1, sort_keys=True) + "\n")
    definitions = core.committed()
    (CRDS / "orchestcluster.yaml").write_text(definition.as_yaml(definition.custom_resource_definition(definitions)))
    (CRDS / "core_types.json").write_text(definition.core_types_as_json(definitions))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
