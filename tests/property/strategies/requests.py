"""Which requests come in?"""

from __future__ import annotations

from hypothesis import strategies as st

from tests.property.plan import OTHER, OWN, Request, spellings

__all__ = ["any_requests", "named_requests"]

_OWN_SPELLINGS = spellings(OWN)
_METHODS = st.sampled_from(["GET", "GET", "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
_ACCEPTS = st.sampled_from(
    [(), (), (), ((b"accept", b"*/*"),), ((b"accept", b"application/problem+json"),), ((b"accept", b"text/html"),)]
)


@st.composite
def named_requests(draw: st.DrawFn, *, head: bool = False) -> Request:
    """Return a request that names the trace OWN, in some spelling, by some source."""
    hexed = OWN.replace(b"-", b"")
    spelled = draw(st.sampled_from(_OWN_SPELLINGS))
    source = draw(st.sampled_from(["header", "header", "header", "both", "parent"]))
    parent = (b"traceparent", b"00-" + hexed + b"-00f067aa0ba902b7-01")
    lines = {"header": [(b"x-trace-id", spelled)], "both": [parent, (b"x-trace-id", spelled)], "parent": [parent]}[
        source
    ]
    method = draw(st.sampled_from(["HEAD", "GET"]) if head else _METHODS)
    return Request(method=method, headers=(*lines, *draw(_ACCEPTS)))


_VALID = st.sampled_from([*_OWN_SPELLINGS, *_OWN_SPELLINGS, *spellings(OTHER)])
_HOSTILE = st.sampled_from(
    [
        b"{" + OWN + b"}",
        b"urn:uuid:" + OWN,
        b"0x" + OWN,
        OWN[:-1],
        OWN + b"0",
        OWN.replace(b"-", b"")[:-1],
        OWN.replace(b"-", b"") + b"0",
        b"0" * 32,
        b"00000000-0000-0000-0000-000000000000",
        OWN.replace(b"-", b"_"),
        OWN[:8] + b" " + OWN[9:],
        b"+" + OWN[1:],
        OWN + b"\n",
        b"\r\n" + OWN,
        OWN + b"\x00",
        b"\xe9" * 36,
        "٤".encode() * 16,
        b"<script>",
        b"null",
        b"undefined",
        b"4bf92f3577b3-4da6a3ce-929d0e0e4736",
        b"-" * 36,
        b"4bf92f35-77b34-da6-a3ce-929d0e0e4736",
        b"x" * 60_000,
        b"g" + OWN[1:],
        b"4BF92F35-77b3-4da6-a3ce-929d0e0e473\xc0",
        b"Root=1-67891233-abcdef012345678912345678",
        b"01ARZ3NDEKTSV4RRFFQ69G5FAV",
    ]
)
_BLANK = st.sampled_from([b"", b" ", b"\t", b" \t "])
_PAIRS = st.tuples(_VALID, st.sampled_from([b",", b", ", b" , "]), st.one_of(_VALID, _VALID, _HOSTILE, _BLANK)).map(
    b"".join
)
_VALUES = st.one_of(_VALID, _VALID, _VALID, _HOSTILE, _BLANK, _PAIRS, st.binary(max_size=40))

_PARENTS = st.sampled_from(
    [
        template % (trace.replace(b"-", b""), b"00f067aa0ba902b7")
        for trace in (OWN, OWN, OWN, OTHER)
        for template in (
            b"00-%s-%s-01",
            b"00-%s-%s-01",
            b"00-%s-%s-00",
            b"00-%s-%s-ff",
            b"cc-%s-%s-01",
            b"01-%s-%s-01-more",
            b"01-%s-%s-01.more",
            b"00-%s-%s-01-more",
            b"ff-%s-%s-01",
            b"00-%s-%s-0",
            b"00-%s-%s-01 ",
            b"0-%s-%s-01",
            b"00-%s-%s-0G",
            b"00_%s_%s_01",
            b" 00-%s-%s-01",
        )
    ]
    + [
        b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01",
        b"00-" + OWN.replace(b"-", b"") + b"-" + b"0" * 16 + b"-01",
        b"",
        b"00-" + OWN.replace(b"-", b"").upper() + b"-00f067aa0ba902b7-01",
        b"garbage",
        b"00-" + OWN + b"-00f067aa0ba902b7-01",
    ]
)
_SAFE_QUERY_VALUES = st.one_of(
    _VALID, st.sampled_from([b"", b"garbage", OWN.replace(b"-", b"%2D"), b"%20", b"%00", OWN + b"%0A"])
)


@st.composite
def any_requests(draw: st.DrawFn) -> Request:
    """Return a request with any number of names for its trace, right or wrong."""
    lines = [(b"x-trace-id", value) for value in draw(st.lists(_VALUES, max_size=2))]
    lines += [(b"traceparent", value) for value in draw(st.lists(_PARENTS, max_size=2))]
    lines += draw(st.sampled_from([[], [(b"origin", b"https://app.example")]]))
    lines += draw(st.sampled_from([[], [], [(b"access-control-request-method", b"POST")]]))
    query = b"&".join(b"trace=" + value for value in draw(st.lists(_SAFE_QUERY_VALUES, max_size=2)))
    return Request(
        method=draw(_METHODS),
        path=draw(st.sampled_from(["/things", "/things", "/health", "/live/x", "/lively", "//health", "/live/../x"])),
        query=draw(st.sampled_from([b"", b"q=1&"])) + query,
        headers=(*draw(st.permutations(lines)), *draw(_ACCEPTS)),
        client=draw(st.sampled_from(["127.0.0.1", "10.1.2.3", "192.0.2.7", "::1", "unix", None])),
    )
