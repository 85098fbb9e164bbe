"""What the environment says to the API."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from reconciler.settings import SettingsError
from services.api.settings import ApiSettings, load_api_settings

ALL = {
    "ORCHEST_API_BIND": "unix:/run/orchest.sock",
    "ORCHEST_API_WORKERS": "2",
    "ORCHEST_API_THREADS": "3",
    "ORCHEST_API_CONNECTIONS": "4",
    "ORCHEST_API_REQUESTS_A_MINUTE": "5",
    "ORCHEST_API_GRACE_SECONDS": " 7 ",
    "ORCHEST_API_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1",
    "ORCHEST_API_OPEN_SESSIONS": "0",
    "CLOUD": "true",
    "ORCHEST_NAMESPACE": "here",
    "ORCHEST_API_SERVICE_ACCOUNTS": "ci/robot=write",
    "ORCHEST_API_AUDIENCE": "us",
    "PROMETHEUS_MULTIPROC_DIR": "/metrics",
}


def test_an_empty_environment_means_the_defaults() -> None:
    assert load_api_settings({}) == ApiSettings()
    assert load_api_settings(dict.fromkeys(ALL, "")) == ApiSettings()


def test_every_knob_can_be_turned() -> None:
    turned = load_api_settings(ALL)
    assert turned == ApiSettings(
        bind="unix:/run/orchest.sock",
        workers=2,
        threads=3,
        connections=4,
        requests_a_minute=5,
        grace_seconds=7,
        trusted_proxies=("10.0.0.0/8", "192.0.2.1"),
        has_open_sessions=False,
        is_cloud=True,
        namespace="here",
        service_accounts="ci/robot=write",
        audience="us",
        asks_kubernetes=True,
        metrics_folder=Path("/metrics"),
    )
    assert [field.name for field in fields(ApiSettings) if getattr(turned, field.name) == field.default] == []


def test_inside_a_cluster_kubernetes_is_asked_whose_a_token_is() -> None:
    assert load_api_settings({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}).asks_kubernetes


@pytest.mark.parametrize("value", ["0", "-1", "65", "1.5", "two", "1_0", "٣", "99999999999999999999"])
def test_what_is_no_usable_number_is_refused_by_name_and_range(value: str) -> None:
    with pytest.raises(SettingsError, match="ORCHEST_API_WORKERS: a whole number from 1 to 64 is needed"):
        load_api_settings({"ORCHEST_API_WORKERS": value})
