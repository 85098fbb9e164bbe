"""Security contexts: the restricted profile for whatever can live with it, and the least beyond it for the rest.

Nobody gets `fsGroup` on the user directory: Kubernetes would make every file on that volume group-writable, and
PostgreSQL, whose data may be on the same volume, refuses to start then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.objects import Json

_SECCOMP = {"type": "RuntimeDefault"}
_LOW_PORTS = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
"""Lets a process without capabilities listen on port 80. A safe sysctl: every profile admits it."""


@dataclass(frozen=True, slots=True)
class Security:
    pod: Mapping[str, Json]
    container: Mapping[str, Json]


def restricted(user: int) -> Security:
    """The restricted profile, as a user and group with this id, who also owns the pod's private volumes."""
    pod = {"runAsNonRoot": True, "runAsUser": user, "runAsGroup": user, "fsGroup": user, "seccompProfile": _SECCOMP}
    return Security(pod, _unescalated())


def restricted_web(user: int) -> Security:
    """As `restricted`, for a server on port 80."""
    security = restricted(user)
    return Security({**security.pod, "sysctls": _LOW_PORTS}, security.container)


def user_files() -> Security:
    """For programs that share the user directory with pipeline steps, whose files belong to root."""
    pod = {"runAsUser": 0, "seccompProfile": _SECCOMP, "sysctls": _LOW_PORTS}
    return Security(pod, _unescalated("CHOWN", "DAC_OVERRIDE", "FOWNER"))


def database() -> Security:
    """The image's entry point takes over its data directory as root and goes on as its own user, whichever id that
    has.
    """
    capabilities = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")
    return Security({"seccompProfile": _SECCOMP}, _unescalated(*capabilities))


def node_socket() -> Security:
    """Root, for the runtime's socket belongs to root, and nothing else that root has."""
    return Security({"runAsUser": 0, "seccompProfile": _SECCOMP}, _unescalated())


def privileged() -> Security:
    """For the build daemon, which mounts snapshots on the node."""
    return Security({}, {"privileged": True})


def _unescalated(*added: str) -> Mapping[str, Json]:
    capabilities = {"drop": ["ALL"], "add": list(added) or None}
    return {"allowPrivilegeEscalation": False, "capabilities": capabilities}
