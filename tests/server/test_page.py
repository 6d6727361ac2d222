"""The page at ``/`` in headless Chromium, with a real server, real plugins and mostly without JavaScript."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_testmesh.polling import Deadline, attempts

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

HELLO = Path(__file__).resolve().parent.parent.parent / "plugins" / "hello-python"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WITH_TOKEN = pytest.mark.parametrize("site", ["secret"], indirect=True, ids=["with a token"])
REFUSAL_IS_LOGGED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")


@dataclass(frozen=True)
class Site:
    """A running server and the folder that it serves."""

    url: str
    plugins_dir: Path
    outside: Path

    def hello(self, name: str = "my-plugin", /, *, inside: bool = True, **changes: object) -> Path:
        """Put a working plugin into the plugins folder, or beside it."""
        folder = (self.plugins_dir if inside else self.outside) / name
        shutil.copytree(HELLO, folder)
        server = folder / "server.py"
        server.write_text(server.read_text().replace('"my-plugin', f'"{name}'))
        return rewrite(folder, id=name, **changes)

    def crashing(self, name: str = "crashy") -> Path:
        folder = self.hello(name, name="Crashy")
        (folder / "server.py").write_text("raise SystemExit('no module named dragons')")
        return folder

    def disabled(self) -> list[str]:
        state = self.plugins_dir / ".testmesh.json"
        return json.loads(state.read_text())["disabled"] if state.exists() else []


@dataclass
class Visit:
    """One browser page, and what it asked for and complained about."""

    page: Page
    requests: list[tuple[str, str]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def card(self, name: str) -> Locator:
        return self.page.get_by_role("article", name=name, exact=True)


Open = Callable[..., Visit]


def rewrite(folder: Path, **changes: object) -> Path:
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **changes}))
    return folder


def wait_for(condition: Callable[[], object]) -> None:
    for _ in attempts(repeat(0.05), Deadline.after(60, "the wait of a test")):
        if condition():
            return
    raise AssertionError("waited in vain")


@pytest.fixture
def site(plugins_dir: Path, tmp_path: Path, start_server: Any, request: pytest.FixtureRequest) -> Iterator[Site]:
    """A server over an empty plugins folder; ``parametrize`` it indirectly to give it a token."""
    outside = tmp_path / "outside"
    outside.mkdir()
    with start_server(token=getattr(request, "param", None)) as client:
        yield Site(f"http://127.0.0.1:{client.port}", plugins_dir, outside)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if os.environ.get("CI") != "true":
        pytest.importorskip("playwright", reason="playwright is not installed")
        if CHROMIUM is None:
            pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox, timeout=120_000)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Open]:
    """Open the page; at the end, nothing may have been loaded from elsewhere, nor complained about."""
    visits: list[Visit] = []

    def open_page(path: str = "/", *, scripts: bool = False, **options: Any) -> Visit:
        context = browser.new_context(java_script_enabled=scripts, **options)
        context.set_default_timeout(60_000)
        visit = Visit(context.new_page())
        visit.page.on("request", lambda request: visit.requests.append((request.method, request.url)))
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        visit.page.on("console", lambda message: visit.complaints.append(message.text))
        visits.append(visit)
        visit.page.goto(site.url + path)
        return visit

    yield open_page
    for each in visits:
        each.page.context.close()
        assert [] == [url for _, url in each.requests if not url.startswith((site.url, "data:"))]
        assert [] == [text for text in each.complaints if not REFUSAL_IS_LOGGED.match(text)]


def reload_until(visit: Visit, name: str, text: str) -> Locator:
    """Reload until the card says *text*: plugins start in the background."""

    def says() -> bool:
        visit.page.reload()
        return visit.card(name).get_by_text(text, exact=True).is_visible()

    wait_for(says)
    return visit.card(name)


def wait_for_status(visit: Visit, text: str) -> None:
    """A click does not wait for the page that it leads to, and that page comes in pieces."""
    visit.page.get_by_role("status").filter(has_text=f"Done: {text}").wait_for()


def wait_for_card(visit: Visit, name: str, text: str) -> None:
    visit.card(name).get_by_text(text, exact=True).wait_for()


def alert(visit: Visit) -> str:
    return visit.page.get_by_role("alert").inner_text()


# What is shown


def test_card_tells_what_the_manifest_says(site: Site, visit: Open) -> None:
    site.hello(author="Ada", homepage="https://example.com/x", permissions=["network", "filesystem"])

    card = visit().card("Hello from Python").inner_text()

    for text in ("my-plugin", "1.0.0", "action", "Ada", "https://example.com/x", "network, filesystem"):
        assert text in card
    assert "Says hello; the smallest plugin in Python" in card


def test_card_shows_an_action_with_keys_schema_and_example(site: Site, visit: Open) -> None:
    site.hello()
    page = visit()
    card = reload_until(page, "Hello from Python", "Running")
    card.get_by_text("my-plugin.hello", exact=True).click()

    assert "name" in card.get_by_role("row").nth(1).inner_text()
    assert "action: my-plugin.hello" in card.get_by_label("Example step for my-plugin.hello").input_value()
    card.get_by_text("JSON schema").click()
    assert '"properties"' in card.get_by_role("region", name="JSON schema of my-plugin.hello").inner_text()


def test_each_state_is_told_in_words(site: Site, visit: Open) -> None:
    site.hello("runs", name="Runs")
    site.crashing()
    rewrite(site.hello("bad"), version="one")
    (site.plugins_dir / "other").mkdir()
    (site.plugins_dir / "other" / "manifest.json").write_text('{"name": "of a browser extension"}')
    site.hello("sso", name="Single sign-on", type="auth")

    page = visit()

    reload_until(page, "Runs", "Running")
    reload_until(page, "Crashy", "Cannot start")
    assert page.card("bad").get_by_text("Broken manifest").is_visible()
    assert page.card("other").get_by_text("Ignored folder").is_visible()
    assert page.card("Single sign-on").get_by_text("Enabled", exact=True).is_visible()
    assert page.card("Single sign-on").get_by_text("flows call them from a later version on").is_visible()


def test_plugin_that_cannot_start_shows_its_last_lines(site: Site, visit: Open) -> None:
    site.crashing()

    card = reload_until(visit(), "Crashy", "Cannot start")

    assert "no module named dragons" in card.get_by_role("region", name="Last lines of stderr").inner_text()


def test_built_in_integrations_are_listed(visit: Open) -> None:
    section = visit().page.get_by_role("region", name="Built-in Integrations")

    assert [
        "Apache Kafka", "PostgreSQL", "Redis", "Neo4j", "MinIO / S3", "OTel / Tempo", "Grafana Loki", "Prometheus",
        "Core actions",
    ] == section.get_by_role("heading", level=3).all_inner_texts()  # fmt: skip
    section.locator("summary", has_text="of Core actions").click()
    assert section.get_by_text("http_request", exact=True).is_visible()


def test_empty_folder_says_what_to_do(visit: Open) -> None:
    section = visit().page.get_by_role("region", name="External", exact=True)

    assert "testmesh plugins new my-plugin" in section.inner_text()


def test_damaged_state_file_is_told_in_place_of_the_list(site: Site, visit: Open) -> None:
    (site.plugins_dir / ".testmesh.json").write_text("{")

    section = visit().page.get_by_role("region", name="External", exact=True)

    assert ".testmesh.json" in section.inner_text()


# What can be done


def test_disable_and_enable(site: Site, visit: Open) -> None:
    site.hello()
    page = visit()
    reload_until(page, "Hello from Python", "Running")

    page.page.get_by_role("button", name="Disable my-plugin").click()
    wait_for_status(page, "Plugin my-plugin is disabled.")
    wait_for_card(page, "Hello from Python", "Disabled")
    assert ["my-plugin"] == site.disabled()

    page.page.get_by_role("button", name="Enable my-plugin").click()
    wait_for_status(page, "Plugin my-plugin is enabled.")
    wait_for_card(page, "Hello from Python", "Running")
    assert [] == site.disabled()


def test_reload_shows_the_outcome_no_more_and_does_nothing_again(site: Site, visit: Open) -> None:
    site.hello()
    page = visit()
    page.page.get_by_role("button", name="Disable my-plugin").click()
    wait_for_status(page, "Plugin my-plugin is disabled.")
    page.requests.clear()

    page.page.reload()

    assert 0 == page.page.get_by_text("is disabled").count()
    assert ("GET", page.page.url.partition("#")[0]) in page.requests
    assert "POST" not in {method for method, _ in page.requests}


def test_failed_enable_shows_the_cause_at_the_card(site: Site, visit: Open) -> None:
    site.crashing()
    page = visit()
    page.page.get_by_role("button", name="Disable crashy").click()

    page.page.get_by_role("button", name="Enable crashy").click()

    assert "no module named dragons" in page.card("Crashy").get_by_role("alert").inner_text()
    assert ["crashy"] == site.disabled()


def test_repaired_plugin_is_started_again_from_its_card(site: Site, visit: Open) -> None:
    folder = site.crashing()
    page = visit()
    reload_until(page, "Crashy", "Cannot start")
    shutil.copy(HELLO / "server.py", folder)

    page.page.get_by_role("button", name="Start again crashy").click()

    wait_for_card(page, "Crashy", "Running")


def install(page: Page, source: Path | str, *, dependencies: bool = True, upgrade: bool = False) -> None:
    page.get_by_label("Folder with a manifest.json").fill(str(source))
    page.get_by_label("Install its dependencies").set_checked(dependencies)
    page.get_by_label("Replace an installed plugin").set_checked(upgrade)
    page.get_by_role("button", name="Install", exact=True).click()


def test_install_from_a_folder(site: Site, visit: Open) -> None:
    page = visit()

    install(page.page, site.hello(inside=False))

    wait_for_status(page, "Plugin my-plugin 1.0.0 is installed. Flows can now use my-plugin.hello.")
    wait_for_card(page, "Hello from Python", "Running")


def test_failed_install_is_told_at_the_form_which_keeps_what_was_typed(site: Site, visit: Open) -> None:
    page = visit()
    missing = site.outside / "nothing"

    install(page.page, missing, dependencies=False, upgrade=True)

    form = page.page.get_by_role("region", name="Install from a folder")
    assert "is not a folder" in form.get_by_role("alert").inner_text()
    assert str(missing) == form.get_by_label("Folder with a manifest.json").input_value()
    assert not form.get_by_label("Install its dependencies").is_checked()
    assert form.get_by_label("Replace an installed plugin").is_checked()


def test_taken_id_is_refused_without_upgrade_and_replaced_with_it(site: Site, visit: Open) -> None:
    site.hello()
    newer = rewrite(site.hello(inside=False), version="1.1.0")
    page = visit()

    install(page.page, newer)
    assert "my-plugin" in alert(page)
    page.card("Hello from Python").filter(has_text="1.0.0").wait_for()

    install(page.page, newer, upgrade=True)
    page.card("Hello from Python").filter(has_text="1.1.0").wait_for()


def test_uninstall_asks_first(site: Site, visit: Open) -> None:
    folder = site.hello()
    page = visit()
    uninstall = page.page.get_by_role("link", name="Uninstall my-plugin")

    uninstall.click()
    keep = page.page.get_by_role("link", name="Keep it")
    keep.wait_for()
    assert str(folder) in page.page.get_by_role("main").inner_text()
    keep.click()
    assert folder.exists()

    uninstall.click()
    page.page.get_by_role("button", name="Uninstall my-plugin").click()
    wait_for_status(page, "Plugin my-plugin is uninstalled.")
    assert not folder.exists()


def test_rescan_finds_a_new_folder(site: Site, visit: Open) -> None:
    page = visit()
    site.hello()

    page.page.get_by_role("button", name="Rescan").click()

    wait_for_status(page, "The folder was scanned: 1 plugin.")
    wait_for_card(page, "Hello from Python", "Running")


def test_plugin_that_is_gone_is_told_at_the_head_of_the_list(site: Site, visit: Open) -> None:
    folder = site.hello()
    page = visit()
    shutil.rmtree(folder)

    page.page.get_by_role("button", name="Disable my-plugin").click()

    assert "my-plugin" in alert(page)


# Who can use it


def test_keyboard_alone_enables_a_plugin(site: Site, visit: Open) -> None:
    site.hello()
    page = visit()
    page.page.get_by_role("button", name="Disable my-plugin").click()

    for _ in range(30):
        page.page.keyboard.press("Tab")
        if page.page.get_by_role("button", name="Enable my-plugin").evaluate("node => node === document.activeElement"):
            break
    page.page.keyboard.press("Enter")

    wait_for_status(page, "Plugin my-plugin is enabled.")
    assert [] == site.disabled()


def test_first_tab_stop_skips_to_the_content(visit: Open) -> None:
    page = visit().page

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    page.wait_for_url("**/#main")


@WITH_TOKEN
def test_login_is_a_form_with_a_named_field(visit: Open) -> None:
    page = visit().page

    page.get_by_label("Token").fill("secret")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Plugins", exact=True).wait_for()

    page.get_by_role("button", name="Log out").click()
    page.get_by_role("heading", name="Log in").wait_for()


PATHS = ("/", "/docs", "/plugins/my-plugin/uninstall", "/plugins/nothing/uninstall")
OPEN_ALL = "document.querySelectorAll('details').forEach(each => { each.open = true; })"
NAMED = {"button", "link", "textbox", "checkbox", "region", "navigation", "article", "table"}


def controls(page: Page) -> list[tuple[str, str]]:
    """Role and name of whatever a screen reader tells by its name."""
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    shown = [node for node in tree if not node["ignored"] and node["role"]["value"] in NAMED]
    return [(node["role"]["value"], node.get("name", {}).get("value", "").strip()) for node in shown]


@pytest.mark.parametrize("path", PATHS)
def test_screen_reader_finds_names_and_levels(path: str, site: Site, visit: Open) -> None:
    site.hello()
    page = visit(path, scripts=True).page
    page.evaluate(OPEN_ALL)

    found = controls(page)
    levels = page.locator("h1, h2, h3, h4, h5, h6").evaluate_all("all => all.map(each => Number(each.tagName[1]))")

    assert len(found) >= 4
    assert [] == [role for role, name in found if not name]
    assert 1 == levels[0]
    assert 1 == levels.count(1)
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_buttons_of_different_plugins_have_different_names(site: Site, visit: Open) -> None:
    site.hello("one")
    site.hello("two")

    names = [name for role, name in controls(visit().page) if role == "button"]

    assert {"Disable one", "Disable two"} <= set(names)
    assert len(names) == len(set(names))


CONTRAST = """
() => {
  const channel = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const under = node => {
    for (; node; node = node.parentElement) {
      const color = rgb(getComputedStyle(node).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !node.checkVisibility()) continue;
    const [a, b] = [rgb(getComputedStyle(node).color), under(node)].map(luminance);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${walker.currentNode.textContent.trim()}`);
  }
  return poor;
}
"""


BACKGROUND = "Math.max(...getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number))"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out(scheme: str, site: Site, visit: Open) -> None:
    site.hello()
    site.crashing()
    page = visit(scripts=True, color_scheme=scheme)
    reload_until(page, "Crashy", "Cannot start")
    poor = {}

    for path in PATHS:
        page.page.goto(site.url + path)
        page.page.evaluate(OPEN_ALL)
        poor[path] = page.page.evaluate(CONTRAST)

    assert {path: [] for path in PATHS} == poor


def test_light_and_dark_follow_the_system(visit: Open) -> None:
    light, dark = (visit(color_scheme=scheme).page for scheme in ("light", "dark"))

    assert light.screenshot() != dark.screenshot()
    assert light.evaluate(BACKGROUND) > 200
    assert dark.evaluate(BACKGROUND) < 50


# What plugins write


HOSTILE: Mapping[str, object] = {
    "name": "<script>document.title = 'owned'</script>" + "x" * 5000,
    "description": "</article><h1>owned</h1> ${7*7} {{ 7*7 }} \u202etxet " + "A" * 5000,
    "author": "\ud800\u0000\u001b[31m" + "\u05e9\u05dc\u05d5\u05dd " * 200,
    "homepage": "javascript:document.title='owned'",
    "permissions": ["<img src=x onerror=\"document.title='owned'\">", "p" * 3000, "\ud800"],
}


def test_hostile_texts_stay_texts(site: Site, visit: Open) -> None:
    site.hello(**HOSTILE)

    page = visit(scripts=True).page

    assert page.title() == "Plugins \u00b7 TestMesh"
    assert 1 == page.locator("h1").count()
    assert 0 == page.locator("article img, article script").count()
    assert page.get_by_text("<script>document.title = 'owned'</script>").is_visible()


def test_only_addresses_of_the_web_become_links(site: Site, visit: Open) -> None:
    addresses = ["https://example.com/a?b=c", "http://localhost:8000", "HTTPS://EXAMPLE.COM"]
    others = ["javascript:alert(1)", " javascript:alert(1)", "java\nscript:alert(1)", "data:text/html,x", "//x.org"]
    for number, homepage in enumerate([*addresses, *others, "http://[", "https://", "x.org", "file:///etc"]):
        site.hello(f"plugin-{number:02}", type="auth", homepage=homepage)

    links = visit().page.locator("article a:not(.button)")

    assert addresses == links.evaluate_all("all => all.map(each => each.getAttribute('href'))")
    assert {"noopener noreferrer"} == set(links.evaluate_all("all => all.map(each => each.rel)"))


def test_narrow_window_does_not_scroll_sideways(site: Site, visit: Open) -> None:
    site.hello(**HOSTILE)
    site.crashing()
    page = visit(scripts=True, viewport={"width": 360, "height": 740})
    reload_until(page, "Crashy", "Cannot start")
    widths = {}

    for path in PATHS:
        page.page.goto(site.url + path)
        page.page.evaluate(OPEN_ALL)
        widths[path] = page.page.evaluate("document.documentElement.scrollWidth")

    assert dict.fromkeys(PATHS, 360) == widths


def test_copy_button_copies_the_example(visit: Open) -> None:
    page = visit(scripts=True, permissions=["clipboard-read", "clipboard-write"]).page
    page.evaluate(OPEN_ALL)

    page.get_by_role("button", name="Copy the example step for http_request").click()

    page.get_by_text("Copied", exact=True).wait_for()
    assert "action: http_request" in page.evaluate("navigator.clipboard.readText()")
