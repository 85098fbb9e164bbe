"""What a pipeline step imports: pass data between steps, read parameters and services.

```python
import orchest

inputs = orchest.get_inputs()          # {"unnamed": [...], "name": value}, from the steps before
orchest.output(result, name="result")  # for the steps after
```

The submodules `config`, `error`, `parameters`, `pipeline`, `services`, `transfer` and `utils` are loaded with it.
Importing loads no package but the standard library; it warns, but never raises, when the platform is too old.
"""

from __future__ import annotations

import os as _os
import warnings as _warnings

from orchest import _compatibility, config, error, parameters, pipeline, services, transfer, utils
from orchest.config import Config
from orchest.parameters import get_pipeline_param, get_step_param
from orchest.services import get_service, get_services
from orchest.transfer import get_inputs, output

__version__ = "0.4.0"

__all__ = [
    "Config",
    "config",
    "error",
    "get_inputs",
    "get_pipeline_param",
    "get_service",
    "get_services",
    "get_step_param",
    "orchest_version",
    "output",
    "parameters",
    "pipeline",
    "services",
    "transfer",
    "utils",
]

orchest_version = _os.environ.get("ORCHEST_VERSION")
"""The platform's version, as the platform says it; None outside of one."""

if orchest_version is not None and _compatibility.is_incompatible(orchest_version):
    _warnings.warn(_compatibility.WARNING, stacklevel=2)
