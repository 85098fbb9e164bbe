from __future__ import annotations

import pickle

import pytest

from orchest import error

NAMES = [name for name, value in vars(error).items() if isinstance(value, type) and issubclass(value, Exception)]

PARENTS = {
    "Error": Exception,
    "PipelineDefinitionNotFoundError": error.Error,
    "SerializationError": error.Error,
    "DeserializationError": error.Error,
    "ObjectNotFoundError": error.Error,
    "OutputNotFoundError": error.Error,
    "DiskOutputNotFoundError": error.OutputNotFoundError,
    "MemoryOutputNotFoundError": error.OutputNotFoundError,
    "OrchestNetworkError": error.Error,
    "StepUUIDResolveError": error.Error,
    "InputNameCollisionError": error.Error,
    "DataInvalidNameError": error.Error,
    "ServiceNotFound": error.Error,
    "InvalidMetaDataError": error.Error,
    "UnrecognizedSessionType": error.Error,
    "SessionNotFound": error.Error,
}


@pytest.mark.parametrize("name", PARENTS)
def test_the_hierarchy_is_the_originals(name: str) -> None:
    assert getattr(error, name).__bases__[0] is PARENTS[name]


def test_one_error_is_new() -> None:
    assert set(NAMES) - set(PARENTS) == {"InvalidPipelineDefinitionError"}


@pytest.mark.parametrize("name", NAMES)
def test_an_error_shows_its_message_and_survives_a_process_boundary(name: str) -> None:
    problem = getattr(error, name)("what, where, the mend")
    assert str(problem).startswith("what, where, the mend")
    copy = pickle.loads(pickle.dumps(problem))
    assert type(copy) is type(problem)
    assert str(copy).startswith(str(problem))


@pytest.mark.parametrize("name", NAMES)
def test_an_error_can_be_raised_without_a_message(name: str) -> None:
    with pytest.raises(error.Error):
        raise getattr(error, name)


def test_bad_metadata_always_comes_with_the_mend() -> None:
    assert str(error.InvalidMetaDataError()) == error.InvalidMetaDataError.helper_message
    assert str(error.InvalidMetaDataError("No.")) == f"No. {error.InvalidMetaDataError.helper_message}"


def test_what_callers_caught_before_catches_still() -> None:
    assert issubclass(error.PipelineDefinitionNotFoundError, FileNotFoundError)
    for caught in (KeyError, ValueError, FileNotFoundError, error.PipelineDefinitionNotFoundError):
        assert issubclass(error.InvalidPipelineDefinitionError, caught)
