"""What is sensitive, and where in an object it stands.

Data of a Secret, the value of an environment variable, chart parameter, command-line argument, annotation or
ConfigMap key whose name says so, userinfo in a URL, kubectl's last-applied annotation. When in doubt it counts: a
masked word in a plan costs a look, a password in a log costs the password.

In: Kubernetes objects of any kind. Out: the paths of their secrets, or the secrets. Never: masking (`masking.py`).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote

from desired_state.objects import Json, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable

MASK_PREFIX = "masked:"
_MASKED = re.compile(rf"{MASK_PREFIX}[0-9a-f]{{32}}")
LAST_APPLIED_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"

Path: TypeAlias = tuple[str | int, ...]
"""Where a leaf stands in an object: keys and list indices from the root."""


def is_masked(value: str) -> bool:
    """Whether `value` is what `Masker.mask` makes."""
    return _MASKED.fullmatch(value) is not None


# --- names -----------------------------------------------------------------------------------------------------------

_STRONG = re.compile(
    r"PASSW(?:OR)?D|PASSPHRASE|TOKEN|SECRET|CREDENTIAL|APIKEY|CONNECTION_?STRING|PRIVATE_?KEY|REQUIREPASS"
)
"""Inside any name: `PGPASSWORD`, `apiTokens`."""
_WEAK = re.compile(
    r"(?:.*KEY|.*AUTH|KEYS|CREDS?|PASS|PWD|PW|PSK|DSN|JWT|COOKIE|AUTHORIZATION|DOCKERCONFIGJSON|DOCKERCFG)"
)
"""As a whole word of a name, unless the last word says that it is only about one: `POSTGRES_HOST_AUTH_METHOD`,
`TLS_KEY_FILE`. `_ID` is not such a word: an `AWS_ACCESS_KEY_ID` is half of a credential."""
_ABOUT = frozenset(
    {
        *("ALGORITHM", "LENGTH", "METHOD", "MODE", "SIGNIN", "SIZE", "TIMEOUT", "TTL", "TYPE"),
        *("DIR", "FILE", "HOST", "IMAGE", "NAME", "PATH", "PORT", "SERVER", "SERVICE", "URL"),
        *("DISABLED", "ENABLED"),
    }
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def is_strong_name(name: str) -> bool:
    """Whether the name can only be a secret's, even among the words of a configuration file."""
    return _STRONG.search(name.upper().replace("-", "_")) is not None


@lru_cache(maxsize=8192)
def is_sensitive_name(name: str) -> bool:
    """Whether a value of this name is a secret. Case and separators do not matter: `DB_PASSWORD`, `db.password`."""
    if is_strong_name(name):
        return True
    words = [word.upper() for word in _WORD.findall(name)]
    return any(_WEAK.fullmatch(word) for word in words) and words[-1] not in _ABOUT


# --- where secrets stand in an object --------------------------------------------------------------------------------


class Extent(Enum):
    """How much of a sensitive leaf is secret."""

    WHOLE = "whole"
    USERINFO = "userinfo"
    """Only the part of a URL before the @ (of each URL, if the text has several)."""
    QUOTING = "quoting"
    """The whole of a text that is no secret, but may quote one."""


_Leaf: TypeAlias = tuple[Path, Json, Extent]


def _userinfo_pattern(stops: str) -> re.Pattern[str]:
    """`scheme://userinfo@` where `stops` (besides white space) cannot be in a URL.

    First the password that somebody forgot to encode: up to the last @, whatever is between, unless `host:port/` is
    what stands there.
    """
    return re.compile(
        r"(?P<scheme>(?<![A-Za-z0-9+.-])[A-Za-z0-9][A-Za-z0-9+.-]*://)"
        rf"(?P<userinfo>[^\s/?#:@{stops}]{{0,4096}}:(?![0-9]{{1,5}}[/?#])[^\s{stops}]{{0,4096}}|[^\s/?#{stops}]{{1,4096}})@"
    )


USERINFO = _userinfo_pattern("")
USERINFO_IN_TEXT = _userinfo_pattern("\"'<>\\\\")
_VARIABLE_PASSWORD = re.compile(r"[^:]*:\$\([A-Za-z_][A-Za-z0-9_]*\)")
"""`user:$(POSTGRES_PASSWORD)` names a variable and holds no secret."""
_VARIABLE = re.compile(r"\$\([A-Za-z_][A-Za-z0-9_]*\)")
_ASSIGNMENT = re.compile(
    # Only from the beginning of a name, or a long text without one would take quadratic time.
    r"(?<![A-Za-z0-9_.])(?<![A-Za-z0-9_.]-)(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*)"
    r"[\"']?[ \t]*[:=][ \t]*(?P<word>[^\s\"',;&]+|[\"'][^\"']+)"
)
_PLAIN = frozenset({int, float, bool, type(None), Unknown})


def sensitive_leaves(content: Mapping[str, Json]) -> dict[Path, Extent]:
    """The path of every leaf that is, or holds, a secret, and how much of it is. `Masker.mask_leaf` masks one."""
    return {path: extent for path, _, extent in found_leaves(content)}


def sensitive_paths(content: Mapping[str, Json]) -> frozenset[Path]:
    """The paths of `sensitive_leaves`."""
    return frozenset(path for path, _, _ in found_leaves(content))


def found_leaves(content: Json) -> list[_Leaf]:
    leaves: list[_Leaf] = []
    _search(content, [], leaves)
    return leaves


def _search(node: Json, path: list[str | int], leaves: list[_Leaf]) -> None:
    """Append every sensitive leaf below `node`. `path` leads to it and is one list all along; tuples are for hits."""
    if isinstance(node, Mapping):
        _search_mapping(node, path, leaves)
        return
    for index, child in enumerate(node):
        if isinstance(child, str):
            if "://" in child and _has_userinfo(child):
                leaves.append(((*path, index), child, Extent.USERINFO))
        elif type(child) not in _PLAIN:
            path.append(index)
            _search(child, path, leaves)
            path.pop()


def _search_mapping(node: Mapping[str, Json], path: list[str | int], leaves: list[_Leaf]) -> None:
    # Environment variables, chart parameters: whatever has a name and a value, wherever it stands.
    is_named = "value" in node and isinstance(node.get("name"), str) and is_sensitive_name(node["name"])
    for key, child in node.items():
        if is_named and key == "value":
            leaves.extend(_whole(child, (*path, key)))
        elif isinstance(child, str):
            if "://" in child and _has_userinfo(child):
                leaves.append(((*path, key), child, Extent.USERINFO))
        elif type(child) not in _PLAIN and key != "managedFields":
            special = _SPECIAL.get(key)
            if special is None:
                path.append(key)
                _search(child, path, leaves)
                path.pop()
            else:
                leaves.extend(special(child, (*path, key), node.get("kind")))


def _whole(node: Json, path: Path) -> Iterator[_Leaf]:
    """All scalars of `node`, secrets because of where `node` stands. Nothing, and a variable's name, is no secret."""
    if isinstance(node, Mapping):
        for key, child in node.items():
            yield from _whole(child, (*path, key))
    elif isinstance(node, list | tuple):
        for index, child in enumerate(node):
            yield from _whole(child, (*path, index))
    elif node is None or node == "" or isinstance(node, Unknown):
        return
    elif not (isinstance(node, str) and _VARIABLE.fullmatch(node)):
        yield path, node, Extent.WHOLE


def _rest(node: Json, path: Path) -> Iterator[_Leaf]:
    """What an ordinary search finds in `node`."""
    if isinstance(node, str):
        if _has_userinfo(node):
            yield path, node, Extent.USERINFO
    elif type(node) not in _PLAIN:
        leaves: list[_Leaf] = []
        _search(node, list(path), leaves)
        yield from leaves


def _annotations(child: Json, path: Path, _kind: Json) -> Iterator[_Leaf]:
    if not isinstance(child, Mapping):
        yield from _rest(child, path)
        return
    for name, value in child.items():
        is_sensitive = name == LAST_APPLIED_ANNOTATION or is_sensitive_name(name)
        yield from (_whole if is_sensitive else _rest)(value, (*path, name))


def _data(child: Json, path: Path, kind: Json) -> Iterator[_Leaf]:
    if kind == "Secret":
        yield from _whole(child, path)
    elif kind == "ConfigMap" and isinstance(child, Mapping):
        for name, value in child.items():
            is_sensitive = is_sensitive_name(name) or (
                isinstance(value, str) and _assigns_secret(value, is_strong_name)
            )
            yield from (_whole if is_sensitive else _rest)(value, (*path, name))
    else:
        yield from _rest(child, path)


def _arguments(child: Json, path: Path, _kind: Json) -> Iterator[_Leaf]:
    """`--password=x`, `PASSWORD=x` also inside a shell command, and the x after `--password`."""
    if not isinstance(child, list | tuple):
        yield from _rest(child, path)
        return
    is_named = False
    for index, argument in enumerate(child):
        is_sensitive = is_named or (isinstance(argument, str) and _assigns_secret(argument, is_sensitive_name))
        yield from (_whole if is_sensitive else _rest)(argument, (*path, index))
        is_named = (
            isinstance(argument, str)
            and argument.startswith("-")
            and "=" not in argument
            and is_sensitive_name(argument)
        )


def _conditions(child: Json, path: Path, _kind: Json) -> Iterator[_Leaf]:
    """Of a failure a controller tells what the server answered, and that may quote any value of any former spec."""
    if not isinstance(child, list | tuple):
        yield from _rest(child, path)
        return
    for index, condition in enumerate(child):
        is_failure = isinstance(condition, Mapping) and _FAILURE.search(str(condition.get("reason", ""))) is not None
        if is_failure and isinstance(condition.get("message"), str):
            yield (*path, index, "message"), condition["message"], Extent.QUOTING
        else:
            yield from _rest(condition, (*path, index))


def _chart_values(child: Json, path: Path, _kind: Json) -> Iterator[_Leaf]:
    """Chart values are text: masked whole when any name in it is sensitive."""
    if len(path) < 2 or path[-2] != "helm" or not isinstance(child, list | tuple):
        yield from _rest(child, path)
        return
    for index, text in enumerate(child):
        is_sensitive = isinstance(text, str) and _assigns_secret(text, is_sensitive_name)
        yield from (_whole if is_sensitive else _rest)(text, (*path, index))


_FAILURE = re.compile(r"Fail|Error")
"""In a condition's reason: `FailedCreate`, `ReplicaSetCreateError`."""

_SPECIAL: Mapping[str, Callable[[Json, Path, Json], Iterator[_Leaf]]] = {
    "annotations": _annotations,
    "data": _data,
    "stringData": _data,
    "binaryData": _data,
    "args": _arguments,
    "command": _arguments,
    "values": _chart_values,
    "conditions": _conditions,
}


def _assigns_secret(text: str, is_secret_name: Callable[[str], bool]) -> bool:
    return any(is_secret_name(match["name"]) for match in _ASSIGNMENT.finditer(text))


def _has_userinfo(text: str) -> bool:
    return "://" in text and any(is_secret_userinfo(match["userinfo"]) for match in USERINFO.finditer(text))


def is_secret_userinfo(userinfo: str) -> bool:
    return _VARIABLE_PASSWORD.fullmatch(userinfo) is None and not is_masked(userinfo)


# --- the secrets themselves ------------------------------------------------------------------------------------------

_MIN_LINE = 12
"""A shorter line of a many-line secret says too little, and is too common, to look for by itself."""


def secrets_in(content: Mapping[str, Json]) -> frozenset[str]:
    """Every secret string of an object, in each form in which it may turn up elsewhere: plain, decoded from a Secret's
    base64, the lines of a key, the parts of a docker config, the password of a URL. For `Masker.scrub`.
    """
    secrets: set[str] = set()
    for path, leaf, extent in found_leaves(content):
        text = leaf if isinstance(leaf, str) else json.dumps(leaf)
        if extent is Extent.WHOLE and path[-1] != LAST_APPLIED_ANNOTATION:
            secrets |= _parts(text)
            secrets |= _parts(_decoded(text)) if "data" in path else set()
            secrets |= _assigned(text) if {"args", "command", "values", "data"} & set(path) else set()
        secrets |= _secrets_in_json(text) | _secrets_in_urls(text)
    return frozenset(secret for secret in secrets if secret and not is_masked(secret))


def _decoded(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except ValueError:  # Binary, or not base64: it has no plain text to look for.
        return ""


def _parts(secret: str) -> set[str]:
    lines = {line.strip() for line in secret.splitlines()} if "\n" in secret else set()
    parts = {line for line in lines if len(line) >= _MIN_LINE and not line.startswith("-----")}
    return {secret, secret.strip()} | parts | _secrets_in_json(secret) | _secrets_in_urls(secret)


def _assigned(text: str) -> set[str]:
    """Of `--password=x` the x, which may turn up alone: as a shell ends it, and as a line of a file does."""
    secrets: set[str] = set()
    for match in _ASSIGNMENT.finditer(text):
        if is_sensitive_name(match["name"]):
            line = text[match.start("word") :].splitlines()[0].strip()
            secrets |= {match["word"].strip("\"'"), line, line.strip("\"'")}
    return secrets


def _secrets_in_json(text: str) -> set[str]:
    """Of JSON inside a string (a docker config, kubectl's last-applied): what is sensitive in there."""
    if not text.lstrip().startswith("{"):
        return set()
    try:
        content = json.loads(text)
    except ValueError:
        return set()
    return set(_named_strings(content)) | secrets_in(content)


def _named_strings(node: Json) -> Iterator[str]:
    if isinstance(node, dict):
        for key, child in node.items():
            if isinstance(child, str) and is_sensitive_name(key):
                yield child
            else:
                yield from _named_strings(child)
    elif isinstance(node, list):
        for child in node:
            yield from _named_strings(child)


def _secrets_in_urls(text: str) -> set[str]:
    userinfos = {match["userinfo"] for match in USERINFO.finditer(text)} if "://" in text else set()
    secret = {userinfo for userinfo in userinfos if is_secret_userinfo(userinfo)}
    written = secret | {userinfo.partition(":")[2] for userinfo in secret}
    return written | {unquote(part) for part in written}
