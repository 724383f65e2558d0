"""What does a gate run on when nobody said?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracegate.runtime import Runtime
from tracegate.settings import load_policy
from tracegate.sinks.fanout import Fanout
from tracegate.sinks.log import LogSink
from tracegate.sinks.surge import SurgeSink

if TYPE_CHECKING:
    from tracegate.core.policy import Policy

__all__ = ["wired"]


def wired(policy: Policy | None) -> Runtime:
    """Return a runtime that logs its events, and tells of surges. Where there is a store, it keeps them, and counts.

    Args:
        policy: The operator's decisions; None reads them from the environment and ``pyproject.toml``.

    Raises:
        ConfigurationError: The settings have faults.
    """
    policy = load_policy() if policy is None else policy
    log = LogSink(names=policy.log_fields, formats=policy.formats)
    if not policy.store_url:
        return Runtime(policy, sink=Fanout(log, SurgeSink(log, tenant=policy.default_tenant)))
    from tracegate.sinks.stored import counted, stored  # noqa: PLC0415 - SQLAlchemy, for who has a store
    from tracegate.store.engine import open_engine  # noqa: PLC0415 - same

    engine = open_engine(policy.store_url)
    store = stored(policy.store_url, policy.spool_directory, engine=engine)
    surge = SurgeSink(Fanout(log, store), tenant=policy.default_tenant)
    traffic = counted(policy, engine)

    def flush() -> None:
        store.flush()
        traffic.flush()

    return Runtime(policy, sink=Fanout(log, store, surge), traffic=traffic.traffic, flush=flush)
