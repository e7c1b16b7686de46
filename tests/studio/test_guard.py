"""Who may ask."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from unnoise.errors import UserError
from unnoise.studio.app import ENDPOINTS, create_app
from unnoise.studio.guard import HEADERS, same_origin
from unnoise.studio.server import serve
from unnoise.studio.settings import Settings


def unknown(settings: Settings, host: str = "127.0.0.1:8600") -> TestClient:
    return TestClient(create_app(settings), base_url=f"http://{host}", follow_redirects=False)


def test_nothing_answers_without_the_token(settings: Settings) -> None:
    client = unknown(settings)
    paths = ["/", "/train", "/static/app.js", "/api/openapi.json"]
    paths += ["/api" + re.sub(r"{(\w+)(:\w+)?}", "1", endpoint.path) for endpoint in ENDPOINTS]
    for path in paths:
        for method in ("GET", "POST", "PUT", "DELETE"):
            assert client.request(method, path).status_code == 401, (method, path)


@pytest.mark.parametrize("wrong", ["", "x", "Bearer", "\u00e9".encode("latin-1").decode("latin-1")])
def test_a_wrong_token_is_no_token(settings: Settings, wrong: str) -> None:
    client = unknown(settings)
    assert client.get("/api/runs", params={"token": wrong}).status_code == 401
    assert client.get("/api/runs", headers={"authorization": f"Bearer {settings.token}x"}).status_code == 401
    client.cookies.set(settings.cookie, settings.token[:-1])
    assert client.get("/api/runs").status_code == 401


def test_the_token_in_the_address_becomes_a_cookie_and_leaves_the_address(settings: Settings) -> None:
    client = unknown(settings)
    answer = client.get("/", params={"token": settings.token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/").status_code == 200
    assert client.get("/api/runs").status_code == 200


def test_other_pages_may_not_ask(settings: Settings) -> None:
    client = unknown(settings)
    client.cookies.set(settings.cookie, settings.token)
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:8601"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        assert client.post("/api/train", headers=headers, json={"source": "digits"}).status_code == 403, headers
        assert client.get("/api/runs", headers=headers).status_code == 403, headers


def test_the_page_itself_and_tools_may_ask() -> None:
    assert same_origin("POST", {"origin": "http://127.0.0.1:8600", "host": "127.0.0.1:8600"})
    assert same_origin("POST", {"host": "127.0.0.1:8600"})
    assert same_origin("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "host": "h"})


def test_a_name_that_was_made_to_point_here_is_refused(settings: Settings) -> None:
    for host in ("evil.example", "evil.example:8600", "127.0.0.1.evil.example", "[::1", "a@127.0.0.1"):
        client = unknown(settings)
        answer = client.get("/api/runs", headers={"host": host, "authorization": f"Bearer {settings.token}"})
        assert answer.status_code == 403, host


def test_every_answer_carries_the_headers(settings: Settings, client: TestClient) -> None:
    for answer in (client.get("/"), client.get("/api/runs"), client.get("/nowhere"), unknown(settings).get("/")):
        assert HEADERS.items() <= dict(answer.headers).items()
        assert answer.headers["cache-control"] in ("no-store", "no-cache")


def test_the_password_opens_the_page(settings: Settings) -> None:
    client = unknown(replace(settings, password="open sesame"), host="studio.lan:8600")
    assert client.post("/login", content="password=wrong").status_code == 403
    assert client.get("/api/runs").status_code == 401
    assert client.post("/login", content="password=open+sesame").status_code == 303
    assert client.get("/api/runs").status_code == 200


def test_without_a_password_no_password_opens_it(settings: Settings) -> None:
    assert unknown(settings).post("/login", content="password=").status_code == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "studio.lan", "::"])
def test_other_machines_need_a_password(tmp_path: Path, host: str) -> None:
    with pytest.raises(UserError, match="--password"):
        serve(tmp_path, host=host, browser=False)
