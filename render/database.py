"""orchest-database: PostgreSQL, with the data directory where the original had it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from desired_state.objects import Note, Severity
from desired_state.release import Component
from render import environment, security, storage
from render.credentials import CREDENTIALS, DATABASE_PASSWORD
from render.workload import RECREATE, Workload, deployment, probes, runs, service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from desired_state.images import ImageDecision
    from desired_state.objects import DesiredObject, Json
    from render.site import Site

COMPONENT = Component.ORCHEST_DATABASE
DATA_DIRECTORY = "/userdir/.orchest/database/data"


def objects(site: Site, image: ImageDecision) -> Iterator[DesiredObject]:
    # Two servers on one data directory destroy it: the old one goes first.
    yield deployment(site, _workload(site, image), RECREATE)
    yield service(site, COMPONENT, 5432, "postgres")


def database_notes(site: Site) -> Iterator[Note]:
    claim = site.template(COMPONENT).state_volume_name
    if claim and claim not in {rendered.name for rendered in site.claims}:
        message = f'The claim "{claim}" is not one of this cluster: make sure that it exists, or remove the field.'
        yield Note(Severity.WARNING, "foreign-state-volume", "spec.postgres.stateVolumeName", message)


def _workload(site: Site, image: ImageDecision) -> Workload:
    claim = site.template(COMPONENT).state_volume_name or storage.state_claim(site)
    return Workload(
        component=COMPONENT,
        image=image,
        env=_environment(site),
        security=security.database(),
        requests={"cpu": "100m"},
        ports={"postgres": 5432},
        probes=probes(runs("pg_isready", "--username", "postgres"), period=5, timeout=15),
        attachments=(storage.claimed(claim, DATA_DIRECTORY, ".orchest/database/data"),),
    )


def access(site: Site, database: str) -> tuple[tuple[Json, ...], tuple[Json, ...]]:
    """(the password's entry, the URL's, which refers to it) for a program that uses `database`.

    A volume of the original trusts everybody and accepts any password, so this is right for it too. Generated passwords
    consist of characters that need no escaping in a URL; a person's own password should.
    """
    chosen = next((entry for entry in _environment(site) if entry["name"] == "POSTGRES_PASSWORD"), _GENERATED_PASSWORD)
    url = f"postgresql://postgres:$(ORCHEST_DATABASE_PASSWORD)@{COMPONENT}:5432/{database}"
    return ({**chosen, "name": "ORCHEST_DATABASE_PASSWORD"},), environment.plain({"ORCHEST_DATABASE_URL": url})


def _environment(site: Site) -> tuple[Json, ...]:
    """With the original's `trust`, which a person may still ask for, no password is set up: ours is accepted all the
    same.
    """
    own = site.template(COMPONENT).env
    chosen = environment.third_party_program(site, own, environment.plain({"PGDATA": DATA_DIRECTORY}))
    values = environment.values(chosen)
    if values.get("POSTGRES_HOST_AUTH_METHOD") == "trust" or _PASSWORD_NAMES & values.keys():
        return chosen
    return (_GENERATED_PASSWORD, *chosen)


_GENERATED_PASSWORD = environment.from_secret("POSTGRES_PASSWORD", CREDENTIALS, DATABASE_PASSWORD)
_PASSWORD_NAMES = frozenset({"POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE"})
"""The image refuses to start with both."""
