"""Environments for what we are compared with: none of it is a dependency of ours. Each is made once per user.

In: a name, requirements. Out: a virtual environment. Never: a package of an anchor in our own one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from dev.bootstrap import UV_VERSION, pip_settings, registry_settings
from dev.tools import cache_folder, locked, tool

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def anchor_environment(name: str, requirements: Sequence[str]) -> Path:
    """Its folder. `name` stands for the requirements too: change both together."""
    home = cache_folder() / "benchmarks" / name
    done = home / "installed"
    with locked(home.with_suffix(".lock")):
        if not done.exists():
            uv = tool("uv", UV_VERSION) / "uv"
            environment = os.environ | registry_settings(pip_settings(uv.parent), os.environ)
            python = ["--no-python-downloads", "--python", sys.executable]
            subprocess.run([str(uv), "venv", "--quiet", "--clear", *python, str(home)], env=environment, check=True)
            install = [str(uv), "pip", "install", "--quiet", "--python", str(home / "bin" / "python"), *requirements]
            subprocess.run(install, env=environment, check=True)
            done.touch()
    return home
