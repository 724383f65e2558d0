"""Does a trace id take the right spellings, keep them, and compare by number?"""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import re
import uuid

import pytest

from tracegate.core.trace_id import FORMATS, TraceId, mint_trace_id, parse_trace_id
from tracegate.errors import InvalidTraceIdError

UUID_TEXT = "0af76519-16cd-43dd-8448-eb211c80319c"
HEX = "0af7651916cd43dd8448eb211c80319c"
NUMBER = 0x0AF7651916CD43DD8448EB211C80319C

AWS = b"Root=1-67891233-abcdef012345678912345678"
ULID = b"01ARZ3NDEKTSV4RRFFQ69G5FAV"
ALL = tuple(FORMATS)


def parsed(raw: bytes, formats: tuple[str, ...] = ()) -> TraceId:
    """Return the trace that *raw* must spell."""
    trace = parse_trace_id(raw, formats)
    assert trace is not None
    return trace


@pytest.mark.contract("A1")
@pytest.mark.parametrize(
    "text",
    [
        UUID_TEXT,
        UUID_TEXT.upper(),
        "0AF76519-16cd-43DD-8448-eb211c80319C",
        HEX,
        HEX.upper(),
    ],
)
def test_every_canonical_spelling_names_the_same_number_and_is_kept(text: str) -> None:
    """UUID text and 32 hex digits, in any case, are one number; each spelling comes back byte for byte."""
    trace = parsed(text.encode())

    assert trace.number == NUMBER
    assert trace.raw == text.encode()
    assert trace.text == str(trace) == text
    assert trace == parsed(HEX.encode())
    assert hash(trace) == hash(parsed(HEX.encode())) == hash(NUMBER)


@pytest.mark.contract("A1")
@pytest.mark.parametrize(
    "text",
    [
        "c232ab00-9414-11ec-b3c8-9f6bdeced846",  # version 1
        "5df41881-3aed-3515-88a7-2f4a814cf09e",  # version 3
        "2ed6657d-e927-568b-95e1-2665a8aea6a2",  # version 5
        "1ec9414c-232a-6b00-b3c8-9f6bdeced846",  # version 6
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",  # version 7
        "2489e9ad-2ee2-8e00-8ec9-32d5f69181c0",  # version 8
        "ffffffff-ffff-ffff-ffff-ffffffffffff",  # max
        "00000000-0000-0000-0000-000000000001",  # no version at all
    ],
)
def test_a_uuid_of_any_version_is_a_trace_id(text: str) -> None:
    """Neither version nor variant is looked at, and the number is what the standard library reads."""
    assert parsed(text.encode()).number == uuid.UUID(text).int


@pytest.mark.contract("A1")
def test_different_numbers_are_different_traces() -> None:
    """One digit apart is another trace, and a trace is equal to nothing but a trace."""
    trace = parsed(UUID_TEXT.encode())

    assert trace != parsed(UUID_TEXT.replace("9c", "9d").encode())
    assert trace != UUID_TEXT
    assert trace != NUMBER
    assert len({trace, parsed(HEX.encode()), parsed(HEX.upper().encode())}) == 1


@pytest.mark.contract("A2")
@pytest.mark.parametrize("text", [UUID_TEXT, UUID_TEXT.upper(), HEX, HEX.upper()])
def test_the_w3c_trace_id_is_the_number_in_lower_case(text: str) -> None:
    """Header, traceparent and OpenTelemetry name the same number."""
    assert parsed(text.encode()).w3c == HEX


@pytest.mark.contract("A2")
def test_the_w3c_trace_id_keeps_leading_zeros() -> None:
    """A small number is still 32 digits."""
    assert parsed(b"00000000-0000-0000-0000-00000000000f").w3c == "0000000000000000000000000000000f"


REFUSED = [
    b"",
    b" ",
    b"\t",
    b"a" * 61_440,
    b"0" * 61_440,
    b"00000000-0000-0000-0000-000000000000",
    b"0" * 32,
    b"{" + UUID_TEXT.encode() + b"}",
    b"urn:uuid:" + UUID_TEXT.encode(),
    b"0x" + HEX.encode(),
    b"0x" + HEX[2:].encode(),
    b"+" + HEX[1:].encode(),
    b"-" + HEX[1:].encode(),
    HEX[:16].encode() + b"_" + HEX[17:].encode(),
    HEX[:31].encode(),
    HEX.encode() + b"0",
    UUID_TEXT[:35].encode(),
    UUID_TEXT.encode() + b"0",
    UUID_TEXT.replace("-", "_").encode(),
    UUID_TEXT.replace("-", "", 1).encode(),
    b"0af7651-916cd-43dd-8448-eb211c80319c",
    b"0af7651916cd-43dd-8448-eb21-1c80319c",
    b"0af76519-16cd-43dd-8448-eb211c80319g",
    b"1-1-1-1-1",
    b" " + HEX.encode(),
    HEX.encode() + b" ",
    b"\t" + HEX.encode(),
    HEX.encode() + b"\n",
    HEX.encode() + b"\r\n",
    b"\n" + HEX.encode(),
    HEX.encode() + b"\r\nX-Evil: 1",
    HEX.encode() + b"\0",
    b"\0" + HEX.encode(),
    HEX.encode() + b"," + HEX.encode(),
    UUID_TEXT.encode() + b", " + UUID_TEXT.encode(),
    "٠١٢٣٤٥٦٧٨٩٠١٢٣٤٥".encode(),  # 16 Arabic-Indic digits, 32 bytes
    "٠١٢٣٤٥٦٧٨٩٠١٢٣٤٥٦٧٨٩٠١٢٣٤٥٦٧٨٩٠١".encode(),
    "é".encode("latin-1") * 32,
    b"\xff" * 36,
    b"00-" + HEX.encode() + b"-00f067aa0ba902b7-01",
]


@pytest.mark.contract("A3")
@pytest.mark.parametrize("raw", REFUSED, ids=lambda raw: ascii(raw[:48]))
def test_what_is_not_canonical_is_refused_whole(raw: bytes) -> None:
    """Nothing is trimmed, joined, completed or read leniently, as ``uuid.UUID()`` and ``int()`` would."""
    assert parse_trace_id(raw) is None


@pytest.mark.contract("A3")
@pytest.mark.parametrize("raw", [AWS, ULID, b"token", b"aZ0._~+/=:@-"])
def test_the_formats_of_other_fleets_are_refused_unless_named(raw: bytes) -> None:
    """They are opt-in, one by one."""
    assert parse_trace_id(raw) is None
    assert parse_trace_id(raw, ("nginx",)) is None


@pytest.mark.contract("A3")
def test_the_formats_have_the_names_of_the_contract() -> None:
    """A policy names them so, and nothing can add to them at run time."""
    assert list(FORMATS) == ["nginx", "aws", "ulid", "opaque"]
    with pytest.raises(TypeError):
        FORMATS["other"] = FORMATS["aws"]  # type: ignore[index]


@pytest.mark.contract("A3")
def test_nginx_request_ids_are_canonical_with_and_without_the_format() -> None:
    """``$request_id`` is 32 hex digits."""
    assert parsed(HEX.encode()) == parsed(HEX.encode(), ("nginx",))
    assert parse_trace_id(b"0" * 32, ("nginx",)) is None


@pytest.mark.contract("A3")
@pytest.mark.parametrize("raw", [AWS, b"Root=1-67891233-ABCDEF012345678912345678"])
def test_an_aws_root_is_the_number_of_its_32_digits(raw: bytes) -> None:
    """The spelling is the whole value; the number is what X-Ray hands to OpenTelemetry."""
    trace = parsed(raw, ("aws",))

    assert trace.raw == raw
    assert trace.w3c == "67891233abcdef012345678912345678"


@pytest.mark.contract("A3")
@pytest.mark.parametrize(
    "raw",
    [
        AWS.removeprefix(b"Root="),
        b"root=" + AWS[5:],
        b"Root=2-" + AWS[7:],
        AWS + b";Sampled=1",
        AWS + b";Parent=53995c3f42cd8ad8;Sampled=1",
        b"Self=1-67891234-12456789abcdef012345678;" + AWS,
        AWS[:-1],
        AWS + b"0",
        AWS.replace(b"1-6", b"1-g"),
        b"Root=1-67891233abcdef012345678912345678",
        b"Root=1-00000000-000000000000000000000000",
    ],
)
def test_an_aws_value_that_is_more_or_less_than_a_root_is_refused(raw: bytes) -> None:
    """A list of fields would have to be re-spelled to get at its root."""
    assert parse_trace_id(raw, ("aws",)) is None


@pytest.mark.contract("A3")
@pytest.mark.parametrize(
    ("raw", "number"),
    [
        (b"00000000000000000000000001", 1),
        (b"0000000000000000000000000Z", 31),
        (b"00000000000000000000000010", 32),
        (b"7ZZZZZZZZZZZZZZZZZZZZZZZZZ", 2**128 - 1),
        (ULID, 0x01563E3AB5D3D6764C61EFB99302BD5B),
        (ULID.lower(), 0x01563E3AB5D3D6764C61EFB99302BD5B),
    ],
)
def test_a_ulid_is_the_number_of_its_base_32_digits(raw: bytes, number: int) -> None:
    """Crockford's alphabet, either case, at most 128 bits."""
    trace = parsed(raw, ("ulid",))

    assert (trace.number, trace.raw) == (number, raw)


@pytest.mark.contract("A3")
def test_each_ulid_digit_has_its_value() -> None:
    """The 32 digits of Crockford's alphabet count from 0 to 31, in both cases."""
    for value, digit in enumerate(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"):
        for spelled in (bytes([digit]), bytes([digit]).lower()):
            assert parsed(b"1" + b"0" * 24 + spelled, ("ulid",)).number == (1 << 125) + value


@pytest.mark.contract("A3")
@pytest.mark.parametrize(
    "raw",
    [
        b"8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
        b"00000000000000000000000000",
        ULID[:-1],
        ULID + b"0",
        b"01ARZ3NDEK-TSV4RRFFQ69G5FA",
        *(ULID[:-1] + letter for letter in (b"I", b"L", b"O", b"U", b"i", b"l", b"o", b"u", b"*")),
    ],
)
def test_a_ulid_outside_its_alphabet_or_range_is_refused(raw: bytes) -> None:
    """The look-alikes I, L, O and U are not decoded as 1 and 0: that would be another spelling of the same number."""
    assert parse_trace_id(raw, ("ulid",)) is None


@pytest.mark.contract("A3")
@pytest.mark.parametrize("raw", [b"a", b"0", b"-", b"aZ0._~+/=:@-", b"x" * 128, b"3tGzP6Gg0uWd5fY=="])
def test_an_opaque_token_is_echoed_and_numbered_by_its_digest(raw: bytes) -> None:
    """The caller's text stays; only where a standard wants a number does the digest show."""
    trace = parsed(raw, ("opaque",))

    assert trace.raw == raw
    assert trace.w3c == hashlib.sha256(raw).hexdigest()[:32]


@pytest.mark.contract("A3")
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"x" * 129,
        b"x" * 61_440,
        b"a b",
        b"a,b",
        b"a;b",
        b'a"b',
        b"a\\b",
        b"a\n",
        b"a\0",
        b"a<b",
        b"{a}",
        b"a$b",
        b"a%b",
        b"\xe9",
        "é".encode(),
        b"0" * 32,
        b"00000000-0000-0000-0000-000000000000",
        b"00000000000000000000000000",
        b"Root=1-00000000-000000000000000000000000",
    ],
)
def test_an_opaque_token_outside_its_alphabet_is_refused(raw: bytes) -> None:
    """No separators, quotes or control characters; and zero does not slip in as a mere token."""
    assert parse_trace_id(raw, ("opaque",)) is None


@pytest.mark.contract("A3")
@pytest.mark.parametrize("formats", [ALL, ALL[::-1]])
def test_the_most_specific_format_decides_whatever_the_order(formats: tuple[str, ...]) -> None:
    """An opaque token never takes a value that has a number of its own."""
    assert parsed(UUID_TEXT.encode(), formats).number == NUMBER
    assert parsed(HEX.encode(), formats).number == NUMBER
    assert parsed(AWS, formats).w3c == "67891233abcdef012345678912345678"
    assert parsed(ULID, formats).number == 0x01563E3AB5D3D6764C61EFB99302BD5B
    assert parsed(ULID, ("opaque",)) != parsed(ULID, formats)


@pytest.mark.contract("A1")
@pytest.mark.parametrize(
    ("trace", "raw", "named"),
    [
        (parsed(UUID_TEXT.encode()), UUID_TEXT.encode(), True),
        (parsed(UUID_TEXT.encode()), HEX.upper().encode(), True),
        (parsed(UUID_TEXT.encode()), HEX.replace("9c", "9d").encode(), False),
        (parsed(UUID_TEXT.encode()), b"", False),
        (parsed(UUID_TEXT.encode()), b"null", False),
        (parsed(AWS, ("aws",)), AWS, True),
        (parsed(AWS, ("aws",)), b"67891233abcdef012345678912345678", True),
        (parsed(AWS, ("aws",)), AWS.upper().replace(b"ROOT", b"Root"), True),
        (parsed(ULID, ("ulid",)), ULID.lower(), True),
        (parsed(ULID, ("ulid",)), parsed(ULID, ("ulid",)).w3c.encode(), True),
        (parsed(b"token", ("opaque",)), b"token", True),
        (parsed(b"token", ("opaque",)), b"Token", False),
        (parsed(b"token", ("opaque",)), parsed(b"token", ("opaque",)).w3c.encode(), True),
        (parsed(b"token", ("opaque",)), AWS, False),
    ],
)
def test_a_trace_is_named_by_every_spelling_of_its_number(trace: TraceId, raw: bytes, named: bool) -> None:  # noqa: FBT001 - a column of the table
    """Its own spelling, the canonical ones, and others in its own format; anything else names another trace or none."""
    assert trace.is_named_by(raw) is named


@pytest.mark.contract("A1")
@pytest.mark.parametrize("name", ["raw", "text", "number", "w3c", "other"])
def test_a_trace_id_cannot_be_changed(name: str) -> None:
    """Attributes are neither set, added nor deleted."""
    trace = parsed(UUID_TEXT.encode())

    with pytest.raises(AttributeError):
        setattr(trace, name, "x")
    with pytest.raises(AttributeError):
        delattr(trace, name)
    assert not hasattr(trace, "__dict__")
    assert (trace.text, trace.number) == (UUID_TEXT, NUMBER)


@pytest.mark.parametrize(
    "trace",
    [
        parsed(UUID_TEXT.upper().encode()),
        parsed(AWS, ("aws",)),
        parsed(ULID, ("ulid",)),
        parsed(ULID, ("opaque",)),
    ],
    ids=str,
)
def test_a_trace_id_survives_copying_and_pickling(trace: TraceId) -> None:
    """Number, spelling and format are kept, also for a text that another format would number otherwise."""
    for twin in (
        copy.copy(trace),
        copy.deepcopy(trace),
        *(pickle.loads(pickle.dumps(trace, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)),  # noqa: S301 - our own bytes
    ):
        assert twin == trace
        assert (twin.raw, twin.number) == (trace.raw, trace.number)
        assert twin.is_named_by(trace.raw.lower()) == trace.is_named_by(trace.raw.lower())


def test_a_forged_pickle_makes_no_trace_id() -> None:
    """Unpickling parses again."""
    forged = pickle.dumps(parsed(HEX.encode())).replace(HEX.encode(), b"0" * 32)

    with pytest.raises(InvalidTraceIdError):
        pickle.loads(forged)  # noqa: S301 - our own bytes


def test_a_trace_id_is_readable_in_a_debugger() -> None:
    """``repr`` shows the spelling and promises no constructor."""
    assert repr(parsed(HEX.encode())) == f"<TraceId {HEX}>"
    assert f"{parsed(HEX.encode())}" == HEX


def test_code_makes_a_trace_id_from_text() -> None:
    """The same grammar as on the wire."""
    assert TraceId.from_text(UUID_TEXT) == parsed(HEX.encode())
    assert TraceId.from_text(AWS.decode(), ("aws",)).raw == AWS


@pytest.mark.contract("A3")
@pytest.mark.parametrize("text", ["", "x", "\ud800" * 32, "é" * 32, "\u0660" * 32, "0" * 32, UUID_TEXT + "\n"])
def test_code_gets_an_error_for_a_text_that_is_no_trace_id(text: str) -> None:
    """An exception, because there is no caller on the wire to refuse; also for text that no wire could carry."""
    with pytest.raises(InvalidTraceIdError):
        TraceId.from_text(text, ALL if text != "x" else ())


@pytest.mark.contract("A4")
def test_a_minted_id_is_a_random_uuid_spelled_lower_case_with_dashes() -> None:
    """Version 4, RFC variant, and the other 122 bits as given."""
    trace = mint_trace_id(bytes.fromhex("0af7651916cdb3dd2448eb211c80319c"))

    assert trace.text == "0af76519-16cd-43dd-a448-eb211c80319c"
    assert uuid.UUID(trace.text).version == 4
    assert uuid.UUID(trace.text).variant == uuid.RFC_4122


@pytest.mark.contract("A4")
@pytest.mark.parametrize("entropy", [bytes(16), b"\xff" * 16, *(bytes([1 << bit] * 16) for bit in range(8))])
def test_a_minted_id_is_never_nil_and_differs_from_its_entropy_in_six_bits_only(entropy: bytes) -> None:
    """The standard library's masks say the same."""
    trace = mint_trace_id(entropy)

    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", trace.text)
    assert trace.number == uuid.UUID(bytes=entropy, version=4).int


@pytest.mark.contract("A4")
@pytest.mark.parametrize("size", [0, 8, 15, 17, 32])
def test_too_little_or_too_much_entropy_is_an_error(size: int) -> None:
    """A caller that hands over something else than 16 random bytes hears of it."""
    with pytest.raises(ValueError, match="16 random bytes"):
        mint_trace_id(bytes(size))


@pytest.mark.contract("A1")
@pytest.mark.parametrize("trace", [parsed(b"aZ0._~+/=:@-", ("opaque",)), parsed(AWS, ("aws",))], ids=str)
def test_a_spelling_needs_no_escaping_anywhere(trace: TraceId) -> None:
    """In a JSON string it is itself."""
    assert json.dumps(trace.text) == f'"{trace.text}"'
