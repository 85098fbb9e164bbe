"""`make lock`: requirements.lock again from pyproject.toml, with hashes; versions move only as far as they must.

`make lock UPGRADE=1` takes the newest of everything.
"""

from __future__ import annotations

import os
import subprocess
import sys

from dev.bootstrap import REQUIREMENTS, ROOT, UV_VERSION, pip_settings, registry_settings
from dev.tools import ToolError, tool


def main() -> int:
    try:
        uv = tool("uv", UV_VERSION) / "uv"
    except ToolError as error:
        print(f"lock failed: {error}", file=sys.stderr)
        return 1
    upgrade = ["--upgrade"] if os.environ.get("UPGRADE") else []
    command = [
        *(str(uv), "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header", "--group", "dev"),
        *("pyproject.toml", "--output-file", REQUIREMENTS.name, "--python-version", "3.11", *upgrade),
    ]
    environment = os.environ | registry_settings(pip_settings(uv.parent), os.environ)
    return subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
