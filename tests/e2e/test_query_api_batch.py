"""Several searches in one request, explanations, and suggestions from the cache."""
import pytest
from harness.query_fixture import PRODUCTS, STOCK, Shop

ADMIN = {"Authorization": "Bearer batch-admin"}


@pytest.fixture(scope="module")
def shop(stack, tmp_path_factory):
    made = Shop(stack, tmp_path_factory.mktemp("batch"), PRODUCTS, STOCK,
                settings={"query-api.admin_key": "batch-admin", "query-api.cache_bytes": "4m", "query-api.cache_fresh": "1h", "query-api.loops": 1})
    try:
        yield made.start()
    finally:
        made.close()


def post(shop, body, **how):
    return shop.session.post(shop.url + "/v1/search/batch", json=body, timeout=20, **how)


def same(answer):
    return {k: v for k, v in answer.items() if k not in ("took_ms", "query_id")}


def asked(shop):
    return shop.api.metric("readside_query_api_upstream_seconds_count")


# ---- batches ---------------------------------------------------------------------------------------------------

def test_each_is_answered_as_a_search(shop):
    searches = [{"q": "노트북", "facets": "brand,price"}, {"q": "gram", "brand": "LG", "size": 1}, {"sort": "price:asc"}, {"q": "shxmqnr"}]
    reply = post(shop, {"searches": searches})
    assert reply.status_code == 200, reply.text
    results = reply.json()["results"]
    assert [same(r) for r in results] == [same(shop.search(body=s)) for s in searches]
    assert len({r["query_id"] for r in results}) == 4 and results[0]["query_id"].startswith(reply.headers["X-Request-Id"])


def test_errors_are_of_the_entry(shop):
    reply = post(shop, {"searches": [{"q": "gram"}, {"size": 1000, "sort": "best"}, {"q": "gram", "nonsense": 1}, "x", {"cursor": "1.x"}]})
    results = reply.json()["results"]
    assert reply.status_code == 200 and results[0]["total"]["value"] == 2
    assert [r.get("status") for r in results] == [None, 400, 400, 400, 400]
    assert {e["field"] for e in results[1]["errors"]} == {"size", "sort"} and results[2]["errors"][0]["field"] == "nonsense"
    assert results[4]["errors"][0]["field"] == "cursor"


def test_equal_ones_are_asked_once_and_kept(shop):
    search = {"q": "오디세이"}
    before = asked(shop)
    results = post(shop, {"searches": [search] * 10}).json()["results"]
    assert asked(shop) == before + 1 and len({str(same(r)) for r in results}) == 1 and results[0]["total"]["value"] == 1
    assert same(shop.search(body=search)) == same(results[0]) and asked(shop) == before + 1


@pytest.mark.parametrize("body, field", [({}, "searches"), ([], "searches"), ({"searches": []}, "searches"), ({"searches": [{}] * 11}, "searches"),
                                         ({"searches": {}}, "searches"), ({"searches": [{}], "more": 1}, "searches")])
def test_what_is_no_batch(shop, body, field):
    reply = post(shop, body)
    assert reply.status_code == 400 and reply.json()["errors"][0]["field"] == field
    reply = shop.session.post(shop.url + "/v1/search/batch", data=b"{", timeout=10)
    assert reply.status_code == 400 and reply.json()["errors"][0]["field"] == "body"


# ---- explain ---------------------------------------------------------------------------------------------------

def test_only_administrators_see_explanations(shop):
    assert shop.get("/v1/search?q=gram&explain=1").status_code == 403
    results = post(shop, {"searches": [{"q": "gram", "explain": True}, {"q": "gram"}]}).json()["results"]
    assert results[0]["status"] == 403 and results[1]["hits"]
    assert "explain" not in shop.search("q=gram&explain=0")
    shop.problem("q=gram&explain=maybe", field="explain")


def test_how_the_text_was_read_and_what_a_score_is_made_of(shop):
    answer = shop.get("/v1/search?q=13.3inch%20shxmqnr&explain=1", headers=ADMIN).json()
    assert [w["text"] for w in answer["explain"]["words"]] == ["13.3inch", "shxmqnr"] and "13.3인치" in str(answer["explain"]["words"][0]["same_as"])
    answer = shop.get("/v1/search?q=gram&explain=1", headers=ADMIN).json()
    assert answer["hits"] and all(h["explanation"]["value"] > 0 and h["explanation"]["details"] for h in answer["hits"])
    assert shop.get("/v1/search?q=&explain=1", headers=ADMIN).json()["explain"] is None
    assert "explanation" not in shop.search("q=gram")["hits"][0]  # nor from the cache
    results = post(shop, {"searches": [{"q": "gram", "explain": True}]}, headers=ADMIN).json()["results"]
    assert results[0]["explain"]["text"] == "gram"


# ---- the cache of suggestions and similar products ---------------------------------------------------------------

@pytest.mark.parametrize("path", ["/v1/suggest?q=노ㅌ", "/v1/products/gram-16/similar"])
def test_asked_once(shop, path):
    before = asked(shop)
    first = shop.get(path)
    again = shop.get(path)
    assert first.status_code == again.status_code == 200 and same(first.json()) == same(again.json()) and asked(shop) == before + 1
    assert first.headers["ETag"] == again.headers["ETag"] and again.json()["query_id"] == again.headers["X-Request-Id"]
    assert shop.get(path, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    other = shop.get(path + ("&" if "?" in path else "?") + "lang=en")
    assert other.status_code == 200 and asked(shop) == before + 2


def test_what_is_not_there_is_not_kept(shop):
    before = asked(shop)
    for _ in range(2):
        assert shop.get("/v1/products/nobody/similar").status_code == 404
    assert asked(shop) == before + 2
