"""IP addresses, where Kubernetes tells them from names."""

from __future__ import annotations

import ipaddress


def is_address(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
