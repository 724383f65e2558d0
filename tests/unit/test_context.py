"""Which trace is code in, and can it change that?

Clauses G1 to G3.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.fakes import HEX, OTHER, OWN, OWN_TRACE
from tracegate import context
from tracegate.context import bind_trace, binding, current_trace, on_fault, require_trace, trace_scope, unbind
from tracegate.core.trace import Trace
from tracegate.core.trace_id import TraceId
from tracegate.errors import InvalidTraceIdError, MissingTraceError, TraceOverwriteError

OTHER_TRACE = Trace.of(TraceId.from_text(OTHER), "header")


@pytest.fixture(autouse=True)
def _nothing_bound() -> Iterator[None]:
    """Begin and end each test outside of any trace."""
    binding.set(None)
    yield
    binding.set(None)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None, str]]:
    """Collect what the context reports."""
    seen: list[tuple[str, str | None, str]] = []
    monkeypatch.setattr(context, "_fault_observers", [])
    on_fault(lambda *fault: seen.append(fault))
    return seen


def here() -> str | None:
    """Return the spelling of the trace that the caller is in."""
    trace = current_trace()
    return None if trace is None else trace.trace_id


# Reading


@pytest.mark.contract("G1")
def test_outside_of_any_exchange_there_is_no_trace() -> None:
    """And asking is no fault."""
    assert current_trace() is None


@pytest.mark.contract("G1", "G3")
def test_inside_of_one_everyone_reads_the_same() -> None:
    """Those who require it, too."""
    with trace_scope(OWN_TRACE) as trace:
        assert trace is OWN_TRACE
        assert current_trace() is OWN_TRACE
        assert require_trace() is OWN_TRACE


@pytest.mark.contract("G3")
def test_who_requires_a_trace_where_none_is_gets_an_exception_and_one_event(
    faults: list[tuple[str, str | None, str]],
) -> None:
    """The exception says that the event is out."""
    with pytest.raises(MissingTraceError) as caught:
        require_trace()

    assert caught.value.recorded
    assert isinstance(caught.value, LookupError)
    assert faults == [("missing_trace", None, "require_trace() found no bound trace")]


@pytest.mark.contract("G3")
def test_without_a_runtime_the_exception_says_that_nothing_was_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the edge of the request records it."""
    monkeypatch.setattr(context, "_fault_observers", [])

    with pytest.raises(MissingTraceError) as caught:
        require_trace()

    assert not caught.value.recorded


def test_the_latest_observer_gets_the_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """One event for one fault, however many gates a process has."""
    monkeypatch.setattr(context, "_fault_observers", [])
    first: list[str] = []
    second: list[str] = []
    on_fault(lambda kind, _id, _message: first.append(kind))
    on_fault(lambda kind, _id, _message: second.append(kind))
    with pytest.raises(MissingTraceError):
        require_trace()

    assert (first, second) == ([], ["missing_trace"])


# Binding is write-once


@pytest.mark.contract("A1", "G2")
@pytest.mark.parametrize("again", [OWN, HEX, HEX.upper(), OWN_TRACE, OWN_TRACE.id, TraceId.from_text(HEX)])
def test_an_equal_number_again_is_no_change(
    again: Trace | TraceId | str, faults: list[tuple[str, str | None, str]]
) -> None:
    """The bound spelling stays."""
    with trace_scope(OWN_TRACE):
        assert bind_trace(again) is OWN_TRACE
        assert current_trace() is OWN_TRACE
    assert faults == []


@pytest.mark.contract("G2")
@pytest.mark.parametrize("other", [OTHER, OTHER_TRACE, OTHER_TRACE.id])
def test_another_trace_is_refused_and_the_bound_one_stays(
    other: Trace | TraceId | str, faults: list[tuple[str, str | None, str]]
) -> None:
    """With an event."""
    with trace_scope(OWN_TRACE):
        with pytest.raises(TraceOverwriteError) as caught:
            bind_trace(other)
        assert current_trace() is OWN_TRACE

    assert (caught.value.bound, caught.value.attempted) == (OWN, OTHER)
    assert isinstance(caught.value, RuntimeError)
    assert faults == [("trace_overwrite_refused", OWN, "code tried to bind another trace")]


@pytest.mark.contract("G2")
@pytest.mark.parametrize("given", [OWN, OWN_TRACE.id])
def test_where_nothing_is_bound_a_trace_can_be(given: TraceId | str) -> None:
    """Once; its origin is the scope."""
    bound = bind_trace(given)

    assert (bound.trace_id, bound.origin) == (OWN, "scope")
    assert current_trace() is bound
    with pytest.raises(TraceOverwriteError):
        bind_trace(OTHER)


@pytest.mark.contract("G2")
def test_a_trace_object_is_bound_as_it_is() -> None:
    """With all that it knows."""
    assert bind_trace(OWN_TRACE) is OWN_TRACE


@pytest.mark.contract("A3", "G2")
@pytest.mark.parametrize("text", ["", "nope", OWN + " ", "٤" * 32])
def test_a_text_that_is_no_trace_id_is_not_bound(text: str) -> None:
    """Nor does it open a scope."""
    with pytest.raises(InvalidTraceIdError):
        bind_trace(text)
    with pytest.raises(InvalidTraceIdError), trace_scope(text):
        pass
    assert here() is None


# Scopes


@pytest.mark.contract("A4", "G3")
def test_a_job_opens_a_scope_of_its_own() -> None:
    """With the trace that it was given, or a new random one."""
    with trace_scope(OWN) as given:
        assert (given.trace_id, given.origin, here()) == (OWN, "scope", OWN)
    with trace_scope() as first, trace_scope() as second:
        assert first.minted
        assert first != second
        assert second.trace_id[14] == "4"
        assert here() == second.trace_id
    assert here() is None


@pytest.mark.contract("G2", "G3")
def test_scopes_nest_and_each_leaves_the_context_as_it_found_it() -> None:
    """Also when the block raises; the write-once rule is each scope's own."""
    with trace_scope(OWN):
        with pytest.raises(ZeroDivisionError), trace_scope(OTHER):  # noqa: PT012 - what happens in the block is the case
            assert here() == OTHER
            assert bind_trace(OTHER).trace_id == OTHER
            with pytest.raises(TraceOverwriteError):
                bind_trace(OWN)
            raise ZeroDivisionError
        assert here() == OWN
        with trace_scope(OWN):
            assert here() == OWN
    assert here() is None


@pytest.mark.contract("G2")
def test_a_scope_that_ends_in_a_foreign_context_leaves_that_one_alone() -> None:
    """No token is held, so nothing complains that it was created in a different context."""

    def work() -> Iterator[str | None]:
        with trace_scope(OWN):
            yield here()
            yield here()

    generator = work()
    assert contextvars.copy_context().run(next, generator) == OWN
    with trace_scope(OTHER):
        next(generator)
        generator.close()
        assert here() == OTHER
    assert here() is None


@pytest.mark.contract("G2")
def test_a_scope_that_outlives_an_outer_one_does_not_bring_it_back() -> None:
    """Blocks that end out of order restore nothing that is over."""
    outer, inner = trace_scope(OWN), trace_scope(OTHER)
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert here() == OTHER
    inner.__exit__(None, None, None)
    assert here() == OWN  # what the inner one found


class Shell:
    """Stands for what a shell binds."""

    trace = OWN_TRACE


@pytest.mark.contract("G2")
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_shell_takes_its_binding_back_with_the_scopes_left_open_under_it(depth: int) -> None:
    """However many; one that is left later changes nothing."""
    found, bound = Shell(), Shell()
    binding.set(found)
    token = binding.set(bound)
    scopes = [trace_scope(OTHER) for _ in range(depth)]
    for scope in scopes:
        scope.__enter__()
    unbind(bound, token)
    assert binding.get() is found
    for scope in reversed(scopes):
        scope.__exit__(None, None, None)
    assert binding.get() is found


@pytest.mark.contract("G2")
def test_a_shell_leaves_a_foreign_context_alone() -> None:
    """Whatever is bound there: another exchange, a scope under that, a scope of a job's, nothing."""
    bound, foreign = Shell(), Shell()
    token = contextvars.copy_context().run(binding.set, bound)
    unbind(bound, token)
    assert binding.get() is None
    with trace_scope(OTHER):
        unbind(bound, token)
        assert here() == OTHER
    binding.set(foreign)
    unbind(bound, token)
    assert binding.get() is foreign
    with trace_scope(OTHER):
        unbind(bound, token)
        assert here() == OTHER


@pytest.mark.contract("G2")
@pytest.mark.parametrize("bound_before", [True, False])
def test_a_copy_of_its_context_keeps_a_shells_binding(*, bound_before: bool) -> None:
    """A task that outlives the request goes on under its trace, wherever the application ends."""
    found, bound = Shell(), Shell()
    if bound_before:
        binding.set(found)
    token = binding.set(bound)

    def end() -> object:
        unbind(bound, token)
        return binding.get()

    assert contextvars.copy_context().run(end) is bound
    assert end() is (found if bound_before else None)


# Generators, tasks, threads


@pytest.mark.contract("G1", "G2")
def test_tasks_inherit_the_trace_and_keep_their_own_apart() -> None:
    """Concurrent jobs never see each other's."""

    async def job(spelled: str, barrier: asyncio.Barrier) -> list[str | None]:
        with trace_scope(spelled):
            seen = [here()]
            await barrier.wait()
            seen.append(here())
            seen.append(await asyncio.to_thread(here))
            return seen

    async def main() -> tuple[list[list[str | None]], str | None, str | None]:
        barrier = asyncio.Barrier(2)
        jobs = await asyncio.gather(job(OWN, barrier), job(OTHER, barrier))
        after = here()
        with trace_scope(OWN):
            inherited = await asyncio.create_task(asyncio.sleep(0, here()))
            child = asyncio.create_task(_here_later())
        return jobs, after, inherited or await child

    async def _here_later() -> str | None:
        await asyncio.sleep(0)
        return here()

    assert asyncio.run(main()) == ([[OWN] * 3, [OTHER] * 3], None, OWN)


@pytest.mark.contract("G1", "G2")
def test_an_asynchronous_generator_runs_where_it_is_driven_and_leaks_nothing() -> None:
    """A scope inside it that spans a yield is seen by its driver, and gone when it ends."""

    async def stream() -> AsyncIterator[str | None]:
        with trace_scope(OWN):
            yield here()
            await asyncio.sleep(0)
            yield here()

    async def main() -> tuple[list[str | None], str | None]:
        return [seen async for seen in stream()], here()

    assert asyncio.run(main()) == ([OWN, OWN], None)


@pytest.mark.contract("G1", "G2")
def test_a_thread_of_its_own_is_outside() -> None:
    """Unless the context goes with it; and what it binds stays there."""

    def run(target: Callable[[], object]) -> None:
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()

    seen: list[str | None] = []
    with trace_scope(OWN):
        run(lambda: seen.append(here()))
        copied = contextvars.copy_context()
        run(lambda: copied.run(lambda: seen.append(here())))
        run(lambda: (bind_trace(OTHER), seen.append(here())))
        assert here() == OWN

    assert seen == [None, OWN, OTHER]


@pytest.mark.contract("G2")
def test_a_thread_of_a_pool_keeps_nothing_of_a_scope() -> None:
    """The next job on it starts outside."""

    def job() -> str | None:
        before = here()
        with trace_scope(OWN):
            pass
        return before

    with ThreadPoolExecutor(1) as pool:
        assert [pool.submit(job).result() for _ in range(5)] == [None] * 5
