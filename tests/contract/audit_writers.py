"""What do processes do that write to one audit chain at once? They run what stands here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.contract.audit_forger import a_row
from tests.contract.stores import opened
from tracegate.store.audit import append_audit
from tracegate.store.engine import writing


def append_rows(url: str, count: int, threads: int) -> list[str]:
    """Append rows on each thread, each row in a transaction of its own, and return their ids."""

    def append(number: int) -> str:
        with writing(engine) as connection:
            return append_audit(connection, a_row(number)).id

    with opened(url) as engine, ThreadPoolExecutor(threads) as pool:
        return list(pool.map(append, range(count * threads)))
