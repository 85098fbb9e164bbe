"""No spelling, no answer of a name server, no redirect leads the transport to a trap; without the guard they all do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.outbox.network import corpus

PROJECT = Path(__file__).parents[3]
UNSHARE = ("unshare", "--net", "--mount", "--fork", "--kill-child")
WAYS_IN = (UNSHARE, (*UNSHARE, "--user", "--map-root-user"))
SECONDS = 55


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    command = [*_way_in(), sys.executable, "-m", "tests.outbox.network.trial"]
    trial = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert trial.returncode == 0, trial.stderr
    found: dict[str, Any] = json.loads(trial.stdout)
    return found


def _way_in() -> tuple[str, ...]:
    complaints = []
    for way in WAYS_IN:
        try:
            tried = subprocess.run([*way, "true"], capture_output=True, text=True, timeout=10, check=False)
        except FileNotFoundError:
            pytest.skip("no network namespace: the program unshare (package util-linux) is not installed")
        if tried.returncode == 0:
            return way
        complaints.append(tried.stderr.strip())
    pytest.skip(f"no network namespace: neither root nor user namespaces are permitted here ({'; '.join(complaints)})")


def test_the_corpus_is_large_and_alive(report: dict[str, Any]) -> None:
    """Positive control: senders without a guard reach every trap, with at least a thousand of these URLs."""
    assert len(report["naive"]["numbers"]) >= 1000
    expected = (set(corpus.TRAPS_4) | set(corpus.TRAPS_6)) - {"0.0.0.0", "::"}
    assert expected <= set(report["naive"]["traps"])


def test_no_trap_is_reached_past_the_guard(report: dict[str, Any]) -> None:
    assert report["guarded"]["traps"] == []
    assert sum(report["guarded"]["results"].values()) == report["urls"]


def test_the_transport_reaches_the_same_traps_when_everything_is_allowed(report: dict[str, Any]) -> None:
    """Positive control: it is the guard's judgement of addresses that stops the rest of the corpus."""
    expected = (set(corpus.TRAPS_4) | set(corpus.TRAPS_6)) - {"0.0.0.0", "::", "fe80::1"}
    assert expected <= set(report["guard off"]["traps"])


def test_public_addresses_are_delivered_to(report: dict[str, Any]) -> None:
    assert report["honest"]["results"] == {"delivered": 4}
    assert report["honest"]["public"] == 4


def test_a_name_that_changes_its_answer_never_leads_inside(report: dict[str, Any]) -> None:
    assert report["rebinding"]["traps"] == []
    assert report["rebinding"]["results"]["delivered"] > len(corpus.REBINDING)
    assert report["rebinding"]["results"]["blocked"] > len(corpus.REBINDING)


def test_a_name_that_changes_its_answer_beats_those_who_check_first(report: dict[str, Any]) -> None:
    assert set(corpus.TRAPS_4) - {"0.0.0.0"} <= set(report["naive rebinding"]["traps"])


def test_a_redirect_inward_is_not_followed(report: dict[str, Any]) -> None:
    assert report["redirecting"]["results"] == {"rejected": 1}
    assert report["redirecting"]["traps"] == []
    assert report["naive redirecting"]["traps"] == ["169.254.169.254"]


def test_an_allowed_network_opens_itself_and_nothing_else(report: dict[str, Any]) -> None:
    carrying = ["2606:4700::200:5efe:a00:1", "2606:4700::5efe:a00:1"]
    assert report["one network"]["traps"] == ["10.0.0.1", *carrying]


def test_no_message_repeats_a_path(report: dict[str, Any]) -> None:
    assert report["guarded"]["telling"] == []


def test_the_namespace_is_left_behind() -> None:
    names = [name for name in os.listdir("/sys/class/net") if name == "trap0"]  # noqa: PTH208
    assert names == []
