"""InstantSearch.js as npm has it, with both generations of its client, on a page of another origin: every widget."""
from urllib.parse import quote

import pytest


@pytest.fixture(params=["4", "5"])
def page(request, browser, widget_page, shop):
    product = next(p for p in shop.products if p.get("brand") == "LG")

    def open_(**parameters):
        browser.open(widget_page.address(client=request.param, product=product["id"], **parameters))
        browser.find("#hits .name")
        return browser

    open_.product = product["id"]
    return open_


def ids(browser):
    return browser.js("return [...document.querySelectorAll('#hits .name')].map(e => e.dataset.id)")


def shows(browser, shop, query, size=10):
    wanted = shop.search(f"{query}&size={size}&lang=en")
    browser.wait(lambda: ids(browser) == [hit["id"] for hit in wanted["hits"]], query)
    browser.wait(lambda: browser.text("#stats i") == str(wanted["total"]["value"]), query)


def counts(browser, widget):
    """{label: count} of a list of values."""
    return browser.js("return Object.fromEntries([...document.querySelectorAll(arguments[0] + ' .ais-RefinementList-item')].map(e =>"
                      " [e.querySelector('.ais-RefinementList-labelText').textContent, Number(e.querySelector('.ais-RefinementList-count').textContent.replace(/\\D/g, ''))]))", widget)


def test_search_box_hits_stats_and_pagination(page, shop):
    browser = page()
    shows(browser, shop, "")
    browser.type_by_letter("#searchbox input", "laptop")
    shows(browser, shop, "q=laptop")
    browser.click("#pagination a", "2")
    shows(browser, shop, "q=laptop&page=2")
    assert browser.find(".ais-Pagination-item--selected").text == "2"


def test_infinite_hits(page, shop):
    browser = page(infinite=1)
    for pages in (1, 2, 3):
        shows(browser, shop, "", size=10 * pages)
        browser.click(".ais-InfiniteHits-loadMore")


def test_sort_by(page, shop):
    browser = page()
    for name, sort in (("_price_asc", "price:asc"), ("_price_desc", "price:desc"), ("_newest", "newest")):
        browser.click("#sort option", name)
        shows(browser, shop, f"sort={sort}")


def test_refinement_list(page, shop):
    browser = page()
    values = shop.search("facets=brand&size=0")["facets"]["brand"]["values"]
    browser.wait(lambda: counts(browser, "#brand") == {v["value"]: v["count"] for v in values[:10]})
    for value in values[:2]:
        browser.choose("#brand .ais-RefinementList-labelText", value["value"])
    two = "&".join(f"brand={quote(v['value'])}" for v in values[:2])
    shows(browser, shop, two)
    assert counts(browser, "#brand") == {v["value"]: v["count"] for v in values[:10]}, "siblings keep their counts"
    browser.click("#clear button")
    shows(browser, shop, "")


def test_facet_search(page, shop):
    browser = page()
    values = shop.search("facets=brand&facet_size=100&size=0")["facets"]["brand"]["values"]
    wanted = values[30]["value"]
    browser.paste("#brand .ais-SearchBox-input", wanted)
    browser.wait(lambda: browser.js("return document.querySelector('#brand .ais-RefinementList-labelText')?.textContent") == wanted)
    assert counts(browser, "#brand")[wanted] == values[30]["count"]
    browser.choose("#brand .ais-RefinementList-labelText", wanted)
    shows(browser, shop, f"brand={quote(wanted)}")


def test_hierarchical_menu(page, shop):
    browser = page()
    path = ""
    nodes = shop.search("facets=category&size=0&lang=en")["facets"]["category"]["nodes"]
    while nodes and path.count("/") < 2:
        node = nodes[0]
        browser.choose("#category .ais-HierarchicalMenu-label", node["name"])
        path = node["path"]
        shows(browser, shop, f"category={path}")
        selected = browser.js("return [...document.querySelectorAll('.ais-HierarchicalMenu-item--selected > div > a > .ais-HierarchicalMenu-count')].at(-1).textContent")
        assert int(selected.replace(",", "")) == node["count"]
        nodes = node["children"]
    assert path.count("/") >= 1


def test_range_slider(page, shop):
    browser = page()
    browser.type_by_letter("#searchbox input", "laptop")
    shows(browser, shop, "q=laptop")
    price = shop.search("q=laptop&facets=price")["facets"]["price"]
    handles = browser.wait(lambda: browser.all("#price [role=slider]"))
    assert [int(h.get_attribute("aria-valuenow")) for h in handles] == [price["min"], price["max"]]
    handles[1].send_keys(browser.keys.PAGE_DOWN)
    most = browser.wait(lambda: next((int(v) for v in [browser.all("#price [role=slider]")[1].get_attribute("aria-valuenow")] if int(v) < price["max"]), None))
    shows(browser, shop, f"q=laptop&price=..{most}")


def test_toggle_and_dynamic_widgets(page, shop):
    browser = page()
    browser.click("#stock label")
    shows(browser, shop, "in_stock=true")
    browser.type_by_letter("#searchbox input", "jeans")
    shows(browser, shop, "q=jeans&in_stock=true")
    facets = shop.search("q=jeans&in_stock=true&facets=attr.*&facet_size=20")["facets"]
    names = [name for name in facets if name.startswith("attr.")]  # their order on the page is the library's affair
    browser.wait(lambda: set(browser.texts("#dynamic .ais-Panel-header")) == set(names), "the attributes of the hits")
    value = facets["attr.color"]["values"][0]
    browser.choose("#dynamic .ais-RefinementList-labelText", value["value"])
    shows(browser, shop, f"q=jeans&in_stock=true&attr.color={quote(value['value'])}")


def test_a_page_state_is_one_answer(page, shop):
    """Two brands, a price range, a category of the second level: five sub-queries, whose numbers agree with the API. The page sends
    several such batches, some of them answered from memory: none costs more than one request to Elasticsearch."""
    browser = page()
    first = shop.search("facets=category,brand&size=0&lang=en")["facets"]
    root = first["category"]["nodes"][0]
    browser.wait(lambda: browser.texts("#related .name") and browser.js("return answers.length === sent"), "the page is at rest")
    sent, asked = browser.js("return sent"), shop.api.metric("readside_query_api_upstream_seconds_count")
    browser.js("search.setUiState({products_en: {query: '', refinementList: {brand: arguments[0]}, range: {price: '1000:90000000'}, hierarchicalMenu: {'cat.lvl0': arguments[1]}}})",
               [v["value"] for v in first["brand"]["values"][:2]], [root["name"], root["children"][0]["name"]])
    browser.wait(lambda: browser.js("return answers.length === sent && answers.some(batch => batch.length === 5)"), "five sub-queries")
    asked = shop.api.metric("readside_query_api_upstream_seconds_count") - asked
    assert 1 <= asked <= browser.js("return sent") - sent
    brands = "&".join(f"brand={quote(v['value'])}" for v in first["brand"]["values"][:2])
    shows(browser, shop, f"{brands}&price=1000..90000000&category={root['children'][0]['path']}")
    assert browser.js("return answers.at(-1).length") >= 4


def test_autocomplete(page, shop):
    browser = page()
    browser.type_by_letter("#autocomplete input", "lapto")
    wanted = [hit["name"] for hit in shop.search("q=lapto&lang=en")["hits"]]
    browser.wait(lambda: browser.texts("#autocomplete .found") == wanted[:5])
    browser.click("#autocomplete .found")
    browser.wait(lambda: wanted[0] in browser.texts("#hits .name"))


def test_related_products(page, shop):
    browser = page()
    wanted = [hit["name"] for hit in shop.get(f"/v1/products/{page.product}/similar?size=4&lang=en").json()["hits"]]
    browser.wait(lambda: browser.texts("#related .name") == wanted)


def test_hostile_products_are_inert(page, shop):
    browser = page()
    browser.type_by_letter("#searchbox input", "hostile")
    browser.wait(lambda: any("<img" in name for name in browser.texts("#hits .name")))
    browser.wait(lambda: any("<img" in label for label in browser.texts("#brand .ais-RefinementList-labelText")))
    assert browser.js("return document.querySelectorAll('#hits img, #brand img, #category img, #dynamic img').length") == 0
