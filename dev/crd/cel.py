"""The rules of `desired_state/rules.py` once more, as CEL for the API server.

In: nothing but those patterns and messages. Out: `x-kubernetes-validations` entries. Never: a rule or message of its
own, but for the one that only a server can judge, a volume that shrinks.
"""

from __future__ import annotations

import json
from typing import TypeAlias

from desired_state import rules

Rule: TypeAlias = dict[str, str]

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_PORT = r":[0-9]+"
_REGISTRY = rf"({_LABEL}(\.{_LABEL})+({_PORT})?|{_LABEL}{_PORT}|\[[0-9A-Fa-f:]+\]({_PORT})?)"
_PART = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_PART_WITHOUT_DOT = r"[a-z0-9]+((_|__|-+)[a-z0-9]+)*"
_DIGEST = r"(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})"
_HUB = r"(?i:docker\.io|index\.docker\.io|registry-1\.docker\.io|registry\.hub\.docker\.com)(:443)?/"

# A first part with a dot or a port is a registry and nothing else.
_IMAGE = rf"^(({_REGISTRY}|{_PART_WITHOUT_DOT})/({_PART}/)*)?{_PART}(:{rules.TAG})?(@{_DIGEST})?$"
_IMAGE_ID = rf"^({_HUB})?[0-9a-f]{{64}}([:@].*)?$"
_NAME_OF_255 = rf"^[^@]{{1,255}}(:{rules.TAG})?(@.*)?$"


def _matches(text: str, pattern: str) -> str:
    # CEL's string literals escape as JSON's do.
    return f"{text}.matches({json.dumps(pattern)})"


def _whole(text: str, pattern: str, longest: int) -> str:
    return f"{text}.size() <= {longest} && {_matches(text, f'^({pattern})$')}"


def _is_image(text: str) -> str:
    return f"{_matches(text, _IMAGE)} && {_matches(text, _NAME_OF_255)} && !{_matches(text, _IMAGE_ID)}"


def _is_quantity(text: str) -> str:
    # An exponent of five digits is no size of anything, and costs the server dearly.
    return f"{text}.size() <= 64 && !{_matches(text, '[eE][+-]?[0-9]{5}')} && isQuantity({text})"


def rule(name: str, condition: str) -> Rule:
    """The rule of that name; its message is the one in `rules.MESSAGES`."""
    return {"rule": condition, "message": rules.MESSAGES[name]}


def _when_set(name: str, condition: str) -> Rule:
    return rule(name, f"self == '' || ({condition})")


VERSION = _when_set("version", _whole("self", rules.TAG, rules.LONGEST_TAG))
REGISTRY = _when_set("registry", _is_image("(self + '/orchest/orchest-webserver')"))
IMAGE = _when_set("image", _is_image("self"))
HOST = _when_set("host", _whole("self", rules.DNS_SUBDOMAIN, rules.LONGEST_DNS_SUBDOMAIN))
STORAGE_CLASS = _when_set("storage-class", _whole("self", rules.DNS_SUBDOMAIN, rules.LONGEST_DNS_SUBDOMAIN))
CLAIM = _when_set("claim", _whole("self", rules.DNS_SUBDOMAIN, rules.LONGEST_DNS_SUBDOMAIN))
SIZE = _when_set("size", f"{_is_quantity('self')} && quantity(self).compareTo(quantity('0')) > 0")
NO_SHRINKING: Rule = {
    "rule": "self == '' || oldSelf == '' || !isQuantity(self) || !isQuantity(oldSelf)"
    " || quantity(self).compareTo(quantity(oldSelf)) >= 0",
    "message": "a volume cannot shrink; keep its size or give a larger one",
    "messageExpression": "'a volume cannot shrink; give at least its present size, ' + oldSelf",
}
QUANTITY: Rule = {
    "rule": f"type(self) == int ? self >= 0 : ({_is_quantity('string(self)')}"
    " && quantity(string(self)).compareTo(quantity('0')) >= 0)",
    "message": "expected a quantity of zero or more, such as 500m, 2 or 50Gi",
}

_KEY_NAME = "k.substring(k.lastIndexOf('/') + 1)"
_KEY_PREFIX = "k.substring(0, k.lastIndexOf('/'))"
LABEL_KEYS = rule(
    "label-key",
    f"self.all(k, {_whole(_KEY_NAME, rules.LABEL_NAME, rules.LONGEST_LABEL_NAME)}"
    f" && (!k.contains('/') || ({_whole(_KEY_PREFIX, rules.DNS_SUBDOMAIN, rules.LONGEST_DNS_SUBDOMAIN)})))",
)
LABEL_VALUE = _when_set("label-value", _whole("self", rules.LABEL_NAME, rules.LONGEST_LABEL_NAME))

_SOURCES = ", ".join(f"has(self.{source})" for source in rules.ENV_SOURCES)
ENV_NAME = rule("env-name", _whole("self", rules.ENV_NAME, rules.LONGEST_ENV_NAME))
ENV_VALUE = rule("env-value", "!has(self.valueFrom) || !has(self.value) || self.value == ''")
ENV_SOURCE = rule("env-source", f"[{_SOURCES}].filter(present, present).size() == 1")
ENV_UNIQUE = rule("env-unique", "self.all(e, self.exists_one(f, f.name == e.name))")
SECRETS_UNIQUE = rule("secrets-unique", "self.all(e, self.exists_one(f, f.name == e.name))")
APPLICATIONS_UNIQUE = rule("applications-unique", "self.all(e, self.exists_one(f, f.name == e.name))")

REPLICAS = rule("replicas", f"self >= 0 && self <= {rules.MOST_REPLICAS}")
REPLICAS_SINGLE = rule("replicas-single", "self >= 0 && self <= 1")
REPLICAS_NODE = rule("replicas-node", "false")
