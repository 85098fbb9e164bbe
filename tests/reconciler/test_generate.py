"""Certificates that container runtimes accept, and passwords that are never changed under a running database."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from desired_state.objects import Generated, Recipe
from diff.generated import reason_to_generate
from reconciler.generate import LIFETIME, Material, carried_over, generate, stands_for

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOSTS = ("docker-registry", "docker-registry.orchest", "docker-registry.orchest.svc.cluster.local")
CERTIFICATE = Generated(Recipe.REGISTRY_CERTIFICATE, ("ca.crt", "tls.crt", "tls.key"), HOSTS)
PASSWORDS = Generated(Recipe.PASSWORDS, ("broker-password", "database-password"))


@pytest.fixture(scope="module")
def material() -> Material:
    return generate(CERTIFICATE, {}, address="10.96.3.4", now=NOW)


def decoded(material: Material, key: str) -> bytes:
    return base64.b64decode(material.data[key], validate=True)


def certificate(material: Material, key: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(decoded(material, key))


@pytest.mark.parametrize("name", [*(x509.DNSName(host) for host in HOSTS), x509.IPAddress(ip_address("10.96.3.4"))])
def test_a_client_that_trusts_the_ca_trusts_the_registry_under_each_of_its_names(
    material: Material, name: x509.DNSName | x509.IPAddress
) -> None:
    verifier = PolicyBuilder().store(Store([certificate(material, "ca.crt")])).time(NOW).build_server_verifier(name)
    chain = verifier.verify(certificate(material, "tls.crt"), [])
    assert chain[-1] == certificate(material, "ca.crt")


def test_the_key_belongs_to_the_certificate_and_the_ca_is_named_orchest(material: Material) -> None:
    key = load_pem_private_key(decoded(material, "tls.key"), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.public_key() == certificate(material, "tls.crt").public_key()
    names = certificate(material, "ca.crt").subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert [name.value for name in names] == ["orchest"]


def test_a_certificate_lasts_a_year_and_is_valid_for_clocks_that_are_a_little_behind(material: Material) -> None:
    made = certificate(material, "tls.crt")
    assert made.not_valid_after_utc == NOW + LIFETIME
    assert made.not_valid_before_utc == NOW - timedelta(minutes=5)


def secret(material: Material) -> dict[str, object]:
    return {"metadata": {"annotations": dict(material.annotations)}, "data": dict(material.data)}


@pytest.mark.parametrize(
    ("address", "days", "again"),
    [("10.96.3.4", 0, False), ("10.96.3.4", 334, False), ("10.96.3.4", 336, True), ("10.96.3.5", 0, True)],
)
def test_the_planner_agrees_with_what_was_generated(material: Material, address: str, days: int, again: bool) -> None:
    now = (NOW + timedelta(days=days)).isoformat().replace("+00:00", "Z")
    assert (reason_to_generate(CERTIFICATE, secret(material), address=address, now=now) is not None) is again


def test_a_password_that_exists_is_kept_and_a_missing_one_is_made() -> None:
    made = generate(PASSWORDS, {"database-password": "a2VlcA=="}, address="", now=NOW)
    assert made.data["database-password"] == "a2VlcA=="
    assert len(base64.b64decode(made.data["broker-password"])) >= 32


def test_two_passwords_are_never_alike() -> None:
    made = [generate(PASSWORDS, {}, address="", now=NOW) for _ in range(20)]
    assert len({password for material in made for password in material.data.values()}) == 40


def test_what_a_secret_holds_is_sent_along_with_an_update_of_its_labels(material: Material) -> None:
    assert carried_over(CERTIFICATE, secret(material)) == material
    assert carried_over(PASSWORDS, {"metadata": {}, "data": {"other": "eA=="}}) == Material({}, {})


def test_a_rehearsal_sends_no_real_material() -> None:
    assert set(stands_for(CERTIFICATE).data) == {"ca.crt", "tls.crt", "tls.key"}
    assert {base64.b64decode(value) for value in stands_for(CERTIFICATE).data.values()} == {b"dry-run"}
