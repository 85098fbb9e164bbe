"""Makes the network of a fresh namespace by rtnetlink, for a machine need not have `ip`: loopback, and one interface to
which every address in the world is local.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

_NEW_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 20, 24
_REQUEST_ACK, _CREATE = 0x1 | 0x4, 0x400
_NAME, _LINK_INFO, _KIND = 3, 18, 1
_ADDRESS, _LOCAL, _ROUTE_OUT = 1, 2, 4
_UP = 1
_NO_DAD = 2
_TABLE_LOCAL, _PROTOCOL_STATIC, _SCOPE_HOST, _TYPE_LOCAL = 255, 4, 254, 2


def make_everything_local(interface: str, addresses: list[str]) -> None:
    """`interface` carries `addresses`, and by local routes every other one too. Needs a namespace of one's own."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        _set_up(netlink, "lo")
        _add_interface(netlink, interface)
        _set_up(netlink, interface)
        for address in addresses:
            _add_address(netlink, interface, ip_address(address))
        for family in (socket.AF_INET, socket.AF_INET6):
            route = struct.pack(
                "=BBBBBBBBI", family, 0, 0, 0, _TABLE_LOCAL, _PROTOCOL_STATIC, _SCOPE_HOST, _TYPE_LOCAL, 0
            )
            out = struct.pack("=I", socket.if_nametoindex(interface))
            _ask(netlink, _NEW_ROUTE, _CREATE, route + _attribute(_ROUTE_OUT, out))


def _add_interface(netlink: socket.socket, name: str) -> None:
    """A dummy, or on a kernel without them a bridge with no ports, which is as good."""
    for kind in (b"dummy", b"bridge"):
        info = _attribute(_LINK_INFO, _attribute(_KIND, kind))
        try:
            _ask(netlink, _NEW_LINK, _CREATE, _link(0, 0) + _attribute(_NAME, name.encode() + b"\0") + info)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
        else:
            return
    raise OSError(errno.EOPNOTSUPP, "this kernel has neither dummy nor bridge interfaces")


def _set_up(netlink: socket.socket, name: str) -> None:
    _ask(netlink, _NEW_LINK, 0, _link(socket.if_nametoindex(name), _UP))


def _add_address(netlink: socket.socket, name: str, address: IPv4Address | IPv6Address) -> None:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    head = struct.pack("=BBBBI", family, address.max_prefixlen, _NO_DAD, 0, socket.if_nametoindex(name))
    packed = address.packed
    _ask(netlink, _NEW_ADDRESS, _CREATE, head + _attribute(_LOCAL, packed) + _attribute(_ADDRESS, packed))


def _link(index: int, flags: int) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, flags)


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + b"\0" * (-length % 4)


def _ask(netlink: socket.socket, kind: int, flags: int, payload: bytes) -> None:
    netlink.send(struct.pack("=IHHII", 16 + len(payload), kind, _REQUEST_ACK | flags, 1, 0) + payload)
    (code,) = struct.unpack_from("=i", netlink.recv(65536), 16)
    if code:
        raise OSError(-code, os.strerror(-code))
