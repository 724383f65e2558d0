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
