"""The OpenAPI document is the table of endpoints, and the pages ship whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from unnoise.studio.app import ENDPOINTS
from unnoise.studio.pages import STATIC


def test_every_endpoint_is_documented_and_no_other(client: TestClient) -> None:
    document = client.get("/api/openapi.json").json()
    found = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert found == {(e.method, "/api" + re.sub(r"{(\w+)(:\w+)?}", r"{\1}", e.path)) for e in ENDPOINTS}
    sample = document["paths"]["/api/sample"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert sample["required"] == ["run"]
    assert sample["properties"]["number"] == {"type": "integer", "default": 16}


@pytest.mark.parametrize("file", sorted(STATIC.rglob("*.js")), ids=lambda file: file.name)
def test_scripts_make_no_html_of_text_and_fetch_nothing_from_outside(file: Path) -> None:
    text = file.read_text()
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert word not in text, word
    outside = [
        address for address in re.findall(r"https?://[^'\"` )]+", text) if not address.startswith("http://www.w3.org/")
    ]
    assert outside == []


def test_pages_refer_only_to_files_that_ship() -> None:
    for file in (*STATIC.rglob("*.js"), *STATIC.glob("*.html"), *STATIC.glob("*.css")):
        for name in re.findall(r"/static/([\w./-]+\.\w+)", file.read_text()):
            assert (STATIC / name).is_file(), (file.name, name)
