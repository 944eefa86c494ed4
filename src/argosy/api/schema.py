"""From msgspec Structs to the structural OpenAPI schemas that a CRD takes.

A structural schema has no references, no unions and no titles (Kubernetes documentation,
"Specifying a structural schema"), so what msgspec writes is flattened here.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

Schema = dict[str, Any]

DROPPED = {"title", "$ref", "anyOf"}
VALIDATIONS = "x-kubernetes-validations"


def structural_schema(kind: type[Struct], *, rules: dict[str, list[dict[str, str]]]) -> Schema:
    """Return the schema of a kind; ``rules`` are CEL rules for whole Structs, by their names."""
    (top,), parts = msgspec.json.schema_components([kind], ref_template="{name}")
    schema = flatten(top, parts, rules)
    schema["properties"]["metadata"] = {"type": "object"}
    schema["properties"] = {
        "apiVersion": {
            "type": "string",
            "description": "The version of the API that this object is written in.",
        },
        "kind": {"type": "string", "description": "What kind of object this is."},
        **schema["properties"],
    }
    schema["required"] = [name for name in schema.get("required", []) if name != "metadata"]
    if not schema["required"]:
        del schema["required"]
    return schema


def flatten(node: Schema, parts: dict[str, Schema], rules: dict[str, list[dict[str, str]]]) -> Schema:
    """Return one node of a schema without references and unions."""
    result = {key: value for key, value in node.items() if key not in DROPPED}
    name = node.get("$ref")
    if name:
        target = flatten(parts[name], parts, rules)
        result = {**target, **result}
        if name in rules:
            result[VALIDATIONS] = [*result.get(VALIDATIONS, []), *rules[name]]
    for choice in node.get("anyOf", ()):
        if choice.get("type") != "null":
            result = {**flatten(choice, parts, rules), **result}
    if "enum" in result:
        result["type"] = "string"
    if result.get("default", ...) in (None, {}, [], "") or isinstance(result.get("default"), dict | list):
        # A default that says nothing is left to whoever reads the object.
        del result["default"]
    if "properties" in result:
        result["properties"] = {
            key: flatten(inner, parts, rules) for key, inner in result["properties"].items()
        }
    if isinstance(result.get("items"), dict):
        result["items"] = flatten(result["items"], parts, rules)
    if isinstance(result.get("additionalProperties"), dict):
        inner = flatten(result["additionalProperties"], parts, rules)
        if inner:
            result["additionalProperties"] = inner
        else:  # any JSON
            del result["additionalProperties"]
            result["x-kubernetes-preserve-unknown-fields"] = True
    if "required" in result and not result["required"]:
        del result["required"]
    return result
