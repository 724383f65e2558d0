"""How hard do the property tests look? ``HYPOTHESIS_PROFILE`` says it: ``ci`` (the default), ``quick`` or ``proof``."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadline: the machines are shared, and a slow example is no fault.
settings.register_profile("ci", max_examples=200, deadline=None, database=None, print_blob=True)
settings.register_profile("quick", settings.get_profile("ci"), max_examples=20)
# The same laws, a hundredfold: `make proof-properties`.
settings.register_profile(
    "proof", settings.get_profile("ci"), max_examples=20_000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name gzipped parameters by their length: they hold the time, and all workers must collect the same names."""
    return f"gzip-{len(val)}" if isinstance(val, bytes) and val.startswith(b"\x1f\x8b") else None
