"""The InstantSearch protocol by raw HTTP, with the bodies that its clients send (algoliasearch 5.64 and 4.24 under
algoliasearch-helper 3.30, recorded from the wire)."""
import http.client
import json
import random
import socket
from urllib.parse import quote, urlencode, urlsplit

import pytest
from harness.http_proxy import HttpProxy
from harness.query_fixture import PRODUCTS, STOCK, TREE, Shop

FACETS = ["brand", "cat.lvl0", "cat.lvl1", "cat.lvl2", "in_stock", "price"]
TAGS = {"highlightPostTag": "__/ais-highlight__", "highlightPreTag": "__ais-highlight__"}


class Wire(HttpProxy):
    """Writes down what reaches Elasticsearch of the products: ("_search" or "_msearch", how many searches it holds)."""

    def __init__(self, url):
        super().__init__(url)
        self.searches = []

    def _forward(self, client, body):
        index, _, kind = urlsplit(client.path).path.rpartition("/")
        if index.endswith("-products") and kind in ("_search", "_msearch"):
            self.searches.append((kind, 1 if kind == "_search" else body.count(b"\n") // 2))
        return super()._forward(client, body)


@pytest.fixture(scope="module")
def shop(stack, tmp_path_factory):
    made = Shop(stack, tmp_path_factory.mktemp("instant"), PRODUCTS, STOCK)
    try:
        yield made.start()
    finally:
        made.close()


def post(shop, path, body, status=200, kind="text/plain"):
    text = body if isinstance(body, (str, bytes)) else json.dumps(body, ensure_ascii=False)
    reply = shop.session.post(shop.url + path, data=text.encode() if isinstance(text, str) else text, timeout=20,
                              headers={"Content-Type": kind, "x-algolia-api-key": "key", "x-algolia-application-id": "app"})
    assert reply.status_code == status, f"{text[:500]}: {reply.status_code} {reply.text[:1000]}"
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    return reply.json()


def batch(shop, *requests, status=200):
    """As algoliasearch 5 sends it: flat parameters as text/plain."""
    agent = "Algolia%20for%20JavaScript%20(5.64.0)%3B%20Lite%20(5.64.0)"
    answer = post(shop, "/1/indexes/*/queries?x-algolia-agent=" + agent, {"requests": [{"indexName": "products", **r} for r in requests]}, status)
    return answer["results"] if status == 200 else answer


def one(shop, **params):
    return batch(shop, params)[0]


def ids(result):
    return [hit["objectID"] for hit in result["hits"]]


def as_v4(params):
    """algoliasearch 4: one string, lists as JSON."""
    return urlencode({k: json.dumps(v, ensure_ascii=False, separators=(",", ":")) if isinstance(v, (list, bool)) else v for k, v in params.items()},
                     quote_via=quote)


def page_state(helper_facets=FACETS, **changes):
    """What the helper makes of two brands, a price range and a category of the second level: five queries."""
    base = {**TAGS, "maxValuesPerFacet": 10, "query": "노트북", **changes}
    brands, price, leaf, root = ["brand:LG", "brand:Samsung"], ["price>=5000", "price<=2000000"], ["cat.lvl1:컴퓨터 > 노트북"], ["cat.lvl0:컴퓨터"]
    side = {**base, "analytics": False, "clickAnalytics": False, "hitsPerPage": 0, "page": 0}
    return [{**base, "facetFilters": [brands, leaf], "facets": helper_facets, "numericFilters": price},
            {**side, "facetFilters": [leaf], "facets": "brand", "numericFilters": price},
            {**side, "facetFilters": [brands, root], "facets": ["cat.lvl0", "cat.lvl1"], "numericFilters": price},
            {**side, "facetFilters": [brands, leaf], "facets": "price"},
            {**side, "facetFilters": [brands], "facets": ["cat.lvl0"], "numericFilters": price}]


def asked(shop):
    return shop.api.metric("readside_query_api_upstream_seconds_count")


# ---- a result --------------------------------------------------------------------------------------------------

def test_a_result_has_what_clients_need(shop):
    result = one(shop, query="그램", facets=["*"], hitsPerPage=1, page=1)
    assert result["nbHits"] == 2 and result["nbPages"] == 2 and result["page"] == 1 and result["hitsPerPage"] == 1
    assert result["index"] == "products" and result["query"] == "그램" and result["processingTimeMS"] >= 0
    assert result["exhaustiveNbHits"] is True and result["exhaustiveFacetsCount"] is True and result["queryID"]
    assert result["degraded"] is None and len(result["hits"]) == 1
    assert result["facets"]["brand"] == {"LG": 2} and result["facets"]["in_stock"] == {"true": 2}
    assert result["facets"]["cat.lvl0"] == {"컴퓨터": 2} and result["facets"]["cat.lvl1"] == {"컴퓨터 > 노트북": 2}
    assert result["facets"]["attr.color"] == {"black": 1, "white": 1} and result["facets"]["price"] == {}
    assert result["facets_stats"]["price"] == {"min": 1590000, "max": 1890000}
    assert result["facets_stats"]["attr.screen_inch"] == {"min": 14, "max": 16, "avg": 15, "sum": 30}
    order = result["renderingContent"]["facetOrdering"]["facets"]["order"]
    assert order[:4] == ["cat.lvl0", "cat.lvl1", "brand", "price"] and "attr.color" in order and set(order) == set(result["facets"])


def test_a_hit_has_what_a_page_shows(shop):
    hit = one(shop, query="gram laptop", lang="en", attributesToRetrieve=["*", "description", "attributes", "image"], **TAGS)["hits"][0]
    assert hit["name"].startswith("LG gram laptop") and hit["brand"] == "LG" and hit["in_stock"] is True and hit["currency"] == "KRW"
    assert hit["price"] in (1590000, 1890000) and hit["categories"] == ["Computers", "Laptops"]
    assert hit["cat"] == {"lvl0": ["Computers"], "lvl1": ["Computers > Laptops"]} and "black" in hit["attributes"]["color"] + ["black"]
    name = hit["_highlightResult"]["name"]
    assert name["matchLevel"] == "full" and name["matchedWords"] == ["gram", "laptop"] and name["fullyHighlighted"] is False
    assert name["value"].startswith("LG __ais-highlight__gram__/ais-highlight__ __ais-highlight__laptop__/ais-highlight__")
    assert hit["_highlightResult"]["brand"] == {"value": "LG", "matchLevel": "none", "matchedWords": []}


def test_text_is_as_it_is_and_the_client_escapes_it(shop):
    hit = one(shop, query="보리차", highlightPreTag="<b>", highlightPostTag="</b>")["hits"][0]
    assert hit["name"] == "녹차 & <b>보리차</b>" and hit["_highlightResult"]["name"]["value"] == "녹차 & <b><b>보리차</b></b>"
    hit = one(shop, query="", highlightPreTag='"\\<', filters="price:5000")["hits"][0]
    assert hit["_highlightResult"]["name"] == {"value": "녹차 & <b>보리차</b>", "matchLevel": "none", "matchedWords": []}


def test_pages_to_the_last_and_beyond(shop):
    assert one(shop, hitsPerPage=3)["nbPages"] == 3
    empty = one(shop, hitsPerPage=0, facets="brand")
    assert empty["hits"] == [] and empty["nbPages"] == 0 and empty["nbHits"] == 8 and empty["facets"]["brand"]["LG"] == 4
    beyond = one(shop, page=5000, hitsPerPage=20)
    assert beyond["hits"] == [] and beyond["nbHits"] == 8 and beyond["page"] == 5000 and beyond["nbPages"] == 1
    assert one(shop, hitsPerPage=100000)["hitsPerPage"] == 100
    seen = [i for page in range(3) for i in ids(one(shop, hitsPerPage=3, page=page))]
    assert sorted(seen) == sorted(p["id"] for p in PRODUCTS) and seen[-1] == "gone"


def test_an_index_for_each_order_and_language(shop):
    def first(index, **more):
        return batch(shop, {"indexName": index, "query": "", **more})[0]["hits"][0]
    assert first("products_price_asc")["objectID"] == "tea" and first("products_price_desc")["objectID"] == "odyssey"
    assert first("products_newest")["objectID"] == "odyssey"
    assert first("products_en_best_selling")["in_stock"] is True
    assert first("products_en_price_desc")["name"] == "Samsung Odyssey gaming laptop" == first("products_price_desc", lang="en")["name"]
    assert first("products_en_price_desc", queryLanguages=["ko"])["name"] == "Samsung Odyssey gaming laptop"
    assert first("products_price_desc", queryLanguages=["en"])["categories"] == ["Computers", "Laptops", "Gaming laptops"]
    assert first(shop.index.index)["objectID"] == first("products")["objectID"]
    for index in ("nothing", "products_", "products_price", "products_english_price_asc", "products_en_"):
        assert "does not exist" in batch(shop, {"indexName": index}, status=404)["message"]


# ---- filters ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("params, found", [
    ({"facetFilters": [["brand:LG", "brand:Nike"]]}, {"gram-16", "gram-14", "monitor", "gone", "runner"}),
    ({"facetFilters": ["brand:LG", "attr.color:black"]}, {"gram-16", "gone"}),
    ({"facetFilters": "brand:Nike"}, {"runner"}),
    ({"facetFilters": ["brand:-LG", "in_stock:true"]}, {"odyssey", "runner", "bag", "tea"}),
    ({"facetFilters": [["brand:Nike", "attr.screen_inch:27"]]}, {"runner", "monitor"}),
    ({"facetFilters": ["color:black", "shoe_mm:270"]}, {"runner"}),
    ({"facetFilters": ["color:red", "shoe_mm:270"]}, set()),
    ({"facetFilters": ["ports:usb-c", "ports:hdmi"]}, {"gram-16"}),
    ({"facetFilters": ["attr.color:-black", "attr.color:-red"]}, {"gram-14", "monitor", "bag", "tea"}),
    ({"facetFilters": [["cat.lvl1:컴퓨터 > 노트북"]]}, {"gram-16", "gram-14", "odyssey", "bag", "gone"}),
    ({"facetFilters": [["cat.lvl0:노트북"]]}, set()),
    ({"facetFilters": [["cat.lvl0:Fashion"]], "lang": "en"}, {"runner", "bag"}),
    ({"facetFilters": []}, {p["id"] for p in PRODUCTS}),
    ({"numericFilters": ["price>=89000", "price<450000"]}, {"runner", "bag"}),
    ({"numericFilters": "price=5000"}, {"tea"}),
    ({"numericFilters": ["attr.screen_inch!=16", "attr.screen_inch>0"]}, {"gram-14", "monitor"}),
    ({"numericFilters": [["price<6000", "price>2000000"]]}, {"tea", "odyssey"}),
    ({"numericFilters": ["price:4000 TO 10000"]}, {"tea", "gone"}),
    ({"numericFilters": ["screen_inch>14"]}, {"gram-16", "odyssey", "monitor"}),
    ({"numericFilters": ["price>=10", "price<=5"]}, set()),
    ({"numericFilters": ["in_stock=1", "price<=10000"]}, {"tea"}),
    ({"filters": "brand:LG AND (attr.color:black OR attr.color:white)"}, {"gram-16", "gram-14", "gone"}),
    ({"filters": "brand:LG AND color:black OR color:white AND in_stock:true"}, {"gram-16", "gram-14"}),
    ({"filters": "NOT brand:LG AND price >= 129000"}, {"odyssey", "runner"}),
    ({"filters": "price:4000 TO 10000 OR brand:'Nike'"}, {"tea", "gone", "runner"}),
    ({"filters": '("brand":"LG" AND in_stock:true) AND price < 500000'}, {"monitor"}),
    ({"filters": 'cat.lvl1:"컴퓨터 > 모니터"'}, {"monitor"}),
    ({"filters": "brand:LG", "facetFilters": ["brand:Nike"]}, set()),
    ({"filters": ""}, {p["id"] for p in PRODUCTS}),
])
def test_filters(shop, params, found):
    for result in (one(shop, hitsPerPage=100, **params),
                   post(shop, "/1/indexes/products/query", {"params": as_v4({"hitsPerPage": 100, **params})}),
                   post(shop, "/1/indexes/*/queries", {"requests": [{"indexName": "products", "params": {"hitsPerPage": 100, **params}}]})["results"][0]):
        assert set(ids(result)) == found and result["nbHits"] == len(found)


@pytest.mark.parametrize("params, word", [
    ({"filters": "brand"}, "brand"), ({"filters": "brand:"}, "value"), ({"filters": "(brand:LG"}, "parenthesis"), ({"filters": "brand:LG OR (a:b AND c:d)"}, "AND inside an OR"),
    ({"filters": 'brand:"LG'}, "quote"), ({"filters": "price > cheap"}, "number"), ({"filters": "brand:LG a:b"}, "expected"), ({"filters": "brand > 5"}, "compared"),
    ({"filters": "(" * 50 + "a:b" + ")" * 50}, "parentheses"), ({"filters": 7}, "filters"), ({"filters": "a=b:c"}, "number"),
    ({"facetFilters": ["brand"]}, "facetFilters"), ({"facetFilters": [["a:b", ["c:d"]]]}, "lists"), ({"facetFilters": {"a": 1}}, "lists"), ({"facetFilters": [":x"]}, "filters are on"),
    ({"facetFilters": ["price:x"]}, "price"), ({"facetFilters": ["in_stock:maybe"]}, "in_stock"), ({"facetFilters": ["cat.lvlx:a"]}, "cat.lvl0"),
    ({"facetFilters": ["a:" + "x" * 300]}, "too long"), ({"facetFilters": [["a:b"] * 300]}, "256"), ({"facetFilters": ["a:b"] * 100}, "64"),
    ({"numericFilters": ["price"]}, "numericFilters"), ({"numericFilters": ["price>NaN"]}, "number"), ({"numericFilters": [5]}, "lists"), ({"numericFilters": ["price>1e999"]}, "number"),
    ({"page": -1}, "page"), ({"hitsPerPage": "x"}, "hitsPerPage"), ({"query": 5}, "query"), ({"facets": [1]}, "facets"), ({"facets": ["a"] * 40}, "facets"), ({"lang": "EN"}, "lang"),
    ({"highlightPreTag": "x" * 200}, "highlightPreTag"), ({"params": "facets=%5B"}, "params"), ({"params": "query=%ff"}, "query"),
])
def test_mistakes_are_named(shop, params, word):
    answer = batch(shop, params, status=400)
    assert set(answer) == {"message", "status"} and answer["status"] == 400 and word in answer["message"]
    again = batch(shop, {"query": "gram"}, params, {"query": "gram"}, status=400)
    assert again["message"].startswith("requests[1]: ") and again["message"].removeprefix("requests[1]: ") == answer["message"].removeprefix("requests[0]: ")


def test_bodies_that_are_none(shop):
    for body in ("", "{", "[]", "{}", '{"requests":{}}', '{"requests":[1]}', '{"requests":[{}]}', "x=1", b"\xff", "[" * 100):
        answer = post(shop, "/1/indexes/*/queries", body, 400)
        assert set(answer) == {"message", "status"}, body
    assert "50" in batch(shop, *[{"query": "x"}] * 51, status=400)["message"]
    assert post(shop, "/1/indexes/*/queries", {"requests": []}) == {"results": []}
    assert post(shop, "/1/indexes/products/query", "")["nbHits"] == 8
    assert "does not exist" in post(shop, "/1/indexes/nothing/query", {}, 404)["message"]
    assert one(shop, query="그램\t\n\u0000  노트북 " + "x" * 2000)["nbHits"] >= 0
    assert one(shop, somethingNew={"a": [1]}, ruleContexts=["x"], aroundLatLng="1,2", tagFilters="", getRankingInfo=True)["nbHits"] == 8


# ---- batches ---------------------------------------------------------------------------------------------------

def strict_counts(shop, params, facet, lang="ko"):
    """What every value of a facet gives when it is chosen on top of the query's own filters."""
    return one(shop, **{**params, "facets": [facet], "hitsPerPage": 20, "lang": lang})["facets"][facet]


def test_a_page_state_is_one_request(stack, tmp_path):
    """With words one search; without, at most two that go as one request."""
    wire = Wire(stack.es_url)
    shop = Shop(stack, tmp_path, PRODUCTS, STOCK, settings={"elasticsearch.url": wire.url, "query-api.search_timeout": "20s"})
    try:
        shop.start()
        look_at_page_states(shop, wire)
    finally:
        shop.close()
        wire.close()


def look_at_page_states(shop, wire):
    for requests, sent in ((page_state(), ("_search", 1)), (page_state(["*"]), ("_search", 1)), (page_state(query=""), ("_msearch", 2))):
        before = len(wire.searches)
        main, brand, cat1, price, cat0 = batch(shop, *requests)
        assert wire.searches[before:] == [sent]
        assert set(ids(main)) == {"gram-16", "gram-14", "gone"} and main["nbHits"] == 3
        assert brand["facets"] == {"brand": {"LG": 3, "Samsonite": 1}} and brand["hits"] == []
        assert cat0["facets"]["cat.lvl0"]["컴퓨터"] >= 3 and price["facets_stats"]["price"] == {"min": 10000, "max": 2500000}
        assert cat1["facets"]["cat.lvl1"]["컴퓨터 > 노트북"] == 3
        assert main["facets"]["cat.lvl0"] == {"컴퓨터": 3} and main["facets"]["cat.lvl1"] == {"컴퓨터 > 노트북": 3}
        assert main["exhaustiveNbHits"] is True and brand["exhaustiveNbHits"] is False


def test_both_generations_of_clients_get_the_same(shop):
    requests = page_state()
    v5 = batch(shop, *requests)
    v4 = post(shop, "/1/indexes/*/queries", {"requests": [{"indexName": "products", "params": as_v4(r)} for r in requests]},
              kind="application/x-www-form-urlencoded")["results"]
    for left, right in zip(v5, v4):
        for varying in ("queryID", "processingTimeMS"):
            left.pop(varying), right.pop(varying)
    assert v5 == v4
    old = [requests[0]] + [{**r, "hitsPerPage": 1, "attributesToRetrieve": [], "attributesToHighlight": []} for r in requests[1:]]
    before = asked(shop)
    assert batch(shop, *old)[1]["facets"] == v5[1]["facets"] and asked(shop) == before + 1


def test_what_cannot_be_folded_is_asked_on_its_own(shop):
    main, brand = page_state(typoTolerance="false")[:2]
    for other in ({**brand, "query": ""}, {**brand, "indexName": "products_en"}, {**brand, "filters": "in_stock:true"}, {**brand, "numericFilters": ["price>1"]},
                  {**brand, "facets": ["brand", "attr.color"]}, {**brand, "hitsPerPage": 5}, {**brand, "facetFilters": [["brand:LG"], *brand["facetFilters"]]}):
        before = asked(shop)
        together = batch(shop, main, other)
        assert asked(shop) == before + 2, other
        alone = [batch(shop, main)[0], batch(shop, other)[0]]
        for a, b in zip(together, alone):
            assert ids(a) == ids(b) and a["nbHits"] == b["nbHits"] and a["facets"] == b["facets"]


def test_a_batch_of_the_most_queries(shop):
    brands, queries = ["LG", "Samsung", "Nike", "nobody", "Samsonite"], ["", "그램", "노트북"]
    requests = [{"query": queries[i % 3], "facetFilters": ["brand:" + brands[i % 5]], "hitsPerPage": 1 + i, "facets": ["brand"]} for i in range(50)]
    for request, result in zip(requests, batch(shop, *requests)):
        assert result["hitsPerPage"] == request["hitsPerPage"] and result["query"] == request["query"]
        assert {h["brand"] for h in result["hits"]} <= {request["facetFilters"][0].removeprefix("brand:")}
        assert ids(result) == ids(one(shop, **request))


def test_a_selection_counts_for_its_own_facet_unless_it_is_disjunctive(shop):
    alone = one(shop, facets=["brand", "attr.color"], facetFilters=[["brand:LG", "brand:Nike"], "attr.color:black"])
    assert alone["facets"] == {"brand": {"LG": 2, "Nike": 1}, "attr.color": {"black": 3}}  # no variant is black and red


def random_requests(rng):
    """A page state as the helper makes it: the query for the hits, then one for each disjunctive facet that is refined."""
    brands = rng.sample(["LG", "Samsung", "Nike", "Samsonite"], rng.choice([0, 1, 2]))
    colors = rng.sample(["black", "white", "red"], rng.choice([0, 0, 1, 2]))
    prices = rng.choice([[], ["price>=10000"], ["price>=80000", "price<=1900000"]])
    category = rng.choice([None, None] + [path for path, _, _ in TREE.values()])
    base = {"query": rng.choice(["", "노트북", "LG"]), "maxValuesPerFacet": 50, "typoTolerance": False}  # asks once, also where nothing is found
    chosen = {"brand": [f"brand:{b}" for b in brands], "attr.color": [f"attr.color:{c}" for c in colors]}
    if category:
        ids_of = [int(i) for i in category.split("/")]
        chosen["cat"] = [f"cat.lvl{len(ids_of) - 1}:" + " > ".join(TREE[i][1] for i in ids_of)]
    facets = rng.choice([["*"], ["brand", "attr.color", "price", "in_stock", "cat.lvl0", "cat.lvl1", "cat.lvl2"]])

    def query(but, **more):
        filters = [v for k, v in chosen.items() if v and k != but]
        return {**base, **({"facetFilters": filters} if filters else {}), **({"numericFilters": prices} if prices and but != "price" else {}), **more}
    made = [query(None, facets=facets, hitsPerPage=20)]
    made += [query(name, facets=name, hitsPerPage=0) for name in ("brand", "attr.color") if chosen[name]]
    made += [query("price", facets="price", hitsPerPage=0)] if prices else []
    made += [query("cat", facets=["cat.lvl0"], hitsPerPage=0)] if category else []
    return made


def test_counts_of_folded_batches_are_those_of_each_query_alone(shop):
    """And those of /v1/search, which choosing the value gives."""
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    print(f"seed {seed}")
    for _ in range(40):
        requests = random_requests(rng)
        before = asked(shop)
        together = batch(shop, *requests)
        assert asked(shop) == before + 1, requests
        for request, folded in list(zip(requests, together))[1:]:
            alone = one(shop, **{**request, "hitsPerPage": 20})
            assert folded["facets"] == alone["facets"], (seed, request)
            assert folded["facets_stats"] == alone["facets_stats"], (seed, request)
        main = one(shop, **requests[0])
        assert ids(main) == ids(together[0]) and main["nbHits"] == together[0]["nbHits"]
        for name, values in main["facets"].items():
            for value, count in list(values.items())[:3]:
                more = {**requests[0], "facetFilters": [*requests[0].get("facetFilters", []), f"{name}:{value}"], "facets": []}
                assert one(shop, **more)["nbHits"] == count, (seed, more)


def test_counts_are_those_of_the_search_api(shop):
    result = one(shop, query="노트북", facets=["*"])
    facets = shop.search("q=" + quote("노트북") + "&facets=brand,in_stock,attr.*&facet_size=100")["facets"]
    for name, facet in facets.items():
        assert result["facets"][name] == {v["value"]: v["count"] for v in facet["values"] if v["count"]}, name


# ---- facet search ----------------------------------------------------------------------------------------------

def test_search_inside_a_facet(shop):
    v5 = batch(shop, {"type": "facet", "facet": "brand", "facetQuery": "sam", "maxFacetHits": 5, "facetFilters": [["brand:LG"]], **TAGS})[0]
    assert v5["facetHits"] == [{"value": "Samsonite", "highlighted": "__ais-highlight__Sam__/ais-highlight__sonite", "count": 1},
                               {"value": "Samsung", "highlighted": "__ais-highlight__Sam__/ais-highlight__sung", "count": 1}]
    assert v5["exhaustiveFacetsCount"] is True and v5["processingTimeMS"] >= 0
    v4 = post(shop, "/1/indexes/products/facets/brand/query", {"facetQuery": "sam", "maxFacetHits": 1, **TAGS}, kind="application/x-www-form-urlencoded")
    assert v4["facetHits"] == v5["facetHits"][:1]
    color = post(shop, "/1/indexes/products/facets/attr.color/query", {"params": "facetQuery=&facetFilters=" + quote('["brand:LG"]')})
    assert {h["value"]: h["count"] for h in color["facetHits"]} == {"black": 2, "white": 1}
    level = post(shop, "/1/indexes/products_en/facets/cat.lvl1/query", {"facetQuery": "lap"})
    assert level["facetHits"] == [{"value": "Computers > Laptops", "highlighted": "Computers > <em>Lap</em>tops", "count": 5}]
    assert "facets to search in" in post(shop, "/1/indexes/products/facets/price/query", {}, 400)["message"]
    both = batch(shop, {"query": "tea"}, {"type": "facet", "facet": "brand", "facetQuery": "nik"})
    assert "hits" in both[0] and [h["value"] for h in both[1]["facetHits"]] == ["Nike"]
    assert "facet is missing" in batch(shop, {"type": "facet"}, status=400)["message"]


# ---- recommendations -------------------------------------------------------------------------------------------

def recommend(shop, *requests, status=200):
    return post(shop, "/1/indexes/*/recommendations", {"requests": [{"indexName": "products", "threshold": 0, **r} for r in requests]}, status)


def test_recommendations(shop):
    similar, english, trending, shoes, bought, nobody = recommend(
        shop, {"model": "related-products", "objectID": "gram-16", "maxRecommendations": 3},
        {"model": "looking-similar", "objectID": "gram-16", "indexName": "products_en", "maxRecommendations": 1},
        {"model": "trending-items", "maxRecommendations": 50}, {"model": "trending-items", "facetName": "cat.lvl1", "facetValue": "패션 > 운동화"},
        {"model": "bought-together", "objectID": "gram-16"}, {"model": "related-products", "objectID": "nobody"})["results"]
    assert [h["id"] for h in shop.get("/v1/products/gram-16/similar?size=3").json()["hits"]] == ids(similar) and similar["nbHits"] == 3
    assert similar["hits"][0]["name"] == "LG 그램 노트북 14" and similar["hits"][0]["price"] == 1590000 and similar["hits"][0]["categories"] == ["컴퓨터", "노트북"]
    assert [h["name"] for h in english["hits"]] == ["LG gram laptop 14"]
    assert len(trending["hits"]) == 8 and ids(trending)[-1] == "gone" and ids(shoes) == ["runner"]
    assert bought["hits"] == [] == nobody["hits"]
    assert "requests[1]: model" in recommend(shop, {"model": "trending-items"}, {"objectID": "x"}, status=400)["message"]
    assert "objectID" in recommend(shop, {"model": "related-products"}, status=400)["message"]
    assert "does not exist" in recommend(shop, {"model": "related-products", "indexName": "x", "objectID": "1"}, status=404)["message"]


# ---- outages ---------------------------------------------------------------------------------------------------

def test_a_page_that_was_seen_is_answered_in_an_outage(stack, tmp_path, proxy):
    shop = Shop(stack, tmp_path, PRODUCTS, STOCK, settings={
        "elasticsearch.url": proxy.url, "query-api.cache_bytes": 1 << 20, "query-api.cache_fresh": "1ms", "query-api.cache_stale": "1ms", "query-api.loops": 1})
    try:
        shop.start()
        before = batch(shop, *page_state())
        proxy.set("refuse")
        stale = batch(shop, *page_state())
        assert [r["degraded"] for r in stale] == ["stale"] * 5 and [ids(r) for r in stale] == [ids(r) for r in before]
        assert [r["facets"] for r in stale] == [r["facets"] for r in before]
    finally:
        proxy.set("pass")
        shop.close()


class Picky(HttpProxy):
    """In front of a server that fails with searches for one word; counts the others."""
    others = 0

    def _forward(self, client, body):
        if "_search" in client.path and b"unlucky" in body:
            return 500, b'{"error":{"type":"e","reason":"r"},"status":500}'
        with self.lock:
            self.others += b"lucky" in body
        return super()._forward(client, body)


def test_one_search_of_a_batch_that_fails(stack, tmp_path):
    """The error names it, and what the others found is not asked for again."""
    proxy = Picky(stack.es_url)
    shop = Shop(stack, tmp_path, PRODUCTS, STOCK, settings={
        "elasticsearch.url": proxy.url, "query-api.cache_bytes": 1 << 20, "query-api.cache_fresh": "1m", "query-api.loops": 1,
        "query-api.analytics_flush": "0"})  # what is kept of searches names their words, too
    lucky, unlucky = {"query": "lucky"}, {"query": "unlucky", "hitsPerPage": 5}
    try:
        shop.start()
        answer = batch(shop, lucky, {**lucky, "page": 1}, unlucky, {**lucky, "typoTolerance": False}, status=503)
        assert answer["message"].startswith("requests[2]: the search engine"), answer
        asked = proxy.others
        assert asked >= 3
        assert len(batch(shop, lucky, {**lucky, "page": 1}, {**lucky, "typoTolerance": False})) == 3 and proxy.others == asked
        alone = post(shop, "/1/indexes/products/query", unlucky, 503)
        assert alone["message"].startswith("the search engine")
    finally:
        shop.close()
        proxy.close()


# ---- browsers --------------------------------------------------------------------------------------------------

def test_browsers_may_ask_from_other_sites(shop):
    for path in ("/1/indexes/*/queries", "/1/indexes/products/query", "/1/indexes/products/facets/brand/query", "/1/indexes/*/recommendations"):
        reply = shop.session.options(shop.url + path, timeout=10, headers={
            "Origin": "https://shop.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-algolia-api-key,content-type"})
        assert reply.status_code == 204 and reply.headers["Access-Control-Allow-Origin"] == "*"
        allowed = {h.strip().lower() for h in reply.headers["Access-Control-Allow-Headers"].split(",")}
        assert allowed >= {"x-algolia-api-key", "x-algolia-application-id", "content-type", "authorization"}
        assert "POST" in reply.headers["Access-Control-Allow-Methods"] and int(reply.headers["Access-Control-Max-Age"]) > 0


QUERIES = b"/1/indexes/*/queries"


@pytest.mark.parametrize("head, body, status", [
    (b"POST /1/indexes/products/browse HTTP/1.1\r\nContent-Length: 2", b"{}", 404), (b"GET /1/nothing HTTP/1.1", b"", 404), (b"GET " + QUERIES + b" HTTP/1.1", b"", 405),
    (b"POST " + QUERIES + b" HTTP/1.1\r\nContent-Length: 99999999", b"", 413),
    (b"POST " + QUERIES + b" HTTP/1.1\r\nTransfer-Encoding: chunked", b"200000\r\n" + b"x" * 0x200000 + b"\r\n0\r\n\r\n", 413),
    (b"POST " + QUERIES + b" HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked", b"0\r\n\r\n", 400),
    (b"POST /1/indexes/%ff/query HTTP/1.1\r\nContent-Length: 2", b"{}", 400), (b"POST " + QUERIES + b"?" + b"x" * 10000 + b" HTTP/1.1", b"", 414),
    (b"POST " + QUERIES + b" HTTP/1.1\r\nContent-Length: 2\r\nX-Long: " + b"x" * 16300, b"{}", 431), (b"OPTIONS /1/nothing HTTP/1.1", b"", 204),
])
def test_errors_of_the_server_itself_can_be_read_by_scripts(shop, head, body, status):
    with socket.create_connection((urlsplit(shop.url).hostname, urlsplit(shop.url).port), timeout=20) as link:
        try:
            link.sendall(head + b"\r\nHost: shop\r\nOrigin: https://shop.example\r\nConnection: close\r\n\r\n" + body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has heard enough
        reply = http.client.HTTPResponse(link)
        reply.begin()
        assert reply.status == status and reply.headers["Access-Control-Allow-Origin"] == "*"
        if status == 204:
            assert "POST" in reply.headers["Access-Control-Allow-Methods"] and "X-Algolia-API-Key" in reply.headers["Access-Control-Allow-Headers"]
            return
        answer = json.loads(reply.read())
        assert set(answer) == {"message", "status"} and answer["status"] == status and answer["message"]


def test_elsewhere_an_error_is_a_problem(shop):
    for path, status in (("/v1/nothing", 404), ("/1", 404), ("/10/x", 404)):
        reply = shop.session.get(shop.url + path, timeout=10)
        assert reply.status_code == status and reply.headers["Content-Type"] == "application/problem+json"
        assert "Access-Control-Allow-Origin" not in reply.headers
