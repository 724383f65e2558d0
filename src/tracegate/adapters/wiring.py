"""What does a gate run on when nobody said?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracegate.runtime import Runtime
from tracegate.settings import load_policy
from tracegate.sinks.fanout import Fanout
from tracegate.sinks.log import LogSink

if TYPE_CHECKING:
    from tracegate.core.policy import Policy

__all__ = ["wired"]


def wired(policy: Policy | None) -> Runtime:
    """Return a runtime that logs its events, and keeps them, and counts traffic, where the policy names a store.

    Args:
        policy: The operator's decisions; None reads them from the environment and ``pyproject.toml``.

    Raises:
        ConfigurationError: The settings have faults.
    """
    policy = load_policy() if policy is None else policy
    log = LogSink(names=policy.log_fields, formats=policy.formats)
    if not policy.store_url:
        return Runtime(policy, sink=Fanout(log))
    from tracegate.sinks.stored import counted, stored  # noqa: PLC0415 - SQLAlchemy, for who has a store
    from tracegate.store.engine import open_engine  # noqa: PLC0415 - same

    engine = open_engine(policy.store_url)
    sink = Fanout(log, stored(policy.store_url, policy.spool_directory, engine=engine))
    return Runtime(policy, sink=sink, traffic=counted(policy, engine))
