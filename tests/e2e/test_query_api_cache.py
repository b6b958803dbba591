"""The cache before the searches: what is given out again, for how long, to whom, and what ends it."""
import itertools
import os
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from harness.command import Commands
from harness.http_proxy import HttpProxy
from harness.proxy import Proxy
from harness.query_fixture import PATIENT, PRODUCTS, STOCK, Shop, make_tree
from harness.search_index import SearchIndex, compose
from harness.shop import SURE_LEASE, insert
from harness.wait import eventually
from test_projector_reindex import mapping_file

TEA = {"id": "tea-2", "name": "green tea two", "price": 100, "categories": [3]}
SEARCH = "/v1/search?q=laptop&facets=brand"
NEVER = "1h"


@pytest.fixture(scope="module")
def proxy(stack):
    address = urllib.parse.urlsplit(stack.es_url)
    made = Proxy(address.hostname, address.port)
    yield made
    made.close()


@pytest.fixture
def make_shop(stack, proxy, tmp_path):
    made = []

    def make(**options):
        settings = {"elasticsearch.url": proxy.url, "query-api.loops": 1, "query-api.cache_bytes": "4m", "query-api.search_timeout": "20s",
                    "query-api.cache_fresh": NEVER, "query-api.cache_stale": "0", **{f"query-api.{k}": v for k, v in options.items()}}
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Shop(stack, folder, PRODUCTS, STOCK, settings=settings).start())
        eventually(lambda: settled(made[-1].api), 20, "the epoch of the start is over")
        return made[-1]

    yield make
    proxy.set("pass")
    for one in made:
        one.close()


def loops_of(api):
    return len(api.metrics("readside_query_api_cache_entries"))


def settled(api):
    """Every loop has seen categories and index: what is answered from now on is kept."""
    return min(api.log().count(f"event={event}") for event in ("categories.loaded", "index.seen")) >= loops_of(api)


def answers(shop, result):
    return shop.api.metric("readside_query_api_cache_answers_total", f'result="{result}"') or 0


def common(reply):
    assert reply.status_code == 200, reply.text
    return {k: v for k, v in reply.json().items() if k not in ("took_ms", "query_id", "degraded")}


def test_a_fresh_answer_is_the_same_but_for_its_id(make_shop):
    shop = make_shop()
    first, second = shop.get(SEARCH), shop.get(SEARCH)
    assert common(first) == common(second) and first.json()["hits"]
    for reply in (first, second):
        assert reply.json()["query_id"] == reply.headers["X-Request-Id"] and reply.json()["degraded"] is None
    assert first.json()["query_id"] != second.json()["query_id"]
    assert first.headers["ETag"] == second.headers["ETag"]
    assert second.headers["Cache-Control"] == "max-age=3600, stale-while-revalidate=0, stale-if-error=3600"
    fresh = answers(shop, "fresh")
    posted = shop.session.post(shop.url + "/v1/search", json={"facets": ["brand"], "q": " laptop "}, timeout=20)
    assert common(posted) == common(first) and answers(shop, "fresh") == fresh + 1
    shop.search("q=laptop&facets=brand&lang=en")
    assert answers(shop, "fresh") == fresh + 1, "another language is another answer"


def test_etag(make_shop):
    shop = make_shop()
    first = shop.get(SEARCH)
    again = shop.get(SEARCH, headers={"If-None-Match": f'"x", {first.headers["ETag"]}'})
    assert again.status_code == 304 and again.content == b"" and again.headers["ETag"] == first.headers["ETag"]
    assert shop.get(SEARCH, headers={"If-None-Match": '"x"'}).status_code == 200
    assert shop.api.metric("readside_query_api_not_modified_total") == 1
    posted = shop.session.post(shop.url + "/v1/search", json={"q": "laptop", "facets": ["brand"]}, headers={"If-None-Match": "*"}, timeout=20)
    assert posted.status_code == 200


def test_a_stale_answer_is_given_out_and_renewed(make_shop):
    shop = make_shop(cache_fresh="0", cache_stale=NEVER)
    assert shop.ids("q=green") == []
    shop.index.put([compose(TEA, {"tea-2": "in"}, make_tree({3: ("3", "식품", "Food")}))])
    assert shop.ids("q=green") == [], "the old answer at once"
    eventually(lambda: shop.ids("q=green") == ["tea-2"], 20, "and the new one behind it")
    assert answers(shop, "stale") >= 2


def test_equal_searches_at_once_are_one_question(make_shop, proxy):
    shop = make_shop(search_timeout="60s")
    proxy.set("silence")
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(requests.get, shop.url + "/v1/search?q=together", timeout=90) for _ in range(20)]
        eventually(lambda: answers(shop, "joined") == 19, 20, "19 wait for one")
        assert shop.api.metric("readside_query_api_upstream_failures_total") == 0
        proxy.set("pass")  # cuts the question: its failure is everybody's
        assert {one.result().status_code for one in waiting} == {503}
        waiting = [pool.submit(requests.get, shop.url + "/v1/search?q=laptop&size=3", timeout=90) for _ in range(20)]
        bodies = [one.result() for one in waiting]
    assert all(common(b) == common(bodies[0]) for b in bodies) and len({b.json()["query_id"] for b in bodies}) == 20
    asked = shop.api.metric("readside_query_api_upstream_seconds_count")
    shop.search("q=laptop&size=3")
    assert shop.api.metric("readside_query_api_upstream_seconds_count") == asked


class Gate(HttpProxy):
    """Keeps the searches for a word back until it is opened, and counts them."""

    def __init__(self, url, word):
        super().__init__(url)
        self.word, self.came, self.opened = word, 0, threading.Event()

    def _forward(self, client, body):
        if "_search" in client.path and self.word in body:
            with self.lock:
                self.came += 1
            self.opened.wait(60)
        return super()._forward(client, body)

    def close(self):
        self.opened.set()
        super().close()


def test_equal_searches_at_once_are_one_question_of_each_loop(stack, tmp_path):
    """With as many loops as there are by themselves."""
    gate = Gate(stack.es_url, b'"laptop"')
    shop = Shop(stack, tmp_path, PRODUCTS, STOCK, settings={
        "elasticsearch.url": gate.url, "query-api.cache_bytes": "4m", "query-api.cache_fresh": NEVER, "query-api.search_timeout": "60s"})
    try:
        shop.start()
        eventually(lambda: settled(shop.api), 20, "the epoch of the start is over")
        loops = loops_of(shop.api)
        with ThreadPoolExecutor(6 * loops) as pool:
            waiting = [pool.submit(requests.get, shop.url + "/v1/search?q=laptop", timeout=90) for _ in range(6 * loops)]
            eventually(lambda: answers(shop, "joined") + answers(shop, "miss") == 6 * loops, 20, "all are there, and wait")
            eventually(lambda: gate.came == answers(shop, "miss"), 20, "and who asks has asked")
            assert 1 <= gate.came <= loops
            gate.opened.set()
            bodies = [one.result() for one in waiting]
        assert all(common(b) == common(bodies[0]) for b in bodies) and bodies[0].json()["hits"]
        came = gate.came
        assert came <= loops
        for _ in range(4 * loops):
            assert common(requests.get(shop.url + "/v1/search?q=laptop", timeout=20)) == common(bodies[0])
        assert gate.came <= loops and answers(shop, "fresh") >= 4 * loops - (loops - came)
    finally:
        shop.close()
        gate.close()


def test_a_reindex_ends_the_answers_of_every_loop(corner, program, write_api, checker, tmp_path):
    """A new index that reads "laptop" as another word: whatever is still fresh for an hour, each loop gives the new answer soon
    after the command has ended."""
    insert(corner, range(30), name={"en": "steel laptop"})
    program("projector", SURE_LEASE).start()
    checker.assert_equal(60, at_least=30)
    api = program("query-api", {"query-api.loops": 2, "query-api.cache_fresh": NEVER, "query-api.cache_stale": "0", "query-api.fallback": "false", **PATIENT}).start()
    eventually(lambda: settled(api), 20, "the epoch of the start is over")

    def totals():
        """Of fresh connections, which are dealt to the loops in turn."""
        return [requests.get(f"{api.url}/v1/search?q={q}", timeout=20).json()["total"]["value"] for q in ("laptop", "thinkingmachine") for _ in range(4)]

    def change(mapping):
        analysis = mapping["settings"]["analysis"]
        analysis["char_filter"]["machines"] = {"type": "mapping", "mappings": ["laptop => thinkingmachine"]}
        analysis["analyzer"]["text_en"]["char_filter"] = ["machines"]

    assert totals() == totals() == [30] * 4 + [0] * 4
    assert api.metric("readside_query_api_cache_answers_total", 'result="fresh"') >= 12, "every loop has them in memory"
    done = Commands(corner, SURE_LEASE)("reindex", "--mapping", mapping_file(tmp_path, change), "--json", deadline=280)
    assert done.result["state"] == "done"
    eventually(lambda: totals() == [30] * 8, 20, "the new answer on every loop")
    assert api.log().count("event=index.changed") == 2 and api.starts == 1


@pytest.mark.parametrize("what", ["index", "categories", "synonyms"])
def test_what_answers_depend_on_ends_them(make_shop, stack, what):
    shop = make_shop(admin_key="the-key", categories_poll="100ms", overrides_poll="100ms")
    assert shop.ids("q=computing-machine") == [] and shop.ids("q=laptop")
    names = str(shop.search("q=laptop&facets=category"))
    if what == "categories":
        assert "Laptops" not in names and "노트북" in names
        tree = make_tree({1: ("1", "전산", "Computing"), 4: ("1/4", "휴대컴", "Portables")})
        shop.index.put_categories({**shop.tree, **tree}, 2)
        eventually(lambda: "휴대컴" in str(shop.search("q=laptop&facets=category")), 20, "the new name")
    elif what == "synonyms":
        eventually(lambda: shop.session.put(shop.url + "/admin/synonyms/a", json={"terms": ["laptop", "computing-machine"]},
                                            headers={"Authorization": "Bearer the-key"}, timeout=20).status_code in (200, 201), 20)
        eventually(lambda: shop.ids("q=computing-machine"), 20, "the synonym works")
    else:
        other = SearchIndex(stack).create()
        try:
            other.tree = shop.tree
            other.put_products([TEA], {"tea-2": "in"})
            stack.es("DELETE", f"/{shop.index.index}")
            stack.es("POST", "/_aliases", {"actions": [{"add": {"index": other.index, "alias": shop.index.index}}]})
            eventually(lambda: shop.ids("") == ["tea-2"] and shop.ids("q=laptop") == [], 20, "the new index")
            eventually(lambda: "event=index.changed" in shop.api.log(), 20, "and it is noticed as such")
        finally:
            other.remove()


def test_an_answer_is_never_another_users(make_shop):
    """With a cache that keeps everything for an hour: recommendations of two shoppers, and what an administrator may see."""
    shop = make_shop(admin_key="the-key", events_timeout="10s")
    bought = {"ann": "odyssey", "bob": "runner", "cid": "tea"}
    for user, product in bought.items():
        event = {"type": "purchase", "user_id": user, "product_id": product}
        eventually(lambda e=event: shop.session.post(shop.url + "/v1/events", json=e, timeout=20).status_code == 202, 20)
    shop.index.stack.es("POST", f"/{shop.index.events_index}/_refresh")
    for _ in range(2):
        lists = {}
        for user, product in bought.items():
            reply = shop.get(f"/v1/recommendations?user_id={user}")
            lists[user] = [hit["id"] for hit in reply.json()["hits"]]
            assert product not in lists[user] and reply.headers["Cache-Control"] == "no-store" and "ETag" not in reply.headers
        wishes = [{"indexName": "products", "model": "recommended-for-you", "queryParameters": {"userToken": user}, "maxRecommendations": 12} for user in bought]
        batch = shop.session.post(shop.url + "/1/indexes/*/recommendations", json={"requests": wishes}, timeout=20).json()
        assert [[hit["objectID"] for hit in result["hits"]] for result in batch["results"]] == list(lists.values())
        assert len({str(found) for found in lists.values()}) == 3
        admin = shop.get(SEARCH + "&explain=1", headers={"Authorization": "Bearer the-key"})
        assert admin.json()["explain"] and "ETag" not in admin.headers and "max-age" not in admin.headers.get("Cache-Control", "no-store")
        assert "explain" not in shop.get(SEARCH).json() and shop.get(SEARCH + "&explain=1").status_code == 403


def test_memory_is_bounded(make_shop):
    shop = make_shop(cache_bytes="256k")
    for n in range(400):
        shop.search(f"q=laptop&facets=brand,category,price&facet_size={n + 1}")
    size = shop.api.metric("readside_query_api_cache_bytes", 'loop="0"')
    assert 128 << 10 < size <= 256 << 10
    assert shop.api.metric("readside_query_api_cache_evicted_total") > 50
    assert shop.api.metric("readside_query_api_cache_entries", 'loop="0"') > 5


def test_memory_of_the_process_is_bounded(stack, tmp_path):
    """Answers of up to half a megabyte until every loop has dropped some: what the process takes is the cache, and no more than 64 MiB
    besides. The plain build, since a sanitizer keeps what is freed."""
    most, pages = 48 << 20, itertools.count(1)
    products = [{"id": f"p{n:03}", "name": {"en": f"laptop {n}"}, "description": {"en": f"word{n} " * 700}, "brand": "LG"} for n in range(100)]
    shop = Shop(stack, tmp_path, products, {}, bin_dir=os.environ["READSIDE_PLAIN_BIN_DIR"],
                settings={"query-api.loops": 2, "query-api.cache_bytes": most, "query-api.cache_fresh": NEVER, "query-api.search_timeout": "20s"})

    def fill(n):
        """Over fresh connections, which are dealt to the loops in turn."""
        reply = requests.get(f"{shop.url}/v1/search?fields=description&facets=brand&facet_size={n}&size={1 + n * 37 % 100}", timeout=40)
        assert reply.status_code == 200, reply.text[:500]

    try:
        shop.start()
        eventually(lambda: settled(shop.api), 20, "the epoch of the start is over")
        loops = loops_of(shop.api)
        with ThreadPoolExecutor(4) as pool:
            while (shop.api.metric("readside_query_api_cache_evicted_total") or 0) < 40 * loops or \
                    min(shop.api.metrics("readside_query_api_cache_bytes")) < most / loops * 0.85:
                list(pool.map(fill, itertools.islice(pages, 20 * loops)))
        kept = shop.api.metrics("readside_query_api_cache_bytes")
        assert len(kept) == loops and max(kept) <= most / loops
        assert sum(kept) < shop.api.rss_kib() << 10 < most + (64 << 20), (kept, shop.api.rss_kib())
    finally:
        shop.close()


def test_off(make_shop):
    shop = make_shop(cache_bytes="0")
    first, second = shop.get(SEARCH), shop.get(SEARCH)
    assert common(first) == common(second) and answers(shop, "fresh") == answers(shop, "miss") == 0
    assert shop.get(SEARCH, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304


def test_a_walk_by_cursor_is_not_shared(make_shop):
    shop = make_shop()
    cursors = [shop.search("cursor=*&size=2")["next_cursor"] for _ in range(2)]
    assert answers(shop, "fresh") <= 1 and all(cursors)


def test_an_old_answer_when_asking_fails(make_shop, proxy):
    shop = make_shop(cache_fresh="0", search_timeout="300ms")

    def whole():
        reply = shop.get(SEARCH)
        return reply if reply.status_code == 200 and reply.json()["degraded"] is None else None

    seen = eventually(whole, 20, "an answer in so short a time")
    for how in ("refuse", "hang"):
        proxy.set(how)
        for _ in range(8):
            began = time.monotonic()
            reply = shop.get(SEARCH)
            assert common(reply) == common(seen) and reply.json()["degraded"] == "stale" and reply.headers["Cache-Control"] == "no-store"
            assert time.monotonic() - began < 10
        assert shop.get("/v1/search?q=never-seen").status_code == 503
    assert answers(shop, "rescued") >= 16
    proxy.set("pass")
    eventually(lambda: shop.get(SEARCH).json()["degraded"] is None, 20, "recovery")


def test_stops_while_a_question_is_out_for_nobody(make_shop, proxy):
    shop = make_shop(cache_fresh="0", cache_stale=NEVER)
    shop.get(SEARCH)
    proxy.set("silence")
    assert shop.get(SEARCH).status_code == 200, "from memory; the question behind it hangs"
    began = time.monotonic()
    shop.api.stop()
    assert time.monotonic() - began < 15, "nobody waits for it"
    assert "Sanitizer" not in shop.api.log()
