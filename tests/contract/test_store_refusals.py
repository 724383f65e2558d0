"""What does a store say that does not do what it should? One sentence, without a secret, and nothing is half done."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text

from tests.contract.stores import Templates, an_event, opened, some_events
from tracegate.errors import ConfigurationError, StoreError
from tracegate.store.engine import is_postgresql, open_engine, reading, writing
from tracegate.store.events import EventQuery, EventStore
from tracegate.store.upgrade import state


def said(error: BaseException, *secrets: str) -> str:
    """Return what a store said, once it is certain that no log of it tells a secret."""
    logged = "".join(traceback.format_exception_only(error)) + repr(error)
    assert error.__suppress_context__, "a logged traceback would show what the driver said"
    assert error.__cause__ is None
    assert [secret for secret in secrets if secret in logged] == []
    assert "\n" not in str(error)
    return str(error)


def test_a_store_that_is_not_there_says_so(tmp_path: Path) -> None:
    """And not where it is not."""
    for url, reason in (
        ("postgresql://ada:geheim@127.0.0.1:1/events", "cannot be reached"),
        (f"sqlite:///{tmp_path}/no/such/folder/events.db", "its file cannot be opened"),
    ):
        with opened(url) as engine, pytest.raises(StoreError) as refusal:
            EventStore(engine).append([an_event()])
        assert reason in said(refusal.value, "geheim", "ada", "127.0.0.1", "folder", "password")


def test_a_wrong_password_is_not_repeated(templates: Templates) -> None:
    """Nor the name of the user, nor where the server is."""
    right = make_url(templates.postgres)
    for url in (right.set(password="falsch"), right.set(username="nobody-at-all")):  # noqa: S106 - it is the wrong one
        with opened(url.render_as_string(hide_password=False)) as engine, pytest.raises(StoreError) as refusal:
            state(engine)
        assert "it refused the login" in said(refusal.value, "falsch", "nobody-at-all", str(right.port))


def test_a_database_that_is_not_there_says_so(templates: Templates) -> None:
    """The login is right, the name is not."""
    url = make_url(templates.postgres).set(database="nowhere_1")
    with opened(url.render_as_string(hide_password=False)) as engine, pytest.raises(StoreError) as refusal:
        state(engine)
    said(refusal.value, "nowhere_1")


def test_a_file_that_is_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    """A wrong path must not cost anybody a file."""
    path = tmp_path / "letter.txt"
    path.write_text("Dear Ada, " * 500)
    with opened(f"sqlite:///{path}") as engine, pytest.raises(StoreError, match="no SQLite database"):
        state(engine)
    assert path.read_text() == "Dear Ada, " * 500


def test_without_tables_it_says_how_to_make_them(empty_url: str) -> None:
    """The commonest fault of a first day."""
    with opened(empty_url) as engine:
        store = EventStore(engine)
        for attempt in (
            lambda: store.append([an_event()]),
            lambda: store.append(some_events(100)),
            lambda: store.find(EventQuery()),
            lambda: store.count(EventQuery()),
        ):
            with pytest.raises(StoreError, match="run: python -m tracegate store upgrade"):
                attempt()


def test_what_was_to_be_written_is_not_repeated(engine: Engine) -> None:
    """A refused row is no text for a log."""
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE other (x integer CHECK (x > 0))"))
    with pytest.raises(StoreError) as refusal, writing(engine) as connection:
        connection.execute(text("INSERT INTO other VALUES (:x)"), {"x": -4711})
    said(refusal.value, "4711")


def test_a_block_that_raises_leaves_nothing(engine: Engine) -> None:
    """Whatever it raises; and that passes as it is."""
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE other (x integer)"))
    with pytest.raises(ZeroDivisionError), writing(engine) as connection:  # noqa: PT012 - the block is the transaction
        connection.execute(text("INSERT INTO other VALUES (1)"))
        raise ZeroDivisionError

    with reading(engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM other")) == 0


@pytest.mark.contract("F3")
def test_a_batch_is_written_whole_or_not_at_all(engine: Engine, store: EventStore) -> None:
    """One transaction, also where the last row is what fails."""
    if is_postgresql(engine):
        fails_late = "ALTER TABLE tb_ops_event ADD CONSTRAINT late CHECK (message <> 'late')"
    else:
        fails_late = (
            "CREATE TRIGGER late BEFORE INSERT ON tb_ops_event WHEN NEW.message = 'late'"
            " BEGIN SELECT RAISE(ABORT, 'late'); END"
        )
    with writing(engine) as connection:
        connection.execute(text(fails_late))
    for number in (10, 500):
        with pytest.raises(StoreError):
            store.append([*some_events(number), an_event(number, message="late")])
        assert store.count(EventQuery()) == 0
    assert store.append([an_event(1)]) == 1


def test_a_reader_does_not_wait_for_the_writer(engine: Engine, store: EventStore) -> None:
    """And sees what was there before; a second writer on SQLite waits, and is not told to go away at once."""
    store.append([an_event(1)])
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE other (x integer)"))
        assert store.count(EventQuery()) == 1


@pytest.mark.contract("F3")
def test_a_child_process_has_connections_of_its_own(store: EventStore) -> None:
    """After a fork, as under gunicorn with a preloaded application: neither harms the other's."""
    store.append([an_event(1)])
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if store.append([an_event(2)]) == 1 and store.count(EventQuery()) == 2 else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    assert store.append([an_event(3)]) == 1
    assert store.count(EventQuery()) == 3


@pytest.mark.contract("H1")
def test_a_commit_is_on_the_disk_when_it_returns(engine: Engine) -> None:
    """As far as each database promises it: nobody has set it to lose the last ones."""
    with reading(engine) as connection:
        if is_postgresql(engine):
            assert connection.scalar(text("SHOW synchronous_commit")) == "on"
            assert connection.scalar(text("SHOW TimeZone")) == "UTC"
            assert connection.scalar(text("SHOW statement_timeout")) == "15s"
        else:
            assert connection.scalar(text("PRAGMA synchronous")) == 2
            assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
            assert connection.scalar(text("PRAGMA foreign_keys")) == 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "events.db",
        "mysql://ada:geheim@host/x",
        "sqlite://",
        "sqlite:///:memory:",
        "postgresql+asyncpg://a/b",
        "://",
    ],
)
def test_a_url_of_another_kind_is_a_configuration_error(url: str) -> None:
    """Before anything is connected; the URL is not repeated."""
    with pytest.raises(ConfigurationError, match="must be sqlite:///path or postgresql://") as refusal:
        open_engine(url)
    assert "geheim" not in str(refusal.value)
