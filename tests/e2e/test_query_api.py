"""The query-api before an index that the tests fill themselves: parameters, sorts, pages, products, categories."""
import time

import pytest
import requests
from harness.query_fixture import PRODUCTS, STOCK, Shop, make_tree, TREE
from harness.wait import eventually


@pytest.fixture(scope="module")
def shop(stack, tmp_path_factory):
    made = Shop(stack, tmp_path_factory.mktemp("query-api"), PRODUCTS, STOCK)
    try:
        yield made.start()
    finally:
        made.close()


# ---- what a search finds ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("query, found", [
    ("", {p["id"] for p in PRODUCTS}),
    ("brand=LG", {"gram-16", "gram-14", "monitor", "gone"}),
    ("brand=LG&brand=Nike", {"gram-16", "gram-14", "monitor", "gone", "runner"}),
    ("brand=lg", set()),
    ("category=1", {"gram-16", "gram-14", "odyssey", "monitor", "bag", "gone"}),
    ("category=1/4", {"gram-16", "gram-14", "odyssey", "bag", "gone"}),
    ("category=1/4/13&category=2/", {"odyssey", "runner", "bag"}),
    ("category=9", set()),
    ("price=..100000", {"bag", "tea", "gone"}),
    ("price=129000..129000", {"runner"}),
    ("price=130000..440000", {"runner"}),
    ("price=2000000..&price=..5000", {"odyssey", "tea"}),
    ("price=1e5..2e5", {"runner"}),
    ("attr.color=black", {"gram-16", "odyssey", "runner", "gone"}),
    ("attr.color=black&attr.color=white", {"gram-16", "gram-14", "odyssey", "runner", "gone"}),
    ("attr.color=black&in_stock=true", {"gram-16", "odyssey", "runner"}),
    ("attr.color=black&attr.shoe_mm=260&in_stock=true", set()),
    ("attr.color=red&attr.shoe_mm=260&in_stock=true", {"runner"}),
    ("attr.color=red&price=135000..", set()),
    ("attr.color=red&attr.gender=unisex", {"runner"}),
    ("attr.screen_inch=14..16", {"gram-16", "gram-14", "odyssey"}),
    ("attr.screen_inch=14.5..", {"gram-16", "odyssey", "monitor"}),
    ("attr.screen_inch=16", {"gram-16", "odyssey"}),
    ("attr.screen_inch=14&attr.screen_inch=20..30", {"gram-14", "monitor"}),
    ("attr.ports=hdmi", {"gram-16"}),
    ("attr.touch=true", {"gram-14"}),
    ("attr.size.width_mm=354.5", {"gram-16"}),
    ("in_stock=false", {"gone", "runner", "bag"}),
    ("in_stock=true&in_stock=false&brand=Nike", {"runner"}),
    ("q=노트북&brand=LG", {"gram-16", "gram-14", "gone"}),
    ("q=laptops", {"gram-16", "gram-14", "odyssey", "bag", "gone"}),
    ("q=zzzzzzzzz", set()),
    ("q=labtop&typo=off", set()),
    ("q=labtop", {"gram-16", "gram-14", "odyssey", "bag", "gone"}),
    ("q=+++", {p["id"] for p in PRODUCTS}),
])
def test_filters(shop, query, found):
    answer = shop.search(query + "&size=100")
    assert {h["id"] for h in answer["hits"]} == found
    assert answer["total"] == {"value": len(found), "relation": "eq"}


@pytest.mark.parametrize("body, query", [
    ({}, ""),
    ({"q": "노트북", "brand": ["LG", "Samsung"]}, "q=노트북&brand=LG&brand=Samsung"),
    ({"attr": {"color": ["black"], "screen_inch": 16}}, "attr.color=black&attr.screen_inch=16"),
    ({"attr": {"screen_inch": 16.0}}, "attr.screen_inch=16"),
    ({"attr": {"touch": True}}, "attr.touch=true"),
    ({"attr.screen_inch": "14..16"}, "attr.screen_inch=14..16"),
    ({"in_stock": True, "sort": "price:asc", "size": 3, "page": 2}, "in_stock=true&sort=price:asc&size=3&page=2"),
    ({"price": "1000..90000", "facets": ["brand", "attr.*"], "facet_size": 2}, "price=1000..90000&facets=brand,attr.*&facet_size=2"),
    ({"category": "1/4", "lang": "en", "fields": ["skus"], "typo": False}, "category=1/4&lang=en&fields=skus&typo=off"),
])
def test_post_is_the_same_as_get(shop, body, query):
    one, other = shop.search(body=body), shop.search(query)
    for answer in (one, other):
        del answer["took_ms"], answer["query_id"]
    assert one == other


def test_every_sort_has_sold_out_last(shop):
    assert shop.ids("sort=price:asc") == ["tea", "bag", "runner", "monitor", "gram-14", "gram-16", "odyssey", "gone"]
    assert shop.ids("sort=price:desc") == ["odyssey", "gram-16", "gram-14", "monitor", "runner", "bag", "tea", "gone"]
    assert shop.ids("sort=newest") == ["odyssey", "gram-16", "gram-14", "runner", "bag", "monitor", "tea", "gone"]
    for sort in ("relevance", "newest", "price:asc", "price:desc", "best_selling"):
        assert shop.ids(f"q=노트북&sort={sort}")[-1] == "gone"


def test_a_hit(shop):
    [hit] = shop.search("attr.color=black&attr.shoe_mm=260..265&lang=en&q=nike")["hits"]
    assert hit == {"id": "runner", "name": "Nike running shoes", "price": {"min": 129000, "max": 139000}, "brand": "Nike",
                   "currency": "KRW", "in_stock": True, "stock": "in", "categories": [20], "primary_category": 20,
                   "matched_variants": ["RUN-BLK-260"], "highlight": {"name": "<em>Nike</em> running shoes"}}


def test_matched_variants(shop):
    def matched(query, product):
        return next(h["matched_variants"] for h in shop.search(query)["hits"] if h["id"] == product)

    assert sorted(matched("attr.color=black", "runner")) == ["RUN-BLK-260", "RUN-BLK-270"]
    assert matched("attr.color=black&in_stock=true", "runner") == ["RUN-BLK-270"]
    assert matched("attr.color=black&in_stock=true&facets=attr.color", "runner") == ["RUN-BLK-270"]
    assert matched("attr.color=black&in_stock=true&facets=in_stock,attr.*,price", "runner") == ["RUN-BLK-270"]
    assert matched("attr.color=black", "gram-16") == ["gram-16"]
    assert matched("in_stock=true", "bag") == ["BAG-1"]
    assert matched("brand=Nike", "runner") == []


def test_the_variant_whose_code_is_asked_for(stack, tmp_path):
    variants = [{"sku": f"RUN-BLK-{size}", "attributes": {"shoe_mm": size, "ean": f"880609500{size:04}"}} for size in (260, 265, 270)]
    shop = Shop(stack, tmp_path, [{"id": "runner", "name": {"en": "running shoes 260"}, "price": 5, "variants": variants}], {"RUN-BLK-270": "in"}).start()
    try:
        for query, skus in (("q=RUN-BLK-265", ["RUN-BLK-265"]), ("q=run blk 265", ["RUN-BLK-265"]), ("q=8806095000270", ["RUN-BLK-270"]),
                            ("q=RUN-BLK-265&facets=price,in_stock", ["RUN-BLK-265"]), ("q=running shoes", []), ("q=shoes 260", []),
                            ("q=RUN-BLK-270&in_stock=true", ["RUN-BLK-270"]), ("q=running shoes 26", [])):
            assert [h["matched_variants"] for h in shop.search(query)["hits"]] == [skus], query
            assert all("variants" not in h for h in shop.search(query)["hits"])
    finally:
        shop.close()


def test_language(shop):
    names = {lang: shop.search(f"brand=Nike&lang={lang}")["hits"][0]["name"] for lang in ("ko", "en", "fr")}
    assert names == {"ko": "나이키 러닝화 운동화", "en": "Nike running shoes", "fr": "나이키 러닝화 운동화"}
    assert shop.search("q=녹차&lang=en")["hits"][0]["name"] == "녹차 & <b>보리차</b>"


def test_highlight_is_html_in_the_language_of_the_name(shop):
    assert shop.search("q=보리차")["hits"][0]["highlight"]["name"] == "녹차 &amp; &lt;b&gt;<em>보리차</em>&lt;&#x2F;b&gt;"
    assert "highlight" not in shop.search("q=그램&lang=en&brand=LG")["hits"][0]
    assert "highlight" not in shop.search("brand=LG")["hits"][0]


def test_fields(shop):
    hit = shop.search("brand=Nike&fields=skus,name.en,id,skus&fields=description,nonsense,flat.,.,..,a..b,_source")["hits"][0]
    assert hit["skus"] == ["RUN-BLK-260", "RUN-BLK-270", "RUN-RED-260"]
    assert hit["name.en"] == "Nike running shoes"
    assert "nonsense" not in hit and "description" not in hit and "_source" not in hit
    assert "skus" not in shop.search("brand=Nike")["hits"][0]
    assert [v["sku"] for v in shop.search("brand=Nike&fields=variants")["hits"][0]["variants"]] == hit["skus"]


def test_paging(shop):
    everything = shop.ids("sort=price:asc&size=100")
    pages = [shop.ids(f"sort=price:asc&size=3&page={n}") for n in (1, 2, 3, 4)]
    assert sum(pages, []) == everything and pages[3] == []
    answer = shop.search("size=0&facets=brand")
    assert answer["hits"] == [] and answer["total"]["value"] == len(PRODUCTS) and answer["facets"]["brand"]["values"]
    assert shop.search("page=100&size=100")["hits"] == []
    assert shop.search("page=10000&size=1")["hits"] == []
    shop.problem("page=101&size=100", field="page")
    shop.problem("page=10001&size=0", field="page")
    shop.problem("page=5001&size=2", field="page")
    shop.problem("page=99999999999999999999", field="page")


def test_an_array_of_names(shop):
    """A name in several languages beyond Korean and English stands in the index as a list."""
    document = {"id": "sac", "name": {"en": ["Bag", "Sac"], "ko": ["자루", "부대"]}, "codes": ["sac"], "currency": "KRW", "in_stock": True,
                "stock": "in", "skus": ["sac"], "flat": {"sku": "sac", "stock": "in"}}
    shop.index.put([document])
    try:
        [hit] = shop.search("q=부대&lang=ko")["hits"]
        assert hit["name"] == "자루" and hit["price"] == {"min": None, "max": None}
        assert shop.get("/v1/products/sac?lang=en").json()["name"] == "Bag"
    finally:
        shop.index.stack.es("DELETE", f"/{shop.index.index}/_doc/sac?refresh=true")


# ---- facets ----------------------------------------------------------------------------------------------------

def values(facet):
    return {v["value"]: v["count"] for v in facet["values"]}


def test_facets(shop):
    facets = shop.search("facets=brand,category,price,in_stock,attr.color,attr.screen_inch&lang=en")["facets"]
    assert list(facets) == ["brand", "category", "price", "in_stock", "attr.color", "attr.screen_inch"]
    assert values(facets["brand"]) == {"LG": 4, "Nike": 1, "Samsonite": 1, "Samsung": 1}
    assert values(facets["in_stock"]) == {"true": 7, "false": 3}
    assert values(facets["attr.color"]) == {"black": 4, "red": 1, "white": 1}
    assert values(facets["attr.screen_inch"]) == {"16": 2, "14": 1, "27": 1}
    assert (facets["attr.screen_inch"]["min"], facets["attr.screen_inch"]["max"]) == (14, 27) and "min" not in facets["attr.color"]
    shortest = shop.search("facets=attr.screen_inch&facet_size=1")["facets"]["attr.screen_inch"]
    assert (shortest["min"], shortest["max"], len(shortest["values"])) == (14, 27, 1)
    top = facets["category"]["nodes"]
    assert [(n["path"], n["name"], n["count"]) for n in top] == [("1", "Computers", 6), ("2", "Fashion", 2), ("3", "Food", 1)]
    assert [(n["path"], n["count"]) for n in top[0]["children"]] == [("1/4", 5), ("1/5", 1)]
    assert top[0]["children"][0]["children"][0] == {"path": "1/4/13", "id": 13, "name": "Gaming laptops", "count": 1, "children": []}
    price = facets["price"]
    assert (price["type"], price["min"], price["max"], price["selected"]) == ("range", 5000, 2500000, [])
    assert price["histogram"][0] == {"from": 5000, "to": 9999, "count": 1}
    assert price["histogram"][-1] == {"from": 2000000, "to": 4999999, "count": 1}


def test_a_selection_keeps_its_siblings(shop):
    facets = shop.search("facets=brand,attr.color&brand=Nike&attr.color=red")["facets"]
    assert values(facets["brand"]) == {"Nike": 1}
    assert values(facets["attr.color"]) == {"black": 1, "red": 1}
    assert {v["value"]: v.get("selected") for v in facets["attr.color"]["values"]} == {"black": None, "red": True}
    assert values(shop.search("facets=brand&brand=Nike")["facets"]["brand"]) == {"LG": 4, "Nike": 1, "Samsonite": 1, "Samsung": 1}


def test_a_selection_without_hits_stays_in_the_list(shop):
    facets = shop.search("facets=brand,category,attr.color,attr.*&brand=Nobody&category=9/9&attr.color=pink&attr.none=x")["facets"]
    assert facets["brand"]["values"] == [{"value": "Nobody", "count": 0, "selected": True}]
    assert facets["attr.color"]["values"] == [{"value": "pink", "count": 0, "selected": True}]
    assert facets["attr.none"]["values"] == [{"value": "x", "count": 0, "selected": True}]
    assert facets["category"]["nodes"] == [{"path": "9/9", "id": 9, "name": None, "count": 0, "selected": True, "children": []}]


def test_all_attributes(shop):
    facets = shop.search("facets=attr.*&attr.color=black")["facets"]
    assert values(facets["attr.color"]) == {"black": 4, "red": 1, "white": 1}
    assert values(facets["attr.screen_inch"]) == {"16": 2}
    assert values(facets["attr.touch"]) == {"false": 1}


def test_codes_are_counted_where_they_are_asked_for_by_name(shop):
    chosen = "attr.model=NT940XGK-KC51G&attr.model=none"
    for facets in ("attr.model,attr.*", "attr.model", "attr.*"):
        answer = shop.search(f"facets={facets}&{chosen}")
        assert answer["total"]["value"] == 1 and "attr.ean" not in answer["facets"]
        counts = values(answer["facets"]["attr.model"])
        assert counts["NT940XGK-KC51G"] == 1 and counts["none"] == 0
    assert len(values(shop.search("facets=attr.model,attr.color,attr.touch")["facets"]["attr.model"])) == 3
    assert shop.search("attr.ean=8806095000010&attr.model=16Z90S-GA5CK")["total"]["value"] == 0
    assert values(shop.search("facets=attr.model&brand=LG&attr.color=white")["facets"]["attr.model"]) == {"14Z90S-GA5CK": 1}


def test_a_page_is_one_request(shop):
    """With every filter and every facet, some of them chosen."""
    for query in ("", "q=노트북&facets=brand", "brand=LG&brand=Samsung&category=1&price=1..9000000&attr.color=black&attr.screen_inch=10..20&in_stock=true"
                      "&sort=price:asc&size=2&facets=brand,category,price,in_stock,attr.*,attr.color,attr.screen_inch"):
        before = shop.api.metric("readside_query_api_upstream_seconds_count")
        assert shop.search(query)["total"]["value"] > 0
        assert shop.api.metric("readside_query_api_upstream_seconds_count") == before + 1, query


def test_facet_size(shop):
    facets = shop.search("facets=brand&facet_size=1&brand=Nike")["facets"]["brand"]
    assert [v["value"] for v in facets["values"]] == ["LG", "Nike"] and facets["other"] == 2


# ---- product pages and categories --------------------------------------------------------------------------------

def test_product(shop):
    product = shop.get("/v1/products/runner?lang=en").json()
    assert product["name"] == "Nike running shoes" and product["price"] == {"min": 129000, "max": 139000}
    assert product["category_paths"] == [{"path": "2/20", "names": ["Fashion", "Running shoes"]}]
    assert [v["sku"] for v in product["variants"]] == ["RUN-BLK-260", "RUN-BLK-270", "RUN-RED-260"]
    assert product["variants"][1] == {"sku": "RUN-BLK-270", "price": 139000, "stock": "in",
                                      "attributes": {"color": ["black"], "gender": ["unisex"], "shoe_mm": ["270"]}}
    flat = shop.get("/v1/products/gram-16").json()
    assert flat["description"] == "가볍고 오래 가는 노트북" and len(flat["variants"]) == 1
    assert flat["variants"][0]["attributes"]["ports"] == ["hdmi", "usb-c"]


def test_product_that_is_not_there(shop):
    for path in ("nobody", "no%20body", "%ED%95%9C", "_search", "..", "a%2Fb", "x" * 128):
        reply = shop.get(f"/v1/products/{path}")
        assert reply.status_code == 404 and reply.headers["Content-Type"] == "application/problem+json", path
    assert shop.get("/v1/products/" + "x" * 129).json()["errors"][0]["field"] == "id"
    assert shop.get("/v1/products/runner?lang=english").json()["errors"][0]["field"] == "lang"
    assert shop.get("/v1/products/runner?langs=en").json()["errors"][0]["field"] == "langs"
    assert shop.get("/v1/products/%FF").status_code == 400
    assert shop.get("/v1/products/a%00b").status_code == 400
    assert shop.get("/v1/products/").status_code == 404


def test_category_tree(shop):
    tree = shop.get("/v1/categories/tree?lang=en").json()
    assert tree["revision"] == 1
    computers, fashion, food = tree["nodes"]
    assert computers["name"] == "Computers" and computers["count"] == 6 and food["children"] == []
    assert [(c["id"], c["path"], c["name"], c["count"]) for c in fashion["children"]] == [
        (20, "2/20", "Running shoes", 1), (21, "2/21", "Bags", 1)]
    assert shop.get("/v1/categories/tree").json()["nodes"][0]["name"] == "컴퓨터"
    assert shop.get("/v1/categories/tree?lang=EN").status_code == 400


def rename_seconds(shop, name, revision):
    """Until no loop has the old name any more; how long the looking takes does not count."""
    renamed = {**TREE, 20: ("2/20", "러닝화", name), 99: ("3/99", "차", "Tea")}
    shop.index.put_categories(make_tree(renamed), revision)
    began = last = time.monotonic()

    def new_name_everywhere():
        nonlocal last
        for _ in range(8):  # several connections: every loop of the program has its own snapshot
            sent = time.monotonic()
            if requests.get(shop.url + "/v1/products/runner?lang=en", timeout=40).json()["category_paths"][0]["names"][1] != name:
                last = sent
                return False
        return True

    eventually(new_name_everywhere, 30, "the new name")
    return last - began


def test_a_rename_shows_within_two_seconds(shop):
    """The best of five, since the machine may be busy with other things; a poll that takes longer than it promises always does."""
    times = []
    for revision in range(2, 7):
        times.append(rename_seconds(shop, f"Trainers {revision}", revision))
        tree = shop.get("/v1/categories/tree?lang=en").json()
        assert tree["revision"] == revision and [c["name"] for c in tree["nodes"][2]["children"]] == ["Tea"]
        node = shop.search("facets=category&lang=en&brand=Nike")["facets"]["category"]["nodes"][0]["children"][0]
        assert node["name"] == f"Trainers {revision}"
        if times[-1] < 2:
            return
    assert min(times) < 2, times


# ---- mistakes ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("query, field", [
    ("qq=x", "qq"), ("q=" + "x" * 513, "q"), ("q=a&q=b", "q"), ("q=%00", "query"), ("q=%0A%01", "q"), ("q=%FF", "query"),
    ("lang=korean", "lang"), ("lang=KO", "lang"), ("lang=", "lang"), ("category=a", "category"), ("category=/1", "category"),
    ("category=1//2", "category"), ("category=", "category"), ("category=" + "1/" * 128 + "1", "category"), ("brand=", "brand"),
    ("brand=" + "x" * 257, "brand"), ("price=10", "price"), ("price=..", "price"), ("price=5..1", "price"), ("price=a..b", "price"),
    ("price=NaN..", "price"), ("price=-9..-1", "price"), ("price=1e999..", "price"), ("attr.=x", "attr."), ("attr.color=", "attr.color"),
    ("attr.x=9..1", "attr.x"), ("attr.a*=1", "attr.a*"), ("attr.a%3D=1", "attr.a="), ("in_stock=maybe", "in_stock"), ("sort=best", "sort"),
    ("sort=price", "sort"), ("page=0", "page"), ("page=-1", "page"), ("page=1.5", "page"), ("page=", "page"), ("size=101", "size"),
    ("size=x", "size"), ("size=1&size=2", "size"), ("facets=colour", "facets"), ("facets=attr.", "facets"), ("facet_size=0", "facet_size"),
    ("facet_size=1001", "facet_size"), ("fields=Name", "fields"), ("fields=*", "fields"), ("typo=perhaps", "typo"), ("=x", ""),
    ("&".join(f"attr.a{i}=1" for i in range(33)), "attr.a32"), ("&".join(f"brand={i}" for i in range(257)), "brand"),
    ("facets=" + ",".join(f"attr.f{i}" for i in range(33)), "facets"), ("&".join(["brand=x"] * 1000), "query"),
])
def test_mistakes_are_named(shop, query, field):
    shop.problem(query, field=field)


@pytest.mark.parametrize("body, field", [
    ("", "body"), ("{", "body"), ("[]", "body"), ("null", "body"), ('"q"', "body"), ("{} x", "body"), ('{"q":"a","q":"b"}', "body"),
    ('{"q":1e999}', None), ('{"q":{}}', "q"), ('{"q":["a","b"]}', "q"), ('{"q":null}', "q"), ('{"brand":[["x"]]}', "brand"),
    ('{"attr":[]}', None), ('{"attr":{"a":{"b":1}}}', "attr.a"), ('{"attr":{"":1}}', "attr."), ('{"size":"many"}', "size"),
    ('{"q":"\\u0000"}', "q"), ('{"q":"\\ud800"}', "body"), ('{"\\u0000":1}', None), ('{"nonsense":true}', "nonsense"),
    (b'{"q":"\xff"}', "body"), ('{"q":"a"' + " " * 70000 + "}", None), ("[" * 5000, "body"), ('{"a":' * 100 + "1" + "}" * 100, "body"),
    ('{"page":1e400}', "page"), ('{"page":1.5}', "page"), ('{"size":-1}', "size"), ('{"price":5}', "price"), ("{'q':1}", "body"),
])
def test_bad_bodies_are_named(shop, body, field):
    if isinstance(body, str) and len(body) > 65536:
        shop.problem(body=body, status=413)
    elif field is None:
        reply = shop.session.post(shop.url + "/v1/search", data=body, timeout=10)
        assert reply.status_code in (200, 400), reply.text
    else:
        shop.problem(body=body, field=field)


def test_several_mistakes_at_once(shop):
    problem = shop.problem("page=0&sort=x&nonsense=1&price=1")
    assert [e["field"] for e in problem["errors"]] == ["page", "sort", "nonsense", "price"]


def test_parameters_of_a_post_stand_in_its_body(shop):
    reply = shop.session.post(shop.url + "/v1/search?q=x", json={}, timeout=10)
    assert reply.status_code == 400 and reply.json()["errors"][0]["field"] == "query"


def test_methods(shop):
    head, get = shop.session.head(shop.url + "/v1/search?q=laptop", timeout=10), shop.get("/v1/search?q=laptop")
    assert head.status_code == 200 and head.content == b"" and get.content
    assert head.headers["Content-Type"] == "application/json"
    for method, path, allowed in (("PUT", "/v1/search", {"GET", "HEAD", "POST"}), ("DELETE", "/v1/products/x", {"GET", "HEAD"}),
                                  ("POST", "/v1/categories/tree", {"GET", "HEAD"})):
        reply = shop.session.request(method, shop.url + path, timeout=10)
        assert reply.status_code == 405 and allowed <= set(reply.headers["Allow"].replace(" ", "").split(",")), reply.headers
        assert reply.headers["Content-Type"] == "application/problem+json"
    options = shop.session.options(shop.url + "/v1/search", timeout=10)
    assert options.status_code in (200, 204, 405) and "POST" in options.headers["Allow"]
    for path in ("/v1", "/assets/x", "/v1/search/", "/v2/search", "/v1/products/a/b"):
        assert shop.get(path).status_code == 404, path


def test_ids_and_traces_pass_through(shop):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    reply = shop.get("/v1/search", headers={"X-Request-Id": "abc-1", "traceparent": parent})
    assert reply.headers["X-Request-Id"] == "abc-1" and reply.json()["query_id"] == "abc-1"
    assert reply.headers["traceparent"].split("-")[1] == parent.split("-")[1]


def test_health(shop):
    assert shop.get("/healthz").status_code == 200 and shop.get("/readyz").status_code == 200
    shop.search("q=x")
    metrics = shop.get("/metrics").text
    for name in ("readside_query_api_upstream_seconds_count", "readside_query_api_upstream_failures_total",
                 "readside_query_api_shed_total", "readside_query_api_breaker_open"):
        assert name in metrics, name
