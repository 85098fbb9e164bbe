"""Where this process stands: project, pipeline, session, and how careful data passing is to be.

In comes the environment, once, at import; out go class attributes that callers and tests may overwrite. Nothing
here raises at import: what is missing or wrong is reported by the first function that needs it.
"""

from __future__ import annotations

# Importing pathlib would take longer than importing all of this.
import os
from typing import TYPE_CHECKING

from orchest import error

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTAINER_PROJECT_DIR = "/project-dir"
_VERIFICATIONS = ("off", "lazy", "full")


def _project_dir(environment: Mapping[str, str]) -> str | None:
    """The project's folder, or None outside of any project. ORCHEST_PROJECT_DIR is a path of the host: not for us."""
    if os.path.isdir(CONTAINER_PROJECT_DIR):
        return CONTAINER_PROJECT_DIR
    given = environment.get("ORCHEST_SDK_PROJECT_DIR")
    if given:
        return os.path.join(_working_directory(), os.path.expanduser(given))
    return _nearest_project(_working_directory())


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # it has been removed; nothing is there to be found either
        return os.sep


def _nearest_project(folder: str) -> str | None:
    while not os.path.isdir(os.path.join(folder, ".orchest")):
        if folder == os.path.dirname(folder):
            return None
        folder = os.path.dirname(folder)
    return folder


def _pipeline_path(environment: Mapping[str, str], project_dir: str | None) -> str | None:
    """In a container the path as it is; elsewhere a relative path starts at the project's folder."""
    path = environment.get("ORCHEST_PIPELINE_PATH")
    if not path or project_dir in (None, CONTAINER_PROJECT_DIR):
        return path
    return os.path.join(str(project_dir), path)


def _pipeline_uuid(environment: Mapping[str, str], project_dir: str | None, path: str | None) -> str:
    """The platform's word; outside of a container the pipeline file's, if it can be read; else nothing."""
    given = environment.get("ORCHEST_PIPELINE_UUID", "")
    if given or not path or project_dir == CONTAINER_PROJECT_DIR:
        return given
    import json

    try:
        with open(path, encoding="utf-8") as file:
            uuid = json.load(file)["uuid"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):  # `get_pipeline` will say what is wrong
        return ""
    return uuid if _is_name(uuid) else ""


def _is_name(uuid: object) -> bool:
    """Of one file or folder, and no way to another."""
    if not isinstance(uuid, str) or uuid in ("", ".", "..") or "/" in uuid or "\0" in uuid:
        return False
    return uuid.isascii() or not any("\ud800" <= character <= "\udfff" for character in uuid)


def step_data_template(project_dir: str | None, pipeline_uuid: str) -> str:
    """The path of a step's data, with `{step_uuid}` to be filled in; other braces are escaped."""
    return _template(f"{project_dir or CONTAINER_PROJECT_DIR}/.orchest/pipelines/{pipeline_uuid}/data")


def _step_data_template(environment: Mapping[str, str], project_dir: str | None, pipeline_uuid: str) -> str:
    """In the project's folder, or where the environment says: at a URL that fsspec knows."""
    url = environment.get("ORCHEST_SDK_DATA_URL")
    if not url:
        return step_data_template(project_dir, pipeline_uuid)
    return _template(f"{url if url.endswith('/') else url + '/'}pipelines/{pipeline_uuid}/data")


def _template(above: str) -> str:
    return above.replace("{", "{{").replace("}", "}}") + "/{step_uuid}"


def _switch(value: str | None, *, unset: bool, unclear: bool) -> bool:
    """A yes or no of the environment. `unclear` is the careful side, for words that are neither."""
    if not value:
        return unset
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    return words.get(value.strip().lower(), unclear)


def verification(verify: str | None = None) -> str:
    """How thoroughly inputs are checked: `off`, `lazy` or `full`. None asks `Config.verify`.

    Raises:
        error.Error: the word is none of the three.

    """
    word, origin = (Config.verify, "ORCHEST_SDK_VERIFY (Config.verify)") if verify is None else (verify, "verify")
    if word not in _VERIFICATIONS:
        raise error.Error(f"{origin} is {word!r}: say one of {', '.join(_VERIFICATIONS)}.")
    return word


class Config:
    """Settings of the process, read from the environment at import. Durations are in seconds."""

    SESSION_UUID: str | None = os.environ.get("ORCHEST_SESSION_UUID")
    SESSION_TYPE: str | None = os.environ.get("ORCHEST_SESSION_TYPE")
    """`interactive` or `noninteractive`."""
    PROJECT_UUID: str | None = os.environ.get("ORCHEST_PROJECT_UUID")

    PROJECT_DIR: str | None = _project_dir(os.environ)
    """The project's folder; None outside of any project."""
    PIPELINE_DEFINITION_PATH: str | None = _pipeline_path(os.environ, PROJECT_DIR)
    PIPELINE_UUID: str = _pipeline_uuid(os.environ, PROJECT_DIR, PIPELINE_DEFINITION_PATH)

    ORCHEST_API_ADDRESS: str = "orchest-api"
    HTTP_TIMEOUT: float = 10.0

    STEP_DATA_DIR: str = _step_data_template(os.environ, PROJECT_DIR, PIPELINE_UUID)
    """A template: `{step_uuid}` stands for the step. The path of a folder, or the URL of a store that fsspec knows."""

    allow_pickle: bool = _switch(os.environ.get("ORCHEST_SDK_ALLOW_PICKLE"), unset=True, unclear=False)
    """False: inputs whose pickle would run code are refused."""
    verify: str = (os.environ.get("ORCHEST_SDK_VERIFY") or "lazy").strip().lower()
    """`off`, `lazy` or `full`; see `verification`."""
    durable: bool = _switch(os.environ.get("ORCHEST_SDK_DURABLE"), unset=True, unclear=True)
    """False: outputs are not forced to the medium (no fsync), for scratch file systems."""
    keep_named_outputs: bool = _switch(os.environ.get("ORCHEST_SDK_KEEP_NAMED_OUTPUTS"), unset=False, unclear=False)
    """True: outputs of different names are kept side by side; False: the latest output wins."""
    silence_multiple_data_transfer_calls_warning: bool = False
    """True: no warning about a second `get_inputs`, or a second `output` under another name."""

    # Left over from data passing through memory; kept because they are public.
    MAX_RELATIVE_STORE_CAPACITY: float = 0.95
    STORE_SOCKET_NAME: str = "/project-dir/.orchest/plasma.sock"
    IDENTIFIER_SERIALIZATION: int = 1
    IDENTIFIER_EVICTION: int = 2
    CONN_NUM_RETRIES: int = 20

    __METADATA_SEPARATOR__: str = "; "
    _RESERVED_UNNAMED_OUTPUTS_STR: str = "unnamed"

    @classmethod
    def get_step_data_dir(cls, step_uuid: str) -> str:
        """The folder of a step's data, or its URL.

        Raises:
            error.Error: no project was found at import, so there is no such folder.
            error.StepUUIDResolveError: this can be no step's uuid, as it would lead out of the folder of all data.

        """
        if not _is_name(step_uuid):
            raise error.StepUUIDResolveError(
                f"{step_uuid!r} can be no step's uuid: mend it in the pipeline file, or set ORCHEST_STEP_UUID to one."
            )
        folder = cls.STEP_DATA_DIR.format(step_uuid=step_uuid)
        if folder.startswith(CONTAINER_PROJECT_DIR + os.sep) and not os.path.isdir(CONTAINER_PROJECT_DIR):
            raise error.Error(
                f"There is no project here: {CONTAINER_PROJECT_DIR} does not exist, ORCHEST_SDK_PROJECT_DIR is not "
                "set, and neither the working directory nor a folder above it has a folder .orchest. Set "
                "ORCHEST_SDK_PROJECT_DIR to the project's folder before importing orchest, or start inside of it."
            )
        return folder
