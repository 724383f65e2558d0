"""Does a document say what the gate adds, and everything that it said before?"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from tracegate.core.policy import Policy
from tracegate.integrations.openapi import documented

OBJECT: dict[str, Any] = {"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]}
REQUIRE = Policy()


def document(responses: dict[str, Any], schemas: dict[str, Any] | None = None, **operation: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a document of one operation, `GET /things`."""
    found: dict[str, Any] = {"openapi": "3.1.0", "paths": {"/things": {"get": {"responses": responses, **operation}}}}
    if schemas is not None:
        found["components"] = {"schemas": schemas}
    return found


def reply(schema: dict[str, Any], media_type: str = "application/json") -> dict[str, Any]:
    """Return a response with that schema."""
    return {"description": "", "content": {media_type: {"schema": schema}}}


def ref(name: str) -> dict[str, str]:
    """Return a reference to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def responses_of(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the responses of the one operation."""
    found: dict[str, Any] = schema["paths"]["/things"]["get"]["responses"]
    return found


def error_schema(found: dict[str, Any], status: str = "404", media_type: str = "application/json") -> dict[str, Any]:
    """Return the schema of an error."""
    schema: dict[str, Any] = responses_of(found)[status]["content"][media_type]["schema"]
    return schema


@pytest.mark.contract("C1")
def test_every_response_gains_the_header_once() -> None:
    """One that is documented already, in whatever spelling, stays."""
    own = {"x-trace-id": {"description": "mine"}}
    found = responses_of(documented(document({"200": {"description": ""}, "404": {"headers": own}}), REQUIRE))
    assert found["200"]["headers"]["X-Trace-Id"]["required"] is True
    assert found["404"]["headers"] == own
    named = documented(document({"204": {}}), Policy(header="X-Request-Id"))
    assert set(responses_of(named)["204"]["headers"]) == {"X-Request-Id"}


@pytest.mark.contract("B4", "B5")
@pytest.mark.parametrize(
    ("policy", "required"),
    [
        (REQUIRE, True),
        (Policy(mode="mint"), False),
        (Policy(exempt_paths=("/things",)), False),
        (Policy(modes={"/things/*": "observe"}), False),
    ],
)
def test_a_request_must_carry_the_header_where_the_policy_says_so(policy: Policy, *, required: bool) -> None:
    """Elsewhere it may."""
    found = documented(document({}), policy)["paths"]["/things"]["get"]["parameters"]
    assert [(each["name"], each["in"], each["required"]) for each in found] == [("X-Trace-Id", "header", required)]


def test_a_parameter_that_is_documented_already_stays() -> None:
    """The application may say more about it; one of the same name elsewhere is another one."""
    own = [{"name": "x-trace-id", "in": "header", "description": "mine"}, {"name": "q", "in": "query"}]
    found = documented(document({}, parameters=own), REQUIRE)["paths"]["/things"]["get"]["parameters"]
    assert found == own
    query = [{"name": "X-Trace-Id", "in": "query"}]
    assert len(documented(document({}, parameters=query), REQUIRE)["paths"]["/things"]["get"]["parameters"]) == 2


@pytest.mark.contract("D1")
@pytest.mark.parametrize(
    ("schema", "marked"),
    [
        (OBJECT, {"reason", "trace_id"}),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {"trace_id"}),
        ({"allOf": [OBJECT, OBJECT]}, {"trace_id"}),
        ({"type": "array", "items": OBJECT}, None),
        ({"type": "string"}, None),
        ({}, None),
    ],
)
def test_an_error_that_is_an_object_gains_the_member(schema: dict[str, Any], marked: set[str] | None) -> None:
    """It is required there; what cannot have a member stays."""
    found = error_schema(documented(document({"404": reply(schema)}), REQUIRE))
    if marked is None:
        assert found == schema
    else:
        assert set(found["properties"]) == marked
        assert found["required"][-1] == "trace_id"


def test_an_error_that_has_the_member_stays() -> None:
    """Whatever its type is said to be."""
    own = {"type": "object", "properties": {"trace_id": {"type": "string", "format": "uuid"}}}
    assert error_schema(documented(document({"404": reply(own)}), REQUIRE)) == own


@pytest.mark.contract("D1", "D3")
def test_only_json_errors_gain_the_member() -> None:
    """No success, no other media type, no path that the policy leaves alone; ranges of statuses count."""
    asked = {"200": reply(OBJECT), "4XX": reply(OBJECT, "application/problem+json"), "500": reply(OBJECT, "text/html")}
    found = documented(document(asked), REQUIRE)
    assert error_schema(found, "200") == OBJECT
    assert "trace_id" in error_schema(found, "4XX", "application/problem+json")["properties"]
    assert error_schema(found, "500", "text/html") == OBJECT
    exempt = documented(document(asked), Policy(exempt_body_paths=("/things",)))
    assert error_schema(exempt, "4XX", "application/problem+json") == OBJECT


@pytest.mark.contract("D1")
def test_a_component_of_errors_alone_gains_the_member_itself() -> None:
    """Its name stays: clients are generated from it."""
    found = documented(
        document({"404": reply(ref("Problem")), "500": reply(ref("Problem"))}, {"Problem": OBJECT}), REQUIRE
    )
    assert error_schema(found) == error_schema(found, "500") == ref("Problem")
    assert found["components"]["schemas"]["Problem"]["required"] == ["reason", "trace_id"]


@pytest.mark.contract("D1")
@pytest.mark.parametrize("elsewhere", [reply(ref("Problem")), reply({"type": "array", "items": ref("Problem")})])
def test_a_component_with_other_uses_is_left_alone(elsewhere: dict[str, Any]) -> None:
    """Errors refer to a variant of it."""
    found = documented(document({"200": elsewhere, "404": reply(ref("Problem"))}, {"Problem": OBJECT}), REQUIRE)
    schemas = found["components"]["schemas"]
    assert error_schema(found) == ref("ProblemWithTrace")
    assert schemas["Problem"] == OBJECT
    assert set(schemas["ProblemWithTrace"]["properties"]) == {"reason", "trace_id"}


@pytest.mark.contract("D1")
def test_a_component_that_contains_itself_keeps_its_children_as_they_are() -> None:
    """Only the outermost object of an error has the member."""
    tree = {"type": "object", "properties": {"children": {"type": "array", "items": ref("Tree")}}}
    found = documented(document({"404": reply(ref("Tree"))}, {"Tree": tree}), REQUIRE)
    assert found["components"]["schemas"]["Tree"] == tree
    assert found["components"]["schemas"]["TreeWithTrace"]["properties"]["children"]["items"] == ref("Tree")


@pytest.mark.contract("D1")
def test_each_alternative_gains_the_member() -> None:
    """Of `anyOf` and of `oneOf`; what is no object among them stays."""
    for word in ("anyOf", "oneOf"):
        schema = {word: [OBJECT, ref("Problem"), {"type": "null"}]}
        found = documented(document({"404": reply(schema)}, {"Problem": OBJECT}), REQUIRE)
        first, second, third = error_schema(found)[word]
        assert "trace_id" in first["properties"]
        assert (second, third) == (ref("Problem"), {"type": "null"})
        assert "trace_id" in found["components"]["schemas"]["Problem"]["properties"]


def test_references_that_lead_nowhere_or_on_stay() -> None:
    """A document may be wrong, or refer to another one, or to a mere name."""
    for name, schemas in (
        ("Gone", {}),
        ("Alias", {"Alias": ref("Problem"), "Problem": OBJECT}),
        ("Text", {"Text": {}}),
    ):
        found = documented(document({"404": reply(ref(name))}, schemas), REQUIRE)
        assert error_schema(found) == ref(name)
        assert {key: found["components"]["schemas"][key] for key in schemas} == schemas
    outside = {"$ref": "https://example.com/schemas.json#/Problem"}
    assert error_schema(documented(document({"404": reply(outside)}), REQUIRE)) == outside
    assert error_schema(documented(document({"404": {"content": {"application/json": {}}}}), REQUIRE), "409") == ref(
        "TraceError"
    )


def test_a_response_that_is_a_reference_is_described_where_it_is_defined() -> None:
    """Several operations may share it."""
    schema = document({"404": {"$ref": "#/components/responses/Missing"}}, {})
    schema["components"]["responses"] = {"Missing": reply(OBJECT)}
    found = documented(schema, REQUIRE)
    assert responses_of(found)["404"] == {"$ref": "#/components/responses/Missing"}
    missing = found["components"]["responses"]["Missing"]
    assert set(missing["headers"]) == {"X-Trace-Id"}
    assert "trace_id" in missing["content"]["application/json"]["schema"]["properties"]


@pytest.mark.contract("E2")
def test_every_operation_can_be_refused() -> None:
    """By a shared component; not where nothing is refused, and not over what the application says of a 409."""
    found = documented(document({}), REQUIRE)
    assert error_schema(found, "409") == ref("TraceError")
    assert found["components"]["schemas"]["TraceError"]["required"] == ["error_code", "message", "trace_id", "details"]
    assert "409" not in responses_of(documented(document({}), Policy(mode="observe")))
    own = documented(document({"409": reply(OBJECT)}), REQUIRE)
    assert set(error_schema(own, "409")["properties"]) == {"reason", "trace_id"}


def test_a_component_of_the_same_name_is_not_replaced() -> None:
    """The refusal is then described in place."""
    found = documented(document({}, {"TraceError": OBJECT}), REQUIRE)
    assert found["components"]["schemas"]["TraceError"] == OBJECT
    assert error_schema(found, "409")["title"] == "TraceError"


@pytest.mark.contract("D6")
def test_a_stream_says_that_its_events_are_marked() -> None:
    """In an extension field: OpenAPI has no word for it."""
    found = documented(document({"200": reply({}, "text/event-stream")}), REQUIRE)
    assert "member" in responses_of(found)["200"]["content"]["text/event-stream"]["x-trace-id"]


def test_the_document_given_is_not_changed_and_its_own_copy_is_complete() -> None:
    """Somebody else may keep it; a second time adds nothing, and an empty one is no fault."""
    asked = {"200": reply(ref("Thing")), "404": reply(ref("Thing")), "422": reply(OBJECT)}
    schema = document(asked, {"Thing": OBJECT}, summary="Things") | {"x-own": [1, {"a": None}]}
    before = deepcopy(schema)
    found = documented(schema, REQUIRE)
    assert schema == before
    assert documented(found, REQUIRE) == found
    assert (found["x-own"], found["paths"]["/things"]["get"]["summary"]) == ([1, {"a": None}], "Things")
    assert documented({}, REQUIRE) == {}
    assert json.loads(json.dumps(found)) == found
