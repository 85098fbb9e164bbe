"""A name server of a few lines: names have answers in turn, one for each query, as a rebinding one has."""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_address

_A, _CNAME, _AAAA = 1, 5, 28
_FOUND, _UNKNOWN = 0x8580, 0x8583


@dataclass
class NameServer:
    """On 127.0.0.1:53. `zone`: name -> its answers in turn, each a list of addresses, or of one `=other.name`."""

    zone: dict[str, list[list[str]]]
    queries: Counter[str] = field(default_factory=Counter)
    _turns: Counter[tuple[str, int]] = field(default_factory=Counter)

    def start(self) -> None:
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            query, sender = listener.recvfrom(4096)
            listener.sendto(self._reply(query), sender)

    def _reply(self, query: bytes) -> bytes:
        name, end = _question(query)
        (kind,) = struct.unpack_from("!H", query, end)
        self.queries[name] += 1
        records = self._records(name, kind)
        flags = _UNKNOWN if records is None else _FOUND
        head = query[:2] + struct.pack("!HHHHH", flags, 1, len(records or ()), 0, 0)
        return head + query[12 : end + 4] + b"".join(records or ())

    def _records(self, name: str, kind: int) -> list[bytes] | None:
        turns = self.zone.get(name)
        if turns is None:
            return None
        answer = turns[self._turns[name, kind] % len(turns)]
        self._turns[name, kind] += 1
        found = [_record(name, text) for text in answer if _kind(text) in {kind, _CNAME}]
        for other in [text[1:] for text in answer if text.startswith("=")]:
            found += [_record(other, text) for text in self.zone[other][0] if _kind(text) == kind]
        return found


def _question(query: bytes) -> tuple[str, int]:
    """The name asked for, in lower case, and where it ends."""
    labels, place = [], 12
    while query[place]:
        labels.append(query[place + 1 : place + 1 + query[place]])
        place += 1 + query[place]
    return b".".join(labels).decode("latin-1").lower(), place + 1


def _kind(text: str) -> int:
    if text.startswith("="):
        return _CNAME
    return _A if ip_address(text).version == 4 else _AAAA


def _record(name: str, text: str) -> bytes:
    value = _wire(text[1:]) if text.startswith("=") else ip_address(text).packed
    return _wire(name) + struct.pack("!HHIH", _kind(text), 1, 0, len(value)) + value


def _wire(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
