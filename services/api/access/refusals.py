"""The 401s. None says more than a guesser may know, and none repeats what was sent."""

from __future__ import annotations

from http import HTTPStatus

from services.api.http.problems import ApiError

_INVALID = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


def malformed_token() -> ApiError:
    return ApiError(
        HTTPStatus.UNAUTHORIZED,
        "This is no token of this API: it is not whole, or misspelled. Tokens begin with orc_.",
        headers=_INVALID,
    )


def invalid_token() -> ApiError:
    return ApiError(
        HTTPStatus.UNAUTHORIZED,
        "This token opens nothing: it is unknown, expired, revoked, or meant for another audience. Ask for a new one.",
        headers=_INVALID,
    )
