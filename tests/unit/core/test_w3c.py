"""Are traceparent and tracestate read as Trace Context level 2 says?"""

from __future__ import annotations

import pytest

from tracegate.core.w3c import (
    RANDOM,
    SAMPLED,
    TraceParent,
    format_traceparent,
    parse_traceparent,
    parse_tracestate,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{PARENT}-01".encode()


@pytest.mark.contract("B1")
def test_a_traceparent_is_read_into_its_parts() -> None:
    """Ids as text, flags as bits, the trace id as a number too."""
    parent = parse_traceparent([GOOD])

    assert parent is not None
    assert parent == TraceParent(TRACE, PARENT, SAMPLED)
    assert parent.number == 0x4BF92F3577B34DA6A3CE929D0E0E4736


@pytest.mark.contract("B1")
@pytest.mark.parametrize("lines", [[], [GOOD, GOOD], [GOOD, b""], [b"", GOOD], [b"x", GOOD], [GOOD] * 3])
def test_only_a_single_field_line_counts(lines: list[bytes]) -> None:
    """Every line is looked at: several are absent, equal or not, empty or not."""
    assert parse_traceparent(lines) is None


@pytest.mark.contract("B1")
def test_all_flags_are_kept_as_received() -> None:
    """Eight bits, two lower-case digits."""
    for flags in range(256):
        assert parse_traceparent([GOOD[:-2] + f"{flags:02x}".encode()]) == TraceParent(TRACE, PARENT, flags)


@pytest.mark.contract("B1")
@pytest.mark.parametrize("around", [b" ", b"\t", b" \t \t"])
def test_optional_white_space_around_the_value_is_not_part_of_it(around: bytes) -> None:
    """As for any HTTP field value."""
    assert parse_traceparent([around + GOOD + around]) == parse_traceparent([GOOD])


@pytest.mark.contract("B1")
@pytest.mark.parametrize("addition", [b"", b"-", b"-what-the-future-will-be-like", b"- a\tb;c=\xff"])
def test_a_higher_version_is_read_as_version_00_and_may_go_on(addition: bytes) -> None:
    """From 01 to fe; behind a dash, with whatever a field value may hold."""
    for version in range(0x01, 0xFF):
        assert parse_traceparent([f"{version:02x}".encode() + GOOD[2:] + addition]) == TraceParent(TRACE, PARENT, 1)


@pytest.mark.contract("B3")
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        GOOD + b"-",
        GOOD + b"-00",
        GOOD + b"-what-the-future-will-be-like",
        GOOD + b".",
        GOOD[:-1],
        GOOD + b"0",
        b"ff" + GOOD[2:],
        b"ff" + GOOD[2:] + b"-x",
        b"cc" + GOOD[2:] + b".x",
        b"cc" + GOOD[2:] + b"0",
        b"cc" + GOOD[2:-1],
        b"cc" + GOOD[2:] + b"-x,00" + GOOD[2:],
        b"cc" + GOOD[2:] + b"-\0",
        b"cc" + GOOD[2:] + b"-\n",
        b"cc" + GOOD[2:] + b"-x\x7f",
        b"CC" + GOOD[2:],
        b"0" + GOOD[2:],
        b"000" + GOOD[2:],
        b"0x" + GOOD[2:],
        GOOD.upper(),
        GOOD.replace(b"-", b"_"),
        GOOD.replace(b"-", b" - "),
        GOOD.replace(TRACE.encode(), b"0" * 32),
        GOOD.replace(TRACE.encode(), TRACE.upper().encode()),
        GOOD.replace(TRACE.encode(), TRACE[:31].encode()),
        GOOD.replace(TRACE.encode(), TRACE.encode() + b"0"),
        GOOD.replace(TRACE.encode(), b"4bf92f35-77b3-4da6-a3ce-929d0e0e4736"),
        GOOD.replace(PARENT.encode(), b"0" * 16),
        GOOD.replace(PARENT.encode(), PARENT.upper().encode()),
        GOOD.replace(PARENT.encode(), PARENT[:15].encode()),
        GOOD.replace(PARENT.encode(), PARENT.encode() + b"0"),
        GOOD[:-2] + b"0G",
        GOOD[:-2] + b"0A",
        GOOD[:-2] + b".1",
        GOOD + b"," + GOOD,
        GOOD + b"\n",
        GOOD + b"\r\n",
        b"\n" + GOOD,
        b"\x0b" + GOOD,
        GOOD + b"\0",
        GOOD + b"\xa0",
        "\u0660\u0660".encode() + GOOD[2:],
        b"0" * 61_440,
        b"cc" + GOOD[2:] + b"-" + b"x" * 61_440 + b"\0",
    ],
    ids=lambda raw: ascii(raw[:72]),
)
def test_a_malformed_traceparent_counts_as_absent(raw: bytes) -> None:
    """Version 00 is exactly 55 characters, ff is no version, ids are lower-case hex and not zero; nothing raises."""
    assert parse_traceparent([raw]) is None


@pytest.mark.contract("A2")
@pytest.mark.parametrize(
    ("flags", "sent"), [(0, "00"), (1, "01"), (2, "02"), (3, "03"), (0xFC, "00"), (0xFF, "03"), (0x100, "00")]
)
def test_an_outbound_traceparent_is_version_00_with_the_known_flags(flags: int, sent: str) -> None:
    """Reserved bits are sent as zero."""
    assert format_traceparent(TRACE, PARENT, flags) == f"00-{TRACE}-{PARENT}-{sent}"


@pytest.mark.contract("A2")
@pytest.mark.parametrize(
    ("trace_id", "parent_id"),
    [
        ("0" * 32, PARENT),
        (TRACE.upper(), PARENT),
        (TRACE[:31], PARENT),
        (TRACE + "0", PARENT),
        ("4bf92f35-77b3-4da6-a3ce-929d0e0e4736", PARENT),
        ("\u0660" * 32, PARENT),
        (TRACE, "0" * 16),
        (TRACE, PARENT.upper()),
        (TRACE, PARENT[:15]),
        (TRACE, ""),
        (TRACE, PARENT + "\r\nX-Evil: 1"),
        (TRACE, PARENT + "-01-more"),
        ("x" * 10_000, PARENT),
    ],
)
def test_a_malformed_traceparent_is_never_sent(trace_id: str, parent_id: str) -> None:
    """What goes out is what would be let in; the error is short, whatever was given."""
    with pytest.raises(ValueError, match="not the ids of a traceparent") as caught:
        format_traceparent(trace_id, parent_id, 0)
    assert len(str(caught.value)) < 300


def test_the_flags_are_the_bits_of_the_standard() -> None:
    """Sampled is the lowest bit, random the next."""
    assert (SAMPLED, RANDOM) == (1, 2)


THIRTY_TWO = ",".join(f"k{number}={number}" for number in range(32))
LONGEST_KEY = "z" * 256
LONGEST_VALUE = " " * 255 + "v"
PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
VALUE_OF_ALL = PRINTABLE.replace(",", "").replace("=", "")


@pytest.mark.contract("B1")
@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (["foo=1"], "foo=1"),
        (["foo=1,bar=2"], "foo=1,bar=2"),
        (["foo=1", "bar=2", "baz=3"], "foo=1,bar=2,baz=3"),
        (["b=2,a=1", "c=3"], "b=2,a=1,c=3"),
        (["foo=1 \t , \t bar=2, \t baz=3"], "foo=1,bar=2,baz=3"),
        ([" foo=1\t"], "foo=1"),
        (["foo=1", ""], "foo=1"),
        (["", "foo=1"], "foo=1"),
        ([",, ,\t,foo=1,,", " ,"], "foo=1"),
        (["foo=1,foo=1"], "foo=1,foo=1"),
        (["foo=1", "foo=2"], "foo=1,foo=2"),
        (["foo= 1"], "foo= 1"),
        (["foo=   a b"], "foo=   a b"),
        (["0=1"], "0=1"),
        (["0af_-*/@=1"], "0af_-*/@=1"),
        (["foo@=1", "foo@@bar=1", "foo@bar@baz=1"], "foo@=1,foo@@bar=1,foo@bar@baz=1"),
        ([THIRTY_TWO], THIRTY_TWO),
        ([THIRTY_TWO + "," * 100], THIRTY_TWO),
        ([LONGEST_KEY + "=1"], LONGEST_KEY + "=1"),
        (["a=" + LONGEST_VALUE], "a=" + LONGEST_VALUE),
        (["a=" + VALUE_OF_ALL], "a=" + VALUE_OF_ALL),
    ],
)
def test_a_valid_tracestate_is_joined_in_order_and_cleaned(lines: list[str], kept: str) -> None:
    """White space around members and empty members go; order, leading spaces of values and repeated keys stay."""
    assert parse_tracestate([line.encode() for line in lines]) == kept


@pytest.mark.contract("B3")
@pytest.mark.parametrize(
    "lines",
    [
        [],
        [""],
        [" \t", ",", ""],
        ["foo"],
        ["=1"],
        ["foo="],
        ["foo= "],
        ["foo=,bar=3"],
        ["foo=1", "bar"],
        ["foo =1"],
        ["FOO=1"],
        ["foo.bar=1"],
        ["@foo=1,bar=2"],
        ["_foo=1"],
        ["-foo=1"],
        ["fo\u00e9=1"],
        ["foo=bar=baz"],
        ["foo=\u00e9"],
        ["foo=a\tb"],
        ["foo=1\r\nX-Evil: 1"],
        ["foo=1\n"],
        ["foo=\x7f"],
        ["foo=\0"],
        ["\xa0foo=1"],
        [THIRTY_TWO + ",one=more"],
        [THIRTY_TWO, "one=more"],
        [LONGEST_KEY + "z=1"],
        ["foo=1", LONGEST_KEY + "z=1"],
        ["a= " + LONGEST_VALUE],
        ["," * 61_440],
        ["x" * 61_440],
        ["a=1," * 15_360],
    ],
    ids=lambda lines: ascii(lines)[:60],
)
def test_one_bad_member_or_too_many_drop_the_whole_tracestate(lines: list[str]) -> None:
    """And nothing else: the traceparent beside it is not asked."""
    assert parse_tracestate([line.encode("latin-1") for line in lines]) is None


@pytest.mark.contract("B1")
def test_the_keys_of_level_1_are_keys_of_level_2() -> None:
    """One parser serves both levels: simple keys, and multi-tenant keys at their longest."""
    for key in ("a" * 256, "a" + "_-*/09" * 5, "0" * 241 + "@" + "a" * 14, "t@s"):
        assert parse_tracestate([f"{key}=1".encode()]) == f"{key}=1"
