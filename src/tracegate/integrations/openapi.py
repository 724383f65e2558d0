"""What does an OpenAPI document say about the trace?

OpenAPI 3.0 and 3.1; contract clauses B4, C1, D1, D6 and E2.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracegate.core.policy import Policy

__all__ = ["documented"]

_Json = dict[str, Any]

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
_SCHEMAS = "#/components/schemas/"
_RESPONSES = "#/components/responses/"
_REFUSED = "409"
_ERRORS = ("4", "5")

_TRACE_ID = {"type": "string", "description": "The id that a request and everything it causes is traced by."}
_TRACE_ERROR: _Json = {
    "title": "TraceError",
    "description": "The trace contract was broken: by the request, or by what the service was about to answer.",
    "type": "object",
    "properties": {
        "error_code": {"type": "string", "enum": ["SYS-004-409-TRACE"]},
        "message": {"type": "string"},
        "trace_id": _TRACE_ID,
        "details": {"type": "array", "items": {"type": "string"}},
        "refused_status": {"type": "integer", "description": "The status that was withheld, where there was one."},
    },
    "required": ["error_code", "message", "trace_id", "details"],
}


def documented(schema: _Json, policy: Policy) -> _Json:
    """Return a copy of *schema* that says what the gate adds; what it says already stays.

    Every response gains the trace header, every operation the request header and the refusal's 409, and the schema of
    every JSON error that is an object the member ``trace_id``. A component that serves other purposes too is left
    alone, and errors refer to a variant of it, ``<name>WithTrace``.

    Args:
        schema: An OpenAPI document; it is not changed.
        policy: Names the header, and says where a request must carry it.
    """
    document = _Document(deepcopy(schema), policy)
    for path, operation in document.operations():
        document.describe_request(path, operation)
        document.describe_replies(path, operation)
    document.mark_errors()
    return document.root


class _Document:
    """One document while it is being extended, in place."""

    def __init__(self, root: _Json, policy: Policy) -> None:
        self.root = root
        self._policy = policy
        self._error_contents: dict[int, _Json] = {}  # media type objects by identity: references share them

    def operations(self) -> Iterator[tuple[str, _Json]]:
        """Yield each operation with its path template."""
        for path, item in self.root.get("paths", {}).items():
            for method in _METHODS:
                if method in item:
                    yield path, item[method]

    def describe_request(self, path: str, operation: _Json) -> None:
        """Say that the trace header may or must be sent (B4, B5)."""
        name, policy = self._policy.header, self._policy
        parameters = operation.setdefault("parameters", [])
        if any(known.get("in") == "header" and str(known.get("name")).lower() == name.lower() for known in parameters):
            return
        exempt = policy.exempt_rules.find(path, None, default=False)
        parameters.append(
            {
                "name": name,
                "in": "header",
                "required": self._mode(path) == "require" and not exempt,
                "example": "4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
                "schema": _TRACE_ID,
            }
        )

    def describe_replies(self, path: str, operation: _Json) -> None:
        """Say what each reply carries, and that the request may be refused."""
        responses = operation.setdefault("responses", {})
        if self._mode(path) != "observe":
            responses.setdefault(
                _REFUSED,
                {
                    "description": "The trace contract was broken",
                    "content": {"application/json": {"schema": self._trace_error()}},
                },
            )
        marked = not self._policy.exempt_body_rules.find(path, None, default=False)
        for status, reference in responses.items():
            response = self._resolved(reference, _RESPONSES)
            headers = response.setdefault("headers", {})
            if not any(name.lower() == self._policy.header.lower() for name in headers):
                headers[self._policy.header] = {"required": True, "schema": _TRACE_ID}
            for media_type, content in response.get("content", {}).items():
                if media_type == "text/event-stream":
                    content.setdefault("x-trace-id", "Each event: a member of its JSON data, or its last field line")
                elif marked and str(status).startswith(_ERRORS) and media_type.endswith(("/json", "+json")):
                    self._error_contents[id(content)] = content

    def mark_errors(self) -> None:
        """Give the schemas of JSON errors their ``trace_id``."""
        shared = set(self._references(self.root))
        for content in self._error_contents.values():
            if "schema" in content:
                content["schema"] = self._marked(content["schema"], shared)

    def _marked(self, schema: _Json, shared: set[str]) -> _Json:
        """Return *schema* with the member; only object schemas can have it."""
        if "$ref" in schema:
            return self._marked_component(schema, shared)
        for alternatives in ("anyOf", "oneOf"):
            if alternatives in schema:
                return {**schema, alternatives: [self._marked(each, shared) for each in schema[alternatives]]}
        properties = schema.get("properties", {})
        if "trace_id" in properties or not (schema.get("type") == "object" or "allOf" in schema or properties):
            return schema
        required = [*schema.get("required", []), "trace_id"]
        return {**schema, "properties": {**properties, "trace_id": _TRACE_ID}, "required": required}

    def _marked_component(self, reference: _Json, shared: set[str]) -> _Json:
        target = reference["$ref"]
        component = self._resolved(reference, _SCHEMAS)
        if component is reference or "$ref" in component:
            return reference
        marked = self._marked(component, shared)
        if marked == component:
            return reference
        name = target.removeprefix(_SCHEMAS) + ("WithTrace" if target in shared else "")
        self._components()[name] = marked
        return {**reference, "$ref": _SCHEMAS + name}

    def _resolved(self, reference: _Json, place: str) -> _Json:
        """Return what *reference* refers to, or itself where it is no reference to *place*."""
        target = str(reference.get("$ref", ""))
        if not target.startswith(place):
            return reference
        components: _Json = self.root.get("components", {}).get(place.split("/")[2], {})
        found: _Json = components.get(target.removeprefix(place), reference)
        return found

    def _references(self, node: _Json | list[Any]) -> Iterator[str]:
        """Yield each reference in *node* that is not the schema of a JSON error."""
        items = enumerate(node) if isinstance(node, list) else node.items()
        for key, value in items:
            if key == "$ref" and isinstance(value, str):
                yield value
            elif isinstance(value, dict | list) and not (key == "schema" and id(node) in self._error_contents):
                yield from self._references(cast("_Json | list[Any]", value))

    def _trace_error(self) -> _Json:
        """Return the schema of a refusal: a reference, unless the application has another component of that name."""
        known = self._components().setdefault("TraceError", _TRACE_ERROR)
        return {"$ref": _SCHEMAS + "TraceError"} if known == _TRACE_ERROR else _TRACE_ERROR

    def _components(self) -> _Json:
        schemas: _Json = self.root.setdefault("components", {}).setdefault("schemas", {})
        return schemas

    def _mode(self, path: str) -> str:
        return self._policy.mode_rules.find(path, None, self._policy.mode)
