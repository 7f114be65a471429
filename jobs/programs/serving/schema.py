"""The OpenAPI description of a service, from the model's signature and sample. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from jobs.core.tracking import Column, ModelCard

_TYPES = {"number": "number", "text": "string", "flag": "boolean", "list": "array"}


def openapi(
    card: ModelCard,
    signature: Sequence[Column],
    nullable: Collection[str] | None,
    sample: Sequence[object],
    *,
    token: bool,
) -> dict[str, Any]:
    """What can be asked, with the columns that this version takes and an example that it answers."""
    properties: dict[str, Any] = {}
    for column in signature:
        kind: Any = _TYPES.get(column.kind, "string")
        may_be_null = nullable is None or column.name in nullable
        properties[column.name] = {"type": [kind, "null"] if may_be_null else kind}
        if column.kind == "list":
            properties[column.name]["items"] = {}
    names = [column.name for column in signature]
    row: dict[str, Any] = {"type": "object"}
    if names:
        row |= {"properties": properties, "required": names, "additionalProperties": False}
    rows = {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Row"}}
    columns = {
        name: {"type": "array", "minItems": 1, "items": schema} for name, schema in properties.items()
    }
    split = {
        "type": "object",
        "required": ["columns", "data"],
        "properties": {
            "columns": {"type": "array", "items": {"type": "string"}},
            "data": {"type": "array", "minItems": 1, "items": {"type": "array"}},
        },
    }
    body: dict[str, Any] = {
        "oneOf": [
            rows,
            {"type": "object", "required": ["records"], "properties": {"records": rows}},
            {
                "type": "object",
                "required": ["columns"],
                "properties": {"columns": {"type": "object", "properties": columns, "required": names}},
            },
            {"type": "object", "required": ["split"], "properties": {"split": split}},
        ]
    }
    mlflow: dict[str, Any] = {
        "oneOf": [
            {"type": "object", "required": [name], "properties": {name: schema}}
            for name, schema in (
                ("dataframe_records", rows),
                ("dataframe_split", split),
                ("instances", rows),
                ("inputs", rows),
            )
        ]
    }
    answers = {
        "200": _json("The predictions, a row each.", {"$ref": "#/components/schemas/Answer"}),
        "400": _json("The body is not JSON.", {"$ref": "#/components/schemas/Error"}),
        "413": _json("The body is too large.", {"$ref": "#/components/schemas/Error"}),
        "422": _json(
            "A column or a value is not what the model takes.", {"$ref": "#/components/schemas/Error"}
        ),
    }
    first = list(sample[:1])
    paths: dict[str, Any] = {
        "/predict": _post("Predictions for rows", body, first, answers),
        "/invocations": _post(
            "The same, as MLflow's clients ask", mlflow, {"dataframe_records": first}, answers
        ),
    }
    for path, said in (
        ("/ping", "Whether it serves, as MLflow's clients ask"),
        ("/health", "What it serves, and how"),
        ("/ready", "200 once it can answer"),
        ("/metrics", "Counts and latencies, as Prometheus reads them"),
    ):
        paths[path] = {"get": {"summary": said, "responses": {"200": {"description": "Yes."}}}}
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": card.name, "version": str(card.version), "description": card.note},
        "paths": paths,
        "components": {
            "schemas": {
                "Row": row,
                "Answer": {
                    "type": "object",
                    "required": ["predictions"],
                    "properties": {
                        "predictions": {"type": "array"},
                        "probabilities": {
                            "type": "array",
                            "items": {"type": "array", "items": {"type": "number"}},
                        },
                        "classes": {"type": "array"},
                        "model": {"type": "string"},
                    },
                },
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {"error": {"type": "string"}},
                },
            }
        },
    }
    if token:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
    return described


def _json(said: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": said, "content": {"application/json": {"schema": schema}}}


def _post(said: str, body: dict[str, Any], example: object, answers: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": body, "example": example}}
    return {
        "post": {
            "summary": said,
            "requestBody": {"required": True, "content": content},
            "responses": answers,
        }
    }
