"""What a value of an `OrchestCluster` must look like, and what a user is told when it does not.

In: one value, or one list whose entries depend on each other. Out: the problems with it. Patterns and messages are
constants because `dev/crd` writes the same ones into the CRD as CEL; `tests/crds` proves that both judge alike.
Never: types and unknown fields (the models and the core types' schemas check those), defaults, a look at the cluster.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from desired_state.core_types import Path, Problem, quantity_problem, shown
from desired_state.images import ImageSyntaxError, parse_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

APPLICATIONS: Final = ("argo-workflow", "docker-registry", "efs-csi-driver", "ingress-nginx")
PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
ENV_SOURCES: Final = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef")

# Go's RE2 and Python's re both read these. Each is matched against the whole text.
TAG: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
DNS_SUBDOMAIN: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
LABEL_NAME: Final = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
ENV_NAME: Final = r"[ -<>-~]+"
"""Printable ASCII without the equals sign."""
LONGEST_TAG: Final = 128
LONGEST_DNS_SUBDOMAIN: Final = 253
LONGEST_LABEL_NAME: Final = 63
LONGEST_ENV_NAME: Final = 256
MOST_LABELS: Final = 32
MOST_REPLICAS: Final = 2**31 - 1

MESSAGES: Final = {
    "version": "expected an image tag such as v2026.11.0: at most 128 of A-Z a-z 0-9 _ . - and no . or - first",
    "registry": "expected a registry such as registry.example.com:5000 or registry.example.com/team, without scheme",
    "image": "expected an image such as registry.example.com:5000/team/name:tag or team/name@sha256:<64 hex digits>",
    "host": "expected a host name such as orchest.example.com: lower case, without scheme, port or path",
    "storage-class": "expected the name of a StorageClass: lower case letters, digits, '-' and '.'",
    "claim": "expected the name of a PersistentVolumeClaim: lower case letters, digits, '-' and '.'",
    "size": "expected a size of more than zero such as 50Gi",
    "label-key": "expected a label key such as disk or kubernetes.io/hostname: at most 63 of A-Z a-z 0-9 - _ .",
    "label-value": "expected a label value: at most 63 of A-Z a-z 0-9 - _ . with a letter or digit first and last",
    "env-name": "expected a name of printable ASCII characters without '='",
    "env-unique": "each name may stand only once in env; remove the duplicate",
    "env-value": "value and valueFrom exclude each other; remove one of them",
    "env-source": f"expected exactly one of {', '.join(ENV_SOURCES)}",
    "secrets-unique": "each name may stand only once in imagePullSecrets; remove the duplicate",
    "applications-unique": "each application may stand only once; remove the duplicate",
    "replicas": "expected a whole number from 0 up",
    "replicas-single": "expected 0 or 1: two would share one volume",
    "replicas-node": "this component runs once on every node; remove replicas",
}


def refusal(rule: str, found: Any, path: Path = ()) -> Problem:
    """The problem of a value that breaks the rule of that name."""
    return Problem(path, found, rule, f"found {shown(found)}, {MESSAGES[rule]}")


def _whole(pattern: str, longest: int) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: len(text) <= longest and compiled.fullmatch(text) is not None


is_tag = _whole(TAG, LONGEST_TAG)
is_dns_subdomain = _whole(DNS_SUBDOMAIN, LONGEST_DNS_SUBDOMAIN)
is_label_name = _whole(LABEL_NAME, LONGEST_LABEL_NAME)
is_env_name = _whole(ENV_NAME, LONGEST_ENV_NAME)


def is_label_key(text: str) -> bool:
    """Whether the text is a label's name with its optional prefix."""
    prefix, slash, name = text.rpartition("/")
    return is_label_name(name) and (not slash or is_dns_subdomain(prefix))


def is_label_value(text: str) -> bool:
    """Whether a label may have this value; the empty one it may."""
    return text == "" or is_label_name(text)


def is_image(text: str) -> bool:
    """Whether the text is a complete image reference."""
    try:
        parse_image(text)
    except ImageSyntaxError:
        return False
    return True


def is_registry(text: str) -> bool:
    """Whether our images can be named under this prefix."""
    return is_image(f"{text}/orchest/orchest-webserver")


def is_count(value: int) -> bool:
    """Whether a Deployment may have this many replicas."""
    return 0 <= value <= MOST_REPLICAS


def size_problems(text: str) -> Iterator[Problem]:
    """A volume's size must be a quantity of more than zero."""
    message = quantity_problem(text, zero_allowed=False)
    if message:
        yield Problem((), text, "size", message)


def selector_problems(selector: Mapping[str, str]) -> Iterator[Problem]:
    """A node selector's keys and values must be labels, and not too many."""
    if len(selector) > MOST_LABELS:
        yield Problem((), selector, "too_long", f"has {len(selector)} labels, at most {MOST_LABELS} are allowed")
    for key, value in selector.items():
        if not is_label_key(key):
            yield refusal("label-key", key, (key,))
        if not is_label_value(value):
            yield refusal("label-value", value, (key,))


def env_problems(env: Iterable[Mapping[str, Any]]) -> Iterator[Problem]:
    """An env list, already of the right types: names, one source each, no name twice."""
    entries = list(env)
    for index, entry in enumerate(entries):
        source = entry.get("valueFrom")
        if not is_env_name(entry["name"]):
            yield refusal("env-name", entry["name"], (index, "name"))
        if source is not None and entry.get("value"):
            # The value itself may be a secret: it is not quoted.
            yield Problem((index,), entry, "env-value", MESSAGES["env-value"])
        if source is not None and len(source) != 1:
            yield Problem(
                (index, "valueFrom"), source, "env-source", f"found {len(source)} sources, {MESSAGES['env-source']}"
            )
    yield from duplicates("env-unique", [entry["name"] for entry in entries])


def secret_problems(secrets: Iterable[Mapping[str, Any]]) -> Iterator[Problem]:
    """A list of pull secrets, already of the right types."""
    return duplicates("secrets-unique", [secret["name"] for secret in secrets])


def duplicates(rule: str, names: Iterable[str]) -> Iterator[Problem]:
    """One problem for each name that stood before, at the `name` of the later entry."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield refusal(rule, name, (index, "name"))
        seen.add(name)
