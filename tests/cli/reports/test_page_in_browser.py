"""The html page of a report in headless Chromium: sorted, drawn, read at night and on a phone."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By

from vercel_sql.cli.reports import html
from vercel_sql.cli.reports.report import Chart
from vercel_sql.simulator import Simulator

from ...browsers import PATIENCE, chromium
from .made import EVIL, facts, report, result

_PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
_DESK = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}

TOKENS = """
SELECT * FROM (VALUES
    ('deploy 10', 10::BIGINT, TIMESTAMPTZ '2026-03-01 00:00:00+00', true, repeat('0f', 32)),
    ('deploy 9', 9007199254740993, TIMESTAMPTZ '2026-01-01 00:00:00.1+00', false, repeat('1f', 32)),
    ('Zebra', NULL, NULL, NULL, NULL),
    ('apple', 9007199254740992, TIMESTAMPTZ '2026-01-01 00:00:00+00', true, repeat('2f', 32)),
    ('zebra', -3, TIMESTAMPTZ '2025-12-31 00:00:00+00', false, repeat('3f', 32))
) t(name, n, at_time, leaked, id)
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str, list[str]]]:
    """A directory, its address, and the paths that were asked for there."""
    asked: list[str] = []

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            asked.append(self.path)

    directory = tmp_path / "pages"
    directory.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=directory))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield directory, f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()


@pytest.fixture
def look(browser: Chrome, served: tuple[Path, str, list[str]]) -> Callable[..., Chrome]:
    """Opens the page of a query: ``look(sql, chart, screen=_PHONE, scheme="dark")``."""
    directory, address, _ = served

    def open_page(
        sql: str,
        chart: Chart | None = None,
        *,
        screen: dict[str, Any] = _DESK,
        scheme: str = "light",
        scripts: bool = True,
        **fields: Any,
    ) -> Chrome:
        with (directory / "page.html").open("w", encoding="utf-8") as out:
            html.write_page(report(chart, **fields), result(sql), facts(), out)
        show(browser, f"{address}/page.html", screen=screen, scheme=scheme, scripts=scripts)
        return browser

    return open_page


def show(
    browser: Chrome,
    address: str,
    *,
    screen: dict[str, Any] = _DESK,
    scheme: str = "light",
    scripts: bool = True,
) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(address)


def column(browser: Chrome, name: str) -> list[str]:
    """The texts of a column, from top to bottom."""
    return browser.execute_script(
        """const heads = [...document.querySelectorAll("th")];
        const at = heads.findIndex((each) => each.title === arguments[0]);
        return [...document.querySelectorAll("tbody tr")].map((row) => row.cells[at].textContent)
        """,
        name,
    )


def heading(browser: Chrome, name: str) -> Any:
    return browser.find_element(By.CSS_SELECTOR, f'th[title="{name}"]')


NOTHING = "\N{EN DASH}"
ORDERS = [
    ("n", ["-3", "10", "9007199254740992", "9007199254740993", NOTHING]),
    ("at_time", ["zebra", "apple", "deploy 9", "deploy 10", "Zebra"]),
    ("name", ["apple", "deploy 9", "deploy 10", "Zebra", "zebra"]),
    ("leaked", ["no", "no", "yes", "yes", NOTHING]),
]


@pytest.mark.parametrize("by", ["click", "Enter", "Space"])
@pytest.mark.parametrize(("name", "order"), ORDERS)
def test_sorting(look, by, name, order):
    browser = look(TOKENS)
    shown = "name" if name == "at_time" else name
    before = column(browser, shown)
    button = heading(browser, name).find_element(By.TAG_NAME, "button")

    def press() -> None:
        if by == "click":
            button.click()
        else:
            button.send_keys(Keys.ENTER if by == "Enter" else Keys.SPACE)

    press()
    assert heading(browser, name).get_attribute("aria-sort") == "ascending"
    assert column(browser, shown) == order
    press()
    assert heading(browser, name).get_attribute("aria-sort") == "descending"
    # NULL stays last, and what is equal keeps its order.
    values = [text for text in order if text not in (NOTHING, "Zebra", "zebra")]
    after = [text for text in column(browser, shown) if text in values]
    assert after == values[::-1]
    if name != "name":
        nothing = "Zebra" if name == "at_time" else NOTHING
        assert column(browser, shown)[-1] == nothing
    press()
    assert heading(browser, name).get_attribute("aria-sort") == "none"
    assert column(browser, shown) == before


def test_sorting_by_another_column_keeps_the_order_of_equals(look):
    browser = look(TOKENS)
    for name in ("name", "leaked"):
        heading(browser, name).find_element(By.TAG_NAME, "button").click()
    assert column(browser, "name") == ["deploy 9", "zebra", "apple", "deploy 10", "Zebra"]
    states = [each.get_attribute("aria-sort") for each in browser.find_elements(By.TAG_NAME, "th")]
    assert states == ["none", "none", "none", "ascending", "none"]


def test_the_headings_are_reached_by_keyboard(look):
    browser = look(TOKENS)
    reached = []
    for _ in range(6):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(browser.switch_to.active_element.text)
    assert reached[1:] == ["name", "n", "at time", "leaked", "id"]


def test_a_long_id_is_shortened_to_the_eye_and_copied_whole(look):
    browser = look(TOKENS)
    cell = browser.find_element(By.CSS_SELECTOR, "td.id")
    text = cell.find_element(By.TAG_NAME, "span")
    assert browser.execute_script(
        "return arguments[0].scrollWidth > arguments[0].clientWidth", text
    )
    text.click()
    copied = browser.execute_script("return String(getSelection())")
    assert copied.strip() == "0f" * 32


def test_without_scripts_the_page_is_there_and_has_no_dead_buttons(look):
    browser = look(TOKENS, Chart("bar", "name", "n"), scripts=False)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert browser.find_elements(By.TAG_NAME, "button") == []
    assert len(browser.find_elements(By.CSS_SELECTOR, "tbody tr")) == 5
    assert browser.find_element(By.CSS_SELECTOR, "svg.wide").is_displayed()


CHARTS = {
    "bar": (
        "SELECT 'token with a name of its own ' || i AS name, i - 3 AS n, 'p' || i % 9 AS part"
        " FROM range(30) r(i)",
        Chart("bar", "name", "n", "part"),
    ),
    "columns": (
        "SELECT DATE '2023-01-01' + to_months(i::INTEGER) AS month, 'team ' || t AS team,"
        " (i * t) % 7 AS n FROM range(40) r(i), range(8) s(t)",
        Chart("bar", "month", "n", "team"),
    ),
    "line": (
        "SELECT DATE '2025-01-01' + to_months(i::INTEGER) AS month, 'team ' || t AS team,"
        " (i * t) % 17 AS n FROM range(24) r(i), range(8) s(t)",
        Chart("line", "month", "n", "team"),
    ),
    "timeline": (
        "SELECT 'token ' || i AS name, now() + to_days(i::INTEGER * 9 - 30) AS at_time"
        " FROM range(25) r(i)",
        Chart("timeline", "at_time", "name"),
    ),
}
BOXES = """
const all = [...document.querySelectorAll("svg[role=img]")];
const shown = all.filter((each) => each.checkVisibility());
const svg = shown[0];
const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
const box = (each) => {
  const found = each.getBoundingClientRect();
  return [found.left, found.top, found.right, found.bottom];
};
return {
  shown: shown.length,
  svg: box(svg),
  marks: [...svg.querySelectorAll(".bar, .mark, path.line")].map(box),
  texts: [...svg.querySelectorAll("text")].filter((each) => each.textContent).map(box),
  sizes: [...svg.querySelectorAll("text")].map(
    (each) => parseFloat(getComputedStyle(each).fontSize) * scale),
}
"""


@pytest.mark.parametrize("width", [320, 390, 700, 1000, 1280])
@pytest.mark.parametrize("kind", CHARTS)
def test_the_chart_is_drawn(look, kind, width):
    browser = look(*CHARTS[kind], screen=_PHONE | {"width": width})
    found = browser.execute_script(BOXES)
    assert found["shown"] == 1
    left, top, right, bottom = found["svg"]
    assert right - left > 250
    assert len(found["marks"]) > 5
    for box in (*found["marks"], *found["texts"]):
        assert box[2] > box[0] or box[3] > box[1]
        assert left - 1 <= box[0]
        assert box[2] <= right + 1
        assert top - 1 <= box[1]
        assert box[3] <= bottom + 1
    for at, one in enumerate(found["texts"]):
        for other in found["texts"][at + 1 :]:
            apart = one[2] <= other[0] + 1 or other[2] <= one[0] + 1
            assert apart or one[3] <= other[1] + 4 or other[3] <= one[1] + 4
    assert min(found["sizes"]) >= (12 if width >= 390 else 10)


def test_dark_mode_has_other_colours(look):
    style = "return getComputedStyle(document.body)[arguments[0]]"
    seen = {}
    for scheme in ("light", "dark"):
        browser = look(*CHARTS["bar"], scheme=scheme)
        bar = browser.find_element(By.CSS_SELECTOR, "svg.wide .bar.s0")
        seen[scheme] = (
            browser.execute_script(style, "backgroundColor"),
            browser.execute_script(style, "color"),
            browser.execute_script("return getComputedStyle(arguments[0]).fill", bar),
        )
    assert seen["light"][0] == "rgb(255, 255, 255)"
    assert not set(seen["light"]) & set(seen["dark"])


@pytest.mark.parametrize("kind", [None, *CHARTS])
def test_a_phone_shows_it_without_scrolling_sideways(look, kind):
    more = "repeat('W', 90) AS a, 'x y ' || name AS b, {'k': repeat('v', 90)} AS c"
    wide = f"SELECT *, {more} FROM ({TOKENS})"
    sql, chart = CHARTS.get(kind) or (wide, None)
    title = "a-title-without-any-space-that-is-wider-than-a-phone-and-goes-on"
    browser = look(sql, chart, screen=_PHONE, title=title, answers="W" * 200, on_hit="W" * 200)
    wide_as = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide_as == [390, 390]
    sizes = browser.execute_script(
        """return [...document.querySelectorAll("main *")].filter((each) => each.checkVisibility()
          && [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
          .map((each) => parseFloat(getComputedStyle(each).fontSize))"""
    )
    assert min(sizes) >= 12


def test_the_last_column_is_reached_in_the_tables_own_region(look):
    browser = look(f"SELECT *, name AS a, name AS b, name AS c FROM ({TOKENS})", screen=_PHONE)
    region = browser.find_element(By.CSS_SELECTOR, "[role=region]")
    assert region.get_attribute("tabindex") == "0"
    seen = browser.execute_script(
        """arguments[0].scrollLeft = 1e6;
        const last = document.querySelector("td:last-child").getBoundingClientRect();
        const first = document.querySelector("td:first-child").getBoundingClientRect();
        return [last.right <= innerWidth, first.left >= 0, scrollX]""",
        region,
    )
    assert seen == [True, True, 0]  # the names stay beside what is scrolled to


def test_paper_has_all_rows_and_dark_text(look):
    browser = look("SELECT 'token ' || i AS name FROM range(200) r(i)", scheme="dark")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    region = browser.find_element(By.CSS_SELECTOR, "[role=region]")
    assert browser.execute_script(
        "return arguments[0].scrollHeight <= arguments[0].clientHeight + 1", region
    )
    colour = browser.execute_script("return getComputedStyle(document.body).color")
    assert colour == "rgb(27, 31, 36)"


def test_five_thousand_rows_stay_usable(look):
    browser = look("SELECT 'token ' || (i * 7919) % 5000 AS name, i AS n FROM range(5000) r(i)")
    heading(browser, "name").find_element(By.TAG_NAME, "button").click()
    names = column(browser, "name")
    assert names == [f"token {i}" for i in range(5000)]


@pytest.fixture
def hostile_page(
    run: Callable[..., Any], simulate: Callable[..., Simulator], served: Any, report_file: Any
) -> str:
    """The page of a report on an account with hostile names, made by the command."""
    directory, address, _ = served
    sim = simulate(12)
    names = (EVIL, '"><img src=/stolen onerror=alert(2)>', "</style><style>*{display:none}</style>")
    for name in names:
        sim.state.add_token({"name": name})
    path = report_file(
        f"-- {EVIL}\n--\n-- Answers: {EVIL} Whose?\n-- On a hit: </p>{EVIL}\n"
        "-- Chart: bar name, age_days\n"
        "SELECT name, age_days, id, scopes FROM vercel.audit.user_tokens ORDER BY age_days DESC\n",
        "hostile.sql",
    )
    ended = run(path, "-o", "html", "--out", directory, sim=sim)
    assert ended.code == 0, ended.err
    return f"{address}/hostile.html"


def test_a_token_that_is_named_like_a_script_is_text(browser, hostile_page, served):
    show(browser, hostile_page)
    assert browser.title == EVIL
    assert browser.find_element(By.TAG_NAME, "h1").text == EVIL
    assert EVIL in column(browser, "name")
    drawn = browser.find_elements(By.CSS_SELECTOR, "svg.wide text")
    assert EVIL in [each.get_attribute("textContent") for each in drawn]
    # An open alert would have failed each of these commands.
    assert browser.execute_script("return document.scripts.length") == 1


def test_nothing_is_loaded_from_elsewhere(browser, hostile_page, served):
    _, _, asked = served
    show(browser, hostile_page)
    heading(browser, "name").find_element(By.TAG_NAME, "button").click()
    assert [path for path in asked if path != "/favicon.ico"] == ["/hostile.html"]
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert requests == [hostile_page]
    said = [entry["message"] for entry in browser.get_log("browser")]
    assert [message for message in said if "favicon" not in message] == []


def test_the_policy_stops_what_would_be_added(browser, hostile_page):
    show(browser, hostile_page)
    browser.set_script_timeout(PATIENCE)
    stopped = browser.execute_async_script(
        """const done = arguments[arguments.length - 1];
        const kind = "securitypolicyviolation";
        document.addEventListener(kind, (event) => done(event.violatedDirective));
        const image = document.createElement("img");
        image.src = "http://127.0.0.1:9/";
        document.body.append(image);"""
    )
    assert stopped == "img-src"
