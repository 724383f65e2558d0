"""What does it cost to verify a long audit chain? In time and memory, and after a kill, on both stores.

``python -m tests.integration.audit_chain --write docs/proof/chain.md`` verifies a million rows on each; ``make test``
ten thousand. Rows are made in bulk, past the writer, with the hashes that it would have made.
"""

# ruff: noqa: S608 - the SQL of a proof, with the names of our columns

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from tests.integration.postgres import database, running_postgres
from tracegate.store.audit_chain import Position
from tracegate.store.audit_hash import COLUMNS, GENESIS, AuditKey, algorithm, hash_of, head_signature
from tracegate.store.audit_scan import Scan, verify_chain
from tracegate.store.engine import open_engine
from tracegate.store.schema import as_stored_time
from tracegate.store.upgrade import upgrade

__all__ = ["KINDS", "Proof", "emptied", "fill", "main", "prove"]

KINDS = ("sqlite", "postgresql")
ROWS = 1_000_000
SECRET = "a key for a proof, of 32 bytes .."  # noqa: S105 - of rows that live as long as the proof
TENANT = "acme"
_ROOT = Path(__file__).parents[2]
_BATCH = 10_000
_START = datetime(2026, 1, 1, tzinfo=UTC)
_MARKS = ", ".join("?" * len(COLUMNS))
_HEAD = "INSERT INTO tb_audit_head (tenant_id, last_seq, last_hash, signature, updated_at) VALUES ({})"
_HEAD_OF_PAGE = """# A long audit chain

One chain, kept with a key, verified whole by `tracegate.store.audit_scan.verify_chain` in a fresh process, then by
`python -m tracegate audit verify --resume` in a process that is killed (SIGKILL) on its way and started again. Peak
memory is the process's own (`VmHWM`). One row, at nine tenths, is then changed by SQL, and looked for.

Written by `make proof-chain` on {date} at commit {commit}, CPython {python}, {cores} cores,
{versions}.

| store | rows | whole | rows per second | peak at 10 % | peak at 100 % | killed at | resumed after | changed | found |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True, slots=True)
class Proof:
    """What one store showed.

    Attributes:
        rows: How many rows the chain has.
        seconds: How long the whole of it took.
        early_kib: Peak memory at a tenth of it.
        final_kib: Peak memory at its end.
        killed_at: How far the killed run had written down that it was.
        after: Where the next run went on.
        read: How many rows that one read.
        passed: Whether the chain verified, each time.
        changed: Which row was changed.
        found: What was said of it.
    """

    rows: int
    seconds: float
    early_kib: int
    final_kib: int
    killed_at: int
    after: int
    read: int
    passed: bool
    changed: int
    found: list[dict[str, Any]]

    @property
    def sound(self) -> bool:
        """Whether it is as it must be."""
        resumed = self.killed_at <= self.after < self.rows and self.after + self.read == self.rows
        constant = self.final_kib <= self.early_kib * 1.05 + 8_192
        where = [(failure["kind"], failure["chain_seq"]) for failure in self.found]
        return self.passed and resumed and constant and where == [("hash_curr_mismatch", self.changed)]


# The chain


@contextmanager
def emptied(kind: str) -> Iterator[str]:
    """Give the URL of a store with its tables."""
    with tempfile.TemporaryDirectory(prefix="tracegate-chain-") as folder:
        if kind == "sqlite":
            url = f"sqlite:///{folder}/audit.db"
            _upgrade(url)
            yield url
            return
        with running_postgres() as server, database(server) as url:
            _upgrade(url)
            yield url


def _upgrade(url: str) -> None:
    engine = open_engine(url)
    upgrade(engine)
    engine.dispose()


def made_rows(count: int, key: AuditKey | None) -> Iterator[list[object]]:
    """Yield the rows of a chain, as the writer would have made them."""
    row: list[object] = [None] * len(COLUMNS)
    at = {name: number for number, name in enumerate(COLUMNS)}
    row[at["tenant_id"]], row[at["hash_algo"]], row[at["hash_curr"]] = TENANT, algorithm(key), GENESIS
    for seq in range(1, count + 1):
        row[at["id"]] = str(uuid.UUID(int=seq))
        row[at["chain_seq"]] = seq
        row[at["trace_id"]] = row[at["action_trace_id"]] = str(uuid.UUID(int=seq << 64 | seq))
        row[at["action_type"]] = "policy.rollback"
        row[at["actor_user_id"]], row[at["target_type"]], row[at["target_id"]] = f"user-{seq % 97}", "policy", "orders"
        row[at["before_json"]], row[at["after_json"]] = f'{{"version": {seq}}}', f'{{"version": {seq + 1}}}'
        row[at["created_at"]] = as_stored_time(_START + timedelta(seconds=seq))
        row[at["hash_prev"]] = row[at["hash_curr"]]
        row[at["hash_curr"]] = hash_of(row, key)
        yield [*row]


def fill(url: str, count: int, key: AuditKey | None) -> None:
    """Write a chain in bulk, with its head."""
    names = ", ".join(COLUMNS)
    if not url.startswith("sqlite"):
        with psycopg.connect(url) as server:
            last: list[Any] = []
            with server.cursor().copy(f"COPY tb_audit_log ({names}) FROM STDIN") as copy:
                for last in made_rows(count, key):
                    copy.write_row(last)
            server.execute(_HEAD.format("%s, %s, %s, %s, %s"), _head(last, key))
        return
    connection = sqlite3.connect(make_url(url).database or "")
    connection.execute("PRAGMA synchronous=OFF")
    rows = made_rows(count, key)
    batch = list(islice(rows, _BATCH))
    while batch:
        connection.executemany(f"INSERT INTO tb_audit_log ({names}) VALUES ({_MARKS})", batch)
        connection.commit()
        last, batch = batch[-1], list(islice(rows, _BATCH))
    connection.execute(_HEAD.format("?, ?, ?, ?, ?"), _head(last, key))
    connection.commit()
    connection.close()


def _head(last: list[Any], key: AuditKey | None) -> tuple[object, ...]:
    seq, chain_hash = last[COLUMNS.index("chain_seq")], last[COLUMNS.index("hash_curr")]
    return TENANT, seq, chain_hash, head_signature(TENANT, seq, chain_hash, key), as_stored_time(_START)


def change(url: str, seq: int) -> None:
    """Change one row, and leave the triggers as they were."""
    statement = f"UPDATE tb_audit_log SET actor_user_id = 'eve' WHERE chain_seq = {seq}"
    if not url.startswith("sqlite"):
        with psycopg.connect(url) as server:
            server.execute("SET session_replication_role = replica")
            server.execute(statement)
        return
    connection = sqlite3.connect(make_url(url).database or "")
    (trigger,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'tb_audit_log_no_update'").fetchone()
    connection.execute("DROP TRIGGER tb_audit_log_no_update")
    connection.execute(statement)
    connection.execute(trigger)
    connection.commit()
    connection.close()


# The runs


def prove(url: str, rows: int) -> Proof:
    """Verify a chain of so many rows: whole, then killed and resumed, then with one row changed."""
    fill(url, rows, AuditKey(SECRET.encode()))
    whole = json.loads(_finished(_start("tests.integration.audit_chain", "--measure", url)))
    with tempfile.TemporaryDirectory(prefix="tracegate-chain-") as folder:
        kept = Path(folder) / "position"
        resumed = ("tracegate", "audit", "verify", "--url", url, "--format", "json", "--resume", str(kept))
        killed_at = 0
        while not 0 < killed_at < rows:  # a small one can be faster than who kills it
            kept.unlink(missing_ok=True)
            killed_at = _killed(_start(*resumed), kept, rows // 4)
        after = _position(kept)
        rest = json.loads(_finished(_start(*resumed)))
    changed = rows * 9 // 10
    change(url, changed)
    broken = json.loads(_finished(_start(*resumed[:-2]), status=1))
    chain = rest["chains"][0]
    return Proof(
        rows=rows,
        seconds=whole["seconds"],
        early_kib=whole["early_kib"],
        final_kib=whole["final_kib"],
        killed_at=killed_at,
        after=after if after == chain["after"] else -1,
        read=chain["checked_rows"],
        passed=whole["passed"] and whole["rows"] == rows and rest["passed"],
        changed=changed,
        found=broken["chains"][0]["failure_samples"],
    )


def _start(module: str, *arguments: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "TRACEGATE_AUDIT_KEY": SECRET}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, env=environ, cwd=_ROOT, stdout=subprocess.PIPE, text=True)


def _finished(process: subprocess.Popen[str], *, status: int = 0) -> str:
    said, _ = process.communicate()
    assert process.returncode == status, said
    return said


def _killed(process: subprocess.Popen[str], kept: Path, wanted: int) -> int:
    """Kill it as soon as it has written down that it is that far; return how far it was, 0 where it had ended."""
    while process.poll() is None:
        reached = _position(kept)
        if reached >= wanted:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return reached if process.returncode == -signal.SIGKILL else 0
        time.sleep(0.002)
    process.communicate()
    return 0


def _position(kept: Path) -> int:
    return int(json.loads(kept.read_bytes())[TENANT][0]) if kept.exists() else 0


def measure(url: str) -> dict[str, object]:
    """Verify the whole chain in this process, and return how long it took and what memory it had at its peak."""
    peaks: list[tuple[int, int]] = []

    def note(done: int, total: int, _verified: Position) -> None:
        if done * 10 >= total and (not peaks or done == total):
            peaks.append((done, _peak_kib()))

    engine = open_engine(url)
    began = time.perf_counter()
    report = verify_chain(engine, TENANT, Scan(key=AuditKey(SECRET.encode()), progress=note))
    seconds = time.perf_counter() - began
    engine.dispose()
    known = {"passed": report.passed, "rows": report.rows, "seconds": seconds}
    return {**known, "early_kib": peaks[0][1], "final_kib": peaks[-1][1]}


def _peak_kib() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1])


def _row(kind: str, proof: Proof) -> str:
    found = ", ".join(f"`{failure['kind']}` at row {failure['chain_seq']:,}" for failure in proof.found)
    cells = (
        kind, f"{proof.rows:,}", f"{proof.seconds:.1f} s", f"{proof.rows / proof.seconds:,.0f}",
        f"{proof.early_kib / 1024:.1f} MiB", f"{proof.final_kib / 1024:.1f} MiB", f"row {proof.killed_at:,}",
        f"{proof.after:,}, {proof.read:,} rows read", f"row {proof.changed:,}", found,
    )  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


def main() -> int:
    """Run the full size, print or write the page, and return 1 if anything is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.audit_chain")
    parser.add_argument("--write", type=Path, help="write the page there instead of printing it")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--measure", metavar="URL", help="verify the chain there, and print what it took")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return 0
    described = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    page, sound, versions = "", True, [f"SQLite {sqlite3.sqlite_version}"]
    for kind in KINDS:
        with emptied(kind) as url:
            proof = prove(url, options.rows)
            if kind == "postgresql":
                with psycopg.connect(url) as server:
                    versions.append(f"PostgreSQL {server.info.server_version // 10_000} with fsync off")
        sound &= proof.sound
        page += _row(kind, proof)
        sys.stderr.write(_row(kind, proof))
    page = _HEAD_OF_PAGE.format(
        date=datetime.now(UTC).date(), commit=described.stdout.strip() or "?", python=platform.python_version(),
        cores=os.cpu_count(), versions=", ".join(versions),
    ) + page  # fmt: skip
    if options.write:
        options.write.write_text(page, encoding="utf-8")
    else:
        sys.stdout.write(page)
    return int(not sound)


if __name__ == "__main__":
    sys.exit(main())
