"""The body of what the original answered by a mere sentence."""

from __future__ import annotations

from pydantic import Field

from services.api.http.operation import Sent


class Message(Sent):
    message: str = Field(description="What was done, for people")
