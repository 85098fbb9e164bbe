"""Runs inside the namespace: sets the traps, sends everything past the guard and without it, prints what was reached.

`python -m tests.outbox.network.trial` prints one JSON object. It refuses to run where a real interface is to be seen.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections import Counter
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from outbox.delivery.guard import Guard, parse_networks
from outbox.delivery.outcome import Outcome, Result
from outbox.delivery.transport import Limits, Transport
from tests.outbox.network import corpus
from tests.outbox.network.interfaces import make_everything_local
from tests.outbox.network.naive import SENDERS
from tests.outbox.network.names import NameServer
from tests.outbox.network.traps import Traps

INTERFACE = "trap0"
CARRIED = ["169.254.169.254", "10.0.0.1", "192.168.0.1", "fc00::1", "fe80::1"]
PUBLIC = {corpus.PUBLIC_4, corpus.PUBLIC_6}
EVERYTHING = ("0.0.0.0/0", "::/0")
ROUNDS = 6
"""Of a name whose answer changes."""
SETTLE_SECONDS = 0.3
"""Until a connection that was made has been noted."""


def main() -> None:
    assert [name for _, name in socket.if_nameindex()] == ["lo"], "this is no namespace of its own"
    make_everything_local(INTERFACE, CARRIED)
    with TemporaryDirectory() as folder:
        _own_names(Path(folder))
        server = NameServer(corpus.ZONE | corpus.REBINDING)
        server.start()
        traps = Traps().start()
        json.dump(_report(traps, server), sys.stdout)


def _own_names(folder: Path) -> None:
    """Replaces the files of the resolver, in this mount namespace only."""
    files = {
        "/etc/resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
        "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
        "/etc/nsswitch.conf": "hosts: files dns\n",
    }
    for path, text in files.items():
        if Path(path).exists():
            own = folder / Path(path).name
            own.write_text(text)
            run(["mount", "--bind", str(own), path], check=True)


def _report(traps: Traps, server: NameServer) -> dict[str, Any]:
    urls = corpus.urls()
    rebinding = [f"http://{name}/t{number}" for number, name in enumerate(corpus.REBINDING) for _ in range(ROUNDS)]
    honest = [f"http://{host}/t0" for host in (corpus.PUBLIC_4, f"[{corpus.PUBLIC_6}]", *_public_names())]
    return {
        "urls": len(urls),
        "honest": _guarded(honest, Guard(), traps),
        "guarded": _guarded(urls, Guard(), traps),
        "rebinding": _guarded(rebinding, Guard(), traps),
        "redirecting": _guarded([f"http://{corpus.PUBLIC_4}/redirect/t0"], Guard(), traps),
        "guard off": _guarded(urls, Guard(parse_networks(EVERYTHING)), traps),
        "one network": _guarded(urls, Guard(parse_networks(["10.0.0.0/8"])), traps),
        "naive": _naive(urls, traps),
        "naive rebinding": _checked_then_sent(traps),
        "naive redirecting": _naive([f"http://{corpus.PUBLIC_4}/redirect/t0"], traps),
        "queries": sum(server.queries.values()),
    }


def _public_names() -> list[str]:
    return [name for name in corpus.ZONE if "public" in name]


def _guarded(urls: list[str], guard: Guard, traps: Traps) -> dict[str, Any]:
    """Through the real transport; every name is resolved anew for each request."""

    async def send() -> list[Outcome]:
        transport = Transport(guard, Limits(total_seconds=2, name_seconds=0, idle_seconds=0.01))
        outcomes = [await transport.post(url, {}, b"{}", verify_ssl=False) for url in urls]
        await transport.close()
        return outcomes

    outcomes = uvloop.run(send())
    blocked = [outcome.message for outcome in outcomes if outcome.result is Result.BLOCKED]
    return {
        "results": Counter(outcome.result for outcome in outcomes),
        "telling": [outcome.message for outcome in outcomes if "/t" in outcome.message],
        "silent": [message for message in blocked if ":" not in message],
        **_reached(traps),
    }


def _naive(urls: list[str], traps: Traps) -> dict[str, Any]:
    for url in urls:
        for sender in SENDERS:
            sender(url)
    return _reached(traps)


def _checked_then_sent(traps: Traps) -> dict[str, Any]:
    """The mistake a rebinding name lives on: resolve, check, and let somebody else resolve again."""
    guard = Guard()
    for number, name in enumerate(corpus.REBINDING):
        for _ in range(ROUNDS):
            found = [str(answer[4][0]) for answer in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)]
            if not guard.refusal(found):
                SENDERS[0](f"http://{name}/t{number}")
    return _reached(traps)


def _reached(traps: Traps) -> dict[str, Any]:
    time.sleep(SETTLE_SECONDS)
    reached = traps.take()
    caught = [visit for visit in reached if visit.address not in PUBLIC]
    return {
        "public": len(reached) - len(caught),
        "traps": sorted({visit.address for visit in caught}),
        "numbers": sorted({visit.number for visit in caught if visit.number is not None}),
    }


if __name__ == "__main__":
    main()
