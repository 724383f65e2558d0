"""Which names change in an event that is sent again?"""

from __future__ import annotations

import pytest

from tests.property.plan import OTHER, OWN
from tracegate.core.streams.recording import RecordedEvent, StreamKey
from tracegate.core.streams.relabel import relabelled
from tracegate.core.streams.replay import replayed
from tracegate.core.trace_id import TraceId

pytestmark = pytest.mark.contract("D8")

HEX = OWN.replace(b"-", b"").upper()


@pytest.mark.parametrize(
    ("block", "again"),
    [
        (b'data: {"trace_id":"%s"}\n\n' % OWN, b'data: {"source_trace_id":"%s"}\n\n' % OWN),
        (b'data: {"a":1, "trace_id" : "%s"}\r\r' % HEX, b'data: {"a":1, "source_trace_id" : "%s"}\r\r' % HEX),
        (b'data:{"\\u0074race_id":"%s"}\n\n' % OWN, b'data:{"source_trace_id":"%s"}\n\n' % OWN),
        (
            b'data: {"trace_id":"%s","trace_id":"%s"}\n\n' % (OWN, HEX),
            b'data: {"source_trace_id":"%s","source_trace_id":"%s"}\n\n' % (OWN, HEX),
        ),
        (
            b'data: {"a":1,\nevent: x\ndata:  "trace_id":\r\ndata: "%s"\ndata: }\n\n' % OWN,
            b'data: {"a":1,\nevent: x\ndata:  "source_trace_id":\r\ndata: "%s"\ndata: }\n\n' % OWN,
        ),
        (
            b'data: {"b":"\xff\xc3\xa4","trace_id":"%s"}\n\n' % OWN,
            b'data: {"b":"\xff\xc3\xa4","source_trace_id":"%s"}\n\n' % OWN,
        ),
        (
            b'data: {"b":"\xc3\xa4","trace_id":"%s"}\n\n' % OWN,
            b'data: {"b":"\xc3\xa4","source_trace_id":"%s"}\n\n' % OWN,
        ),
        (
            b"trace_id: %s\ndata: x\ntrace_id:%s\n\n" % (OWN, HEX),
            b"source_trace_id: %s\ndata: x\nsource_trace_id:%s\n\n" % (OWN, HEX),
        ),
    ],
)
def test_what_named_the_first_trace_names_the_source(block: bytes, again: bytes) -> None:
    """As a member or a field, however it is spelled, on whichever line it stands."""
    assert relabelled(block, TraceId(OWN)) == again


@pytest.mark.parametrize(
    "block",
    [
        b'data: {"trace_id":"%s"}\n\n' % OTHER,
        b'data: {"trace_id":null}\n\n',
        b'data: {"trace_id":""}\n\n',
        b'data: {"a":{"trace_id":"%s"}}\n\n' % OWN,
        b'data: ["trace_id","%s"]\n\n' % OWN,
        b'data: {"trace_id":"%s"\n\n' % OWN,
        b'data: {"trace_id":"%s"}}\n\n' % OWN,
        b"trace_id: %s\ndata: x\n\n" % OTHER,
        b"data: trace_id: %s\n\n" % OWN,
        b": trace_id\nid: 1\n\n",
    ],
)
def test_what_did_not_stays(block: bytes) -> None:
    """What the gate then makes of it is the gate's business."""
    assert relabelled(block, TraceId(OWN)) == block


def test_an_event_sent_again_has_the_number_that_it_was_sent_with() -> None:
    """And only then."""
    event = RecordedEvent("r", StreamKey("t", "p", "k"), 2, "r.2", "e", b"data: x\n\n", OWN.decode())
    assert replayed(event, ()) == b"id: r.2\ndata: x\n\n"
    assert replayed(event._replace(event_id="2", payload=b"id: 2\ndata: x\n\n"), ()) == b"id: 2\ndata: x\n\n"
    assert replayed(event._replace(event_id=None), ()) == b"data: x\n\n"


def test_a_trace_of_another_fleet_is_known_by_its_format() -> None:
    """Without the format it names nobody, and stays."""
    block = b'data: {"trace_id":"job-7"}\n\n'
    event = RecordedEvent("r", StreamKey("t", "p", "k"), 1, None, "message", block, "job-7")
    assert replayed(event, ("opaque",)) == b'data: {"source_trace_id":"job-7"}\n\n'
    assert replayed(event, ()) == block
