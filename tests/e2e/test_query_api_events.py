"""Events, what they recommend, and what is searched and not found."""
import datetime
import threading
import time
from concurrent.futures import ThreadPoolExecutor, TimeoutError

import pytest
import requests
from harness.query_fixture import PRODUCTS, STOCK, Shop
from harness.wait import eventually

ADMIN = {"Authorization": "Bearer events-admin"}
SETTINGS = {"query-api.admin_key": "events-admin", "query-api.analytics_flush": "200ms", "query-api.overrides_poll": "200ms"}


@pytest.fixture(scope="module")
def shop(stack, tmp_path_factory):
    products = [{**p, **{"tea": {"sales": 30}, "monitor": {"sales": 8}}.get(p["id"], {})} for p in PRODUCTS]
    made = Shop(stack, tmp_path_factory.mktemp("events"), products, STOCK, settings=SETTINGS)
    try:
        made.start()
        eventually(lambda: post(made, {"type": "click", "product_id": "first", "event_id": "first"}).status_code == 202, 20)
        yield made
    finally:
        made.close()


def post(shop, body, **how):
    return shop.session.post(shop.url + "/v1/events", json=body, timeout=20, **how)


def stored(shop, **term):
    shop.index.stack.es("POST", f"/{shop.index.events_index}/_refresh")
    hits = shop.index.stack.es("POST", f"/{shop.index.events_index}/_search", {"size": 1000, "query": {"term": term}})["hits"]["hits"]
    return [hit["_source"] for hit in hits]


def bought(shop, user, *products):
    reply = post(shop, {"type": "purchase", "user_id": user, "product_ids": list(products)})
    assert reply.status_code == 202 and reply.json() == {"accepted": 1, "repeated": 0}, reply.text
    shop.index.stack.es("POST", f"/{shop.index.events_index}/_refresh")


# ---- events ----------------------------------------------------------------------------------------------------

def test_202_means_written(shop):
    at = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=3)
    events = [{"type": "click", "product_id": "gram-16", "user_id": "한글 사용자", "query_id": "q-1", "query": "노트북", "position": 3,
               "time": at.isoformat()},
              {"type": "cart", "product_id": "gram-16", "user_id": "한글 사용자"},
              {"type": "purchase", "product_ids": ["gram-16", "bag"], "user_id": "한글 사용자"}]
    reply = post(shop, {"events": events})
    assert reply.status_code == 202 and reply.json() == {"accepted": 3, "repeated": 0}, reply.text
    found = stored(shop, user_id="한글 사용자")
    assert sorted(e["type"] for e in found) == ["cart", "click", "purchase"]
    click = next(e for e in found if e["type"] == "click")
    assert click["position"] == 3 and click["query_id"] == "q-1" and click["time"].startswith(at.strftime("%Y-%m-%dT%H:%M:%S"))
    weights = {e["type"]: e["weight"] for e in found}
    assert weights["click"] < weights["cart"] == pytest.approx(weights["click"] * 2 ** (3 / 168), rel=1e-3)


def test_an_event_id_counts_once(shop):
    event = {"type": "purchase", "product_id": "tea", "event_id": "order/1 \"x\"", "user_id": "once"}
    assert post(shop, event).json() == {"accepted": 1, "repeated": 0}
    assert post(shop, {"events": [event, dict(event, event_id="order/2")]}).json() == {"accepted": 1, "repeated": 1}
    assert len(stored(shop, user_id="once")) == 2


@pytest.mark.parametrize("body, field", [
    ({}, "type"), ([], "type"), ({"events": []}, "events"), ({"events": [{}] * 101}, "events"), ({"events": "x"}, "events"),
    ({"events": [{"type": "click", "product_id": "p"}], "more": 1}, "events"),
    ({"type": "look", "product_id": "p"}, "type"), ({"type": "click"}, "product_id"), ({"type": "click", "product_id": ""}, "product_id"),
    ({"type": "click", "product_id": "x" * 129}, "product_id"), ({"type": "click", "product_id": 5}, "product_id"),
    ({"type": "click", "product_id": "p", "product_ids": ["p"]}, "product_id"), ({"type": "click", "product_ids": []}, "product_ids"),
    ({"type": "click", "product_ids": ["p", 1]}, "product_ids"), ({"type": "click", "product_id": "p", "user_id": "a\nb"}, "user_id"),
    ({"type": "click", "product_id": "p", "position": 0}, "position"), ({"type": "click", "product_id": "p", "position": "1"}, "position"),
    ({"type": "click", "product_id": "p", "time": "yesterday"}, "time"), ({"type": "click", "product_id": "p", "time": "2020-01-01T00:00:00Z"}, "time"),
    ({"type": "click", "product_id": "p", "time": "2999-01-01T00:00:00Z"}, "time"), ({"type": "click", "product_id": "p", "_id": "x"}, "_id"),
    ({"type": "click", "product_id": "p", "query": "x" * 513}, "query"),
    ({"events": [{"type": "click", "product_id": "p"}, {"type": "buy", "product_id": "p"}]}, "events[1].type"),
])
def test_mistakes_are_named_and_nothing_is_taken(shop, body, field):
    reply = post(shop, body)
    assert reply.status_code == 400 and reply.headers["Content-Type"] == "application/problem+json", reply.text
    assert field in [e["field"] for e in reply.json()["errors"]], reply.text
    assert not stored(shop, product_ids="p")


def test_many_at_once_share_bulks(shop):
    before = shop.api.metric('readside_query_api_events_total{result="written"}')
    replies = []

    def send(thread):
        with requests.Session() as session:
            for n in range(20):
                events = [{"type": "click", "product_id": f"busy-{thread}", "event_id": f"busy-{thread}-{n}-{i}"} for i in range(5)]
                replies.append(session.post(shop.url + "/v1/events", json={"events": events}, timeout=30).status_code)

    threads = [threading.Thread(target=send, args=(t,)) for t in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(replies) == {202} and len(replies) == 160
    assert shop.api.metric('readside_query_api_events_total{result="written"}') == before + 800
    assert sum(len(stored(shop, product_ids=f"busy-{t}")) for t in range(8)) == 800


# ---- recommendations -------------------------------------------------------------------------------------------

def recommend(shop, query=""):
    reply = shop.get("/v1/recommendations" + query)
    assert reply.status_code == 200, reply.text
    return [(hit["id"], hit["reason"]) for hit in reply.json()["hits"]]


def test_nobody_and_nothing_gets_what_sells(shop):
    found = recommend(shop, "?size=4")
    assert found[:2] == [("tea", "best_selling"), ("monitor", "best_selling")] and {r for _, r in found[2:]} == {"newest"}
    assert [i for i, _ in found[2:]] == ["odyssey", "gram-16"]  # what is sold out is not offered
    assert recommend(shop, "?user_id=nobody&size=4") == found
    assert [h["name"] for h in shop.get("/v1/recommendations?lang=en&size=2").json()["hits"]][1] == "LG UltraGear monitor"


def test_what_is_bought_together_comes_first(shop):
    bought(shop, "a", "odyssey", "bag")
    bought(shop, "b", "odyssey", "bag", "runner")
    for user in "cd":  # in two orders, by the same people
        bought(shop, user, "odyssey")
        bought(shop, user, "tea")
    found = recommend(shop, "?product_id=odyssey&size=6")
    assert found[0] == ("bag", "bought_together") and set(found[1:3]) == {("tea", "bought_together"), ("runner", "bought_together")}
    assert [r for _, r in found[3:]] == ["similar"] * len(found[3:]) and "odyssey" not in dict(found)
    assert len({i for i, _ in found}) == len(found)


def test_instantsearch_clients_get_the_same(shop):
    bought(shop, "pair-1", "runner", "tea")
    bought(shop, "pair-2", "runner", "tea")
    wishes = [{"model": "bought-together", "objectID": "runner"}, {"model": "recommended-for-you", "queryParameters": {"userToken": "pair-1"}},
              {"model": "recommended-for-you"}, {"model": "bought-together", "objectID": "nobody-bought"}]
    reply = shop.session.post(shop.url + "/1/indexes/*/recommendations", json={"requests": [{"indexName": "products", **w} for w in wishes]}, timeout=20)
    together, mine, anybody, nothing = [[h["objectID"] for h in r["hits"]] for r in reply.json()["results"]]
    same = [i for i, reason in recommend(shop, "?product_id=runner&size=10") if reason == "bought_together"]
    assert "tea" in together and together == same and nothing == []
    assert mine == [i for i, _ in recommend(shop, "?user_id=pair-1&size=10")] and anybody == [i for i, _ in recommend(shop, "?size=10")]


def test_a_product_that_nobody_bought_gets_similar_ones(shop):
    assert recommend(shop, "?product_id=gram-14&size=1") == [("gram-16", "similar")]
    found = recommend(shop, "?product_id=not-there&size=2")
    assert found == recommend(shop, "?size=2")


def test_a_shopper_gets_what_fits(shop):
    post(shop, {"events": [{"type": "click", "product_id": "gram-14", "user_id": "fan"},
                           {"type": "click", "product_id": "gram-16", "user_id": "fan"}]})
    shop.index.stack.es("POST", f"/{shop.index.events_index}/_refresh")
    found = recommend(shop, "?user_id=fan&size=8")
    assert {i for i, r in found[:2]} == {"gram-16", "gram-14"} and found[2] == ("monitor", "for_you")
    bought(shop, "fan", "gram-16")
    found = dict(recommend(shop, "?user_id=fan&size=8"))
    assert "gram-16" not in found and found["gram-14"] == "for_you" and "best_selling" in found.values()


@pytest.mark.parametrize("query, field", [("size=0", "size"), ("size=51", "size"), ("user_id=" + "x" * 129, "user_id"), ("lang=x", "lang"), ("q=x", "q")])
def test_bad_parameters_of_recommendations(shop, query, field):
    reply = shop.get("/v1/recommendations?" + query)
    assert reply.status_code == 400 and reply.json()["errors"][0]["field"] == field


def test_events_are_not_there_yet(stack, tmp_path):
    """Without an index of events, and with a server that makes none, everybody gets the list that needs none."""
    made = Shop(stack, tmp_path, PRODUCTS, STOCK)
    try:
        made.start()
        made.index.stack.es("DELETE", f"/{made.index.events_index}", expect=(200, 404))
        assert recommend(made, "?product_id=gram-14&user_id=x&size=1") == [("gram-16", "similar")]
    finally:
        made.close()


def test_events_wait_for_their_index(stack, proxy, tmp_path):
    """Answers come later than anybody waits for: the index is made, but nobody knows yet."""
    settings = {"elasticsearch.url": proxy.url, "query-api.search_timeout": "1s", "query-api.overrides_poll": "200ms", "query-api.loops": 1}
    made = Shop(stack, tmp_path, PRODUCTS, STOCK, settings=settings)
    try:
        made.index.stack.es("DELETE", f"/{made.index.events_index}", expect=(200, 404))
        proxy.late = 1.5
        made.start(wait="alive")
        eventually(lambda: f"event=index.missing index={made.index.events_index}" in made.api.log(), 20, "the first attempt is over")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(post, made, {"type": "click", "product_id": "tea", "user_id": "early"})
            with pytest.raises(TimeoutError):
                waiting.result(1)
            proxy.late = 0
            reply = waiting.result(40)
        assert reply.status_code == 202 and reply.json() == {"accepted": 1, "repeated": 0}, reply.text
        assert len(stored(made, user_id="early")) == 1
        made.index.stack.es("DELETE", f"/{made.index.events_index}")
        proxy.set("refuse")
        eventually(lambda: post(made, {"type": "click", "product_id": "tea"}).status_code == 503, 20, "no server, no waiting")
    finally:
        proxy.late = 0
        proxy.set("pass")
        made.close()


# ---- analytics -------------------------------------------------------------------------------------------------

def report(shop, query=""):
    reply = shop.get("/admin/analytics/queries" + query, headers=ADMIN)
    assert reply.status_code == 200, reply.text
    return {row["query"]: row for row in reply.json()["queries"]}


def test_what_is_searched_and_what_finds_nothing(shop):
    for _ in range(3):
        shop.search("q=Zzyzx%20%20Unobtainium")
    shop.search("q=gram&brand=Nobody")  # nothing because of a filter
    shop.search("q=gram")
    shop.search("q=gram&page=2")  # another page is no other search
    for _ in range(2):  # the same click
        post(shop, {"type": "click", "product_id": "gram-16", "query": "GRAM ", "event_id": "clicked once"})

    def counted():
        rows = report(shop)
        return rows.get("gram", {}).get("searches") == 2 and rows["gram"]["clicks"] == 1 and rows.get("zzyzx unobtainium", {}).get("searches") == 3

    eventually(counted, 30, "the counts are in the report")
    rows = report(shop)
    assert rows["gram"]["results"] == 2 and rows["zzyzx unobtainium"]["results"] == 0
    nothing = report(shop, "?zero_results=1")
    assert "zzyzx unobtainium" in nothing and "gram" not in nothing
    assert list(report(shop, "?size=1")) == ["zzyzx unobtainium"] and "zzyzx unobtainium" not in report(shop, "?from=1")
    assert report(shop, "?since=2999-01-01") == {}


BURST = 5  # seconds: who does not type on for longer has typed another search


def test_what_is_typed_is_one_search(shop):
    """A machine that stands still for that long between two letters makes two of it; then another word is typed."""
    def typed(text, **more):  # over a connection of its own: any loop
        body = {"requests": [{"indexName": "products", "query": text, **more}, {"indexName": "products", "query": text, "hitsPerPage": 0, "facets": "brand"}]}
        assert requests.post(shop.url + "/1/indexes/*/queries", json=body, timeout=20).status_code == 200

    def typed_at_once(word):
        begun, longest = time.monotonic(), 0
        for end in range(1, len(word) + 1):
            typed(word[:end])
            before, begun = begun, time.monotonic()
            longest = max(longest, begun - before)
        return longest < BURST / 2  # a letter comes within it and the one before

    typed("qqnobody", analytics=False)
    word = next((word for word in ("qqxanadu", "jjxanadu", "vvxanadu") if typed_at_once(word)), None)
    assert word, "this machine is too slow to type on"
    eventually(lambda: word in report(shop, "?zero_results=1"), 30, "what was typed at last is counted")
    assert {query: row["searches"] for query, row in report(shop, "?size=1000").items() if query[0] == word[0]} == {word: 1}
    assert "qqnobody" not in report(shop, "?size=1000")


def test_analytics_are_for_administrators(shop):
    assert shop.get("/admin/analytics/queries").status_code == 401
    for query, field in (("size=0", "size"), ("from=1001", "from"), ("since=monday", "since"), ("zero_results=x", "zero_results")):
        reply = shop.get("/admin/analytics/queries?" + query, headers=ADMIN)
        assert reply.status_code == 400 and reply.json()["errors"][0]["field"] == field
