"""Are the tables the same on each store, and is what was written out of everybody's reach?"""

# ruff: noqa: S608 - a test writes the SQL that an intruder would, with the names of our tables

from __future__ import annotations

import re
import warnings
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, Inspector, Table, inspect, text
from sqlalchemy.exc import DBAPIError, SAWarning

from tests.contract.stores import NOON, an_event, opened, processes, some_events, upgrade_store
from tracegate.errors import StoreError
from tracegate.store.engine import is_postgresql, reading, writing
from tracegate.store.events import EventQuery, EventStore
from tracegate.store.schema import APPEND_ONLY, METADATA, audit_log, deploy_gate, ops_event, stream_event
from tracegate.store.upgrade import REVISIONS, VERSION_TABLE, downgrade, holds_rows, state, upgrade

TIME = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROWS: dict[str, dict[str, object]] = {
    "tb_audit_log": {
        "id": "a-1", "tenant_id": "t", "trace_id": "x", "action_type": "unlock", "created_at": TIME, "chain_seq": 1,
        "hash_prev": "GENESIS", "hash_curr": "h", "hash_algo": "sha256",
    },
    "tb_audit_checkpoint": {
        "tenant_id": "t", "chain_seq": 1, "chain_hash": "h", "key_id": "k", "signature": "s", "signed_at": TIME,
    },
    "tb_deploy_gate": {
        "id": "g-1", "service": "orders", "action": "lock", "action_time": TIME, "accepts_json": "[]", "actor": "ada",
        "audit_id": "a-1",
    },
}  # fmt: skip


def fill(engine: Engine, table: Table) -> None:
    """Write one row."""
    if table is ops_event:
        EventStore(engine).append([an_event()])
        return
    with writing(engine) as connection:
        connection.execute(table.insert().values(**ROWS[table.name]))


def contents(engine: Engine, table: Table) -> list[tuple[object, ...]]:
    """Return what is in a table."""
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(table.select())]


# Migrations


def unique_keys(seen: Inspector, table: str) -> list[list[str]]:
    """Return the columns of each unique constraint."""
    with warnings.catch_warnings():
        # SQLAlchemy looks among SQLite's indexes, and tells of those on expressions, which it cannot read.
        warnings.simplefilter("ignore", SAWarning)
        return sorted(sorted(filter(None, unique["column_names"])) for unique in seen.get_unique_constraints(table))


def shape(engine: Engine) -> dict[str, tuple[object, ...]]:
    """Return the columns, keys and indexes of each table; of the partitions, nothing."""
    seen = inspect(engine)
    names = [name for name in seen.get_table_names() if name != VERSION_TABLE and not re.search(r"_\d{8}$", name)]
    with reading(engine) as connection:
        index = "SELECT tablename, indexname FROM pg_indexes" if is_postgresql(engine) else (
            "SELECT tbl_name, name FROM sqlite_master WHERE type = 'index'"
        )  # fmt: skip
        indexes = connection.execute(text(index)).all()
    return {
        name: (
            [(column["name"], str(column["type"]), column["nullable"]) for column in seen.get_columns(name)],
            seen.get_pk_constraint(name)["constrained_columns"],
            unique_keys(seen, name),
            sorted(name_ for table, name_ in indexes if table == name and name_.startswith("ix_")),
        )
        for name in names
    }


@pytest.mark.contract("H1")
def test_the_migrations_make_what_the_schema_says(empty_url: str) -> None:
    """Column by column, key by key: the schema that the code writes by is the one that is there."""
    with opened(empty_url) as engine:
        with writing(engine) as connection:
            METADATA.create_all(connection)
        said = shape(engine)
        with writing(engine) as connection:
            METADATA.drop_all(connection)
        upgrade(engine)

        assert shape(engine) == said


@pytest.mark.contract("H1")
def test_every_step_goes_up_and_down(empty_url: str) -> None:
    """And the state says where the store is."""
    with opened(empty_url) as engine:
        assert state(engine) == "empty"
        for number, revision in enumerate(REVISIONS):
            upgrade(engine, revision)
            assert state(engine) == ("current" if number == len(REVISIONS) - 1 else "behind")
        made = shape(engine)
        for revision in (*reversed(REVISIONS[:-1]), "base"):
            downgrade(engine, revision)
            assert state(engine) == ("empty" if revision == "base" else "behind")
        assert shape(engine) == {}
        upgrade(engine)
        assert shape(engine) == made


@pytest.mark.contract("H1")
def test_steps_keep_what_is_in_the_tables(engine: Engine, store: EventStore) -> None:
    """Down to the first one and up again; with its triggers on every day that was there."""
    store.append([an_event(1), an_event(2, time=NOON - timedelta(days=40))])
    downgrade(engine, REVISIONS[0])
    upgrade(engine)

    assert store.count(EventQuery()) == 2
    assert holds_rows(engine)
    if is_postgresql(engine):
        for table in ("tb_ops_event_20261123", "tb_ops_event_20261014"):
            refused(engine, f"TRUNCATE {table}")
            refused(engine, f"DELETE FROM {table}")


def test_the_steps_known_by_heart_are_those_of_the_scripts() -> None:
    """The state is read without Alembic; so the list must be right."""
    from alembic.script import ScriptDirectory

    import tracegate.store.migrations

    found = [script.revision for script in ScriptDirectory(tracegate.store.migrations.__path__[0]).walk_revisions()]
    assert tuple(reversed(found)) == REVISIONS


def test_processes_that_upgrade_together_make_the_tables_once(empty_url: str) -> None:
    """A fleet starts at once; none of them fails."""
    with processes(3) as pool:
        for done in [pool.submit(upgrade_store, empty_url) for _ in range(3)]:
            done.result(120)
    with opened(empty_url) as engine:
        assert state(engine) == "current"


def test_tables_of_a_newer_version_are_left_alone(engine: Engine) -> None:
    """An old process says so and changes nothing."""
    with writing(engine) as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))

    assert state(engine) == "ahead"
    for change in (upgrade, downgrade):
        with pytest.raises(StoreError, match="newer tracegate"):
            change(engine)
    assert state(engine) == "ahead"


def test_a_version_table_with_nothing_in_it_is_an_empty_store(engine: Engine) -> None:
    """As Alembic leaves it after the last step down."""
    downgrade(engine)

    assert state(engine) == "empty"
    assert not holds_rows(engine)


def test_a_step_that_fails_leaves_nothing_of_itself(empty_url: str) -> None:
    """One transaction around all of them: here a table is in the way."""
    with opened(empty_url) as engine:
        with writing(engine) as connection:
            connection.execute(text("CREATE TABLE tb_stream_event (x integer)"))
        with pytest.raises(StoreError):
            upgrade(engine)

        assert state(engine) == "empty"
        assert list(shape(engine)) == ["tb_stream_event"]


def test_an_applications_own_migrations_are_none_of_ours(empty_url: str) -> None:
    """It may keep its Alembic version, and its tables, in the same database."""
    with opened(empty_url) as engine:
        with writing(engine) as connection:
            connection.execute(text("CREATE TABLE alembic_version (version_num text)"))
            connection.execute(text("INSERT INTO alembic_version VALUES ('its own')"))
        upgrade(engine)
        downgrade(engine)

        with reading(engine) as connection:
            assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "its own"


# Append-only


def refused(engine: Engine, statement: str, **values: object) -> None:
    """Run *statement* as anybody with the store's login could, and see it refused by name."""
    with engine.connect() as connection, pytest.raises(DBAPIError, match="is append-only"):
        connection.execute(text(statement), values)


@pytest.mark.contract("H1")
@pytest.mark.parametrize("table", APPEND_ONLY, ids=lambda table: table.name)
def test_no_row_is_changed_or_deleted(engine: Engine, table: Table) -> None:
    """By any statement: UPDATE, DELETE, TRUNCATE, and the inserts that replace."""
    fill(engine, table)
    before = contents(engine, table)
    name, column = table.name, list(table.primary_key.columns)[-1].name

    refused(engine, f"UPDATE {name} SET {column} = {column}")
    refused(engine, f"DELETE FROM {name}")
    refused(engine, f"DELETE FROM {name} WHERE {column} IS NOT NULL")
    columns = ", ".join(one.name for one in table.columns)
    keys = ", ".join(one.name for one in table.primary_key.columns)
    if is_postgresql(engine):
        refused(engine, f"TRUNCATE {name}")
        refused(engine, f"TRUNCATE {name} CASCADE")
        refused(
            engine,
            f"INSERT INTO {name} SELECT * FROM {name} ON CONFLICT ({keys}) DO UPDATE SET {column} = excluded.{column}",
        )
    elif table is ops_event:
        with writing(engine) as connection:
            changed = columns.replace("message", "'another'")
            connection.execute(text(f"INSERT OR REPLACE INTO {name} ({columns}) SELECT {changed} FROM {name}"))
            connection.execute(text(f"REPLACE INTO {name} ({columns}) SELECT {changed} FROM {name}"))
    else:
        refused(engine, f"INSERT OR REPLACE INTO {name} ({columns}) SELECT {columns} FROM {name}")

    assert contents(engine, table) == before


@pytest.mark.contract("H1", "H2")
def test_an_audit_row_is_not_replaced_by_way_of_its_id(engine: Engine) -> None:
    """Nor is there a second one at its place in the chain."""
    fill(engine, audit_log)
    before = contents(engine, audit_log)
    for row in ({"id": "a-1", "chain_seq": 2}, {"id": "a-2", "chain_seq": 1}):
        with pytest.raises(StoreError), writing(engine) as connection:
            connection.execute(audit_log.insert().values(**{**ROWS["tb_audit_log"], **row}))
    if not is_postgresql(engine):
        columns = ", ".join(column.name for column in audit_log.columns)
        moved = columns.replace("chain_seq", "2")
        refused(engine, f"REPLACE INTO tb_audit_log ({columns}) SELECT {moved} FROM tb_audit_log")

    assert contents(engine, audit_log) == before


@pytest.mark.contract("H1")
def test_a_day_is_as_protected_as_the_whole_table(engine: Engine, store: EventStore) -> None:
    """On PostgreSQL a partition is a table too: days made ahead, and those made when an old event came."""
    store.append([an_event(1), an_event(2, time=NOON - timedelta(days=40))])
    with reading(engine) as connection:
        made = "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE relkind = 'r'"
        days = list(connection.scalars(text(made))) if is_postgresql(engine) else ["tb_ops_event"]
    for day in days:
        if is_postgresql(engine):
            refused(engine, f"TRUNCATE {day}")
    for day in {"tb_ops_event_20261123", "tb_ops_event_20261014", "tb_ops_event"}.intersection(days):
        refused(engine, f"DELETE FROM {day}")
        refused(engine, f"UPDATE {day} SET message = ''")

    assert store.count(EventQuery()) == 2


@pytest.mark.contract("H1")
def test_days_are_made_ahead_in_utc(engine: Engine) -> None:
    """Yesterday, today, and a week; the bounds are those of UTC, whatever the server's time zone is."""
    if not is_postgresql(engine):
        assert "tb_ops_event" in inspect(engine).get_table_names()
        return
    today = datetime.now(UTC).date()
    with reading(engine) as connection:
        bounds = dict(connection.execute(text(
            "SELECT relname, pg_get_expr(relpartbound, oid) FROM pg_class WHERE relispartition AND relkind = 'r'"
        )).all())  # fmt: skip
    days = [today + timedelta(days=ahead) for ahead in range(7)]
    for day in days:
        said = bounds[f"tb_ops_event_{day:%Y%m%d}"]
        assert said == f"FOR VALUES FROM ('{day} 00:00:00+00') TO ('{day + timedelta(days=1)} 00:00:00+00')"


# Columns


@pytest.mark.contract("F2", "H1")
def test_both_families_of_columns_are_filled(engine: Engine, store: EventStore) -> None:
    """Severity, component, message; and key, value and dimensions of the metric, whose sum is the count."""
    store.append(some_events(3))
    with reading(engine) as connection:
        row = connection.execute(text("SELECT * FROM tb_ops_event ORDER BY id LIMIT 1")).mappings().one()
        total = connection.scalar(
            text("SELECT sum(metric_value) FROM tb_ops_event WHERE metric_key = 'missing_trace_event_count'")
        )

    assert (row["severity"], row["component"], row["message"]) == (
        "error", "tracegate.gate", "the request names no trace",
    )  # fmt: skip
    assert (row["event_type"], row["error_code"], row["metric_value"]) == ("missing_trace", "SYS-004-409-TRACE", 1)
    assert row["dimensions_json"] == (
        '{"service":"orders","route":"/v1/orders/{order_id}","method":"POST","status":409,"mode":"require"}'
    )
    assert total == 3
    assert row["created_at"] is not None


@pytest.mark.contract("D8")
def test_a_stream_event_without_its_trace_is_refused(engine: Engine) -> None:
    """By the table itself: no code path stores one. The payload is bytes, and comes back byte for byte."""
    payload = b'{"b": 1,  "a":2, "a":\xff}\x00\r\n'
    row = {
        "id": "1", "tenant_id": "t", "principal": "p", "stream_key": "s", "recording_id": "r", "event_seq": 1,
        "event_type": "token", "payload": payload, "trace_id": "x",
    }  # fmt: skip
    for trace_id in (None, ""):
        with pytest.raises(StoreError), writing(engine) as connection:
            connection.execute(stream_event.insert().values(**{**row, "trace_id": trace_id}))
    with writing(engine) as connection:
        connection.execute(stream_event.insert().values(**row))

    with reading(engine) as connection:
        (stored,) = connection.execute(stream_event.select()).all()
    assert bytes(stored.payload) == payload
    assert abs(stored.created_at - datetime.now(UTC)) < timedelta(minutes=5)


@pytest.mark.contract("H2")
def test_json_is_kept_byte_for_byte(engine: Engine) -> None:
    """Order, spaces, duplicate keys, the text of numbers: a hash over it stays true."""
    odd = '{"b": 1.0,  "a":\t2e5, "a": "\\u00e9é"}'
    with writing(engine) as connection:
        connection.execute(audit_log.insert().values(**ROWS["tb_audit_log"], before_json=odd))

    with reading(engine) as connection:
        assert connection.scalar(audit_log.select().with_only_columns(audit_log.c.before_json)) == odd


@pytest.mark.contract("H1")
@pytest.mark.parametrize("table", ["tb_ops_event", "tb_audit_log", "tb_stream_event"])
def test_a_trace_is_looked_up_by_an_index(engine: Engine, table: str) -> None:
    """The database says so itself; of the days of PostgreSQL, each has one."""
    asked = f"SELECT * FROM {table} WHERE lower(replace(trace_id, '-', '')) = 'x'"
    with reading(engine) as connection:
        if is_postgresql(engine):
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            plan = connection.execute(text(f"EXPLAIN {asked}")).all()
        else:
            plan = connection.execute(text(f"EXPLAIN QUERY PLAN {asked}")).all()
    said = str(plan)

    assert "Seq Scan" not in said
    assert "SCAN" not in said
    assert "Index" in said or "USING INDEX ix_" in said


def test_an_action_that_is_none_is_refused(engine: Engine) -> None:
    """The gate knows four."""
    with pytest.raises(StoreError), writing(engine) as connection:
        connection.execute(deploy_gate.insert().values(**{**ROWS["tb_deploy_gate"], "action": "open"}))
