"""The storefront page in Chromium: what a customer does, held against the same question asked of the API."""
import json
import re
from urllib.parse import quote

import pytest

CARD = "#hits .card"
NAMES = "#hits .card-name"


def ids(browser):
    return browser.js("return [...document.querySelectorAll('#hits .card-name a')].map(a => decodeURIComponent(new URL(a.href).pathname.slice(3)))")


def total(shop, query=""):
    return shop.search(query + ("&" if query else "") + "size=0")["total"]["value"]


def wait_count(browser, number):
    """Beside the words that were searched for, which may be numbers, too."""
    browser.wait(lambda: re.findall(r"[\d,]+", re.sub("“.*”", "", browser.text("#count"))) == [f"{number:,}"], f"{number:,} in the count")


def number_of(browser, css):
    return int(browser.find(css).text.replace(",", ""))


def labelled(browser, panel, label):
    """The number beside a value of a filter."""
    def look():
        return browser.js("const row = [...document.querySelectorAll(arguments[0] + ' .choice')].find(e => e.querySelector('.value').textContent.trim() === arguments[1]);"
                          "return row && row.querySelector('.number').textContent", panel, label)

    return int(browser.wait(look, f"{label} in {panel}").replace(",", ""))


def choose(browser, panel, label):
    browser.choose(panel + " .choice .value", label)


def test_search_as_you_type(browser, shop):
    browser.open("/?lang=ko")
    wait_count(browser, total(shop))
    assert browser.find("#hero").is_displayed()
    browser.type("#query", "노트북")
    wait_count(browser, total(shop, "q=노트북"))
    browser.wait_query("q", "노트북")
    browser.wait(lambda: ids(browser) == shop.ids("q=노트북&size=24"), "the hits of the whole word, not of its beginning")
    browser.wait(lambda: browser.js("return document.querySelector('#hits mark').textContent") == "노트북")
    browser.wait(lambda: "노트북" in browser.driver.title)
    browser.driver.refresh()
    browser.wait(lambda: ids(browser) == shop.ids("q=노트북&size=24"))
    assert browser.find("#query").get_attribute("value") == "노트북"
    for _ in "노트북":  # letters that came slowly are steps of their own
        before = browser.url
        browser.driver.back()
        browser.wait(lambda before=before: browser.url != before)
        if "q" not in browser.query():
            break
    browser.wait(lambda: ids(browser) == shop.ids("size=24"))
    browser.wait(lambda: browser.find("#query").get_attribute("value") == "")


def test_back_while_the_box_has_the_focus(browser, shop):
    browser.open("/?lang=en")
    browser.find(CARD)
    browser.type("#query", "laptop" + browser.keys.ENTER)
    browser.wait_query("q", "laptop")
    wait_count(browser, total(shop, "q=laptop"))
    browser.paste("#query", "shirt")
    browser.press(browser.keys.ENTER)
    browser.wait_query("q", "shirt")
    wait_count(browser, total(shop, "q=shirt"))
    browser.driver.back()
    browser.wait(lambda: browser.find("#query").get_attribute("value") == "laptop")
    browser.wait(lambda: ids(browser) == shop.ids("q=laptop&size=24"))
    assert browser.js("return document.activeElement.id") == "query"


def test_suggestions(browser, shop):
    browser.open("/?lang=ko")
    browser.find(CARD)
    browser.press("/")
    browser.paste("#query", "노ㅌ")  # not letter by letter, of which the first has suggestions as well
    answer = shop.get("/v1/suggest?q=노ㅌ&lang=ko&size=4").json()
    count = len(answer["queries"]) + len(answer["categories"][:2]) + len(answer["products"])

    def suggested():
        found = browser.texts("#suggestions [role=option]")
        return len(found) == count and found[0] == answer["queries"][0]["q"] and found

    options = browser.wait(suggested)
    box = browser.find("#query")
    assert box.get_attribute("aria-expanded") == "true"
    browser.press(browser.keys.ARROW_DOWN)
    assert box.get_attribute("aria-activedescendant") == "suggestion-0"
    assert browser.all("#suggestion-0")[0].get_attribute("aria-selected") == "true"
    browser.press(browser.keys.ENTER)
    browser.wait_query("q", options[0])
    browser.wait(lambda: not browser.all("#suggestions")[0].is_displayed())
    browser.press(browser.keys.BACKSPACE)
    browser.find("#suggestions [role=option]")
    browser.press(browser.keys.ESCAPE)
    browser.wait(lambda: box.get_attribute("aria-expanded") == "false")
    assert box.get_attribute("value") == options[0][:-1]


def test_a_suggested_product_opens(browser, shop):
    browser.open("/?lang=en")
    browser.type("#query", "lapto")
    wanted = [product["name"] for product in shop.get("/v1/suggest?q=lapto&lang=en&size=4").json()["products"]]
    browser.wait(lambda: browser.texts("#suggestions .suggestion-name") == wanted, f"{wanted}")
    browser.click("#suggestions .suggestion-name")
    browser.wait(lambda: "/p/" in browser.url)
    assert browser.text("h1") == wanted[0]


def test_brands_are_disjunctive(browser, shop):
    browser.open("/?lang=en&q=laptop")
    first, second = (v["value"] for v in shop.search("q=laptop&facets=brand")["facets"]["brand"]["values"][:2])
    beside = labelled(browser, "#brand", second)
    expected = labelled(browser, "#brand", first)
    choose(browser, "#brand", first)
    wait_count(browser, expected)
    browser.wait_query("brand", first)
    assert labelled(browser, "#brand", second) == beside, "a chosen value must not empty its siblings"
    choose(browser, "#brand", second)
    wait_count(browser, total(shop, f"q=laptop&brand={quote(first)}&brand={quote(second)}"))
    assert sorted(browser.texts("#chosen .chip")) == sorted([first, second])
    browser.click("#chosen .chip", first)
    wait_count(browser, beside)
    browser.click("#clear button")
    wait_count(browser, total(shop, "q=laptop"))
    browser.wait_query("brand")


def test_search_inside_a_facet(browser, shop):
    browser.open("/?lang=en")
    browser.find(CARD)
    brand = shop.search("facets=brand&facet_size=100")["facets"]["brand"]["values"][20]["value"]
    browser.paste("#brand .ais-SearchBox-input", brand[:4].lower())
    found = [v["value"] for v in shop.get(f"/v1/facets/brand/values?q={quote(brand[:4].lower())}").json()["facets"]["brand"]["values"]]
    browser.wait(lambda: set(browser.texts("#brand .value")) == set(found))
    choose(browser, "#brand", brand)
    wait_count(browser, total(shop, f"brand={quote(brand)}"))


def test_category_tree(browser, shop):
    browser.open("/?lang=en")
    root = shop.search("facets=category&lang=en&size=0")["facets"]["category"]["nodes"][0]
    expected = labelled(browser, "#category", root["name"])
    assert expected == total(shop, f"category={root['path']}")
    choose(browser, "#category", root["name"])
    wait_count(browser, expected)
    browser.wait_query("category", root["path"])
    child = shop.search(f"category={root['path']}&facets=category&lang=en")["facets"]["category"]["nodes"]
    child = next(node for node in child if node["path"] == root["path"])["children"][0]
    expected = labelled(browser, "#category", child["name"])
    choose(browser, "#category", child["name"])
    wait_count(browser, expected)
    browser.wait_query("category", child["path"])
    assert expected == total(shop, f"category={child['path']}")
    browser.driver.refresh()
    wait_count(browser, expected)
    browser.click(".departments a", root["name"])
    wait_count(browser, total(shop, f"category={root['path']}"))


def test_price_slider(browser, shop):
    browser.open("/?lang=en&q=laptop")
    price = shop.search("q=laptop&facets=price")["facets"]["price"]
    low = browser.find("#price [role=slider][aria-label='Lowest price']")
    assert int(low.get_attribute("aria-valuenow")) == price["min"]
    low.send_keys(browser.keys.PAGE_UP)
    bounds = browser.wait(lambda: browser.query().get("price"))[0]
    chosen = int(bounds.split("..")[0])
    assert price["min"] < chosen < price["max"]
    expected = shop.search(f"q=laptop&price={chosen}..")
    wait_count(browser, expected["total"]["value"])
    browser.wait(lambda: ids(browser) == shop.ids(f"q=laptop&price={chosen}..&size=24"))
    browser.wait(lambda: any("₩" in chip for chip in browser.texts("#chosen .chip")))


def test_sorting(browser, shop):
    browser.open("/?lang=en&q=shirt")
    for label, sort in (("Price: low to high", "price:asc"), ("Price: high to low", "price:desc"), ("Newest", "newest")):
        browser.click("#sort option", label)
        browser.wait_query("sort", sort)
        browser.wait(lambda s=sort: ids(browser) == shop.ids(f"q=shirt&size=24&sort={s}"), sort)


def test_pages(browser, shop):
    browser.open("/?lang=en")
    browser.find(CARD)
    browser.click("#pages a", "3")
    browser.wait_query("page", "3")
    browser.wait(lambda: ids(browser) == shop.ids("size=24&page=3"))
    assert browser.find("#pages [aria-current=page]").text == "3"
    browser.click("#pages [aria-label='Next page']")
    browser.wait(lambda: ids(browser) == shop.ids("size=24&page=4"))
    browser.wait_query("page", "4")
    browser.driver.back()
    browser.wait(lambda: ids(browser) == shop.ids("size=24&page=3"))


def test_only_what_is_in_stock(browser, shop):
    browser.open("/?lang=en&category=9901")
    wait_count(browser, 3)
    browser.wait(lambda: browser.texts(".card-out .badge") == ["Sold out"])
    browser.click("#in-stock label")
    wait_count(browser, 2)
    browser.wait_query("in_stock", "true")
    browser.wait(lambda: not browser.all(".card-out"))


def test_attributes_come_with_the_hits(browser, shop):
    browser.open("/?lang=ko&category=4")
    wanted = shop.search("category=4&facets=attr.*&lang=ko")["facets"]
    panels = browser.wait(lambda: "색상" in (shown := browser.texts("#attributes .ais-Panel:not(.ais-Panel--hidden) h3")) and shown)
    assert len(panels) <= 12
    value = wanted["attr.color"]["values"][0]
    checkbox = f"#attributes input[value='{value['value']}']"
    browser.wait(lambda: browser.all(checkbox))
    browser.js("document.querySelector(arguments[0]).click()", checkbox)
    wait_count(browser, value["count"])
    browser.wait_query("attr.color", value["value"])
    browser.open("/?lang=ko&q=노트북")
    browser.wait(lambda: browser.texts("#attributes h3") not in ([], panels))


def test_what_was_corrected_is_said(browser, shop):
    browser.open("/?lang=ko&q=shxmqnr")
    assert shop.search("q=shxmqnr")["query"]["corrected"] == "노트북"
    browser.wait(lambda: "노트북" in browser.text("#corrected"))
    browser.click("#corrected a")
    browser.wait_query("q", "노트북")
    browser.find(CARD)
    browser.wait(lambda: not browser.all("#corrected")[0].is_displayed())


def test_another_spelling_is_offered(browser, shop):
    browser.open("/?lang=en&q=labtop")
    assert shop.search("q=labtop")["query"]["did_you_mean"] == "laptop"
    wait_count(browser, total(shop, "q=labtop"))
    browser.wait(lambda: browser.text("#corrected") == "Did you mean “laptop”?")
    browser.click("#corrected a")
    browser.wait_query("q", "laptop")
    wait_count(browser, total(shop, "q=laptop"))
    browser.wait(lambda: not browser.all("#corrected")[0].is_displayed())


def another_colour(shop):
    """A product and the only variant of it in a colour, which is not the first one."""
    for product in shop.products:
        colors = [v.get("attributes", {}).get("color") for v in product.get("variants", [])]
        for variant, color in list(zip(product.get("variants", []), colors))[1:]:
            if isinstance(color, str) and colors.count(color) == 1:
                return product["id"], variant["sku"], color
    raise AssertionError("the sample has none")


def test_the_variant_that_was_asked_for_is_shown(browser, shop):
    product, sku, color = another_colour(shop)
    browser.open(f"/?lang=en&q={quote(product)}&attr.color={quote(color)}")
    browser.wait(lambda: ids(browser) == [product] and "sku=" in browser.js("return document.querySelector('#hits .card-name a').href"), "the filter is applied")
    browser.click("#hits .card-name a")
    browser.wait_query("sku", sku)
    browser.wait(lambda: sku in browser.texts(".specification dd"))
    assert color in browser.js("return [...document.querySelectorAll('.option input:checked')].map(e => e.nextElementSibling.textContent.toLowerCase())")


def test_nothing_found(browser):
    browser.open("/?lang=en&q=zzqqxxyy")
    assert "zzqqxxyy" in browser.text(".empty-title")
    assert "No results" in browser.text("#count")
    browser.click(".empty a", "Start over")
    browser.find(CARD)


def test_language_is_remembered(browser, shop):
    browser.open("/?lang=ko&q=노트북")
    browser.find(CARD)
    browser.click("[data-lang=en]")
    browser.wait(lambda: browser.js("return document.documentElement.lang") == "en")
    browser.wait(lambda: browser.texts(NAMES) == [hit["name"] for hit in shop.search("q=노트북&size=24&lang=en")["hits"]])
    browser.open("/")
    browser.wait(lambda: browser.js("return document.documentElement.lang") == "en")
    browser.find(CARD)
    assert browser.find("[data-lang=en]").get_attribute("aria-pressed") == "true"


def test_prices_by_currency(browser, shop):
    browser.open("/?lang=ko&category=9901")
    browser.find(CARD)
    assert "₩2,000" in browser.texts(".card-price")
    money = "const m = await import(document.querySelector('script[type=module]').src.replace('app.js', 'format.js')); return [m.money(1999, 'USD'), m.money(1999, 'KRW'), m.money(1999, 'JPY'), m.money(5, 'x'), m.money(null, 'KRW')]"
    usd, krw, jpy, unknown, none = browser.js(f"return (async () => {{ {money} }})()")
    assert (usd, krw, jpy, unknown, none) == ("US$19.99", "₩1,999", "JP¥1,999", "5 x", "")
    browser.open("/?lang=en&category=9902&price=2000..")
    wait_count(browser, 1)
    browser.wait(lambda: "≥ $20.00" in browser.texts("#chosen .chip"))
    browser.wait(lambda: browser.js("return [...document.querySelectorAll('#price .rheostat-tooltip')].map(e => e.textContent)") == ["$20.00", "$49.50"])


# ---- product page --------------------------------------------------------------------------------------------

def varied_product(shop):
    """A product with variants by colour and size, of which one is sold out."""
    for product in shop.products:
        variants = product.get("variants", [])
        stocks = {shop.stock.get(v["sku"], "out") for v in variants}
        if len(variants) > 3 and "out" in stocks and len(stocks) > 1 and all({"color", "size"} <= set(v.get("attributes", {})) for v in variants):
            return product
    raise AssertionError("the sample has none")


def test_variants(browser, shop):
    product = varied_product(shop)
    answer = shop.get(f"/v1/products/{product['id']}?lang=en").json()
    for variant in answer["variants"]:
        browser.open(f"/p/{product['id']}?lang=en&sku={quote(variant['sku'])}")
        assert browser.text("h1") == answer["name"]
        sold_out = variant["stock"] == "out"
        expected = {"in": "In stock", "low": "Few left", "out": "Sold out"}[variant["stock"]]
        browser.wait(lambda e=expected: browser.text(".stock") == e)
        assert f"{variant['price']:,}" in browser.text(".product-price")
        assert variant["sku"] in browser.texts(".specification dd")
        assert bool(browser.all(".product-out")) == sold_out
    assert {e.text for e in browser.all(".option legend")} == {"Color", "Size"}
    other = next(v for v in answer["variants"] if v["attributes"]["color"] != variant["attributes"]["color"])
    browser.click(".option-value", other["attributes"]["color"][0])
    browser.wait(lambda: any(v["sku"] in browser.texts(".specification dd") for v in answer["variants"]
                             if v["attributes"]["color"] == other["attributes"]["color"]))
    assert browser.js("return document.activeElement.type") == "radio", "the focus stays on the choice"


def test_similar_products(browser, shop):
    product = next(p for p in shop.products if p.get("brand") == "LG")
    browser.open(f"/p/{product['id']}?lang=en")
    wanted = [hit["name"] for hit in shop.get(f"/v1/products/{product['id']}/similar?lang=en&size=8").json()["hits"]]
    browser.wait(lambda: browser.texts("#similar .card-name") == wanted, f"{wanted}")
    browser.click("#similar .card-name a")
    browser.wait(lambda: browser.text("h1") == wanted[0])
    browser.type("#query", "laptop" + browser.keys.ENTER)
    browser.wait_query("q", "laptop")
    wait_count(browser, total(shop, "q=laptop"))


def test_breadcrumb(browser, shop):
    product = next(p for p in shop.products if p.get("categories"))
    browser.open(f"/p/{product['id']}?lang=en")
    path = next(c for c in shop.get(f"/v1/products/{product['id']}?lang=en").json()["category_paths"] if c["path"].endswith(f"/{product['primary_category_id']}"))
    assert browser.wait(lambda: browser.texts(".breadcrumb a")) == ["Home", *path["names"]]
    browser.click(".breadcrumb a", path["names"][1])
    browser.wait_query("category", "/".join(path["path"].split("/")[:2]))


def test_sold_out_and_missing(browser):
    browser.open("/p/sold-out?lang=en")
    assert browser.text(".stock") == "Sold out" and browser.find(".product-out .badge").text == "Sold out"
    browser.errors_expected = True  # Chromium logs the 404
    browser.open("/p/there-is-none?lang=en")
    assert browser.text("h1") == "This product does not exist"
    browser.open("/p/" + quote('a/b?c#d"<x>', safe="") + "?lang=en")
    assert browser.text("h1") == "Strange address"


# ---- what must not happen ------------------------------------------------------------------------------------

def test_hostile_products_are_text(browser, shop):
    browser.open("/?lang=en&category=9901")
    browser.wait(lambda: any("<img src=x onerror=" in name for name in browser.texts(NAMES)))
    for labels in ("#category .value", "#brand .value", ".departments a"):
        browser.wait(lambda css=labels: any("<img" in label for label in browser.texts(css)), labels)
    choose(browser, "#brand", browser.js("return [...document.querySelectorAll('#brand .value')].map(e => e.textContent).find(t => t.includes('<img'))"))
    browser.wait(lambda: any("<img" in chip for chip in browser.texts("#chosen .chip")))
    browser.open("/?lang=en&q=" + quote("hostile <img src=x onerror=window.hacked=1>"))
    browser.wait(lambda: "<img src=x" in browser.text("#count") or "<img src=x" in browser.text(".empty-title"))
    browser.open("/?lang=en")
    browser.type("#query", "hostile")
    browser.wait(lambda: any("<img" in name for name in browser.texts(".suggestion-name")))
    browser.open("/p/hostile?lang=ko")
    browser.wait(lambda: "<script>" in browser.text("h1"))
    page = browser.js("return document.querySelector('#product').innerText")
    assert page.count("<img src=x") >= 4
    assert browser.js("return document.querySelectorAll('main img, main script').length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, npm, scheme):
    with open(f"{npm}/axe-core/axe.min.js", encoding="utf-8") as f:
        axe = f.read()
    browser.media(scheme)

    def check(where):
        browser.js(axe)
        found = browser.js("return axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
        bad = [(v["id"], [n["html"][:200] for n in v["nodes"]][:3]) for v in found if v["impact"] in ("serious", "critical")]
        assert not bad, f"{where}: {json.dumps(bad, indent=1, ensure_ascii=False)}"

    for path, ready in (("/?lang=ko", CARD), ("/?lang=en&q=laptop&in_stock=true", CARD), ("/?lang=en&category=9901", ".card-out"),
                        ("/?lang=en&q=zzqqxxyy", ".empty"), ("/p/sold-out?lang=ko", "h1"), ("/p/p0000002?lang=en", "#similar .card")):
        browser.open(path)
        browser.find(ready)
        check(path)
    browser.open("/?lang=en")
    browser.find(CARD)
    browser.type("#query", "lapto")
    browser.find("#suggestions [role=option]")
    check("suggestions")
    browser.window(360, 740)
    browser.open("/?lang=ko&q=노트북")
    browser.find(CARD)
    browser.click("#filters-open")
    browser.find("#filters-close")
    check("the sheet of filters")


def test_the_narrow_screen(browser, shop):
    browser.window(360, 740)
    for path, ready in (("/?lang=ko", CARD), ("/?lang=en&q=laptop", CARD), ("/?lang=en&category=9901", CARD), ("/p/hostile?lang=en", "h1"),
                        ("/p/p0000002?lang=ko", "#similar .card"), ("/?lang=en&q=zzqqxxyy", ".empty")):
        browser.open(path)
        browser.find(ready)
        assert browser.js("return document.documentElement.scrollWidth <= innerWidth"), path
    browser.open("/?lang=en&q=laptop")
    browser.find(CARD)
    assert not browser.all("#filters")[0].is_displayed()
    browser.click("#filters-open")
    browser.wait(lambda: browser.js("return document.activeElement.id") == "filters-close")
    assert browser.js("return document.querySelector('.results').inert && document.documentElement.scrollWidth <= innerWidth")
    brand = shop.search("q=laptop&facets=brand")["facets"]["brand"]["values"][0]
    choose(browser, "#brand", brand["value"])
    browser.wait(lambda: browser.text("#filters-show") == f"Show {brand['count']} products")
    browser.press(browser.keys.ESCAPE)
    browser.wait(lambda: not browser.all("#filters")[0].is_displayed())
    browser.wait(lambda: browser.js("return document.activeElement.id") == "filters-open")
    assert browser.text("#filters-open") == "Filters 1"


def test_the_sheet_of_filters_goes_when_the_screen_is_turned(browser, shop):
    browser.window(768, 1024)
    browser.open("/?lang=en&q=laptop")
    browser.find(CARD)
    browser.click("#filters-open")
    browser.wait(lambda: browser.js("return document.activeElement.id") == "filters-close")
    browser.window(1024, 768)
    browser.wait(lambda: browser.js("return !document.querySelector('[inert]') && document.querySelector('#filters-open').ariaExpanded") == "false")
    browser.click("#pages a", "2")
    browser.wait(lambda: ids(browser) == shop.ids("q=laptop&size=24&page=2"))


def test_with_the_keyboard_alone(browser, shop):
    browser.open("/?lang=en&q=laptop")
    browser.find(CARD)
    walked = []
    for _ in range(400):
        browser.press(browser.keys.TAB)
        walked.append(browser.js("const e = document.activeElement; return e === document.body ? null : e.closest('[id]')?.id || e.className"))
        if walked[-1] == "pages":
            break
        outline = browser.js("const e = document.activeElement, after = getComputedStyle(e, '::after'), s = getComputedStyle(e), next = e.nextElementSibling;"
                             "return [s, after, next && getComputedStyle(next)].some(x => x && x.outlineStyle !== 'none') || e.id === 'query'")
        assert outline, f"the focus cannot be seen on {walked[-1]}"
    order = ["skip", "logo", "query", "filters", "in-stock", "category", "brand", "price", "sort", "hits", "pages"]
    first_seen = [name for i, name in enumerate(walked) if name in order and name not in walked[:i]]
    assert first_seen == [name for name in order if name in first_seen] and {"skip", "query", "brand", "price", "hits", "pages"} <= set(first_seen), walked
    browser.press("/")
    assert browser.js("return document.activeElement.id") == "query"
    browser.driver.refresh()
    browser.find(CARD)
    browser.press(browser.keys.TAB, browser.keys.ENTER)
    browser.wait(lambda: browser.js("return document.activeElement.id") == "main")


def test_outage(browser, shop, proxy):
    browser.errors_expected = True  # Chromium logs the 503 of a search that nobody has seen
    root = shop.search("q=laptop&facets=category&lang=en")["facets"]["category"]["nodes"][0]
    browser.open(f"/?lang=en&q=laptop&category={root['path']}")
    browser.find(CARD)
    before = ids(browser)
    try:
        proxy.set("refuse")
        browser.driver.refresh()
        browser.wait(lambda: "not answering" in browser.text(".notice"))
        browser.wait(lambda: ids(browser) == before)
        browser.wait(lambda: browser.texts("#chosen .chip") == [root["name"]], "the category is known, too")
    finally:
        proxy.set("pass")
    browser.wait(lambda: shop.get("/v1/search?q=laptop&page=2").json().get("degraded", "x") is None)
    browser.driver.refresh()
    browser.find(CARD)
    browser.wait(lambda: not browser.all(".notice"))



def test_damaged_names_are_as_good_as_none(browser):
    browser.errors_expected = True  # the tree does not come
    browser.open("/?lang=en")
    browser.find(CARD)
    browser.cdp("Network.enable")
    browser.cdp("Network.setBlockedURLs", urls=["*/v1/categories/tree*"])
    try:
        for kept in ("{", "null", '{"nodes":[]}', "[null]"):
            browser.js("localStorage.setItem('categories-en', arguments[0])", kept)
            browser.driver.refresh()
            browser.find(CARD)
    finally:
        browser.cdp("Network.setBlockedURLs", urls=[])


def test_a_search_that_fails_is_said_so(browser, shop, proxy):
    browser.errors_expected = True
    browser.open("/?lang=en&q=laptop")
    browser.find(CARD)
    try:
        proxy.set("refuse")
        browser.find("#query").click()
        browser.paste("#query", "shirt xl")
        browser.wait(lambda: "not available" in browser.text(".notice"))
        assert browser.find("#query").get_attribute("value") == "shirt xl"
        browser.click("#brand .ais-Panel-collapseButton")  # draws no answer
        assert "not available" in browser.text(".notice")
    finally:
        proxy.set("pass")
    browser.wait(lambda: shop.get("/v1/search?q=shirt&page=2").json().get("degraded", "x") is None)
    browser.click(".notice button")
    browser.wait(lambda: not browser.all(".notice"))
    browser.wait(lambda: ids(browser) == shop.ids("q=shirt+xl&size=24"))


# What GET /v1/products says while MongoDB answers for Elasticsearch.
UNKNOWN_STOCK = """const real = window.fetch;
window.fetch = async (...all) => {
  const reply = await real(...all), body = await reply.json();
  if (!String(all[0]).startsWith('/v1/products/')) return Response.json(body);
  const variants = body.variants.map((variant) => ({...variant, stock: null}));
  return Response.json({...body, variants, in_stock: null, stock: null, degraded: 'fallback'});
};"""


def test_what_nobody_knows_is_not_sold_out(browser, shop):
    stub = browser.cdp("Page.addScriptToEvaluateOnNewDocument", source=UNKNOWN_STOCK)
    try:
        browser.open(f"/p/{varied_product(shop)['id']}?lang=en")
        browser.wait(lambda: "stock is not known" in browser.text(".notice"))
        assert browser.find(".option") and not browser.all(".stock, .product-out, .option-out")
    finally:
        browser.cdp("Page.removeScriptToEvaluateOnNewDocument", identifier=stub["identifier"])
    card = ("const { card } = await import(document.querySelector('script[type=module]').src.replace('app.js', 'card.js'));"
            "return [null, false].map((in_stock) => card({objectID: 'x', name: 'X', in_stock, stock: in_stock === null ? null : 'out'}, {html: String.raw}))")
    unknown, gone = browser.js(f"return (async () => {{ {card} }})()")
    assert "badge" not in unknown and "card-out" not in unknown and "Sold out" in gone and "card-out" in gone
