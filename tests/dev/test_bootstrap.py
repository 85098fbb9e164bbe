"""The set-up asks the registry that this machine's pip asks, unless uv was told otherwise."""

from __future__ import annotations

import pytest

from dev.bootstrap import registry_settings

MIRROR = "https://mirror.example/simple"


@pytest.mark.parametrize(
    ("pip", "environment", "expected"),
    [
        ({}, {}, {}),
        ({"index-url": MIRROR}, {}, {"UV_DEFAULT_INDEX": MIRROR}),
        ({"index-url": MIRROR}, {"UV_DEFAULT_INDEX": "https://own.example"}, {}),
        ({"index-url": MIRROR}, {"UV_INDEX_URL": "https://own.example"}, {}),
        ({"extra-index-url": MIRROR}, {}, {"UV_INDEX": MIRROR}),
        ({"cert": "/etc/ca.crt"}, {}, {"SSL_CERT_FILE": "/etc/ca.crt"}),
        ({"cert": "/etc/ca.crt"}, {"SSL_CERT_FILE": "/own.crt"}, {}),
        ({"cert": "/etc/ca.crt"}, {"UV_DEFAULT_INDEX": "https://own.example"}, {"SSL_CERT_FILE": "/etc/ca.crt"}),
        ({"timeout": "60", "default-timeout": "180"}, {}, {"UV_HTTP_TIMEOUT": "180"}),
    ],
)
def test_uv_is_told_what_pip_knows(pip: dict[str, str], environment: dict[str, str], expected: dict[str, str]) -> None:
    assert registry_settings(pip, environment) == expected
