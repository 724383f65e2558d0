"""What do operators decide?"""

from __future__ import annotations

from hypothesis import strategies as st

from tests.property.plan import Settings

__all__ = ["inbound_settings", "small_bounds"]

inbound_settings: st.SearchStrategy[Settings] = st.builds(
    Settings,
    mode=st.sampled_from(["require", "require", "mint", "observe"]),
    exempt=st.sampled_from([(), ("/health",)]),
    exempt_prefixes=st.sampled_from([(), ("/live",)]),
    traceparent_mismatch=st.sampled_from(["refuse", "refuse", "parent"]),
    query_parameter=st.sampled_from([None, None, "trace"]),
    trusted=st.sampled_from([None, None, ("10.0.0.0/8", "::1/128"), ("127.0.0.0/8",)]),
)
"""Everything that bears on the inbound decision."""

small_bounds: st.SearchStrategy[Settings] = st.builds(
    Settings, max_error_body=st.sampled_from([4, 8, 32, 200]), max_sse_event=st.sampled_from([1, 8, 40, 1 << 20])
)
"""Bounds that small bodies exceed; no bound is shorter than a byte order mark."""
