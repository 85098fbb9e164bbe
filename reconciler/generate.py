"""Makes what a `generate` action asks for: the registry's certificate, and passwords. The material goes into one
Secret and nowhere else.

In: a recipe, the Secret's present data, the registry's address, the time. Out: `Material`, base64 as Secrets hold it.
Never: the loss of a password that is in use, a private key of a CA that outlives this call, or a log line.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from desired_state.objects import Recipe
from diff.generated import EXPIRES_ANNOTATION, GENERATED_FOR_ANNOTATION, generated_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from desired_state.objects import Generated, Json

LIFETIME = timedelta(days=365)
_PASSWORD_BYTES = 24
_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Material:
    data: Mapping[str, str]
    annotations: Mapping[str, str]


def generate(generated: Generated, existing: Mapping[str, str], *, address: str, now: datetime) -> Material:
    """New material. `existing` is the Secret's data: a password that is there stays, a certificate is made anew."""
    match generated.recipe:
        case Recipe.PASSWORDS:
            return Material({key: existing.get(key) or _password() for key in generated.keys}, {})
        case Recipe.REGISTRY_CERTIFICATE:
            return _registry_certificate(generated.hosts, address, now)


def stands_for(generated: Generated) -> Material:
    """Material of the right shape and without worth, for a dry-run."""
    return Material({key: _base64(b"dry-run") for key in generated.keys}, {})


def carried_over(generated: Generated, secret: Mapping[str, Json]) -> Material:
    """What the Secret holds already: an update of its labels must send it along, or server-side apply would drop it."""
    data, annotations = secret.get("data") or {}, secret["metadata"].get("annotations") or {}
    return Material(
        {key: data[key] for key in generated.keys if key in data},
        {name: annotations[name] for name in (GENERATED_FOR_ANNOTATION, EXPIRES_ANNOTATION) if name in annotations},
    )


def _password() -> str:
    return _base64(secrets.token_urlsafe(_PASSWORD_BYTES).encode())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _registry_certificate(hosts: tuple[str, ...], address: str, now: datetime) -> Material:
    """A CA that signs one server certificate and is then forgotten: nobody can sign a second one."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = _name("orchest")
    names = [*(x509.DNSName(host) for host in hosts), *([x509.IPAddress(ip_address(address))] if address else [])]
    expires = now + LIFETIME
    ca = _sign(
        authority,
        issuer,
        subject=issuer,
        public_key=authority.public_key(),
        now=now,
        extensions=[
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (_usage(signs=True), True),
        ],
    )
    server = _sign(
        authority,
        issuer,
        subject=_name(hosts[0] if hosts else address),
        public_key=key.public_key(),
        now=now,
        extensions=[
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage(signs=False), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (x509.SubjectAlternativeName(names), False),
        ],
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Material(
        {"ca.crt": _pem(ca), "tls.crt": _pem(server), "tls.key": _base64(private)},
        {
            GENERATED_FOR_ANNOTATION: generated_for(hosts, address),
            EXPIRES_ANNOTATION: expires.isoformat(timespec="seconds").replace("+00:00", "Z"),
        },
    )


def _sign(
    authority: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    *,
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    extensions: Iterable[tuple[x509.ExtensionType, bool]],
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(authority, hashes.SHA256())


def _usage(*, signs: bool) -> x509.KeyUsage:
    """A CA signs certificates, a server signs handshakes; nothing else is allowed to either."""
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _pem(certificate: x509.Certificate) -> str:
    return _base64(certificate.public_bytes(Encoding.PEM))
