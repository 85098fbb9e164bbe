"""JSON values as YAML text, for people who asked for `-o yaml`. The reading side is `document.py`."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING

from ruamel.yaml import YAML
from ruamel.yaml.representer import SafeRepresenter

if TYPE_CHECKING:
    from ruamel.yaml.nodes import ScalarNode

    from desired_state.objects import Json

_OTHERWISE_IN_YAML_1_1 = re.compile(r"(?i:y|yes|n|no|on|off)|[-+0-9][0-9_:.]*")
"""Plain words that Kubernetes' own tools, which read YAML 1.1, would take for booleans or numbers."""


class _Representer(SafeRepresenter):
    """Quotes what YAML 1.1 and 1.2 read differently."""

    def represent_str(self, data: str) -> ScalarNode:
        style = '"' if _OTHERWISE_IN_YAML_1_1.fullmatch(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Representer.add_representer(str, _Representer.represent_str)


def to_yaml(value: Json) -> str:
    """Block style, keys in the order given, line feed at the end."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 4096
    out = StringIO()
    yaml.dump(value, out)
    return out.getvalue()
