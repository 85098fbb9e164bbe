"""More than a thousand ways to write that a webhook should go where it must not."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TRAPS_4 = (
    *("127.0.0.1", "127.8.9.10", "169.254.169.254", "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.0.1"),
    *("100.64.0.1", "100.100.100.200", "0.0.0.0", "198.18.0.1", "192.0.0.1", "192.0.2.1", "240.0.0.1", "168.63.129.16"),
)
TRAPS_6 = (
    *("::1", "::", "fc00::1", "fd00:ec2::254", "fec0::1", "100::1", "2001:db8::1", "3fff::1", "5f00::1", "fe80::1"),
    *("2001::1", "2001:10::1", "4000::1", "64:ff9b:1::1"),
)
PUBLIC_4 = "93.184.216.34"
PUBLIC_6 = "2606:4700::1111"
DOMAIN = "trap.test"
ZONE: dict[str, list[list[str]]] = {
    "localhost": [["127.0.0.1", "::1"]],
    f"public.{DOMAIN}": [[PUBLIC_4, PUBLIC_6]],
    f"alias.public.{DOMAIN}": [[f"=public.{DOMAIN}"]],
    **{f"{address.replace('.', '-')}.{DOMAIN}": [[address]] for address in TRAPS_4},
    **{f"{address}.{DOMAIN}": [[address]] for address in TRAPS_4},
    **{f"alias.{address}.{DOMAIN}": [[f"={address}.{DOMAIN}"]] for address in TRAPS_4},
    **{f"mixed.{address}.{DOMAIN}": [[PUBLIC_4, address], [address, PUBLIC_4]] for address in TRAPS_4},
    **{f"mapped.{address}.{DOMAIN}": [[f"::ffff:{address}"]] for address in TRAPS_4},
    **{f"nat64.{address}.{DOMAIN}": [[f"64:ff9b::{address}"]] for address in TRAPS_4},
    **{f"six{number}.{DOMAIN}": [[address]] for number, address in enumerate(TRAPS_6)},
    **{f"mixed.six{number}.{DOMAIN}": [[PUBLIC_4, address]] for number, address in enumerate(TRAPS_6)},
}
"""Names that always answer alike, or keep at least one trap in every answer."""
REBINDING: dict[str, list[list[str]]] = {
    **{f"late.{address}.{DOMAIN}": [[PUBLIC_4], [address]] for address in TRAPS_4},
    **{f"early.{address}.{DOMAIN}": [[address], [PUBLIC_4]] for address in TRAPS_4},
    **{f"later.{address}.{DOMAIN}": [[PUBLIC_4], [PUBLIC_4], [address]] for address in TRAPS_4},
}
"""Names whose answer changes from one query to the next."""

_FULL_WIDTH = {ord(character): ord(character) + 0xFEE0 for character in "0123456789abcdefxABCDEFX"}
_CIRCLED = {ord("1") + place: ord("\N{CIRCLED DIGIT ONE}") + place for place in range(9)}
_MATHEMATICAL = {ord("0") + place: ord("\N{MATHEMATICAL BOLD DIGIT ZERO}") + place for place in range(10)}
_DOTS = ("\N{IDEOGRAPHIC FULL STOP}", "\N{FULLWIDTH FULL STOP}", "\N{HALFWIDTH IDEOGRAPHIC FULL STOP}")


def urls() -> list[str]:
    """Each ends in /tN, N its place in the list."""
    hosts = dict.fromkeys(host for address in TRAPS_4 for host in _spellings_4(address))
    hosts |= dict.fromkeys(host for address in TRAPS_6 for host in _spellings_6(address))
    hosts |= dict.fromkeys(
        name for known in ZONE if "public" not in known for name in (known, known.upper(), known + ".")
    )
    written = [f"http://{host}/" for host in hosts]
    written += [url for address in TRAPS_4 for url in _disguises(address)]
    return [_numbered(url, number) for number, url in enumerate(dict.fromkeys(written))]


def _numbered(url: str, number: int) -> str:
    """The mark stands where each of two readings of the URL would find it in the path."""
    return url.replace("/?", f"/t{number}?") if "/?" in url else url + f"t{number}"


def _spellings_4(text: str) -> Iterator[str]:
    address = IPv4Address(text)
    number, octets = int(address), address.packed
    yield text
    yield text + "."
    yield from _of_number(number)
    for bases in ("xxxx", "oooo", "xddd", "dxdd", "ddox", "oxdd", "dddo", "dddx", "XXXX", "OOOO", "zzzz"):
        yield ".".join(_part(octet, base) for octet, base in zip(octets, bases, strict=True))
    low_24, low_16 = number & 0xFFFFFF, number & 0xFFFF
    for base in "dxoX":
        yield f"{_part(octets[0], base)}.{_part(low_24, base)}"
        yield f"{_part(octets[0], base)}.{_part(octets[1], base)}.{_part(low_16, base)}"
    yield f"{octets[0]}.{_part(octets[1], 'x')}.{_part(low_16, 'o')}"
    yield ".".join(str(octet + 256) for octet in octets)
    yield str(number + 2**32)
    yield "".join(f"%{ord(character):02x}" for character in text)
    yield text.replace(".", "%2e")
    yield text.replace("1", "%31")
    yield text.translate(_FULL_WIDTH)
    yield text.translate(_CIRCLED)
    yield text.translate(_MATHEMATICAL)
    yield hex(number).translate(_FULL_WIDTH)
    for dot in _DOTS:
        yield text.replace(".", dot)
    yield text[0] + "\N{SOFT HYPHEN}" + text[1:]
    yield text[0] + "\N{ZERO WIDTH SPACE}" + text[1:]
    yield text[0] + "\t" + text[1:]
    yield text[0] + "\n" + text[1:]
    yield from _carrying(address)


def _of_number(number: int) -> Iterator[str]:
    yield from (
        str(number),
        f"{number:#x}",
        f"{number:#X}",
        f"0{number:o}",
        f"0x{number:08x}",
        f"00{number:o}",
        f"{number}.",
    )


def _part(value: int, base: str) -> str:
    match base:
        case "x":
            return f"{value:#x}"
        case "X":
            return f"0x{value:010X}"
        case "o":
            return f"0{value:o}"
        case "O":
            return f"0000{value:o}"
        case "z":
            return f"0{value}" if value < 8 else str(value)
    return str(value)


def _carrying(address: IPv4Address) -> Iterator[str]:
    """IPv6 addresses whose packets end at this IPv4 address, somewhere."""
    number = int(address)
    high, low = f"{number >> 16:x}", f"{number & 0xFFFF:x}"
    for prefix in (
        "::ffff:",
        "::FFFF:",
        "0:0:0:0:0:ffff:",
        "0000:0000:0000:0000:0000:ffff:",
        "::ffff:0:",
        "::",
        "64:ff9b::",
    ):
        yield f"[{prefix}{address}]"
        yield f"[{prefix}{high}:{low}]"
    yield f"[64:ff9b:1::{address}]"
    yield f"[2002:{high}:{low}::1]"
    yield f"[2002:{high}:{low}::{address}]"
    yield f"[2001:0:{high}:{low}:0:0:{number >> 16 ^ 0xFFFF:x}:{number & 0xFFFF ^ 0xFFFF:x}]"
    yield f"[2606:4700::5efe:{address}]"
    yield f"[2606:4700::200:5efe:{high}:{low}]"
    yield f"[::ffff:{address}%lo]"
    yield f"[::ffff:{address}%25lo]"


def _spellings_6(text: str) -> Iterator[str]:
    address = IPv6Address(text)
    for spelling in dict.fromkeys((text, text.upper(), address.exploded, address.exploded.upper(), address.compressed)):
        yield f"[{spelling}]"
        yield f"[{spelling}%25trap0]"
        yield f"[{spelling}%trap0]"
    yield f"[{text}]:8080"
    yield f"[{text}%31]"
    yield f"[{text.replace(':', '%3a')}]"


def _disguises(trap: str) -> Iterator[str]:
    """The same host in a URL that two readers read differently, or that only a lenient one reads at all."""
    for host in (trap, f"[::ffff:{trap}]"):
        for port in (":80", ":8080", ":443", ":", ":0080", ":00000080"):
            yield f"http://{host}{port}/"
        for user in (PUBLIC_4, f"{PUBLIC_4}:80", f"public.{DOMAIN}", "user:password", "%61", f"{PUBLIC_4}%2f", ":", ""):
            yield f"http://{user}@{host}/"
        yield f"http://user@{PUBLIC_4}@{host}/"
        yield f"http://{host}\\@{PUBLIC_4}/"
        yield f"http://{PUBLIC_4}\\@{host}/"
        yield f"http:\\\\{host}/"
        yield f"http:/\\{host}/"
        yield f"http://{host}#@{PUBLIC_4}/"
        yield f"http://{PUBLIC_4}#@{host}/"
        yield f"http://{host}?@{PUBLIC_4}/"
        yield f"http://{PUBLIC_4} @{host}/"
        yield f"http://{host} @{PUBLIC_4}/"
        yield f"HTTP://{host}/"
        yield f"hTtP://{host}/"
        yield f"http:{host}/"
        yield f"http:/{host}/"
        yield f"http:///{host}/"
        yield f"//{host}/"
        yield f" http://{host}/"
        yield f"\thttp://{host}/"
        yield f"\nhttp://{host}/"
        yield f"h\nttp://{host}/"
        yield f"url:http://{host}/"
        yield f"<http://{host}/>"
        yield f"https://{host}/"
        yield f"https://{host}:8080/"
        yield f"http://{host}/?@{PUBLIC_4}"
        yield f"http://{host};{PUBLIC_4}/"
        yield f"http://{host},{PUBLIC_4}/"
        yield f"http://{host}\r\nHost: {PUBLIC_4}/"
    for scheme in ("ftp", "gopher", "file", "ws", "dict", "ldap", "unix", "jar:http", "http+unix", "view-source:http"):
        yield f"{scheme}://{trap}/"
