"""Does a whole body get its trace id as clauses D1 and D2 say, and keep every other byte?"""

from __future__ import annotations

import json

import pytest

from tracegate.core.rewrite import json_body
from tracegate.core.rewrite.json_body import Obstacle, original_value, splice
from tracegate.core.trace_id import TraceId

SPELLING = b"4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
TRACE = TraceId.from_text(SPELLING.decode())
MEMBER = b'"trace_id":"' + SPELLING + b'"'
OWN = b'"' + SPELLING.upper() + b'"'
LONE = rb'"\ud800"'
"""A value at which msgspec gives up, so that the exact reader has its turn."""


@pytest.mark.contract("D1")
@pytest.mark.parametrize(
    ("body", "spliced"),
    [
        (b"{}", b"{%s}"),
        (b"{ \n }", b"{%s \n }"),
        (b'{"a":1}', b'{%s,"a":1}'),
        (b' \r\n{\n\t"a" : 1.0 }\n', b' \r\n{%s,\n\t"a" : 1.0 }\n'),
        (b'{"a":1,"a":2}', b'{%s,"a":1,"a":2}'),
        (b'{"a":{"trace_id":null}}', b'{%s,"a":{"trace_id":null}}'),
        (b'{"a":[{"trace_id":"x"}]}', b'{%s,"a":[{"trace_id":"x"}]}'),
        (b'{"a":"\\"trace_id\\":null"}', b'{%s,"a":"\\"trace_id\\":null"}'),
        (b'{"}":"{"}', b'{%s,"}":"{"}'),
        ('{"ä":"€"}'.encode(), '{%s,"ä":"€"}'.encode()),
        (b'{"a":' + LONE + b"}", b'{%s,"a":' + LONE + b"}"),
        (b'\xef\xbb\xbf{"a":1}', b'\xef\xbb\xbf{%s,"a":1}'),
        (b"\xef\xbb\xbf {}", b"\xef\xbb\xbf {%s}"),
    ],
)
def test_a_missing_member_is_put_in_after_the_first_brace(body: bytes, spliced: bytes) -> None:
    """As one member, with a comma unless it stays alone; every other byte stays."""
    assert splice(body, TRACE) == spliced.replace(b"%s", MEMBER)


@pytest.mark.contract("D1")
@pytest.mark.parametrize(
    "value",
    [b"123456789012345678901234567890", b"9" * 5000, b"1E400", b"-0", b"1.10", rb'"\/\u002f"', b"[" * 500 + b"]" * 500],
)
def test_no_value_is_written_anew(value: bytes) -> None:
    """Numbers beyond every range, escapes and nesting reach the client as they were sent."""
    body = b'{"a": ' + value + b"}"
    assert splice(body, TRACE) == b"{" + MEMBER + b"," + body[1:]


@pytest.mark.contract("D1")
@pytest.mark.parametrize("filling", [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"0" + b"}" * 100_000])
def test_depth_is_no_obstacle(filling: bytes) -> None:
    """Where msgspec gives up, the exact reader goes on: 100,000 deep."""
    body = b'{"a":' + filling + b"}"
    assert splice(body, TRACE) == b"{" + MEMBER + b"," + body[1:]
    assert splice(body[:-1], TRACE) is Obstacle.NOT_JSON
    assert splice(filling[:-1], TRACE) is Obstacle.NOT_JSON


@pytest.mark.contract("A1", "D1")
@pytest.mark.parametrize("other", [b"", b',"b":' + LONE, b',"b":"\\u0041"', ',"b":"é"'.encode()])
@pytest.mark.parametrize("name", [b"trace_id", rb"\u0074race_id", rb"trace\u005Fid"])
@pytest.mark.parametrize("value", [b'"' + SPELLING + b'"', OWN, OWN.replace(b"-", b""), OWN.replace(b"-", rb"\u002d")])
def test_a_member_that_names_the_trace_is_left_alone(name: bytes, value: bytes, other: bytes) -> None:
    """The very same object comes back: first or last, however name and value are spelled."""
    for body in (
        b'{"' + name + b'":' + value + other + b"}",
        b'{"a":1, "' + name + b'" : ' + value + b"\n" + other + b"}",
    ):
        assert splice(body, TRACE) is body


@pytest.mark.contract("D1")
@pytest.mark.parametrize("other", [b"", b',"b":' + LONE, ',"b":"é"'.encode()])
@pytest.mark.parametrize("name", [b"trace_id", rb"\u0074race_id"])
@pytest.mark.parametrize("value", [b"null", b'""'])
def test_an_empty_member_is_filled_where_it_stands(name: bytes, value: bytes, other: bytes) -> None:
    """Its name stays as it was written, and so does all the rest."""
    body = b'{ "a":%s, "' + name + b'" : %s ' + other + b', "trace_id2":%s}'
    filled = body.replace(b"%s", value, 1).replace(b"%s", b'"' + SPELLING + b'"', 1).replace(b"%s", value)
    assert splice(body.replace(b"%s", value), TRACE) == filled
    among = b'{"a":%s, "' + name + b'" : %s ' + other + b', "b":%s}'
    filled = among.replace(b"%s", value, 1).replace(b"%s", b'"' + SPELLING + b'"', 1).replace(b"%s", value)
    assert splice(among.replace(b"%s", value), TRACE) == filled
    alone = b'{"' + name + b'":%s' + other + b"}"
    assert splice(alone.replace(b"%s", value), TRACE) == alone.replace(b"%s", b'"' + SPELLING + b'"')


@pytest.mark.contract("D1")
@pytest.mark.parametrize("other", [b"", b',"b":' + LONE, ',"b":"é"'.encode()])
@pytest.mark.parametrize(
    "value", [b'"x"', b"0", b"true", b"false", b"[]", b"{}", b'" "', OWN.replace(b"6", b"7"), b"[null]", LONE]
)
def test_a_member_that_says_something_else_is_refused(value: bytes, other: bytes) -> None:
    """Another trace, or no trace id at all, of whatever type."""
    assert splice(b'{"trace_id":' + value + other + b"}", TRACE) is Obstacle.OVERWRITE
    assert splice(b'{"a":0,"trace\\u005fid":' + value + other + b"}", TRACE) is Obstacle.OVERWRITE


@pytest.mark.contract("D1")
@pytest.mark.parametrize("second", [b"trace_id", rb"trace_i\u0064"])
def test_every_one_of_several_members_is_judged(second: bytes) -> None:
    """A client takes the first or the last: each must be the trace, and one that is not has the whole refused."""
    body = b'{"trace_id":%a,"x":0,"' + second + b'":%b}'

    def both(first: bytes, last: bytes) -> bytes:
        return body.replace(b"%a", first).replace(b"%b", last)

    assert splice(same := both(OWN, OWN), TRACE) is same
    assert splice(both(b"null", OWN), TRACE) == both(b'"' + SPELLING + b'"', OWN)
    assert splice(both(OWN, b'""'), TRACE) == both(OWN, b'"' + SPELLING + b'"')
    assert splice(both(b"null", b"null"), TRACE) == both(b'"' + SPELLING + b'"', b'"' + SPELLING + b'"')
    for other in (b'"x"', b"1", b"[]"):
        assert splice(both(other, OWN), TRACE) is Obstacle.OVERWRITE
        assert splice(both(OWN, other), TRACE) is Obstacle.OVERWRITE
        assert splice(both(b"null", other), TRACE) is Obstacle.OVERWRITE


@pytest.mark.contract("D2")
@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'["trace_id"]',
        b'"x"',
        b"1",
        b"-1.5e3",
        b"true",
        b"null",
        b" [1] \n",
        LONE,
        b"\xef\xbb\xbf[1]",
        b'[{"a":1}]',
    ],
)
def test_json_that_is_no_object_is_told_from_text(body: bytes) -> None:
    """Valid, of another type; its value is the original, byte for byte."""
    assert splice(body, TRACE) is Obstacle.NOT_AN_OBJECT
    assert original_value(body, Obstacle.NOT_AN_OBJECT) == body.removeprefix(b"\xef\xbb\xbf").strip()


@pytest.mark.contract("D2")
@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1',
        b'{"a":1}x',
        b'{"a":1}\n{"b":2}',
        b'{"a":1,}',
        b"{'a':1}",
        b'{"a":NaN}',
        b'{"a":01}',
        b'{"a":"\x01"}',
        b'{"a":"\\x"}',
        b'{"trace_id":null',
        b'{"trace_id":"x"}}',
        b"<html>",
        b"nul",
        b"\x00",
        b"\xa0{}",
        b"\x0b",
        b"\x0ctext",
        b" \x0b{}",
        b"\xef\xbb\xbf\xef\xbb\xbf{}",
        b" \xef\xbb\xbf{}",
    ],
)
def test_what_is_not_json_becomes_its_text(body: bytes) -> None:
    """The original is a JSON string of it, without mark and blanks before it."""
    assert splice(body, TRACE) is Obstacle.NOT_JSON
    bare = body.removeprefix(b"\xef\xbb\xbf").lstrip(b" ")
    text = bare.decode("latin-1") if body == b"\xa0{}" else bare.decode()
    assert json.loads(original_value(body, Obstacle.NOT_JSON)) == text


@pytest.mark.contract("D2")
@pytest.mark.parametrize("name", [b"a", b"trace_id"])
@pytest.mark.parametrize("flaw", [b"\xff", b"\xe9", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82"])
def test_what_is_not_utf_8_is_not_json(flaw: bytes, name: bytes) -> None:
    """Within strings that nobody looks at, too; as an original it is Latin-1, so that no byte is lost."""
    body = b'{"' + name + b'":"' + flaw + b'"}'
    assert splice(body, TRACE) is Obstacle.NOT_JSON
    original = json.loads(original_value(body, Obstacle.NOT_JSON))
    assert original.encode("latin-1") == body


@pytest.mark.contract("D2")
@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_json_in_another_coding_is_not_json(coding: str) -> None:
    """RFC 8259 section 8.1 leaves UTF-8 only."""
    assert splice('{"a":"b"}'.encode(coding), TRACE) is Obstacle.NOT_JSON


@pytest.mark.contract("D2")
@pytest.mark.parametrize("body", [b"", b" ", b"\r\n\t ", b"\xef\xbb\xbf", b"\xef\xbb\xbf \n"])
def test_a_body_of_white_space_is_empty(body: bytes) -> None:
    """Its original is the empty string."""
    assert splice(body, TRACE) is Obstacle.EMPTY
    assert original_value(body, Obstacle.EMPTY) == b'""'


@pytest.mark.contract("D2")
def test_a_refused_object_is_still_a_value() -> None:
    """Whoever wants to deliver what D1 refuses gets it as it is."""
    assert original_value(b' {"trace_id" : 1}\n', Obstacle.OVERWRITE) == b'{"trace_id" : 1}'


@pytest.mark.contract("D1", "D2")
def test_a_glance_is_enough_for_a_plain_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact reader is left alone by bodies in which nothing is escaped and the name stands at most once."""
    monkeypatch.delattr(json_body, "JsonReader")
    assert splice('{"a":"é"}'.encode(), TRACE) == b"{" + MEMBER + ',"a":"é"}'.encode()
    assert splice(b'{"a":"\\u00e9"}', TRACE) == b"{" + MEMBER + b',"a":"\\u00e9"}'
    assert splice(body := b'{"trace_id":' + OWN + b"}", TRACE) is body
    assert splice(body := b'{"trace_id":' + OWN + b',"a":"\\n\\"\\\\"}', TRACE) is body
    assert splice(b'{"trace_id":"x"}', TRACE) is Obstacle.OVERWRITE
    assert splice(b'{"a":1,"trace_id" : null}', TRACE) == b'{"a":1,"trace_id" : "' + SPELLING + b'"}'
    assert splice(b'{"a":"\xff"}', TRACE) is Obstacle.NOT_JSON


@pytest.mark.contract("A1", "D1")
def test_a_trace_of_another_fleet_is_spliced_in_its_own_spelling() -> None:
    """No spelling is changed, and one that stands there already is known."""
    trace = TraceId.from_text("Root=1-67891233-abcdef012345678912345678", ("aws",))
    spliced = splice(b"{}", trace)
    assert spliced == b'{"trace_id":"Root=1-67891233-abcdef012345678912345678"}'
    assert splice(spliced, trace) is spliced
    assert splice(spliced, TRACE) is Obstacle.OVERWRITE
