"""The pages, driven in a headless Chromium.

They need playwright, a Chromium (STUDIO_CHROMIUM, by default Debian's), and for the accessibility checks axe-core
(AXE_CORE: the path of axe.min.js, as `npm install axe-core` brings it).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import unnoise

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
CHROMIUM = os.environ.get("STUDIO_CHROMIUM") or shutil.which("chromium") or ""
if not CHROMIUM:
    pytest.skip("no Chromium: apt-get install chromium, or set STUDIO_CHROMIUM", allow_module_level=True)
AXE = Path(os.environ.get("AXE_CORE", Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"))
PATIENCE = 120_000
PAGES = ("/", "/run?run=digits", "/train", "/sample?run=digits", "/edit?run=digits", "/compare", "/learn")
SIZES = ((1440, 900), (390, 844))


class Server:
    """`unnoise studio` in a process of its own, which tests kill and start again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start()

    def start(self, port: int = 0) -> None:
        words = [sys.executable, "-m", "unnoise", "studio", str(self.folder), "--no-browser", "--port", str(port)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.base, _, self.token = self.address.partition("/?token=")
        self.port = int(self.base.rpartition(":")[2])

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("studio") / "runs"
    small = {"model.network.channels": 16, "train.samples": 16, "train.log_every": 1}
    for name in ("digits", "other"):
        unnoise.train("digits", "ddpm-digits", folder / name, steps=3, overrides=small)
    server = Server(folder)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield browser
        browser.close()


@pytest.fixture
def page(server: Server, browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: _check_local(request.url, server.base, faults))
    page.goto(server.address)
    page.get_by_role("heading", level=1).wait_for()
    yield page
    context.close()
    assert faults == []


def _check_local(url: str, base: str, faults: list[str]) -> None:
    if not url.startswith((base, "data:", "blob:")):
        faults.append(f"fetched from outside: {url}")


def until(page: Any, expression: str) -> None:
    """Waits for a JavaScript expression; the page's own policy lets nothing wait inside it."""
    for _ in range(PATIENCE // 250):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(250)
    pytest.fail(f"never became true: {expression}")


def opened(page: Any, server: Server, path: str) -> None:
    page.goto(server.base + path)
    page.get_by_role("heading", level=1).wait_for()


def test_the_token_leaves_the_address(page: Any, server: Server) -> None:
    assert page.url == f"{server.base}/"
    page.get_by_role("article").nth(1).wait_for()


def test_sampling_streams_and_can_be_cancelled(page: Any, server: Server) -> None:
    opened(page, server, "/sample?run=digits")
    page.get_by_label("Steps").first.fill("8")
    page.get_by_role("button", name="Draw", exact=True).click()
    page.get_by_role("link", name="Download PNG").wait_for()
    slider = page.get_by_role("slider", name="Step").first
    assert slider.get_attribute("aria-valuetext") == "step 8 of 8"
    slider.fill("0")
    assert slider.get_attribute("aria-valuetext") == "step 0 of 8"
    assert "ddim@8" in page.locator("pre").first.inner_text()

    page.get_by_label("Sampler").first.select_option("ddpm")
    page.get_by_label("Steps").first.fill("1000")
    page.get_by_role("button", name="Draw", exact=True).click()
    page.get_by_text(re.compile(r"step \d+ of 1000")).first.wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text(re.compile(r"cancelled at step \d+")).wait_for()
    page.get_by_text("Device is free").wait_for()


def test_a_page_that_is_closed_stops_its_sampling(page: Any, server: Server) -> None:
    other = page.context.new_page()
    opened(other, server, "/sample?run=digits")
    other.get_by_label("Sampler").first.select_option("ddpm")
    other.get_by_label("Steps").first.fill("1000")
    other.get_by_role("button", name="Draw", exact=True).click()
    page.get_by_text("Sampling digits").wait_for()
    other.close()
    page.get_by_text("Device is free").wait_for()


def test_the_loss_by_noise_level_has_a_line_for_each_level(page: Any, server: Server) -> None:
    with (server.folder / "other" / "metrics.jsonl").open("a") as stream:
        for step in (4, 5):
            stream.write(json.dumps({"step": step, "held_out_losses": [0.1, 0.2, 0.4, 0.5, 0.6, 0.7]}) + "\n")
    opened(page, server, "/run?run=other")
    page.get_by_role("combobox", name="What").select_option("held_out_losses")
    assert page.locator(".chart path.line").count() == 6
    page.get_by_text("level 1, the least noise").wait_for()


def test_a_mask_is_painted_and_filled(page: Any, server: Server) -> None:
    opened(page, server, "/edit?run=digits")
    easel = page.get_by_role("application")
    until(page, "document.querySelector('.easel canvas').width === 8")
    before = page.evaluate("document.querySelector('.easel canvas').toDataURL()")
    box = easel.bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60, steps=5)
    page.mouse.up()
    assert page.evaluate("document.querySelector('.easel canvas').toDataURL()") == before
    page.get_by_label("Steps").fill("3")
    page.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_alt_text("seed 3").wait_for()
    page.get_by_role("button", name="Invert mask").click()
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Edit", exact=True).click()
    page.locator(".toast", has_text="paint over").wait_for()


def test_an_interpolation_is_dragged(page: Any, server: Server) -> None:
    opened(page, server, "/edit?run=digits")
    page.get_by_role("button", name="Interpolate").click()
    page.get_by_label("Steps").fill("2")
    page.get_by_role("button", name="Compute what is between").click()
    page.get_by_alt_text("13 of 13").wait_for()
    drag = page.get_by_role("slider", name="From A to B")
    drag.focus()
    page.keyboard.press("Home")
    first = page.get_by_alt_text("Between A and B").get_attribute("src")
    page.keyboard.press("End")
    assert page.get_by_alt_text("Between A and B").get_attribute("src") != first


def test_runs_are_compared_by_ticking(page: Any, server: Server) -> None:
    opened(page, server, "/compare")
    page.get_by_alt_text("Samples of other").wait_for()
    page.get_by_label("other").uncheck()
    page.get_by_alt_text("Samples of other").wait_for(state="detached")
    assert page.get_by_alt_text("Samples of digits").count() == 1


def test_the_players_and_the_classes_of_a_gan_are_shown(
    page: Any, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unnoise.training.session.QUICK", 1e9)  # however slow the machine, it looks at the variety
    small = {"model.channels": 8, "objective.channels": 8, "train.samples": 4, "train.log_every": 1}
    folder = server.folder / "gan"
    unnoise.train("digits", "gan", folder, steps=3, overrides=small)
    opened(page, server, "/run?run=gan")
    page.get_by_role("heading", name="The two players").wait_for()
    page.get_by_role("heading", name="Classes drawn").wait_for()
    page.get_by_role("img", name=re.compile(r"Classes at step 3: 0 0\.\d+")).wait_for()
    page.get_by_text(re.compile(r"\d of 10 classes have less than a tenth")).wait_for()
    opened(page, server, "/run?run=digits")
    page.get_by_role("heading", name="Curves").wait_for()
    assert page.get_by_role("heading", name="The two players").count() == 0
    shutil.rmtree(folder)


def test_a_broken_file_and_a_bomb_are_refused_in_words(page: Any, server: Server, tmp_path: Path) -> None:
    from .test_uploads import bomb

    opened(page, server, "/edit?run=digits")
    for name, data in (("broken.png", b"\x89PNG\r\n\x1a\n"), ("bomb.png", bomb(60_000, 60_000))):
        (tmp_path / name).write_bytes(data)
        page.get_by_label("A picture").set_input_files(tmp_path / name)
        page.locator(".toast", has_text="cannot read the picture").first.wait_for()
        page.evaluate("document.querySelectorAll('.toast').forEach((toast) => toast.remove())")


def test_what_a_file_says_is_never_html(page: Any, server: Server) -> None:
    folder = server.folder / "<img src=x onerror=alert(1)>"
    shutil.copytree(server.folder / "digits", folder)
    try:
        page.on("dialog", lambda dialog: pytest.fail("a script ran"))
        opened(page, server, "/")
        page.get_by_text("<img src=x onerror=alert(1)>").first.wait_for()
        assert page.locator("img[src=x]").count() == 0
    finally:
        shutil.rmtree(folder)


def test_a_training_starts_moves_and_survives_the_server(page: Any, server: Server) -> None:
    opened(page, server, "/train")
    page.get_by_text("1,498").first.wait_for()
    page.get_by_label("Name").fill("trained")
    page.get_by_text("Change settings of the recipe").click()
    page.get_by_label("One KEY=VALUE a line").fill("model.network.channels=16\ntrain.log_every=1\ntrain.samples=4")
    page.get_by_role("button", name="Start training").click()
    page.get_by_role("link", name="Training trained").wait_for()

    tab = page.context.new_page()  # a second tab watches the curve
    until(page, "fetch('/api/runs/trained').then((answer) => answer.ok)")
    opened(tab, server, "/run?run=trained")
    until(tab, "document.querySelector('.chart path.line')?.getAttribute('d').split('L').length > 2")
    length = tab.evaluate("document.querySelector('.chart path.line').getAttribute('d').length")
    until(tab, f"document.querySelector('.chart path.line').getAttribute('d').length > {length}")
    tab.reload()
    tab.get_by_text("training", exact=True).wait_for()

    server.stop(signal.SIGKILL)
    tab.get_by_text("Studio not reachable").wait_for()
    server.start(server.port)
    for one in (page, tab):
        one.goto(server.address)
    opened(tab, server, "/run?run=trained")
    tab.get_by_role("button", name="Stop: Training trained").wait_for()
    tab.get_by_role("button", name="Stop politely").click()
    tab.get_by_role("button", name="Go on").wait_for()
    assert list((server.folder / "trained" / "checkpoints").iterdir())
    tab.get_by_text("Device is free").wait_for()


@pytest.mark.skipif(not AXE.is_file(), reason="no axe-core: npm install axe-core, or set AXE_CORE")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
def test_axe_finds_nothing(server: Server, browser: Any, size: tuple[int, int], scheme: str) -> None:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, bypass_csp=True)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(server.address)
    found = []
    for path in PAGES:
        opened(page, server, path)
        page.wait_for_timeout(1500)
        page.add_script_tag(path=str(AXE))
        result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        found += [
            (path, fault["id"], [node["html"][:120] for node in fault["nodes"][:3]]) for fault in result["violations"]
        ]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append((path, "wider than the window", []))
    context.close()
    assert found == []


def test_everything_is_reached_by_the_keyboard(page: Any, server: Server) -> None:
    opened(page, server, "/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the page"
    seen = []
    for _ in range(40):  # the runs of other tests may come before
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.textContent || document.activeElement.ariaLabel"))
    assert seen[1:7] == ["Runs", "Train", "Sample", "Edit", "Compare", "Learn"]
    assert {"Find a run", "Train a model", "digits"} <= set(seen)
