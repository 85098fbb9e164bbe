"""The services that run beside the pipeline, and where they can be reached.

In comes a service's name; out goes its definition with host name, base paths and URLs. A job's services are those of
the pipeline file; an interactive session's those that the platform has started.
"""

from __future__ import annotations

from typing import Any

from orchest import _http as requests
from orchest.config import Config
from orchest.error import (
    Error,
    InvalidPipelineDefinitionError,
    OrchestNetworkError,
    ServiceNotFound,
    SessionNotFound,
    UnrecognizedSessionType,
)
from orchest.utils import get_pipeline


def get_service(name: str) -> dict[str, Any]:
    """The service of that name.

    Returns:
        The service's definition without `scope`, and
            `internal_hostname`: `<name>-<session uuid>`, to be used from steps;
            `base_paths`: {port: `/[pbp-]service-<name>-<session uuid>_<port>`};
            `external_urls`: {port: `http://{host_name}:{port}<base path>`}, the braces to be filled in by you.

    Raises:
        ServiceNotFound: the session has no such service.
        SessionNotFound: the pipeline has no interactive session.
        UnrecognizedSessionType: ORCHEST_SESSION_TYPE is neither interactive nor noninteractive.
        InvalidPipelineDefinitionError: in a job, the service is none in the pipeline file.
        OrchestNetworkError: the platform does not answer as it should.

    """
    services = _definitions()
    if name not in services:
        raise ServiceNotFound(
            f"There is no service {name!r} here. Known: {', '.join(map(str, services)) or 'none'}. Add it in the "
            f"pipeline's settings, and check that its scope contains {Config.SESSION_TYPE}."
        )
    return _reachable(name, services[name])


def get_services() -> dict[str, dict[str, Any]]:
    """All services by name, each as `get_service` describes it, with the same errors but ServiceNotFound."""
    return {name: _reachable(name, service) for name, service in _definitions().items()}


def _definitions() -> dict[str, Any]:
    if Config.SESSION_TYPE == "noninteractive":
        services = get_pipeline().properties.get("services") or {}
    elif Config.SESSION_TYPE == "interactive":
        services = _interactive_definitions()
    else:
        raise _unknown_session()
    if not isinstance(services, dict):
        raise _unusable(f"its services are a {type(services).__name__}, not an object of name -> service")
    return services


def _unknown_session() -> UnrecognizedSessionType:
    return UnrecognizedSessionType(
        f"ORCHEST_SESSION_TYPE is {Config.SESSION_TYPE!r}: services exist only in interactive and noninteractive "
        "sessions. Set it before importing orchest."
    )


def _unusable(what: str) -> Error:
    """For whoever has written the definitions."""
    if Config.SESSION_TYPE == "interactive":
        return OrchestNetworkError(f"The platform has answered with a session, but {what}. Start the session anew.")
    return InvalidPipelineDefinitionError(
        f"{Config.PIPELINE_DEFINITION_PATH}: {what}. Mend it in the pipeline's settings."
    )


def _interactive_definitions() -> Any:
    url = f"http://{Config.ORCHEST_API_ADDRESS}/api/sessions/{Config.PROJECT_UUID}/{Config.PIPELINE_UUID}"
    response = requests.get(url)
    if response.status_code == 404:
        raise SessionNotFound(
            f"The pipeline {Config.PIPELINE_UUID} has no interactive session. Start it in the pipeline editor."
        )
    if response.status_code >= 400:
        raise OrchestNetworkError(f"{url} answered with status {response.status_code}. Try again in a while.")
    session = response.json()
    if not isinstance(session, dict):
        raise OrchestNetworkError(f"{url} did not answer with a session. Is orchest-api at this address?")
    return session.get("user_services") or {}


def _reachable(name: str, definition: Any) -> dict[str, Any]:
    """The definition with the addresses that the platform gives to the service."""
    if not isinstance(definition, dict):
        raise _unusable(f"the service {name!r} is a {type(definition).__name__}, not an object")
    ports = definition.get("ports") or []
    if not isinstance(ports, list) or not all(isinstance(port, (int, str)) for port in ports):
        raise _unusable(f"the ports of the service {name!r} are {ports!r}, not a list of numbers")
    prefix = "/pbp-" if definition.get("preserve_base_path", False) else "/"
    host = f"{definition.get('name', name)}-{Config.SESSION_UUID}"
    base_paths = {port: f"{prefix}service-{host}_{port}" for port in ports}
    return {
        **{field: value for field, value in definition.items() if field != "scope"},
        "internal_hostname": host,
        "base_paths": base_paths,
        "external_urls": {port: "http://{host_name}:{port}" + path for port, path in base_paths.items()},
    }
