"""Every public name of the original SDK 0.3.11, with its parameters and defaults. Additions are keyword-only."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import orchest
from orchest import config, parameters, pipeline, services, transfer, utils

REQUIRED = inspect.Parameter.empty

FUNCTIONS: list[tuple[Any, str, dict[str, Any]]] = [
    (transfer, "output", {"data": REQUIRED, "name": REQUIRED}),
    (transfer, "output_to_disk", {"data": REQUIRED, "name": REQUIRED, "serialization": None}),
    (transfer, "output_to_memory", {"data": REQUIRED, "name": REQUIRED, "disk_fallback": True}),
    (transfer, "get_inputs", {"ignore_failure": False, "verbose": False}),
    (transfer, "resolve", {"step_uuid": REQUIRED, "consumer": None}),
    (transfer, "_resolve", {"step_uuid": REQUIRED, "consumer": None}),
    (transfer, "_serialize", {"data": REQUIRED}),
    (parameters, "get_params", {}),
    (parameters, "get_step_param", {"name": REQUIRED, "default": None}),
    (parameters, "get_pipeline_param", {"name": REQUIRED, "default": None}),
    (services, "get_service", {"name": REQUIRED}),
    (services, "get_services", {}),
    (vars(services)["requests"], "get", {"url": REQUIRED, "timeout": None}),
    (utils, "get_step_uuid", {"pipeline": REQUIRED}),
    (utils, "get_pipeline", {}),
    (utils, "_request_json", {"url": REQUIRED}),
    (transfer, "get_step_uuid", {"pipeline": REQUIRED}),
    (transfer, "get_pipeline", {}),
    (pipeline, "Pipeline", {"steps": REQUIRED, "properties": REQUIRED}),
    (pipeline.Pipeline, "from_json", {"description": REQUIRED}),
    (pipeline.Pipeline, "to_dict", {"self": REQUIRED}),
    (pipeline.Pipeline, "get_step_by_uuid", {"self": REQUIRED, "uuid": REQUIRED}),
    (pipeline.Pipeline, "get_params", {"self": REQUIRED}),
    (pipeline, "PipelineStep", {"properties": REQUIRED, "parents": None}),
    (pipeline.PipelineStep, "get_params", {"self": REQUIRED}),
    (config.Config, "get_step_data_dir", {"step_uuid": REQUIRED}),
]

SETTINGS = {
    "ORCHEST_API_ADDRESS": "orchest-api",
    "MAX_RELATIVE_STORE_CAPACITY": 0.95,
    "STORE_SOCKET_NAME": "/project-dir/.orchest/plasma.sock",
    "IDENTIFIER_SERIALIZATION": 1,
    "IDENTIFIER_EVICTION": 2,
    "CONN_NUM_RETRIES": 20,
    "__METADATA_SEPARATOR__": "; ",
    "_RESERVED_UNNAMED_OUTPUTS_STR": "unnamed",
    "silence_multiple_data_transfer_calls_warning": False,
    "HTTP_TIMEOUT": 10.0,
}


@pytest.mark.parametrize(("owner", "name", "expected"), FUNCTIONS, ids=[name for _, name, _ in FUNCTIONS])
def test_a_function_takes_what_it_took(owner: Any, name: str, expected: dict[str, Any]) -> None:
    taken = inspect.signature(getattr(owner, name)).parameters.values()
    assert {p.name: p.default for p in taken if p.kind is p.POSITIONAL_OR_KEYWORD} == expected
    assert all(p.default is not REQUIRED for p in taken if p.kind is p.KEYWORD_ONLY)


@pytest.mark.parametrize(("name", "value"), SETTINGS.items())
def test_a_setting_has_the_value_it_had(name: str, value: object) -> None:
    assert getattr(config.Config, name) == value


def test_the_serializations_are_numbered_as_they_were() -> None:
    assert [(s.name, s.value) for s in transfer.Serialization] == [
        ("ARROW_TABLE", 0),
        ("ARROW_BATCH", 1),
        ("PICKLE", 2),
    ]


@pytest.mark.parametrize(
    "name", ["PipelineStepProperties", "PipelineSettings", "ServiceDefinition", "PipelineDefinition"]
)
def test_the_names_for_types_are_dictionaries(name: str) -> None:
    assert getattr(pipeline, name)(uuid="a") == {"uuid": "a"}
    assert isinstance(getattr(pipeline, name)(), dict)


TOP_LEVEL = {
    "Config": config.Config,
    "get_pipeline_param": parameters.get_pipeline_param,
    "get_step_param": parameters.get_step_param,
    "get_service": services.get_service,
    "get_services": services.get_services,
    "get_inputs": transfer.get_inputs,
    "output": transfer.output,
}


@pytest.mark.parametrize(("name", "value"), TOP_LEVEL.items())
def test_the_package_offers_the_short_names(name: str, value: object) -> None:
    assert getattr(orchest, name) is value


def _python(code: str) -> str:
    environment = {"PYTHONPATH": str(Path(orchest.__file__).parents[1])}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_other_languages_reach_everything_through_one_import() -> None:
    """R, Julia and JavaScript callers import `orchest` and follow its attributes."""
    modules = ["config", "error", "parameters", "pipeline", "services", "transfer", "utils"]
    chains = [f"orchest.{module}" for module in modules]
    chains += ["orchest.transfer.get_inputs", "orchest.transfer.output", "orchest.parameters.get_step_param"]
    assert _python(f"import orchest; print([bool(eval(chain)) for chain in {chains!r}])") == f"{[True] * 10}\n"


def test_a_star_import_gives_the_short_names() -> None:
    names = [*TOP_LEVEL, "orchest_version", "transfer", "utils"]
    assert _python(f"from orchest import *; print(set({names!r}) <= set(globals()))") == "True\n"


def test_importing_loads_no_package_no_network_and_nothing_slow() -> None:
    packages = ["pyarrow", "numpy", "pandas", "polars", "requests"]
    network = ["urllib.request", "http.client", "ssl", "socket", "asyncio"]
    slow = ["dataclasses", "inspect", "concurrent.futures", "logging", "platform", "tempfile", "subprocess"]
    code = "import sys; before = {*sys.modules}; import orchest; print(*sorted({*sys.modules} - before))"
    assert {*packages, *network, *slow}.isdisjoint(_python(code).split())


def test_the_package_is_typed() -> None:
    assert (Path(orchest.__file__).parent / "py.typed").exists()
