"""Which exceptions are there, what would a caller catch, and what do they carry?"""

from __future__ import annotations

import pytest

from tracegate import errors
from tracegate.errors import (
    ConfigurationError,
    InvalidTraceIdError,
    MissingTraceError,
    ReplyAbortedError,
    ReplyError,
    TracegateError,
    TraceOverwriteError,
)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (ConfigurationError((("a", "b"),)), ValueError),
        (InvalidTraceIdError("x"), ValueError),
        (TraceOverwriteError("a", "b"), RuntimeError),
        (MissingTraceError(), LookupError),
        (ReplyError("x"), RuntimeError),
        (ReplyAbortedError(), OSError),
    ],
)
def test_every_exception_has_one_root_and_a_builtin_base(error: Exception, builtin: type[Exception]) -> None:
    """So that code which never heard of tracegate does the right thing."""
    assert isinstance(error, TracegateError)
    assert isinstance(error, builtin)
    assert type(error).__name__ in errors.__all__


def test_a_configuration_error_names_every_fault() -> None:
    """As data and as text."""
    error = ConfigurationError((("mode", "is wrong"), ("header", "is empty")))

    assert error.faults == (("mode", "is wrong"), ("header", "is empty"))
    assert str(error) == "mode: is wrong; header: is empty"


@pytest.mark.contract("E3")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nope", "nope"),
        ("a\n\x1b[31m", "a\\n\\x1b[31m"),
        ("x" * 60_000, "x" * 64),
        ("\U0001f600" * 64, ("\\U0001f600" * 64)[:80]),
        ("", ""),
    ],
)
def test_a_rejected_text_is_escaped_and_bounded(text: str, shown: str) -> None:
    """An exception ends up in logs."""
    error = InvalidTraceIdError(text)

    assert error.text == shown
    assert str(error).startswith("not a trace id: ")
    assert len(str(error)) < 120


@pytest.mark.contract("G2", "G3")
def test_the_others_say_what_happened() -> None:
    """With their facts as attributes."""
    overwrite, missing = TraceOverwriteError("a", "b"), MissingTraceError(recorded=True)

    assert (overwrite.bound, overwrite.attempted) == ("a", "b")
    assert str(overwrite) == "trace a is bound; refused to replace it by b"
    assert (missing.recorded, str(missing)) == (True, "no trace is bound here")
    assert (MissingTraceError("why").recorded, str(MissingTraceError("why"))) == (False, "why")
    assert str(ReplyAbortedError()) == "the reply was ended by tracegate; nothing more leaves"
