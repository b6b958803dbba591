"""The main road: written over HTTP, stored, projected, found by a search. On the real servers."""
import re

import pytest
import requests

LAPTOP = {
    "id": "laptop-1",
    "name": {"ko": "엘지 그램 노트북 16", "en": "LG gram laptop 16"},
    "description": "가볍고 오래 가는 노트북",
    "brand": "LG",
    "price": 1890000,
    "attributes": {"model": "16Z90S-GA5CK", "screen_inch": 16, "color": "black", "weight_kg": 1.199,
                   "dimensions": {"width": 354.5}, "touch": False, "ports": ["usb-c", "hdmi"]},
}
PHONE = {
    "id": "phone-1",
    "name": "Galaxy phone",
    "brand": "Samsung",
    "price": 990000,
    "attributes": {"model": "SM-S921N"},
    "variants": [
        {"sku": "SM-S921N-BLK-256", "attributes": {"color": "black", "storage": "256GB"}},
        {"sku": "SM-S921N-BLK-512", "attributes": {"color": "black", "storage": "512GB"}, "price": 1120000},
        {"sku": "SM-S921N-VIO-256", "attributes": {"color": "violet", "storage": "256GB"}},
    ],
}


def post(api, path, body, status=201):
    reply = requests.post(api.url + path, json=body, timeout=30)
    assert reply.status_code == status, f"{path}: {reply.status_code} {reply.text}"
    return reply.json()


def put(api, path, body, status=(200, 201)):
    reply = requests.put(api.url + path, json=body, timeout=30)
    assert reply.status_code in status, f"{path}: {reply.status_code} {reply.text}"
    return reply.json()


def search(api, **parameters):
    reply = requests.get(api.url + "/v1/search", params=parameters, timeout=60)
    assert reply.status_code == 200, f"{parameters}: {reply.status_code} {reply.text}"
    return reply.json()


def ids(found):
    return [hit["id"] for hit in found["hits"]]


def fill(api):
    """A small shop: two levels of categories, two products, some stock."""
    computers = post(api, "/v1/categories", {"name": {"ko": "컴퓨터", "en": "Computers"}})["id"]
    laptops = post(api, "/v1/categories", {"name": {"ko": "노트북", "en": "Laptops"}, "parent_id": computers})["id"]
    phones = post(api, "/v1/categories", {"name": {"ko": "휴대폰", "en": "Phones"}})["id"]
    post(api, "/v1/products", {**LAPTOP, "categories": [laptops]})
    post(api, "/v1/products", {**PHONE, "categories": [phones]})
    put(api, "/v1/stock/laptop-1", {"available": 12})
    put(api, "/v1/stock/SM-S921N-BLK-256", {"available": 2})
    return computers, laptops, phones


def test_what_is_written_is_found(write_api, projector, query_api, checker, eventually):
    computers, laptops, phones = fill(write_api)
    eventually(lambda: ids(search(query_api, q="노트북")) == ["laptop-1"], 20, "the laptop is found by its Korean name")
    eventually(lambda: ids(search(query_api, q="gram laptop", lang="en")) == ["laptop-1"], 20, "by its English name")
    eventually(lambda: ids(search(query_api, q="SM-S921N")) == ["phone-1"], 20, "the phone is found by its model")
    checker.assert_equal(30, at_least=2)
    eventually(checker.queue_is_drained, 20)

    assert ids(search(query_api, q="16z90s ga5ck")) == ["laptop-1"], "a code is found however it is cut"
    assert ids(search(query_api, category=f"{computers}")) == ["laptop-1"], "ancestors count"
    assert ids(search(query_api, category=f"{computers}/{laptops}")) == ["laptop-1"]
    assert ids(search(query_api, category=f"{phones}", **{"attr.color": "violet"})) == ["phone-1"]
    assert ids(search(query_api, **{"attr.color": "violet", "attr.storage": "512GB"})) == [], "both in one variant, or none"
    assert sorted(ids(search(query_api, in_stock="true"))) == ["laptop-1", "phone-1"]
    assert ids(search(query_api, price="1000000..1200000")) == ["phone-1"], "the price of a variant"


def test_changes_of_every_kind_arrive(write_api, projector, query_api, checker, eventually):
    computers, laptops, _ = fill(write_api)
    eventually(lambda: search(query_api)["total"]["value"] == 2, 20, "both are there")

    requests.patch(f"{write_api.url}/v1/products/laptop-1", json={"name": {"ko": "울트라북"}},
                   headers={"Content-Type": "application/merge-patch+json"}, timeout=30).raise_for_status()
    eventually(lambda: ids(search(query_api, q="울트라북")) == ["laptop-1"], 20, "a changed name")

    put(write_api, "/v1/stock/laptop-1", {"available": 0})
    eventually(lambda: ids(search(query_api, in_stock="true")) == ["phone-1"], 20, "sold out")
    put(write_api, "/v1/stock/laptop-1", {"available": 3})
    eventually(lambda: len(ids(search(query_api, in_stock="true"))) == 2, 20, "back in stock")

    renamed = requests.patch(f"{write_api.url}/v1/categories/{laptops}", json={"name": {"ko": "랩톱", "en": "Notebooks"}},
                             headers={"Content-Type": "application/merge-patch+json"}, timeout=30)
    assert renamed.status_code == 200, renamed.text
    eventually(lambda: ids(search(query_api, q="랩톱")) == ["laptop-1"], 20, "a renamed category is searchable")

    moved = requests.post(f"{write_api.url}/v1/categories/{laptops}:move", json={"parent_id": None}, timeout=30)
    assert moved.status_code == 200, moved.text
    eventually(lambda: ids(search(query_api, category=str(computers))) == [], 20, "a moved subtree has left")
    eventually(lambda: ids(search(query_api, category=str(laptops))) == ["laptop-1"], 20, "and is at its new place")
    checker.assert_equal(30)

    requests.delete(f"{write_api.url}/v1/products/phone-1", timeout=30).raise_for_status()
    eventually(lambda: search(query_api)["total"]["value"] == 1, 20, "a deleted product is gone")
    checker.assert_equal(30, at_least=1)


def test_other_writers_are_seen_too(corner, write_api, projector, query_api, checker, eventually):
    """The projector follows the databases, not the write-api."""
    fill(write_api)
    corner.products.update_one({"_id": "phone-1"}, {"$set": {"brand": "Elsewhere"}})
    corner.sql("UPDATE stock SET available=0, version=version+1 WHERE sku='laptop-1'")
    eventually(lambda: ids(search(query_api, brand="Elsewhere")) == ["phone-1"], 20, "a change made in MongoDB")
    eventually(lambda: ids(search(query_api, in_stock="true")) == ["phone-1"], 20, "a change made in MySQL")
    checker.assert_equal(30, at_least=2)


def test_what_was_there_before_the_projector_is_indexed(program, write_api, checker):
    """No checkpoint: a full scan."""
    fill(write_api)
    projector = program("projector").start()
    checker.assert_equal(60, at_least=2)
    projector.restart()
    checker.assert_equal(30, at_least=2)


def test_a_trace_goes_through(program, write_api, es_proxy, corner, eventually):
    """Request, product, bulk; search, Elasticsearch: one trace, a new span at each hop."""
    projector = program("projector", {"elasticsearch.url": es_proxy.url}).start()
    query_api = program("query-api", {"elasticsearch.url": es_proxy.url, "query-api.cache_bytes": 0, "query-api.search_timeout": "50s"}).start()
    spans = set()

    def is_of(trace, traceparent):
        if not traceparent or not re.fullmatch(f"00-{trace}-[0-9a-f]{{16}}-01", traceparent):
            return False
        spans.add(traceparent)
        return True

    def seen(path, trace):
        return any(path in at and is_of(trace, parent) for at, parent in list(es_proxy.traces))

    # Products of other writers, and changes of other sources, have no trace.
    corner.products.insert_one({"_id": "other", "name": "other", "version": 1})
    eventually(lambda: ids(search(query_api, q="other")) == ["other"], 20, "indexed")
    assert {parent for path, parent in list(es_proxy.traces) if "_bulk" in path} == {None}
    for number, (method, path, body) in enumerate((("POST", "/v1/products", LAPTOP), ("PATCH", "/v1/products/laptop-1", {"price": 1}))):
        trace = f"{number}af7651916cd43dd8448eb211c80319c"
        reply = requests.request(method, write_api.url + path, json=body, timeout=30,
                                 headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01", "X-Request-Id": "request-7"})
        assert reply.status_code in (200, 201) and reply.headers["X-Request-Id"] == "request-7"
        assert is_of(trace, reply.headers["traceparent"]) and is_of(trace, corner.products.find_one({"_id": "laptop-1"})["traceparent"])
        eventually(lambda t=trace: seen("/_bulk", t), 20, "the bulk of this write")
    bulks = sum("_bulk" in path for path, _ in list(es_proxy.traces))
    put(write_api, "/v1/stock/laptop-1", {"available": 3})
    eventually(lambda: search(query_api, q="gram", in_stock="true")["total"]["value"] == 1, 20, "in stock")
    assert {parent for path, parent in [t for t in list(es_proxy.traces) if "_bulk" in t[0]][bulks:]} == {None}

    trace = "2af7651916cd43dd8448eb211c80319c"
    reply = requests.get(query_api.url + "/v1/search?q=gram", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"}, timeout=30)
    assert ids(reply.json()) == ["laptop-1"] and is_of(trace, reply.headers["traceparent"]) and seen("search", trace)
    assert len(spans) >= 8 and projector.starts == 1


def test_the_product_of_one_id(write_api, projector, query_api, eventually):
    fill(write_api)

    def found():
        reply = requests.get(query_api.url + "/v1/products/phone-1", timeout=30)
        return reply.status_code == 200 and reply.json()["id"] == "phone-1"

    eventually(found, 20, "GET /v1/products/phone-1")
    assert requests.get(query_api.url + "/v1/products/none", timeout=30).status_code == 404


def test_the_category_tree(write_api, projector, query_api, eventually):
    fill(write_api)

    def has_name():
        reply = requests.get(query_api.url + "/v1/categories/tree", timeout=30)
        return reply.status_code == 200 and "노트북" in reply.text

    eventually(has_name, 20, "GET /v1/categories/tree")


def test_thousands_of_attribute_names_add_no_field(corner, write_api, projector, query_api, eventually):
    """Elasticsearch takes 1,000 fields in an index; here are 8,000 names of products, of variants and of objects in objects."""
    fill(write_api)
    eventually(lambda: search(query_api)["total"]["value"] == 2, 20, "both are there")
    before = corner.stack.es("GET", f"/{corner.index}/_mapping")
    for p in range(10):
        own = {f"p{p}_{kind}_{n}": value for n in range(100) for kind, value in (("text", f"v{n}"), ("number", n + 0.5), ("flag", n % 2 == 0), ("object", {"inner": {"leaf": n}}))}
        variants = [{"sku": f"wide-{p}-{v}", "attributes": {f"p{p}_v{v}_{n}": f"v{n}" for n in range(200)}} for v in range(2)]
        post(write_api, "/v1/products", {"id": f"wide-{p}", "name": f"Wide {p}", "attributes": own, "variants": variants})
    eventually(lambda: search(query_api)["total"]["value"] == 12, 30, "all are there")
    assert corner.stack.es("GET", f"/{corner.index}/_mapping") == before
    for name, value in (("p9_text_99", "v99"), ("p9_number_7", "7..8"), ("p9_flag_1", "false"), ("p9_object_3.inner.leaf", "3"), ("p9_v1_150", "v150")):
        assert ids(search(query_api, **{f"attr.{name}": value})) == ["wide-9"], name
    assert len(search(query_api, facets="attr.*", q="wide")["facets"]) == 50
