"""Image references parse completely, and a custom image is never touched."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired_state.images import (
    ImageDecision,
    ImageReference,
    ImageSource,
    ImageSyntaxError,
    decide_image,
    parse_image,
    postgres_major,
)
from desired_state.release import Component

SHA256 = "sha256:" + "0123456789abcdef" * 4
VERSION = "v2026.11.0"
OWN = [
    Component.ORCHEST_API,
    Component.ORCHEST_WEBSERVER,
    Component.CELERY_WORKER,
    Component.AUTH_SERVER,
    Component.NODE_AGENT,
    Component.BUILDKIT_DAEMON,
]
HUB_SPELLINGS = [
    "",
    "docker.io/",
    "index.docker.io/",
    "registry-1.docker.io/",
    "registry.hub.docker.com/",
    "Docker.IO/",
    "docker.io:443/",  # stays last: it has a port already
]


def decide(
    component: Component,
    written: str | None,
    *,
    registry: str = "",
    former: tuple[str, ...] = (),
    pinned: frozenset[str] = frozenset(),
) -> ImageDecision:
    return decide_image(component, written, version=VERSION, registry=registry, former_registries=former, pinned=pinned)


# --- the grammar -----------------------------------------------------------------------------------------------------

PARSED = [
    ("postgres", "docker.io", "library/postgres", "", ""),
    ("postgres:13.1", "docker.io", "library/postgres", "13.1", ""),
    ("library/postgres:13.1", "docker.io", "library/postgres", "13.1", ""),
    ("docker.io/postgres:13.1", "docker.io", "library/postgres", "13.1", ""),
    ("orchest/orchest-api:v2022.10.1", "docker.io", "orchest/orchest-api", "v2022.10.1", ""),
    ("localhost/a", "localhost", "a", "", ""),
    ("localhost:5000/a/b:c", "localhost:5000", "a/b", "c", ""),
    ("registry.example.com:5000/team/sub/name:1.0", "registry.example.com:5000", "team/sub/name", "1.0", ""),
    ("10.0.0.1:5000/a", "10.0.0.1:5000", "a", "", ""),
    ("[2001:db8::1]:5000/a:b", "[2001:db8::1]:5000", "a", "b", ""),
    ("registry:5000/a", "registry:5000", "a", "", ""),
    ("Registry.Example.com/a", "registry.example.com", "a", "", ""),
    (f"a@{SHA256}", "docker.io", "library/a", "", SHA256),
    (f"quay.io/a/b:c@{SHA256}", "quay.io", "a/b", "c", SHA256),
    (f"a@sha512:{'0' * 128}", "docker.io", "library/a", "", f"sha512:{'0' * 128}"),
    ("a_b/c__d/e-f/g---h/i.j:_x.Y-z", "docker.io", "a_b/c__d/e-f/g---h/i.j", "_x.Y-z", ""),
    ("a:5000", "docker.io", "library/a", "5000", ""),
    ("a/b:" + "t" * 128, "docker.io", "a/b", "t" * 128, ""),
]


@pytest.mark.parametrize(("text", "registry", "repository", "tag", "digest"), PARSED)
def test_every_part_of_a_reference_is_found(text: str, registry: str, repository: str, tag: str, digest: str) -> None:
    assert parse_image(text) == ImageReference(registry, repository, tag, digest)


@pytest.mark.parametrize("spelling", HUB_SPELLINGS)
@pytest.mark.parametrize("name", ["postgres", "library/postgres"])
def test_docker_hub_in_every_spelling_is_one_registry(spelling: str, name: str) -> None:
    image = parse_image(f"{spelling}{name}:13.1")

    assert image.canonical == "docker.io/library/postgres:13.1"
    assert image.familiar == "postgres:13.1"


def test_no_tag_means_latest_but_only_without_a_digest() -> None:
    assert parse_image("a").canonical == parse_image("a:latest").canonical == "docker.io/library/a:latest"
    assert parse_image(f"a@{SHA256}").canonical == f"docker.io/library/a@{SHA256}"


REFUSED = [
    ("", "leave the field out"),
    (" a", "white space"),
    ("a b", "white space"),
    ("a\n", "white space"),
    ("https://quay.io/a", "scheme"),
    ("Orchest/orchest-api:v1", 'write "orchest"'),
    ("quay.io/Team/a", 'write "team"'),
    ("a/B", 'write "b"'),
    ("a:", "tag is empty"),
    ("a:-x", "is not a tag"),
    ("a:b:c", "is not a tag"),
    ("a:" + "t" * 129, "129 characters"),
    ("a@", "is not a digest"),
    ("a@sha256:abc", "64 hex digits"),
    (f"a@sha256:{'A' * 64}", "is not a digest"),
    (f"a@md5:{'0' * 32}", "is not a digest"),
    (f"a@{SHA256}@{SHA256}", "is not a digest"),
    ("/a", "empty part"),
    ("a//b", "empty part"),
    ("a/", "empty part"),
    ("quay.io/", "empty part"),
    ("a..b/c", "is not a registry"),
    ("a___b", "is not a part of a repository"),
    ("-a/b", "is not a part of a repository"),
    ("a-/b", "is not a part of a repository"),
    ("quay.io:x/a", "is not a registry"),
    ("user@quay.io/a", "is not a digest"),
    ("a" * 256, "256 characters"),
    ("0" * 64, "image id"),
    ("ä", "is not a part of a repository"),
    ("$(IMAGE)", "is not a part of a repository"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_no_image_is_refused_with_the_mend(text: str, message: str) -> None:
    with pytest.raises(ImageSyntaxError) as refusal:
        parse_image(text)
    assert message in str(refusal.value)


words = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
components = st.builds(
    lambda first, rest: first + "".join(separator + word for separator, word in rest),
    words,
    st.lists(st.tuples(st.sampled_from([".", "_", "__", "-", "---"]), words), max_size=3),
)
repositories = st.lists(components, min_size=1, max_size=4).map("/".join)
labels = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,6}[A-Za-z0-9])?", fullmatch=True)
hosts = st.one_of(
    st.lists(labels, min_size=2, max_size=4).map(".".join),
    st.just("localhost"),
    st.sampled_from(["[::1]", "10.0.0.1", *(spelling.rstrip("/") for spelling in HUB_SPELLINGS[1:-1])]),
)
registries = st.one_of(
    hosts, st.builds("{}:{}".format, st.one_of(hosts, labels), st.integers(min_value=1, max_value=65535))
)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
digests = st.sampled_from([("sha256", 64), ("sha384", 96), ("sha512", 128)]).flatmap(
    lambda kind: st.text("0123456789abcdef", min_size=kind[1], max_size=kind[1]).map(lambda text: f"{kind[0]}:{text}")
)
images = st.builds(
    lambda registry, repository, tag, digest: (
        (f"{registry}/" if registry else "")
        + repository
        + (f":{tag}" if tag else "")
        + (f"@{digest}" if digest else "")
    ),
    st.one_of(st.just(""), registries),
    repositories.filter(lambda name: "." not in name.partition("/")[0] and name.partition("/")[0] != "localhost"),
    st.one_of(st.just(""), tags),
    st.one_of(st.just(""), digests),
)


@given(images)
def test_a_reference_means_the_same_written_canonically_or_familiarly(text: str) -> None:
    image = parse_image(text)

    assert parse_image(image.canonical).canonical == image.canonical
    assert parse_image(image.familiar) == image


@given(repositories.filter(lambda name: "/" in name and "." not in name and not name.startswith("localhost/")), tags)
def test_tag_and_repository_come_back_as_written(repository: str, tag: str) -> None:
    image = parse_image(f"{repository}:{tag}")

    assert (image.registry, image.repository, image.tag) == ("docker.io", repository, tag)


# --- the decision ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("component", list(Component))
@pytest.mark.parametrize("unset", [None, ""])
def test_an_unset_image_follows_the_release(component: Component, unset: str | None) -> None:
    decision = decide(component, unset, registry="registry.example.com:5000")

    assert decision.source is ImageSource.RELEASE
    assert decision.written == ""
    expected = {
        Component.ORCHEST_DATABASE: "postgres:13.1",
        Component.RABBITMQ_SERVER: "redis:7.2",
        Component.DOCKER_REGISTRY: "registry:2.8",
    }
    assert decision.image == expected.get(component, f"registry.example.com:5000/orchest/{component}:{VERSION}")


@pytest.mark.parametrize("component", OWN)
@pytest.mark.parametrize("prefix", [*HUB_SPELLINGS, "registry.example.com:5000/", "old.example.com/mirror/"])
def test_what_the_original_wrote_as_its_default_follows_the_release(component: Component, prefix: str) -> None:
    written = f"{prefix}orchest/{component}:v2022.08.1"

    decision = decide(component, written, registry="registry.example.com:5000", former=("old.example.com/mirror",))

    assert decision.source is ImageSource.ORIGINAL_DEFAULT
    assert decision.image == f"registry.example.com:5000/orchest/{component}:{VERSION}"
    assert decision.written == written
    assert written in decision.reason


@pytest.mark.parametrize(
    ("component", "written", "image"),
    [
        (Component.ORCHEST_DATABASE, "postgres:13.1", "postgres:13.1"),
        (Component.ORCHEST_DATABASE, "docker.io/library/postgres:13.1", "postgres:13.1"),
        (Component.RABBITMQ_SERVER, "rabbitmq:3", "redis:7.2"),
        (Component.RABBITMQ_SERVER, "index.docker.io/rabbitmq:3", "redis:7.2"),
    ],
)
def test_the_originals_database_and_broker_follow_the_release(component: Component, written: str, image: str) -> None:
    decision = decide(component, written, registry="registry.example.com")

    assert (decision.source, decision.image) == (ImageSource.ORIGINAL_DEFAULT, image)


CUSTOM = [
    (Component.ORCHEST_API, "quay.io/team/orchest-api:v2022.08.1"),
    (Component.ORCHEST_API, "orchest/orchest-api:latest"),
    (Component.ORCHEST_API, "orchest/orchest-api"),
    (Component.ORCHEST_API, "orchest/orchest-api:v2022.8.1"),
    (Component.ORCHEST_API, "orchest/orchest-api:v2022.08.1-fix"),
    (Component.ORCHEST_API, "orchest/orchest-api:v2022.08"),
    (Component.ORCHEST_API, "orchest/orchest-api:V2022.08.1"),
    (Component.ORCHEST_API, f"orchest/orchest-api:v2022.08.1@{SHA256}"),
    (Component.ORCHEST_API, f"orchest/orchest-api@{SHA256}"),
    (Component.ORCHEST_API, "orchest/auth-server:v2022.08.1"),
    (Component.ORCHEST_API, "unlisted.example.com/orchest/orchest-api:v2022.08.1"),
    (Component.ORCHEST_API, "registry.example.com:5001/orchest/orchest-api:v2022.08.1"),
    (Component.ORCHEST_API, "registry.example.com:5000/mirror/orchest/orchest-api:v2022.08.1"),
    (Component.ORCHEST_DATABASE, "postgres:13.2"),
    (Component.ORCHEST_DATABASE, "postgres"),
    (Component.ORCHEST_DATABASE, f"postgres:13.1@{SHA256}"),
    (Component.ORCHEST_DATABASE, "registry.example.com:5000/postgres:13.1"),
    (Component.RABBITMQ_SERVER, "rabbitmq:3.9"),
    (Component.RABBITMQ_SERVER, "redis:7.2"),
    (Component.DOCKER_REGISTRY, "registry:2.8"),
    (Component.NODE_AGENT, "orchest/node-agent:dev"),
    (Component.BUILDKIT_DAEMON, "moby/buildkit:v0.10.4"),
]


@pytest.mark.parametrize(("component", "written"), CUSTOM)
@pytest.mark.parametrize("pinned", [frozenset[str](), frozenset(Component)])
def test_everything_else_is_custom_and_stays_exactly_as_written(
    component: Component, written: str, pinned: frozenset[str]
) -> None:
    decision = decide(component, written, registry="registry.example.com:5000", pinned=pinned)

    assert (decision.source, decision.image, decision.written) == (ImageSource.CUSTOM, written, written)


@given(st.sampled_from(sorted(Component)), images, st.sampled_from(["", "registry.example.com:5000"]))
def test_no_image_at_all_is_ever_rewritten_unless_it_is_a_release_image(
    component: Component, written: str, registry: str
) -> None:
    decision = decide(component, written, registry=registry)

    assert decision.source in {ImageSource.CUSTOM, ImageSource.ORIGINAL_DEFAULT}
    if decision.source is ImageSource.ORIGINAL_DEFAULT:
        assert parse_image(written).canonical in {
            "docker.io/library/postgres:13.1",
            "docker.io/library/rabbitmq:3",
        } or (f"orchest/{component}:v2" in written)
    else:
        assert decision.image == written


@given(
    st.sampled_from(OWN),
    st.from_regex(r"v[0-9]{4}\.[0-9]{2}\.[0-9]{1,3}", fullmatch=True),
    st.sampled_from(["", "registry.example.com:5000", "old.example.com"]),
    st.sampled_from(["", "registry.example.com:5000"]),
)
def test_a_default_of_the_original_is_recognised_after_the_registry_changed(
    component: Component, tag: str, written_at: str, registry: str
) -> None:
    written = f"{written_at}/orchest/{component}:{tag}" if written_at else f"orchest/{component}:{tag}"

    decision = decide(component, written, registry=registry, former=("old.example.com", "registry.example.com:5000"))

    assert decision.image == decide(component, None, registry=registry).image


@pytest.mark.parametrize("component", OWN)
def test_a_pinned_release_image_stays_as_written(component: Component) -> None:
    written = f"orchest/{component}:v2022.08.1"

    decision = decide(component, written, pinned=frozenset({component.value}))

    assert (decision.source, decision.image) == (ImageSource.PINNED, written)
    assert decide(component, written, pinned=frozenset({"other"})).source is ImageSource.ORIGINAL_DEFAULT


def test_a_pin_without_an_image_follows_the_release() -> None:
    assert decide(Component.ORCHEST_API, None, pinned=frozenset(Component)).source is ImageSource.RELEASE


def test_a_custom_broker_is_told_that_it_must_speak_redis() -> None:
    assert "Redis protocol" in decide(Component.RABBITMQ_SERVER, "rabbitmq:3.9").reason
    assert "Redis" not in decide(Component.ORCHEST_API, "quay.io/a/b:c").reason


@pytest.mark.parametrize(
    ("image", "major"),
    [
        ("postgres:13.1", 13),
        ("postgres:16", 16),
        ("postgres:14-alpine", 14),
        ("bitnami/postgresql:15.2.0-debian-11", 15),
        ("postgis/postgis:13-3.1", 13),
        ("timescale/timescaledb:2.9.1-pg14", 14),
        ("postgres", None),
        ("postgres:latest", None),
        ("postgres:alpine", None),
        ("registry.example.com/team/database:13.1", None),
        (f"postgres@{SHA256}", None),
        (f"postgres:13.1@{SHA256}", 13),
        ("not an image", None),
    ],
)
def test_the_postgres_major_is_read_from_the_tag_or_unknown(image: str, major: int | None) -> None:
    assert postgres_major(image) == major
