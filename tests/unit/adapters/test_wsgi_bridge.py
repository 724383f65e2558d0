"""Does a WSGI gate behind a bridge take another request for its own?"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tracegate.adapters.asgi_scope import MARK
from tracegate.adapters.wsgi_bridge import SCOPE, outer_exchange


@pytest.mark.contract("B8", "C1")
def test_a_request_that_is_made_while_a_reply_streams_is_another_one() -> None:
    """The outer reply has begun, so what a facade asks of it now gets a gate of its own."""
    begun = SimpleNamespace(status=200, exchange=None)
    assert outer_exchange(None, {SCOPE: {MARK: begun}}) is None
