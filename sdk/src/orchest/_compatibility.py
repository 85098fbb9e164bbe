"""Does this SDK fit the platform?

In comes the platform's version as it names itself, out goes yes or no. The data passing of the platform changed with
its move to Kubernetes, after v2022.03.6; SDKs from 0.3.8 on, so this one too, need a platform after it.
"""

from __future__ import annotations

import re

_FIRST_CHECKED = (2021, 5, 0)  # platforms up to this one never had a check
_LAST_BEFORE_KUBERNETES = (2022, 3, 6)

WARNING = (
    "The Orchest SDK seems to have an incompatible version with respect to the Orchest platform: this SDK needs a "
    "platform after v2022.03.6. Update the platform, or install orchest<=0.3.7 in this environment."
)


def is_incompatible(platform: str) -> bool:
    """Whether the platform is known to be too old. What is no version (`dev`, `latest`) is taken to fit."""
    version = _numbers(platform)
    return bool(version) and _is_after(version, _FIRST_CHECKED) and not _is_after(version, _LAST_BEFORE_KUBERNETES)


def _numbers(platform: str) -> tuple[int, ...]:
    """(2022, 3, 6) of `v2022.03.6`, `2022.03.6` and `v2022.03.6-rc1` alike; () of what is no version."""
    found = re.match(r"\s*v?(\d{4}(?:\.\d{1,9})*)", platform, re.ASCII)
    return tuple(int(number) for number in found[1].split(".")) if found else ()


def _is_after(version: tuple[int, ...], boundary: tuple[int, ...]) -> bool:
    """A version with fewer numbers is compared by those it has: 2022 is not after 2022.3.6."""
    common = min(len(version), len(boundary))
    return version[:common] > boundary[:common]
