"""The OpenAPI document of the endpoints."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import unnoise
from unnoise.aliases import Record
from unnoise.studio.bodies import schema
from unnoise.studio.endpoints import Endpoint

PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")


def document(endpoints: Iterable[Endpoint]) -> Record:
    """OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        path = "/api" + PARAMETER.sub(r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "unnoise studio", "version": unnoise.__version__},
        "security": [{"token": []}],
        "paths": paths,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(endpoint: Endpoint) -> Record:
    named = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in PARAMETER.findall(endpoint.path)
    ]
    asked = [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in endpoint.query.items()
    ]
    refused = {"description": "what was given, what is allowed", "content": {"application/json": {"schema": ERROR}}}
    return {
        "summary": endpoint.summary,
        "parameters": [*named, *asked],
        **_body(endpoint),
        "responses": {
            "200": {"description": endpoint.summary, "content": {endpoint.gives: {}}},
            **dict.fromkeys(("400", "401", "403", "404", "413"), refused),
        },
    }


ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}


def _body(endpoint: Endpoint) -> Record:
    if endpoint.body is not None:
        content: Record = {"application/json": {"schema": schema(endpoint.body)}}
    elif endpoint.takes is not None:
        content = {endpoint.takes: {"schema": {"type": "string", "format": "binary"}}}
    else:
        return {}
    return {"requestBody": {"required": True, "content": content}}
