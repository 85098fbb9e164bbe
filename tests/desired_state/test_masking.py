"""No secret leaves: a canary in every place where one can stand is in no output, in no spelling."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired_state.masking import MASK_PREFIX, Extent, Masker, secrets_in, sensitive_leaves, sensitive_paths
from desired_state.objects import Unknown, UnknownValue
from desired_state.sensitivity import is_masked, is_sensitive_name

MASKER = Masker(b"0123456789abcdef")
CANARY = 'c4n4ry/+ "é\\&<k3y>'
"""Holds what base64, URLs, JSON, HTML and Go each spell in their own way."""
URL_CANARY = "c4n4ry-in-a-url"


@dataclass(frozen=True, slots=True)
class Identity(Masker):
    """The positive control: a masker that does not mask."""

    def mask(self, value: str) -> str:
        return value


IDENTITY = Identity(b"0123456789abcdef")


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def spellings(secret: str) -> dict[str, str]:
    return {
        "plain": secret,
        "base64": base64_of(secret),
        "base64, URL-safe": base64.urlsafe_b64encode(secret.encode()).decode(),
        "base64 inside, 1 before": base64_of(f"a{secret}b"),
        "base64 inside, 2 before": base64_of(f"ab{secret}c"),
        "URL-encoded": quote(secret, safe=""),
        "URL-encoded, slashes kept": quote(secret),
        "URL-encoded form": quote_plus(secret),
        "JSON": json.dumps(secret)[1:-1],
        "JSON, not ASCII": json.dumps(secret, ensure_ascii=False)[1:-1],
        "JSON in JSON": json.dumps(json.dumps(secret))[3:-3],
        "Go-quoted": secret.replace("\\", "\\\\").replace('"', '\\"').replace("é", "\\u00e9"),
        "Go-quoted bytes": secret.replace("\\", "\\\\").replace('"', '\\"').replace("é", "\\xc3\\xa9"),
        "HTML": secret.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;"),
        "Go's JSON": json.dumps(secret)[1:-1].replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"),
    }


def leaks(output: str, canary: str) -> list[str]:
    """The spellings found, of the encoded ones without the edges, which hold bytes of what stands beside the canary."""
    edge = {"base64 inside, 1 before": 4, "base64 inside, 2 before": 4}
    return [
        name
        for name, spelling in spellings(canary).items()
        if spelling[edge.get(name, 0) : len(spelling) - edge.get(name, 0)] in output
    ]


def told(content: dict[str, Any]) -> str:
    """Everything that a reader of `content` may learn: its JSON, its strings, and what they hold as base64."""
    strings = [value for _, value in leaves(content) if isinstance(value, str)]
    return "\n".join([json.dumps(content), *strings, *map(decoded, strings)])


def decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return ""


def leaves(node: Any, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Any]]:
    if isinstance(node, dict):
        return [leaf for key, child in node.items() for leaf in leaves(child, (*path, key))]
    if isinstance(node, list):
        return [leaf for index, child in enumerate(node) for leaf in leaves(child, (*path, index))]
    return [(path, node)]


def pod(**container: Any) -> dict[str, Any]:
    return {"kind": "Pod", "spec": {"containers": [{"name": "c", **container}]}}


def env(name: str, value: str) -> list[dict[str, str]]:
    return [{"name": "TZ", "value": "UTC"}, {"name": name, "value": value}]


def cluster(**orchest: Any) -> dict[str, Any]:
    return {"apiVersion": "orchest.io/v1alpha1", "kind": "OrchestCluster", "spec": {"orchest": orchest}}


def chart(**helm: Any) -> dict[str, Any]:
    return {"kind": "OrchestCluster", "spec": {"applications": [{"name": "docker-registry", "config": {"helm": helm}}]}}


LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
PLACES: dict[str, dict[str, Any]] = {
    "secret data": {"kind": "Secret", "data": {"anything": base64_of(CANARY)}},
    "secret stringData": {"kind": "Secret", "stringData": {"anything": CANARY}},
    "secret in a list": {"kind": "List", "items": [{"kind": "Secret", "data": {"a": base64_of(CANARY)}}]},
    "docker config": {
        "kind": "Secret",
        "data": {".dockerconfigjson": base64_of(json.dumps({"auths": {"r": {"password": CANARY}}}))},
    },
    "env": pod(env=env("DB_PASSWORD", CANARY)),
    "env of an init container": {"kind": "Pod", "spec": {"initContainers": [{"env": env("API_TOKEN", CANARY)}]}},
    "env of an ephemeral container": {
        "kind": "Pod",
        "spec": {"ephemeralContainers": [{"env": env("PG_PASS", CANARY)}]},
    },
    "env of a template": {
        "kind": "Deployment",
        "spec": {"template": {"spec": {"containers": [{"env": env("aws_secret_access_key", CANARY)}]}}},
    },
    "env of a cron job": {
        "kind": "CronJob",
        "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"env": env("AUTH", CANARY)}]}}}}},
    },
    "env of the cluster": cluster(env=env("MY_CREDENTIALS", CANARY)),
    "env of a component": cluster(orchestApi={"env": env("SIGNING_KEY", CANARY)}),
    "chart parameter": chart(parameters=env("auth.password", CANARY)),
    "chart values": chart(values=[f"auth:\n  password: {CANARY}\n"]),
    "argument": pod(args=["--user=a", f"--db-password={CANARY}"]),
    "argument after its name": pod(command=["tool", "--token", CANARY]),
    "argument of a shell": pod(args=["-c", f"export DB_PASSWORD={CANARY}; run"]),
    "annotation": {"kind": "Service", "metadata": {"annotations": {"example.com/api-token": CANARY}}},
    "last applied": {
        "kind": "Service",
        "metadata": {"annotations": {LAST_APPLIED: json.dumps(pod(env=env("KEY", CANARY)))}},
    },
    "config map key": {"kind": "ConfigMap", "data": {"password": CANARY}},
    "config map file": {"kind": "ConfigMap", "data": {"app.ini": f"[db]\npassword = {CANARY}\n"}},
}
URL_PLACES: dict[str, dict[str, Any]] = {
    "password": pod(env=env("DATABASE", f"postgresql://user:{URL_CANARY}@host/db")),
    "token": pod(env=env("GIT", f"https://{URL_CANARY}@git.example.com/a.git")),
    "second of two": pod(env=env("BROKERS", f"amqp://h1:5672 amqp://u:{URL_CANARY}@h2")),
    "slash in it": pod(env=env("DATABASE", f"postgresql://user:a/{URL_CANARY}@host/db")),
    "at in it": pod(env=env("DATABASE", f"postgresql://user:a@{URL_CANARY}@host/db")),
    "quote in it": pod(env=env("DATABASE", f"postgresql://user:a\"'\\{URL_CANARY}@host/db")),
    "annotation": {"metadata": {"annotations": {"origin": f"https://u:{URL_CANARY}@host"}}},
    "label": {"metadata": {"labels": {"origin": f"https://u:{URL_CANARY}@host"}}},
    "list item": {"spec": {"mirrors": [f"https://u:{URL_CANARY}@host"]}},
    "status": {"kind": "OrchestCluster", "status": {"reason": f"cannot reach https://u:{URL_CANARY}@host/x"}},
    "image": pod(image=f"https://u:{URL_CANARY}@registry/a"),
    "config map": {"kind": "ConfigMap", "data": {"url": f"https://u:{URL_CANARY}@host"}},
    "argument": pod(args=[f"--from=https://u:{URL_CANARY}@host"]),
}


@pytest.mark.parametrize("place", PLACES)
def test_no_masked_object_holds_the_canary(place: str) -> None:
    masked = MASKER.mask_content(PLACES[place])

    assert leaks(told(masked), CANARY) == []
    assert MASK_PREFIX in told(masked)


@pytest.mark.parametrize("place", PLACES)
def test_the_canary_is_found_in_every_place_when_nothing_is_masked(place: str) -> None:
    assert leaks(told(IDENTITY.mask_content(PLACES[place])), CANARY) != []


@pytest.mark.parametrize("place", URL_PLACES)
def test_of_a_url_only_the_userinfo_is_masked(place: str) -> None:
    content = URL_PLACES[place]
    output = json.dumps(MASKER.mask_content(content))

    assert URL_CANARY not in output
    assert "://masked:" in output
    assert URL_CANARY in json.dumps(IDENTITY.mask_content(content))


@pytest.mark.parametrize(
    "content", [*PLACES.values(), *URL_PLACES.values()], ids=[*PLACES, *(f"url {p}" for p in URL_PLACES)]
)
def test_masking_changes_exactly_the_sensitive_paths_and_never_its_input(content: dict[str, Any]) -> None:
    before = json.dumps(content)
    masked = MASKER.mask_content(content)

    changed = {path for path, value in leaves(content) if dict(leaves(masked))[path] != value}
    assert changed == sensitive_paths(content)
    assert json.dumps(content) == before
    assert MASKER.mask_content(masked) == masked


UNTOUCHED: list[dict[str, Any]] = [
    pod(env=env("POSTGRES_HOST_AUTH_METHOD", "trust")),
    pod(env=env("SINGLE_NODE", "TRUE")),
    pod(env=env("DB_PASSWORD", "")),
    pod(env=env("DB_PASSWORD", "$(OTHER)")),
    pod(env=env("DATABASE_URL", "postgresql://orchest:$(POSTGRES_PASSWORD)@db/orchest")),
    pod(env=env("MIRROR", "http://host:8080/@scope/package")),
    pod(env=env("MAIL", "see http://host/path and write to me@example.com")),
    pod(env=[{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "credentials", "key": "password"}}}]),
    pod(env=[{"name": "DB_PASSWORD", "value": Unknown(UnknownValue.OWNER_UID)}]),
    pod(args=["--port=80", "--password", "$(PASSWORD)", "run"]),
    {"kind": "Pod", "spec": {"imagePullSecrets": [{"name": "a"}], "volumes": [{"secret": {"secretName": "a"}}]}},
    {
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": "a", "managedFields": [{"fieldsV1": {"f:data": {"f:a": {}}}}]},
    },
    {"kind": "ConfigMap", "data": {"buildkitd.toml": "[worker.containerd]\n  enabled = true\n"}},
    {"kind": "ConfigMap", "data": {"config.yml": "tls:\n  key: /certs/tls.key\n"}},
    {"kind": "Role", "rules": [{"resources": ["secrets"], "verbs": ["get"]}]},
    {"metadata": {"annotations": {"checksum/config": "abc", "orchest.io/owner": "a/b"}}},
]


@pytest.mark.parametrize("content", UNTOUCHED)
def test_what_is_no_secret_stays(content: dict[str, Any]) -> None:
    assert sensitive_paths(content) == frozenset()
    assert MASKER.mask_content(content) == content


def test_equal_secrets_mask_alike_under_one_key_only() -> None:
    one, other = (Masker(key) for key in (b"k" * 16, b"l" * 16))

    assert one.mask("a") == Masker(b"k" * 16).mask("a")
    assert len({one.mask("a"), one.mask("b"), other.mask("a")}) == 3
    assert one.key_id != other.key_id
    assert "kkkk" not in repr(one)


def test_a_leaf_is_masked_by_itself_as_in_its_object() -> None:
    content = URL_PLACES["password"]
    ((path, extent),) = sensitive_leaves(content).items()

    assert path == ("spec", "containers", 0, "env", 1, "value")
    assert extent is Extent.USERINFO
    assert (
        MASKER.mask_leaf(content["spec"]["containers"][0]["env"][1]["value"], extent)
        == (MASKER.mask_content(content)["spec"]["containers"][0]["env"][1]["value"])
    )
    assert is_masked(MASKER.mask_leaf(12, Extent.WHOLE))


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD",
        "DB_PASSWORD",
        "PGPASSWORD",
        "dbPassword",
        "db.passwd",
        "API_TOKEN",
        "accessToken",
        "CLIENT_SECRET",
        "secretKey",
        "SSH_KEY",
        "APIKEY",
        "x-api-key",
        "ENCRYPTION_KEYS",
        "AWS_ACCESS_KEY_ID",
        "AZURE_CREDENTIALS",
        "creds",
        "BASIC_AUTH",
        "OAUTH",
        "Authorization",
        "PASSPHRASE",
        "DB_PASS",
        "MYSQL_PWD",
        "SENTRY_DSN",
        "PASSWORD_FILE",
        "--requirepass",
        "AZURE_STORAGE_CONNECTION_STRING",
        "JWT",
        "SESSION_COOKIE",
    ],
)
def test_names_of_secrets_are_sensitive_in_every_spelling(name: str) -> None:
    assert is_sensitive_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "POSTGRES_HOST_AUTH_METHOD",
        "TZ",
        "PATH",
        "PGDATA",
        "KEYCLOAK_URL",
        "KEYBOARD",
        "AUTHOR",
        "AUTH_SERVER",
        "AUTH_MODE",
        "TLS_KEY_FILE",
        "COMPASS",
        "ORCHEST_LOG_LEVEL",
        "ORCHEST_GPU_ENABLED_INSTANCE",
        "BYPASS",
        "PYTHONUNBUFFERED",
        "CONTAINER_RUNTIME_SOCKET",
        "tls.key.path",
    ],
)
def test_names_that_only_resemble_a_secret_are_not(name: str) -> None:
    assert not is_sensitive_name(name)


# --- free text -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", spellings(CANARY))
def test_no_spelling_of_a_known_secret_survives_in_free_text(spelling: str) -> None:
    text = f'admission webhook said: "{spellings(CANARY)[spelling]}" is bad'

    scrubbed = MASKER.scrub(text, {CANARY})

    assert leaks(scrubbed, CANARY) == []
    assert scrubbed.startswith("admission webhook said: ")
    assert scrubbed.endswith(" is bad")
    assert CANARY in IDENTITY.scrub(text, {CANARY})


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=40),
    st.sampled_from(sorted(spellings(CANARY))),
)
def test_no_spelling_of_any_secret_survives(secret: str, spelling: str) -> None:
    written = spellings(secret)[spelling]

    assert written not in MASKER.scrub(f"before {written} after", {secret})


@pytest.mark.parametrize("place", PLACES)
def test_a_servers_error_that_quotes_any_of_the_places_is_scrubbed(place: str) -> None:
    text = "Deployment is invalid: " + ", ".join(f"got {spelling}" for spelling in spellings(CANARY).values())
    secrets = secrets_in(PLACES[place])

    assert leaks(MASKER.scrub(text, secrets), CANARY) == []
    assert CANARY in IDENTITY.scrub(text, secrets)


@pytest.mark.parametrize("place", PLACES)
def test_a_servers_error_that_quotes_the_whole_object_is_scrubbed(place: str) -> None:
    body = json.dumps({"message": f"failed to create typed patch object: {json.dumps(PLACES[place])}"})

    assert leaks(MASKER.scrub(body, secrets_in(PLACES[place])), CANARY) == []


@pytest.mark.parametrize("place", URL_PLACES)
def test_the_password_of_a_url_is_scrubbed_where_it_stands_alone_too(place: str) -> None:
    secrets = secrets_in(URL_PLACES[place])

    if place not in {"slash in it", "at in it", "quote in it"}:
        assert URL_CANARY not in MASKER.scrub(f"login failed for {URL_CANARY}", secrets)
    assert URL_CANARY not in MASKER.scrub(json.dumps(URL_PLACES[place]), secrets)


@pytest.mark.parametrize(
    "text",
    [
        f"cannot clone https://user:{URL_CANARY}@host/x.git: 403",
        f"cannot clone https://{URL_CANARY}@host/x.git: 403",
        f"cannot reach postgresql://u:a/b@{URL_CANARY}@host/db",
        f'Get "https://u:{URL_CANARY}@host/x?y=z": EOF',
        f"Authorization: Bearer {URL_CANARY}",
        f"authorization: basic {URL_CANARY}",
        f"GET /x?access_token={URL_CANARY}&a=b",
        f"env DB_PASSWORD={URL_CANARY} is set",
        f'api-token="{URL_CANARY}"',
    ],
)
def test_what_looks_like_a_secret_is_scrubbed_without_knowing_it(text: str) -> None:
    assert URL_CANARY not in MASKER.scrub(text)
    assert URL_CANARY in IDENTITY.scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        'secrets "orchest-credentials" not found',
        "orchest/orchest-api: spec.template.spec.containers[0].env[3].valueFrom.secretKeyRef.key: Required value",
        "http://host:8080/@scope/a is not there",
        "the object has been modified; please apply your changes to the latest version",
        "serviceaccounts is forbidden: basic access only, bearer of bad news",
    ],
)
def test_an_ordinary_message_stays_as_it_is(text: str) -> None:
    assert MASKER.scrub(text, {"hunter2"}) == text


def test_a_very_short_secret_goes_only_where_it_stands_as_a_word() -> None:
    assert MASKER.scrub("value abc, abcdef, x_abc, 'abc'", {"abc"}) == (
        f"value {MASKER.mask('abc')}, abcdef, x_abc, '{MASKER.mask('abc')}'"
    )
    assert MASKER.scrub("an apple a day", {"a"}) == f"an apple {MASKER.mask('a')} day"


def test_a_secret_that_holds_another_goes_as_a_whole() -> None:
    assert MASKER.scrub("hunter2-and-more", {"hunter2", "hunter2-and-more"}) == MASKER.mask("hunter2-and-more")


def test_scrubbing_twice_changes_nothing_more() -> None:
    text = f"https://u:{URL_CANARY}@host Bearer {URL_CANARY} password={URL_CANARY} {CANARY}"
    once = MASKER.scrub(text, {CANARY, URL_CANARY})

    assert MASKER.scrub(once, {CANARY, URL_CANARY}) == once


def test_the_lines_of_a_key_are_secrets_by_themselves() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nabcdefghijklmnop\n-----END PRIVATE KEY-----\n"
    secrets = secrets_in({"kind": "Secret", "data": {"tls.key": base64_of(key)}})

    scrubbed = MASKER.scrub("bad line MIIEvQIBADANBgkqhkiG9w0BAQ in -----BEGIN PRIVATE KEY-----", secrets)

    assert "MIIE" not in scrubbed
    assert "-----BEGIN PRIVATE KEY-----" in scrubbed
