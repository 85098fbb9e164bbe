"""Where a webhook may go: which URLs are plain enough to be believed, which addresses are reachable by everybody.

In: the URL as its owner wrote it, the addresses its name resolved to, the operator's `ORCHEST_ALLOWED_NETWORKS`. Out: a
`Target`, or a `Refusal` with what, why and the mend. Never: resolves, connects, or repeats more of a URL than its
origin, for a path may be a secret.

A URL that two parsers could read differently is refused, not interpreted. The transport asks again for every address
it is about to connect to, so this module is believed at the moment of connecting and not a moment before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAXIMUM_URL = 2048
"""Characters."""

_URL = re.compile(
    r"(?P<scheme>[^:/?#]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?:#.*)?", re.DOTALL
)
_AUTHORITY = re.compile(r"(?:\[(?P<six>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>.*))?", re.DOTALL)
_PRINTABLE = re.compile(r"[!-~]*")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_PORT = re.compile(r"[1-9]\d{0,4}")
_DEFAULT_PORTS = {"http": 80, "https": 443}

_FIRST_FREE_PORT = 1024
"""Below it only 80 and 443: the rest belongs to services that are not HTTP."""
_DENIED_PORTS = frozenset(
    {
        # What browsers refuse from 1024 up: services that read a POST as commands of their own.
        1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697,
        10080,
        # Databases, brokers, and the ports that run a container host or a cluster.
        1433, 1521, 2181, 2375, 2376, 2379, 2380, 3306, 5432, 5672, 6379, 6443, 9042, 10250, 10255, 11211, 27017,
    }
)  # fmt: skip

_PRIVATE = "private"
_RESERVED = "reserved"
_DOCUMENTATION = "for documentation only"
_SPECIAL = "for special purposes only"
_METADATA = "a cloud's metadata service"
_DENIED: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "this host"),
        ("10.0.0.0/8", _PRIVATE),
        ("100.64.0.0/10", "private (a carrier's)"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", _METADATA),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", _PRIVATE),
        ("192.0.0.0/24", _SPECIAL),
        ("192.0.2.0/24", _DOCUMENTATION),
        ("192.31.196.0/24", _SPECIAL),
        ("192.52.193.0/24", _SPECIAL),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", _PRIVATE),
        ("192.175.48.0/24", _SPECIAL),
        ("198.18.0.0/15", "for benchmarks only"),
        ("198.51.100.0/24", _DOCUMENTATION),
        ("203.0.113.0/24", _DOCUMENTATION),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", _RESERVED),
        ("::/128", "this host"),
        ("::1/128", "loopback"),
        ("64:ff9b::/96", "a NAT64 translation"),
        ("64:ff9b:1::/48", "a private NAT64 translation"),
        ("100::/64", "a black hole"),
        ("2001::/32", "a Teredo tunnel"),
        ("2001::/23", _SPECIAL),
        ("2001:db8::/32", _DOCUMENTATION),
        ("2002::/16", "a 6to4 tunnel"),
        ("2620:4f:8000::/48", _SPECIAL),
        ("3fff::/20", _DOCUMENTATION),
        ("5f00::/16", "for segment routing only"),
        ("fc00::/7", _PRIVATE),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
        # Whatever is left outside 2000::/3 is not global unicast.
        ("::/3", _RESERVED),
        ("4000::/2", _RESERVED),
        ("8000::/1", _RESERVED),
    )
)
_CARRYING = tuple(IPv6Network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96"))
"""NAT64, well-known and local; IPv4-compatible; IPv4-translated: the last 32 bits are an IPv4 address."""
_LAST_UNCARRYING = 1
"""`::` and `::1` are themselves."""
_LAST_32_BITS = 0xFFFFFFFF
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
"""The upper half of an interface id that ends in an IPv4 address."""

_MEND = "the operator may allow its network in ORCHEST_ALLOWED_NETWORKS"


class NetworkError(Exception):
    """ORCHEST_ALLOWED_NETWORKS cannot be used: which part, and the mend."""


@dataclass(frozen=True, slots=True)
class Refusal:
    reason: str
    """What is wrong and the mend: one line, without path, query or user of the URL."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL read once. The transport builds its request from these parts and reads the text no second time."""

    scheme: str
    """`http` or `https`."""
    host: str
    """A name in lower case, or an address in its one canonical spelling, without brackets."""
    port: int
    path: str
    """Begins with a slash; as written, never decoded."""
    query: str
    """Without its question mark."""

    @property
    def bracketed(self) -> str:
        """The host as URLs write it."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def origin(self) -> str:
        """All of the URL that may be shown."""
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.bracketed}{port}"


@dataclass(frozen=True, slots=True)
class Guard:
    allowed_networks: tuple[Network, ...] = ()

    def check(self, url: str) -> Target | Refusal:
        """What can be said without asking a name server: spelling, scheme, port, an address written out."""
        target = check_url(url)
        if isinstance(target, Refusal):
            return target
        address = _address(target.host)
        reason = address and forbidden(address, self.allowed_networks)
        return Refusal(f"its address is {reason}; {_MEND}") if reason else target

    def refusal(self, addresses: Iterable[str]) -> str:
        """Why a name with these addresses is not connected to, "" if it may be. One forbidden address spoils all."""
        for written in addresses:
            reason = forbidden(ip_address(written), self.allowed_networks)
            if reason:
                return f"its name leads to an address that is {reason}; {_MEND}"
        return ""


def parse_networks(written: Iterable[str]) -> tuple[Network, ...]:
    """CIDRs, or single addresses. Raises NetworkError."""
    return tuple(_network(text) for text in written)


def forbidden(address: Address, allowed_networks: Iterable[Network]) -> str | None:
    """What `address` is that it is not connected to, or None. An address that carries another is judged by both."""
    allowed = tuple(allowed_networks)
    for seen in _seen(address):
        if any(seen in network for network in allowed):
            continue
        for network, reason in _DENIED:
            if seen in network:
                return f"{reason} ({network})"
    return None


def check_url(url: str) -> Target | Refusal:
    """Only what every parser reads alike: http or https, plain ASCII, no user, a canonical host, a sane port."""
    if len(url) > MAXIMUM_URL:
        return Refusal(f"the URL has {len(url)} characters, {MAXIMUM_URL} are allowed")
    if not _PRINTABLE.fullmatch(url) or "\\" in url:
        return Refusal(
            "the URL has a space, a backslash, a control or a non-ASCII character: "
            "percent-encode it in the path, write an international name as xn--..."
        )
    parts = _URL.fullmatch(url)
    scheme = parts["scheme"].lower() if parts else ""
    if parts is None or scheme not in _DEFAULT_PORTS:
        return Refusal("the URL does not begin with http:// or https://")
    host, port = _split(parts["authority"])
    reason = _wrong_authority(parts["authority"]) or _wrong_host(host) or _wrong_port(port)
    if reason:
        return Refusal(reason)
    return Target(
        scheme=scheme,
        host=str(_address(host) or host),
        port=int(port) if port is not None else _DEFAULT_PORTS[scheme],
        path=parts["path"] or "/",
        query=(parts["query"] or "?")[1:],
    )


def _split(authority: str) -> tuple[str, str | None]:
    """Host in lower case, and the text of the port when there is a colon; ("", None) when it is no authority."""
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        return "", None
    return (f"[{parts['six']}]" if parts["six"] is not None else parts["name"]).lower(), parts["port"]


def _wrong_authority(authority: str) -> str:
    if "@" in authority:
        return "the URL has a user or password in it: send credentials in a custom header"
    if "%" in authority:
        return "the URL has a percent sign in its host: write the host plainly, without a zone"
    return ""


def _wrong_host(host: str) -> str:
    if not host:
        return "the URL names no host"
    if _address(host):
        return ""
    labels = host.removesuffix(".").split(".")
    if host.startswith("[") or _NUMBER.fullmatch(labels[-1]):
        return "the URL's host is no address in its usual spelling: write 203.0.113.7 or [2001:db8::7]"
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return "the URL's host is no name: labels of letters, digits and hyphens with dots in between"
    return ""


def _wrong_port(port: str | None) -> str:
    if port is None:
        return ""
    if not _PORT.fullmatch(port) or int(port) > 65535:
        return "the URL's port is no number from 1 to 65535"
    number = int(port)
    if number in _DENIED_PORTS or (number < _FIRST_FREE_PORT and number not in _DEFAULT_PORTS.values()):
        return "the URL's port belongs to a service that is no webhook: use 80, 443 or a free one from 1024 up"
    return ""


def _address(host: str) -> Address | None:
    """Of a host that is an address in its one canonical spelling (brackets around IPv6, no zone), else None."""
    try:
        return IPv6Address(host[1:-1]) if host.startswith("[") else ip_address(host)
    except ValueError:
        return None


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise NetworkError(
            f"ORCHEST_ALLOWED_NETWORKS: {error}. Write networks such as 10.0.0.0/8 or fd00::/8, separated by commas."
        ) from None


def _seen(address: Address) -> tuple[Address, ...]:
    """All addresses that a packet to this one may end at."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped:
        return (address.ipv4_mapped,)
    return (address, *_carried(address))


def _carried(address: IPv6Address) -> list[IPv4Address]:
    last = IPv4Address(int(address) & _LAST_32_BITS)
    carried = [*(address.teredo or ())]
    if address.sixtofour:
        carried.append(address.sixtofour)
    if int(address) > _LAST_UNCARRYING and any(address in network for network in _CARRYING):
        carried.append(last)
    if int(address) >> 32 & _LAST_32_BITS in _ISATAP:
        carried.append(last)
    return carried
