"""Is a tenant's tally found, however many tenants there are?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tracegate.adapters.asgi_traffic import counted
from tracegate.core.policy import Policy
from tracegate.sinks.traffic import Traffic


@pytest.mark.contract("F2")
def test_more_tenants_than_are_remembered_are_counted_all_the_same() -> None:
    """Their names come from requests, so what remembers them is bounded."""
    policy = Policy(tenant_header="X-Tenant-Key")
    traffic = Traffic(policy, lambda: None)
    _, tally_of = counted(lambda _headers: None, traffic, policy)
    for _ in range(2):
        for number in range(1_100):
            tally_of([(b"accept", b"*/*"), (b"x-tenant-key", b"t%d" % number)]).request()
    tally_of([]).request()

    traffic.read(datetime(2026, 11, 23, 12, tzinfo=UTC))
    assert sum(minute.counts.requests for minute in traffic.minutes()) == 2_201
