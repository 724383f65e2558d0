"""Which exceptions tell an application to stop?"""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType

import pytest
import trio

from tracegate.adapters.cancellation import is_cancellation


class Killed(BaseException):
    """As greenlet's GreenletExit: no Exception."""


async def cancelled_by_trio() -> BaseException:
    """Return what trio raises; its class cannot be made directly."""
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as error:
            return error
    raise AssertionError


@pytest.mark.contract("C4")
@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), GeneratorExit()])
def test_a_cancellation_is_no_failure(error: BaseException) -> None:
    """Nothing is answered: whoever waits for the reply has gone, or the process is going."""
    assert is_cancellation(error)


@pytest.mark.contract("C4")
def test_a_cancellation_by_trio_is_no_failure() -> None:
    """It is known where trio is loaded."""
    assert is_cancellation(trio.run(cancelled_by_trio))


@pytest.mark.contract("C4")
def test_a_killed_greenlet_is_no_failure_where_greenlet_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gunicorn's gevent workers end so; without greenlet the same class is anybody's."""
    monkeypatch.delitem(sys.modules, "greenlet", raising=False)
    assert not is_cancellation(Killed())
    greenlet = ModuleType("greenlet")
    greenlet.__dict__["GreenletExit"] = Killed
    monkeypatch.setitem(sys.modules, "greenlet", greenlet)
    assert is_cancellation(Killed())


@pytest.mark.contract("C4")
@pytest.mark.parametrize("error", [ValueError(), SystemExit(1), Killed(), OSError(), TimeoutError()])
def test_anything_else_is_a_failure(error: BaseException) -> None:
    """A handler that exits, or a library's own timeout, has failed."""
    assert not is_cancellation(error)


@pytest.mark.contract("C4")
@pytest.mark.parametrize(
    ("parts", "stops"),
    [
        ((asyncio.CancelledError(), KeyboardInterrupt()), True),
        ((asyncio.CancelledError(), ValueError()), False),
        ((BaseExceptionGroup("", [asyncio.CancelledError()]), KeyboardInterrupt()), True),
        ((BaseExceptionGroup("", [asyncio.CancelledError(), Killed()]),), False),
    ],
)
def test_a_group_stops_where_all_of_it_does(parts: tuple[BaseException, ...], *, stops: bool) -> None:
    """One failure among cancellations is what the group was raised for."""
    assert is_cancellation(BaseExceptionGroup("", parts)) is stops
