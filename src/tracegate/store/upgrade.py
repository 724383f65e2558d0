"""Are the tables those of this version, and how do they get there?

The state is read without Alembic, whose import costs more than a second: a deploy gate asks for it each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from sqlalchemy import Column, MetaData, Table, Text, inspect, select, text

from tracegate.errors import StoreError
from tracegate.store.engine import is_postgresql, reading, writing
from tracegate.store.schema import APPEND_ONLY

if TYPE_CHECKING:
    from collections.abc import Callable

    from alembic.config import Config
    from sqlalchemy import Connection, Engine

__all__ = ["REVISIONS", "VERSION_TABLE", "State", "downgrade", "holds_rows", "state", "upgrade"]

State = Literal["current", "behind", "ahead", "empty"]

REVISIONS: Final = ("0001", "0002", "0003")
"""All steps of this version, in order."""

VERSION_TABLE: Final = "tb_tracegate_version"
"""A name of our own: the application may keep its own Alembic versions in the same database."""

_version = Table(VERSION_TABLE, MetaData(), Column("version_num", Text))
_LOCK: Final = 0x7472_6163_6567  # "traceg"


def state(engine: Engine) -> State:
    """Return how the store's tables stand to this version: ``ahead`` where a newer version has been there.

    Raises:
        StoreError: The store cannot be asked.
    """
    with reading(engine) as connection:
        return _state(connection)


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the tables up to *revision*: in one transaction, and once, however many processes do it together.

    Raises:
        StoreError: The store did not take it; its tables are as before.
    """
    from alembic import command  # noqa: PLC0415 - costs more than a second, and only this verb needs it

    _run(engine, lambda config: command.upgrade(config, revision))


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Take the tables back to *revision*, in one transaction; ``base`` drops all of them with what is in them.

    Raises:
        StoreError: The store did not take it; its tables are as before.
    """
    from alembic import command  # noqa: PLC0415 - same

    _run(engine, lambda config: command.downgrade(config, revision))


def holds_rows(engine: Engine) -> bool:
    """Return whether there is anything in the tables that cannot be made again: events, audit rows, gate actions.

    Raises:
        StoreError: The store cannot be asked.
    """
    with reading(engine) as connection:
        tables = [table for table in APPEND_ONLY if inspect(connection).has_table(table.name)]
        return any(connection.execute(select(table).limit(1)).first() is not None for table in tables)


def _run(engine: Engine, step: Callable[[Config], None]) -> None:
    from alembic.config import Config  # noqa: PLC0415 - same

    config = Config()
    config.set_main_option("script_location", "tracegate:store/migrations")
    with writing(engine) as connection:
        _wait_for_others(connection)
        if _state(connection) == "ahead":
            raise StoreError("its tables are those of a newer tracegate")
        config.attributes["connection"] = connection
        step(config)


def _wait_for_others(connection: Connection) -> None:
    if is_postgresql(connection):
        # A table that is in use makes the step wait, and a large one makes it slow: no timeout but for the locks.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def _state(connection: Connection) -> State:
    if not inspect(connection).has_table(VERSION_TABLE):
        return "empty"
    found = connection.scalar(select(_version.c.version_num))
    if found is None:
        return "empty"
    if found not in REVISIONS:
        return "ahead"
    return "current" if found == REVISIONS[-1] else "behind"
