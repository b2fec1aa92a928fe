"""The page in a real browser, with the network off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from browser import at_width, chromium, complaints
from report.making import Run, wnids

EVIL = "<img src=x onerror=\"document.title='broken'\">'&"
ADDRESSES = ["javascript:document.title='broken'", "http://bad.example/<script>", "https://good.example/a b.jpg"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def page(browser: Any, good: Run, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The page of a run with one class's pictures in another, hostile names and addresses, opened from disk."""
    run = good.copy(tmp_path_factory.mktemp("page"))
    classes = pd.read_csv(run.folder / "classes.csv", keep_default_na=False)
    classes.loc[3, ["name", "words"]] = EVIL
    classes.loc[4, "wanted"] = 9
    classes.to_csv(run.folder / "classes.csv", index=False)
    manifest = pd.read_parquet(run.folder / "manifest.parquet")
    manifest["url"] = [ADDRESSES[index % 3] for index in range(len(manifest))]
    manifest.to_parquet(run.folder / "manifest.parquet", index=False)
    run.report()
    browser.get(run.page.as_uri())
    return browser


def script(page: Any, body: str, *given: object) -> Any:
    return page.execute_script(body, *given)


def until(page: Any, expression: str) -> Any:
    """The value of an expression, once it is true."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(page, 20, 0.05).until(lambda _: script(page, f"return {expression}"))


def show_sheets(page: Any) -> None:
    script(page, "document.getElementById('pictures').scrollIntoView({behavior: 'instant'})")
    until(page, "document.querySelectorAll('.sheet .thumb').length === 36")


def test_page_opens_without_errors_and_without_requests(page: Any) -> None:
    page.refresh()
    assert script(page, "return document.documentElement.dataset.ready") == "yes"
    assert complaints(page) == []
    asked = script(page, "return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert {address.partition(":")[0] for address in asked} <= {"file", "data"}


def test_html_in_names_is_escaped(page: Any) -> None:
    assert script(page, "return document.querySelectorAll('.sheet h3')[3].textContent") == EVIL
    assert "broken" not in page.title
    assert script(page, "return document.querySelectorAll('img[src=x]').length") == 0


def test_only_http_urls_become_links(page: Any) -> None:
    show_sheets(page)
    shown = []
    for position in range(3):
        draw = "document.querySelector('.sheet .strip').children[arguments[0]].click()"
        script(page, draw, position)
        shown += script(page, "return [...document.querySelectorAll('#viewer dd a')].map((a) => a.href)")
        script(page, "document.getElementById('viewer').close()")
    assert sorted(shown) == ["http://bad.example/%3Cscript%3E", "https://good.example/a%20b.jpg"]


def test_search_finds_a_class_by_name_wnid_and_label(page: Any) -> None:
    field = page.find_element("id", "search")
    for text, found in (("goldf", "goldfish"), (wnids(6)[2], "great white shark"), ("5", "electric ray")):
        field.clear()
        field.send_keys(text)
        visible = "return [...document.querySelectorAll('.sheet:not([hidden]) h3')].map((h) => h.textContent)"
        assert script(page, visible) == [found]
    assert script(page, "return document.getElementById('found').textContent") == "1 of 6 classes match “5”."
    script(page, "arguments[0].value = ''; arguments[0].dispatchEvent(new Event('input'))", field)


def test_thumbnails_of_a_class_are_one_file(page: Any) -> None:
    show_sheets(page)
    drawn = script(page, "return getComputedStyle(document.querySelector('.sheet .thumb')).backgroundImage")
    script(page, "window.strip = new Image(); strip.src = arguments[0]", drawn.removeprefix('url("').partition('")')[0])
    until(page, "strip.complete")
    assert script(page, "return [strip.naturalWidth, strip.naturalHeight]") == [6 * 112, 112]


def test_hovering_a_class_on_the_map_shows_its_thumbnails(page: Any) -> None:
    from selenium.webdriver import ActionChains

    script(page, "document.querySelector('#map svg').scrollIntoView({block: 'center', behavior: 'instant'})")
    circle = page.find_elements("css selector", "#map circle")[2]
    ActionChains(page).move_to_element(circle).perform()
    assert page.find_element("css selector", "#map-text h4").text == "great white shark"
    assert len(page.find_elements("css selector", "#map-text .thumb")) == 6


def test_arrow_keys_move_on_the_map(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    svg = page.find_element("css selector", "#map svg")
    seen = set()
    for key in (Keys.ARROW_LEFT, Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.ARROW_DOWN, Keys.ARROW_RIGHT):
        svg.send_keys(key)
        seen.add(page.find_element("css selector", "#map-text h4").text)
    assert len(seen) > 1


def test_enter_on_the_map_focuses_the_class(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    svg = page.find_element("css selector", "#map svg")
    svg.send_keys(Keys.ARROW_LEFT)
    name = page.find_element("css selector", "#map-text h4").text
    svg.send_keys(Keys.ENTER)
    assert script(page, "return document.activeElement.textContent") == name
    assert script(page, "return document.activeElement.closest('.sheet') !== null")


def test_table_of_centers_has_no_tsne_column_without_tsne(page: Any) -> None:
    script(page, "document.getElementById('centers-table').open = true")
    until(page, "document.querySelector('#centers-table table')")
    assert "t-SNE" not in script(page, "return document.querySelector('#centers-table thead').textContent")


def test_hovering_a_thumbnail_names_it_and_a_click_opens_the_file(page: Any) -> None:
    from selenium.webdriver import ActionChains

    show_sheets(page)
    thumb = page.find_element("css selector", ".sheet .thumb")
    script(page, "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", thumb)
    ActionChains(page).move_to_element(thumb).perform()
    assert page.find_element("id", "tip").text.splitlines()[1] == "0 · tench (n01440764)"
    thumb.click()
    assert until(page, "document.querySelector('#viewer img').naturalWidth") >= 200
    script(page, "document.getElementById('viewer').close()")


def test_viewer_moves_on_by_arrow_keys_and_buttons(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    show_sheets(page)
    script(page, "document.querySelector('.sheet .thumb').click()")
    number = "[...document.querySelectorAll('#viewer dd')][2].textContent"
    seen = [script(page, f"return {number}")]
    for key in (Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT):
        page.switch_to.active_element.send_keys(key)
        seen.append(script(page, f"return {number}"))
    assert len(set(seen[:3])) == 3
    assert seen[3] == seen[1]
    following = "document.querySelectorAll('#viewer .turn button')[1]"
    script(page, f"{following}.focus()")
    page.switch_to.active_element.send_keys(Keys.ENTER)
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert script(page, f"return document.activeElement === {following}")
    assert script(page, f"return {number}") not in seen
    script(page, "document.getElementById('viewer').close()")


def test_click_on_a_heading_sorts_the_table(page: Any) -> None:
    details = page.find_element("id", "classes-table")
    script(page, "arguments[0].open = true", details)
    until(page, "document.querySelector('#classes-table table')")
    script(page, "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", details)
    head = "return [...document.querySelectorAll('#classes-table th button')].find((b) => b.textContent === 'class')"
    names = "return [...document.querySelectorAll('#classes-table tbody tr')].map((r) => r.cells[1].textContent)"
    by_label = script(page, names)
    script(page, head).click()
    by_name = script(page, names)
    assert [name for name in by_name if name != EVIL] == sorted(name for name in by_label if name != EVIL)
    script(page, head).click()
    assert script(page, names) == by_name[::-1]
    assert script(page, "return document.querySelector('#classes-table [aria-sort]').ariaSort") == "descending"


def test_hovering_the_matrix_names_both_classes(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    page.find_element("id", "matrix").send_keys(Keys.ARROW_RIGHT)
    said = page.find_element("id", "matrix-text").text
    assert " and " in said
    assert said.rpartition(": ")[2][:2] in ("0.", "1.")


def test_warnings_come_first(page: Any) -> None:
    first = page.find_element("css selector", ".notice b").text
    assert first == "1 class short of images"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_page_is_not_wider_than_the_window(page: Any, width: int, dark: bool) -> None:
    at_width(page, width, dark)
    assert script(page, "return document.documentElement.scrollWidth") <= width
    light = script(page, "return getComputedStyle(document.body).backgroundColor") == "rgb(250, 249, 246)"
    assert light is not dark


def test_controls_and_images_have_accessible_names(page: Any) -> None:
    nameless = """return [...document.querySelectorAll('button, input, svg, canvas, img, dialog')].filter((each) =>
      !(each.ariaLabel || each.alt || each.textContent.trim() || each.labels?.length)).map((each) => each.outerHTML)"""
    assert script(page, nameless) == []
    assert complaints(page) == []
