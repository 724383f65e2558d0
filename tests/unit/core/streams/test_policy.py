"""What can be decided about recorded streams, and what of a head is kept?"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from tracegate.core.streams.policy import StreamPolicy
from tracegate.core.streams.recording import headers_of, kept_headers
from tracegate.errors import ConfigurationError

pytestmark = pytest.mark.contract("D8")


def test_the_defaults_add_nothing_and_delay_nothing() -> None:
    """No ids of our own, no waiting for the store, and the application hears of its client."""
    policy = StreamPolicy()
    assert (policy.number_events, policy.durability, policy.on_disconnect) == (False, "background", "stop")


def test_all_faults_are_reported_at_once() -> None:
    """Each with its setting's name."""
    wrong: dict[str, Any] = {item.name: "x" for item in fields(StreamPolicy)}
    with pytest.raises(ConfigurationError) as raised:
        StreamPolicy(**wrong)
    assert [name for name, _ in raised.value.faults] == list(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"lease_seconds": 0}, {"max_events": 0}, {"max_events": 1.5}, {"commit_wait_seconds": -1},
        {"commit_wait_seconds": 11}, {"poll_seconds": True}, {"max_age_seconds": float("nan")},
    ],
)  # fmt: skip
def test_numbers_have_bounds(wrong: dict[str, Any]) -> None:
    """Whole ones where things are counted."""
    with pytest.raises(ConfigurationError):
        StreamPolicy(**wrong)


def test_what_says_how_to_read_a_reply_is_kept() -> None:
    """Whatever the case of its name; what was meant for one reply is not."""
    lines = [
        (b"Content-Type", b"text/event-stream"), (b"Set-Cookie", b"a=b"), (b"ACCESS-control-Allow-Origin", b"*"),
        (b"X-Trace-Id", b"x"), (b"vary", b"\xe9"), (b"Content-Length", b"7"),
    ]  # fmt: skip
    assert headers_of(kept_headers(lines)) == [
        (b"content-type", b"text/event-stream"), (b"access-control-allow-origin", b"*"), (b"vary", b"\xe9"),
    ]  # fmt: skip
