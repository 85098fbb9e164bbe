"""What can go wrong, by name. Everything the SDK raises on purpose is an `Error`.

In comes what failed, out goes a message that says what, where and the mend. This module raises nothing itself.
"""

from __future__ import annotations


class Error(Exception):
    """The base of all errors of the SDK."""


class PipelineDefinitionNotFoundError(Error, FileNotFoundError):
    """The pipeline file cannot be found or opened.

    Also a `FileNotFoundError`: that is what `utils.get_pipeline` and the functions of `parameters` used to raise.
    """


class InvalidPipelineDefinitionError(PipelineDefinitionNotFoundError, KeyError, ValueError):
    """The pipeline definition is there, but is not JSON, is not an object, lacks a field or names an unknown step.

    Also a `KeyError` (a missing field, an unknown parent) and a `ValueError` (no JSON): callers caught those.
    """


class SerializationError(Error):
    """The data cannot be turned into bytes, or the bytes cannot be stored."""


class DeserializationError(Error):
    """The stored bytes cannot be turned back into data: damaged, cut, refused, or written by newer packages."""


class ObjectNotFoundError(Error):
    """An object is not in the in-memory store. That store is gone; the name stays for those who catch it."""


class OutputNotFoundError(Error):
    """A step has no output: it never ran, or its output has been removed."""


class DiskOutputNotFoundError(OutputNotFoundError):
    """A step has no output on disk."""


class MemoryOutputNotFoundError(OutputNotFoundError):
    """A step has no output in memory. That store is gone; the name stays for those who catch it."""


class OrchestNetworkError(Error):
    """A server did not answer in time, could not be reached, or answered with something unusable."""


class StepUUIDResolveError(Error):
    """It cannot be told which step of the pipeline this code belongs to."""


class InputNameCollisionError(Error):
    """Two parents of a step have given their outputs the same name."""


class DataInvalidNameError(Error):
    """The name for an output is reserved, contains the metadata separator, or is not a string."""


class ServiceNotFound(Error):
    """The pipeline has no service of that name."""


class InvalidMetaDataError(Error):
    """The metadata of an output cannot be read: wrong separator, wrong number of fields, or unknown values."""

    helper_message = (
        "Metadata written by another release of Orchest can be the cause: run the steps that produce the data again, "
        'or remove the folder ".orchest/pipelines" of the project.'
    )

    def __init__(self, msg: str = "", *args: object) -> None:
        super().__init__(f"{msg} {self.helper_message}" if msg else self.helper_message, *args)


class UnrecognizedSessionType(Error):
    """The session is neither `interactive` nor `noninteractive`."""


class SessionNotFound(Error):
    """The pipeline has no running session."""
