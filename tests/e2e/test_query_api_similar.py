"""Products like one product, and searching inside a facet."""
import pytest
from harness.query_fixture import PRODUCTS, STOCK, Shop

LONG = "Qw" * 125
MAKERS = ["Samsung", "samsonite", "Sam-Poom (Korea)", "삼성전자", "노트북나라", "3..5", 'say "hi"', "a.b*c[d]", "LG", "엘지", LONG + "x", LONG + "y"]
MORE = [{"id": f"made-{i}", "name": {"ko": f"램프 {i}", "en": f"lamp {i}"}, "brand": maker, "price": 1000 + i, "categories": [3],
         "attributes": {"maker": maker, "watt": i}} for i, maker in enumerate(MAKERS)]
VARIED = {"id": "shirt", "name": "셔츠", "price": 20000, "categories": [2], "variants": [
    {"sku": f"SHIRT-{i}", "attributes": {"maker": maker, "size": size}} for i, (maker, size) in enumerate([("LG", "M"), ("Samsung", "L"), ("Samsung", "M")])]}
ALL = PRODUCTS + MORE + [VARIED]


@pytest.fixture(scope="module")
def shop(stack, tmp_path_factory):
    made = Shop(stack, tmp_path_factory.mktemp("similar"), ALL, {**STOCK, "SHIRT-0": "in", "made-3": "in"})
    try:
        yield made.start()
    finally:
        made.close()


# ---- similar products ------------------------------------------------------------------------------------------

def similar(shop, key, query=""):
    reply = shop.get(f"/v1/products/{key}/similar{query}")
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_laptops_are_like_laptops(shop):
    hits = [h["id"] for h in similar(shop, "gram-16")["hits"]]
    assert hits[0] == "gram-14" and hits.index("odyssey") < 3 and "gram-16" not in hits
    assert "tea" not in hits and "runner" not in hits[:4]


def test_what_is_sold_out_comes_last(shop):
    hits = similar(shop, "gram-16", "?size=50")["hits"]
    in_stock = [h["in_stock"] for h in hits]
    assert in_stock == sorted(in_stock, reverse=True) and "gone" in [h["id"] for h in hits if not h["in_stock"]]


def test_size_and_language_of_similar_products(shop):
    hits = similar(shop, "gram-14", "?size=1&lang=en")["hits"]
    assert [h["name"] for h in hits] == ["LG gram laptop 16"]
    assert set(hits[0]) >= {"id", "name", "price", "brand", "in_stock", "categories"}


def test_of_a_product_that_is_not_there(shop):
    for key in ("nobody", "%ED%95%9C", "a%2Fb", "..", "_search"):
        reply = shop.get(f"/v1/products/{key}/similar")
        assert reply.status_code == 404 and reply.headers["Content-Type"] == "application/problem+json", key
    for query, field in (("size=0", "size"), ("size=51", "size"), ("lang=x", "lang"), ("q=x", "q")):
        reply = shop.get("/v1/products/tea/similar?" + query)
        assert reply.status_code == 400 and reply.json()["errors"][0]["field"] == field
    assert shop.get("/v1/products/" + "x" * 129 + "/similar").json()["errors"][0]["field"] == "id"


def test_one_request_for_similar_products(shop):
    before = shop.api.metric("readside_query_api_upstream_seconds_count")
    similar(shop, "runner")
    assert shop.api.metric("readside_query_api_upstream_seconds_count") == before + 1


# ---- values of a facet -----------------------------------------------------------------------------------------

def values(shop, facet, **params):
    reply = shop.session.get(f"{shop.url}/v1/facets/{facet}/values", params=params, timeout=10)
    assert reply.status_code == 200, reply.text
    answer = reply.json()
    assert list(answer["facets"]) == [facet] and answer["facets"][facet]["type"] == "value"
    return {v["value"]: v["count"] for v in answer["facets"][facet]["values"]}


@pytest.mark.parametrize("q, found", [
    ("sam", {"Samsung", "samsonite", "Sam-Poom (Korea)"}), ("SAMS", {"Samsung", "samsonite"}), ("poom", {"Sam-Poom (Korea)"}),
    ("(k", {"Sam-Poom (Korea)"}), ("삼", {"삼성전자"}), ("삼ㅅ", {"삼성전자"}), ("ㅅㅅㅈ", {"삼성전자"}), ("노틉", {"노트북나라"}), ("ㅂㄴㄹ", {"노트북나라"}),
    ("3..5", {"3..5"}), (".*", set()), ('"', {'say "hi"'}), ("[d", {"a.b*c[d]"}), ("*c", {"a.b*c[d]"}), ("zz", set()), ("@&~<>#", set()),
    ("ㅇ", {"엘지"}), ("ＬＧ", {"LG"}), ("", set(MAKERS)),
])
def test_values_that_hold_a_text(shop, q, found):
    assert set(values(shop, "attr.maker", q=q, facet_size=100)) == found
    of_brand = set(values(shop, "brand", q=q, facet_size=100))
    assert of_brand & set(MAKERS) == found


@pytest.mark.parametrize("q, found", [(LONG, {LONG + "x", LONG + "y"}), (LONG + "X", {LONG + "x"}), (LONG[1:].lower() + "y", {LONG + "y"}), (LONG + "z", set())])
def test_a_text_too_long_for_a_pattern(shop, q, found):
    """Four characters of a regular expression for each letter, and OpenSearch takes no more than 1000 of them here."""
    assert set(values(shop, "attr.maker", q=q)) == set(values(shop, "brand", q=q)) == found
    assert values(shop, "attr." + "%" * 256, q=q) == {}
    requested = [{"indexName": "products", "type": "facet", "facet": "brand", "facetQuery": q}]
    reply = shop.session.post(f"{shop.url}/1/indexes/*/queries", json={"requests": requested}, timeout=10)
    assert reply.status_code == 200 and {hit["value"] for hit in reply.json()["results"][0]["facetHits"]} == found, reply.text


def test_counts_are_those_of_the_search(shop):
    assert values(shop, "attr.maker", q="s", facet_size=100)["Samsung"] == 2  # one flat product, one with variants
    narrow = {"category": "2", "attr.size": "M"}
    assert values(shop, "attr.maker", q="", **narrow) == {"LG": 1, "Samsung": 1}
    assert values(shop, "attr.maker", **{**narrow, "in_stock": "true"}) == {"LG": 1}
    for facet in ("brand", "attr.maker"):
        for more in ({}, {"in_stock": "true"}, {"price": "..1005"}, {"search": "lamp"}, {"search": "노트북", "lang": "en"}):
            for value, count in values(shop, facet, facet_size=100, **more).items():
                quoted = f'"{value}"' if facet != "brand" else value
                body = {facet: quoted, **{("q" if k == "search" else k): v for k, v in more.items()}}
                assert shop.search(body=body)["total"]["value"] == count, (facet, value, more)


def test_the_own_selection_of_a_facet_does_not_count(shop):
    assert values(shop, "brand", q="sam", brand="LG", facet_size=100) == values(shop, "brand", q="sam", facet_size=100)
    assert values(shop, "attr.maker", **{"attr.maker": "LG"}) == values(shop, "attr.maker")


@pytest.mark.parametrize("path, field", [
    ("price/values", "name"), ("category/values", "name"), ("attr.*/values", "name"), ("attr./values", "name"), ("colour/values", "name"),
    ("brand,price/values", "name"), ("brand/values?q=a&q=b", "q"), ("brand/values?q=" + "x" * 257, "q"), ("brand/values?q=%01x", "q"),
    ("brand/values?search=%01x", "search"), ("brand/values?search=" + "x" * 513, "search"), ("brand/values?sort=newest", "sort"),
    ("brand/values?page=1", "page"), ("brand/values?facets=brand", "facets"), ("brand/values?cursor=*", "cursor"), ("brand/values?facet_size=0", "facet_size"),
    ("brand/values?price=x", "price"), ("brand/values?q=%FF", "query"), ("brand/values?size=1", "size"),
])
def test_mistakes_are_named(shop, path, field):
    reply = shop.get("/v1/facets/" + path)
    assert reply.status_code == 400 and reply.headers["Content-Type"] == "application/problem+json", reply.text
    assert [e["field"] for e in reply.json()["errors"]] == [field], reply.text
