"""`/api/ctl/orchest-settings`: the paths, names and answers of the original."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPMethod
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

from pydantic import Field, JsonValue

from services.api.domain import settings
from services.api.http.operation import Nothing, Operation, Reads, Received, Reply, Scope, Sent, Writes

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from services.api.domain.settings import Saved, Site
    from services.api.http.operation import Call

_PATH = "/api/ctl/orchest-settings"
Parallelism = Annotated[int, Field(ge=1, le=25, description="How many at once, over the whole platform")]


class SettingsChange(Received):
    AUTH_ENABLED: bool = Field(default=False, description="Whether the web interface asks for a login")
    INTERCOM_USER_EMAIL: str = Field(
        default="johndoe@example.org",
        max_length=255,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Of the user's account",
    )
    MAX_BUILDS_PARALLELISM: Parallelism = 1
    MAX_INTERACTIVE_RUNS_PARALLELISM: Parallelism = 1
    MAX_JOB_RUNS_PARALLELISM: Parallelism = 1
    PAUSED: bool = Field(default=False, description="Whether nothing new may start; never shown")
    TELEMETRY_DISABLED: bool = Field(default=False, description="Whether no anonymous analytics may leave")
    TELEMETRY_UUID: UUID | Literal[""] = Field(
        default="", description="As whom analytics know this installation; empty: as they do"
    )


class OrchestSettings(Sent):
    AUTH_ENABLED: bool
    INTERCOM_USER_EMAIL: str
    MAX_BUILDS_PARALLELISM: int
    MAX_INTERACTIVE_RUNS_PARALLELISM: int
    MAX_JOB_RUNS_PARALLELISM: int
    TELEMETRY_DISABLED: bool
    TELEMETRY_UUID: str = Field(description="Empty: there have never been analytics")


class SettingsSaved(Sent):
    requires_restart: Sequence[str] = Field(description="Those that changed and take effect after a restart only")
    user_config: OrchestSettings


class Settings:
    """`/api/ctl/orchest-settings`."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def operations(self) -> tuple[Operation, ...]:
        return (
            Operation(
                *(HTTPMethod.GET, _PATH, "show_settings", "The settings", Scope.READ),
                Reads(self.show),
                answer=OrchestSettings,
                tag="settings",
            ),
            Operation(
                *(HTTPMethod.PUT, _PATH, "update_settings", "Change some settings", Scope.ADMIN),
                Writes(self.update),
                body=SettingsChange,
                answer=SettingsSaved,
                tag="settings",
                description="What is left out stays as it is.",
            ),
            Operation(
                *(HTTPMethod.POST, _PATH, "replace_settings", "Set all settings", Scope.ADMIN),
                Writes(self.replace),
                body=SettingsChange,
                answer=SettingsSaved,
                tag="settings",
                description="What is left out gets its default, but for PAUSED and those of telemetry: they stay.",
            ),
        )

    def show(self, session: Session, _call: Call[Nothing, Nothing, Nothing]) -> Reply:
        return Reply(settings.settings(session, self._site))

    def update(self, session: Session, call: Call[Nothing, Nothing, SettingsChange]) -> Reply:
        return _reply(settings.update(session, _wanted(call.body), self._site, call.now))

    def replace(self, session: Session, call: Call[Nothing, Nothing, SettingsChange]) -> Reply:
        return _reply(settings.replace(session, _wanted(call.body), self._site, call.now))


def _wanted(body: SettingsChange) -> dict[str, JsonValue]:
    """Those that were named."""
    named = body.model_dump(mode="json", exclude_unset=True)
    return {name: value for name, value in named.items() if value != ""}


def _reply(saved: Saved) -> Reply:
    return Reply({"requires_restart": saved.requires_restart, "user_config": saved.user_config})
