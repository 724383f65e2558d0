"""Which machine treats a reply's body, and with which head does it begin?"""

from __future__ import annotations

import pytest

from tests.unit.fakes import OWN_TRACE, CountingMint
from tracegate.core.head import ReplyHead
from tracegate.core.policy import Policy
from tracegate.core.rewrite.choose import Treatment
from tracegate.core.rewrite.long_body import SilentBody
from tracegate.core.rewrite.treatment import treated
from tracegate.core.terms import Terms


@pytest.mark.contract("D5")
@pytest.mark.parametrize("coding", [[], [(b"content-encoding", b"gzip")]])
def test_the_head_of_a_silent_error_is_that_of_its_body(coding: list[tuple[bytes, bytes]]) -> None:
    """HEAD tells what GET would: the error leaves without its coding, and its length is not known."""
    type_line = (b"content-type", b"application/json")
    head = ReplyHead(404, [type_line, (b"content-length", b"7"), *coding])
    terms = Terms(Policy(), CountingMint(), b"x-trace-id")

    body = treated(Treatment.ERROR_HEAD, head, terms, OWN_TRACE, [], keep=False, observes=False)

    assert isinstance(body, SilentBody)
    assert body.feed(b"", more=False).headers == [type_line]
