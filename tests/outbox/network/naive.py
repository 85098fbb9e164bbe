"""Senders without a guard, as people write them: the proof that the corpus would reach the traps."""

from __future__ import annotations

import re
import socket
import ssl
import unicodedata
from contextlib import suppress
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.parse import unquote
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 1.0
_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_OPENER = build_opener(ProxyHandler({}), HTTPSHandler(context=_TLS))


def by_urllib(url: str) -> None:
    with (
        suppress(OSError, URLError, HTTPException, ValueError),
        _OPENER.open(Request(url, data=b"{}"), timeout=SECONDS),
    ):
        pass


def by_browser_rules(url: str) -> None:
    """As generous as browsers and curl, and leaves the host to the resolver, which knows all numbers."""
    cleaned = re.sub(r"[\t\r\n]", "", url).strip(" <>").removeprefix("url:").replace("\\", "/")
    read = re.match(r"https?:/*(?P<authority>[^/?#]*)(?P<path>.*)", cleaned, re.IGNORECASE)
    if not read:
        return
    host = unicodedata.normalize("NFKC", unquote(read["authority"].rpartition("@")[2])).replace("。", ".")
    host = re.sub("[\N{SOFT HYPHEN}\N{ZERO WIDTH SPACE}]", "", host)
    bare = re.fullmatch(r"(?:\[(?P<six>[^\]]*)\]|(?P<name>[^:]*))(?::0*(?P<port>\d*))?", host)
    if not bare:
        return
    with suppress(OSError, UnicodeError):
        _post(bare["six"] or bare["name"], int(bare["port"] or 80), read["path"])


def _post(host: str, port: int, path: str) -> None:
    with socket.create_connection((host, port), timeout=SECONDS) as connection:
        connection.sendall(f"POST {path or '/'} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        connection.recv(1024)


SENDERS: tuple[Callable[[str], None], ...] = (by_urllib, by_browser_rules)
