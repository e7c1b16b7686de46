"""Hostile requests: none but 4xx, nothing written, no traceback to the client. STUDIO_FUZZ sets how many."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from unnoise.studio.app import ENDPOINTS, create_app
from unnoise.studio.settings import Settings

COUNT = int(os.environ.get("STUDIO_FUZZ", "400"))
NAMES = (
    *("%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", "%2Fetc%2Fpasswd", "a%5cb", "~root", "x" * 3000, "%ff", "%e2%80%ae"),
    *("first%2f..%2f..%2fx", "con", ".studio", ".git%2fconfig", "first%00", "%c3%a9", "${x}", "' or 1=1", "<script>"),
)
VALUES = (
    *(None, True, -1, 0.5, 1e308, 10**30, "", "..", "/etc/passwd", "\0", "\ud800", "x" * 20_000, -(2**63), "NaN"),
    *([], {}, [[[]]], {"kind": "x"}, {"kind": 3}, {"a": {"b": {"c": {"d": {"e": 1}}}}}, "<img src=x>", [None]),
)
RAW = (
    *(b"", b"{", b"\xff\xfe\x00", b"[" * 50_000, b"null", b"1" * 5000, b'{"a":' * 900, b"\0" * 100),
    b"{}" + b" " * (1 << 20) + b"x",
)
NEEDED = ("run", "runs", "source", "picture", "mixture")
"""Keys that a good request needs: theirs are always names of nothing."""


@pytest.fixture
def unknown(settings: Settings) -> TestClient:
    app = create_app(settings)
    return TestClient(app, base_url="http://127.0.0.1:8600", raise_server_exceptions=False, follow_redirects=False)


def listing(folder: Path) -> set[str]:
    return {str(file) for file in folder.rglob("*") if not file.is_dir()}


def test_hostile_requests_get_4xx_and_change_nothing(settings: Settings, unknown: TestClient, tmp_path: Path) -> None:
    draw, before = random.Random(7), listing(tmp_path)
    for number in range(COUNT):
        method, path, arguments = hostile(draw, settings)
        answer = unknown.request(method, path, **arguments)
        case = number, method, path[:200], str(arguments)[:300], answer.status_code
        assert 400 <= answer.status_code < 500, case
        assert "Traceback" not in answer.text, case
        assert 'File "' not in answer.text, case
    assert listing(tmp_path) == before


def hostile(draw: random.Random, settings: Settings) -> tuple[str, str, dict[str, object]]:
    """A request that no page makes: without the right token, or with it and a name, a value or a body that is wrong."""
    known = {"authorization": f"Bearer {settings.token}"}
    kind = draw.choice(("token", "name", "body", "raw", "host", "method", "file"))
    if kind == "token":
        wrong = draw.choice(["", "x", settings.token[:-1], settings.token.swapcase(), "\x01", "a" * 9000])
        headers = draw.choice([{"authorization": f"Bearer {wrong}"}, {"cookie": f"{settings.cookie}={wrong}"}, {}])
        return (
            draw.choice(("GET", "POST", "PUT", "DELETE")),
            filled(draw, draw.choice(ENDPOINTS).path),
            {"headers": headers},
        )
    if kind == "host":
        changes = [
            {"host": "evil.example"},
            {"origin": "https://evil.example"},
            {"sec-fetch-site": "cross-site"},
            {"host": "["},
        ]
        return "GET", "/api/runs", {"headers": {**known, **draw.choice(changes)}}
    if kind == "method":
        return draw.choice(("PATCH", "TRACE", "PUT", "DELETE")), "/api/runs", {"headers": known}
    if kind == "file":
        return "POST", draw.choice(("/api/pictures", "/api/vectors")), {"headers": known, "content": draw.choice(RAW)}
    if kind == "name":
        named = [endpoint for endpoint in ENDPOINTS if "{" in endpoint.path]
        endpoint = draw.choice(named)
        return endpoint.method, filled(draw, endpoint.path), {"headers": known, "content": b""}
    endpoint = draw.choice([endpoint for endpoint in ENDPOINTS if endpoint.body is not None])
    path = "/api" + endpoint.path.replace("{run:path}", "nothing")
    content = draw.choice(RAW) if kind == "raw" else json.dumps(wrong_body(draw, endpoint.body)).encode()
    return endpoint.method, path, {"headers": known, "content": content}


def filled(draw: random.Random, path: str) -> str:
    return "/api" + "/".join(draw.choice(NAMES) if part.startswith("{") else part for part in path.split("/"))


def wrong_body(draw: random.Random, body: type | None) -> dict[str, object]:
    """Hostile values for some of the keys, names of nothing for those that are needed, now and then a key too many."""
    keys = list(getattr(body, "__dataclass_fields__", {}))
    chosen: dict[str, object] = {key: draw.choice(VALUES) for key in draw.sample(keys, draw.randint(0, len(keys)))}
    chosen |= {key: [draw.choice(NAMES)] if key == "runs" else draw.choice(NAMES) for key in keys if key in NEEDED}
    return {**chosen, "__proto__": 1} if draw.random() < 0.2 else chosen
