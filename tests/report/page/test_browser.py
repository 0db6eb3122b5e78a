"""The page in a browser: sorting, filters, records behind numbers, accessibility; no error and no request."""

from __future__ import annotations

import importlib.resources
import re
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from bench.report.exhibit import Subject
from tests.report.page.making import HOSTILE, figure, full, page_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Dialog, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
EMOJI, MANY = "table[id^=emoji][id*='map@all']", "table[id^=many][id*='map@all']"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium on the PATH; on Debian: apt-get install chromium"
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install -e '.[browser]'")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    figures = [figure("one", Subject("emoji", "real", "quick")), figure("two")]
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(page_of(full(), figures, "figures"), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens the page; messages, pop-ups and requests of it are errors at the end of the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []
    requests: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        complaints.append(f"popup: {dialog.message}")
        dialog.dismiss()

    def visit(fragment: str = "", **settings: Any) -> Page:
        context = browser.new_context(**({"viewport": DESKTOP} | settings))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", dismiss)
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address + fragment)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []
    inside = (address, "data:image/svg+xml;base64,")  # figures are part of the page
    assert [url for url in requests if not url.startswith(inside)] == []


def column(page: Page, number: int, table: str = EMOJI) -> list[str]:
    """Return the texts of a column of the rows that are shown."""
    cells = page.locator(f"{table} tbody tr:not(.off) > :nth-child({number})")
    return [text.strip() for text in cells.all_inner_texts()]


def test_clicks_and_keys_on_headings_sort_and_a_third_one_restores(visit: Callable[..., Page]) -> None:
    page = visit()
    before = column(page, 1)
    head = page.locator(f"{EMOJI} th[data-column='3']")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    values = column(page, 4)
    assert values[-1] == "failed"
    assert values[:-1] == sorted(values[:-1], reverse=True)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, 4) == [*reversed(values[:-1]), "failed"]
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") is None
    assert column(page, 1) == before
    head = page.locator(f"{EMOJI} th[data-column='0']")
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    names = column(page, 1)
    assert names.index("bad") < names.index("drcl") < names.index("sdml")
    assert page.locator("#live").inner_text() == "Sorted by Method, ascending"
    head = page.locator(f"{MANY} thead tr:nth-child(2) th").nth(2)  # under a group
    assert head.get_attribute("data-direction") == "text→image"
    head.get_by_role("button").click()
    page.locator(f"{MANY} td").first.scroll_into_view_if_needed()
    values = column(page, 4, MANY)
    assert len(values) == 2
    assert values == sorted(values, reverse=True)
    groups = page.locator(f"{MANY} thead th[scope=colgroup]").all_inner_texts()
    assert groups[:2] == ["image queries", "text queries"]


def test_the_filter_narrows_everything_down_and_shows_all_again(visit: Callable[..., Page]) -> None:
    page = visit()
    page.get_by_label("Method", exact=True).fill("SDML")
    assert column(page, 1) == ["sdml"]
    assert not page.locator("table[id^=many]").first.is_visible()
    assert page.locator(".filters output").inner_text() == "2 of 4 mAP tables"
    page.get_by_label("Method", exact=True).fill("nobody")
    assert page.locator("#tables .nothing").is_visible()
    page.get_by_role("button", name="Show all").click()
    assert len(column(page, 1)) == 4
    page.get_by_role("combobox", name="Kind of data").select_option("look-alike")
    assert not page.locator(EMOJI).is_visible()
    assert page.locator("table[id^=many]").first.is_visible()
    assert not page.locator("#figure-one").is_visible()
    assert page.locator("#figure-two").is_visible()
    page.get_by_role("combobox", name="Kind of data").select_option("")
    page.get_by_role("combobox", name="Protocol").select_option("map@50/hits")
    assert not page.locator(EMOJI).is_visible()
    assert page.locator("table[id^=emoji][id*='map@50-hits']").is_visible()


def test_a_number_shows_the_records_behind_it_and_escape_leads_back(visit: Callable[..., Page]) -> None:
    page = visit()
    line = page.locator(f"{EMOJI} tbody tr", has=page.get_by_text("sdml", exact=True))
    number = line.get_by_role("link").first
    number.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    assert re.match(r"3 records behind 0\.\d{3} ± 0\.0\d\d — sdml, image→text", dialog.inner_text())
    shares = [float(text) for text in dialog.locator("tbody td:last-child").all_inner_texts()]
    assert f"{sum(shares) / 3:.3f}" == number.inner_text()[:5]
    dialog.get_by_role("link").nth(1).click()
    assert dialog.get_by_role("heading", level=2).inner_text() == "sdml on emoji (image + text), seed 1"
    for words in ("python -m bench run", "epochs", "selection", "map@50/hits"):
        assert dialog.get_by_text(words).first.is_visible(), words
    for title in ("Cell", "Data", "Settings", "Selection", "Notes of the method", "Environment"):
        assert dialog.get_by_role("heading", level=3, name=title, exact=True).count() == 1, title
    assert re.search(r"#record-[0-9a-f]{20}$", page.url)
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "#" not in url)
    dialog.wait_for(state="hidden")
    assert number.evaluate("one => one === document.activeElement")


def test_the_back_button_leads_from_a_record_to_the_list_to_the_page_and_focus_stays_in_the_dialog(
    visit: Callable[..., Page],
) -> None:
    page = visit()
    page.locator(f"{EMOJI} td a[data-records]").first.click()
    page.get_by_role("dialog").get_by_role("link").first.click()
    outside = "document.activeElement !== document.body && !document.activeElement.closest('dialog')"
    for _ in range(12):
        page.keyboard.press("Tab")
        assert not page.evaluate(outside)
    page.go_back()
    page.get_by_role("dialog").get_by_role("heading", level=2, name="3 records").wait_for()
    page.go_back()
    page.get_by_role("dialog").wait_for(state="hidden")
    page.go_forward()
    page.get_by_role("dialog").wait_for()


def test_an_address_leads_to_its_record(visit: Callable[..., Page]) -> None:
    digest = next(record.digest for record in full().records if record.failure is not None)
    page = visit(f"#record-{digest}")
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_role("heading", level=2).inner_text() == "bad on emoji (image + text), seed 0"
    assert dialog.get_by_text(f"no luck {HOSTILE}").is_visible()
    page.get_by_role("button", name="Close").click()
    dialog.wait_for(state="hidden")
    page.wait_for_url(lambda url: "#" not in url)
    page = visit("#record-00000000000000000000")
    assert page.get_by_role("dialog").get_by_text("no record").is_visible()


def test_names_from_records_are_words_everywhere_and_the_command_is_copied(
    visit: Callable[..., Page],
) -> None:
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    markup = "main img:not(.drawing img), main b, main script, dialog img, dialog b, dialog script"
    assert page.locator(markup).count() == 0
    row = page.locator(f"{EMOJI} tbody tr", has_text="onerror").first
    assert HOSTILE in row.inner_text()
    row.get_by_role("link").first.click()
    page.get_by_role("dialog").get_by_role("link").first.click()
    assert HOSTILE in page.get_by_role("dialog").inner_text()
    assert page.locator(markup).count() == 0
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "#" not in url)
    page.locator(f"{EMOJI} td.missing a").first.click()
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "python -m bench run --methods '<script>alert('ran')</script>'"


def test_a_phone_shows_it_without_scrolling_sideways(visit: Callable[..., Page]) -> None:
    page = visit(viewport=PHONE, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    box = page.locator(MANY).locator("xpath=..")
    box.evaluate("one => one.scrollLeft = 200")
    left = (
        "one => one.querySelector('tbody th').getBoundingClientRect().left - one.getBoundingClientRect().left"
    )
    assert abs(box.evaluate(left)) < 2
    page.locator(f"{EMOJI} td a").first.tap()
    assert page.get_by_role("dialog").is_visible()
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= PHONE["width"]


def test_it_can_be_read_without_scripts_and_on_paper(visit: Callable[..., Page]) -> None:
    page = visit(java_script_enabled=False)
    assert page.locator(EMOJI).is_visible()
    assert page.locator("#figure-one img").is_visible()
    assert not page.locator(".filters").is_visible()
    page.locator(f"{EMOJI} td a").first.click()
    assert page.locator(f"tr[id='{page.url.partition('#')[2]}']").is_visible()
    page = visit()
    page.get_by_label("Method", exact=True).fill("nobody")
    page.emulate_media(media="print")
    assert page.locator(EMOJI).is_visible()
    assert page.locator("table[id^=emoji][id*='map@50-hits'] td").first.is_visible()
    assert not page.locator(".filters, nav").first.is_visible()


UNFOLD = "for (const one of document.querySelectorAll('details')) one.open = true"
AXE = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.map((one) => [one.id, one.nodes.slice(0, 3).map((node) => node.html)]);
}"""


@pytest.mark.parametrize(
    "scheme",
    ["", pytest.param("light", marks=pytest.mark.slow), pytest.param("dark", marks=pytest.mark.slow)],
)
def test_axe_core_finds_no_fault_of_accessibility(visit: Callable[..., Page], scheme: str) -> None:
    pytest.importorskip("axe_playwright_python", reason="pip install -e '.[browser]'")
    axe = (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    page = visit(color_scheme=scheme, reduced_motion="reduce") if scheme else visit()
    page.evaluate(UNFOLD)
    page.evaluate(axe)
    assert page.evaluate(AXE) == []
    for number in (f"{EMOJI} td.missing a", f"{EMOJI} td a[data-records]") if scheme else ():
        page.locator(number).first.click()
        assert page.evaluate(AXE) == []
        page.keyboard.press("Escape")
        page.wait_for_url(lambda url: "#" not in url)
