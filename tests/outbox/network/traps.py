"""Listens on every address of the namespace and remembers which of them was reached, by which request."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Self

PORTS = (80, 443, 8080)
_MARK = re.compile(rb"/t(\d+)")


@dataclass
class Reached:
    address: str
    number: int | None = None
    """In the path of the request: which URL of the corpus it was."""


@dataclass
class Traps:
    """Connections since the last `take`."""

    reached: list[Reached] = field(default_factory=list)
    inward: str = "http://169.254.169.254/latest/"
    """Where a request for /.../redirect is sent."""

    def start(self) -> Self:
        for port in PORTS:
            server = _Server(("::", port), self)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 5}, daemon=True).start()
        return self

    def take(self) -> list[Reached]:
        reached, self.reached = self.reached, []
        return reached


class _Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], traps: Traps) -> None:
        self.traps = traps
        super().__init__(address, _Visit)

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class _Visit(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        visit = Reached(str(_plain(self.request.getsockname()[0])))
        self.server.traps.reached.append(visit)
        self.request.settimeout(1)
        try:
            asked = self.request.recv(65536)
            mark = _MARK.search(asked)
            visit.number = int(mark[1]) if mark else None
            self.request.sendall(self._answer(asked))
        except OSError:
            return

    def _answer(self, asked: bytes) -> bytes:
        assert isinstance(self.server, _Server)
        if b"redirect" in asked.partition(b"\r\n")[0]:
            location = self.server.traps.inward.encode()
            return (
                b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\nLocation: " + location + b"\r\n\r\n"
            )
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def _plain(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text.partition("%")[0])
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
