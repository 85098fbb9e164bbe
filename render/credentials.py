"""The cluster's own passwords: one Secret, made in the cluster once and kept, also when the OrchestCluster goes.

They must live as long as the volumes they fit: a database that was set up with a password accepts no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desired_state.objects import Generated, Recipe
from render.labels import kept_metadata
from render.manifest import desired

if TYPE_CHECKING:
    from desired_state.objects import DesiredObject
    from render.site import Site

CREDENTIALS = "orchest-credentials"
DATABASE_PASSWORD = "database-password"  # noqa: S105 (the name of a key)
BROKER_PASSWORD = "broker-password"  # noqa: S105 (the name of a key)


def credentials(site: Site) -> DesiredObject:
    content = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": kept_metadata(site, CREDENTIALS),
        "type": "Opaque",
    }
    return desired(content, generated=Generated(Recipe.PASSWORDS, keys=(BROKER_PASSWORD, DATABASE_PASSWORD)))
