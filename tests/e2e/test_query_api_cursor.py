"""Pages and cursors: everything is reached once and only once, also past 10,000 hits and while products change."""
import base64
import itertools
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.background import Background
from harness.http_proxy import HttpProxy
from harness.query_fixture import Shop
from harness.wait import eventually

COUNT = 10500
BRANDS = ("LG", "Nike", "Samsung")


def document(number, price=None, in_stock=True):
    price = number * 37 % 5000 if price is None else price
    key = f"p{number:05d}"
    made = {"id": key, "codes": [key], "name": {"en": "walking shoe" if number % 3 else "running shoe"}, "brand": BRANDS[number % 3],
            "price_min": price, "price_max": price, "currency": "KRW", "in_stock": in_stock and number % 7 != 0,
            "sales": number % 13, "popularity": number % 17, "stock": "in", "skus": [key], "flat": {"sku": key, "price": price, "stock": "in"}, "content_hash": 1, "version": 1}
    return {**made, "created_at": f"2026-01-01T00:{number % 60:02d}:00.000Z"} if number % 11 else made


@pytest.fixture(scope="module")
def shop(stack, tmp_path_factory):
    made = Shop(stack, tmp_path_factory.mktemp("cursor"))
    for begin in range(0, COUNT, 2500):
        made.index.put([document(n) for n in range(begin, min(begin + 2500, COUNT))])
    try:
        yield made.start()
    finally:
        made.close()


def walk_hits(shop, query, cursor="*"):
    """Hits behind a cursor, to the end."""
    found = []
    while cursor is not None:
        answer = shop.search(f"{query}&cursor={cursor}")
        found += answer["hits"]
        cursor = answer["next_cursor"]
        assert "page" not in answer and len(found) <= COUNT + 1000
    return found


def walk(shop, query, cursor="*"):
    return [h["id"] for h in walk_hits(shop, query, cursor)]


def test_to_the_end_of_everything(shop):
    found = walk(shop, "size=100&sort=price:asc")
    assert len(found) == COUNT and len(set(found)) == COUNT
    pages = list(itertools.chain(*(shop.ids(f"size=100&sort=price:asc&page={n}") for n in (1, 2, 100))))
    assert found[:200] == pages[:200] and found[9900:10000] == pages[200:]


@pytest.mark.parametrize("query", ["sort=newest&brand=LG", "q=running+shoe", "sort=price:desc&price=1000..1500", "sort=price:asc&in_stock=true&q=shoe&price=..300"])
def test_a_cursor_goes_on_where_a_page_ends(shop, query):
    first = shop.search(query + "&size=60")
    total = first["total"]["value"]
    ids = [h["id"] for h in first["hits"]] + walk(shop, query + "&size=60", first["next_cursor"])
    assert len(ids) == len(set(ids)) == total > 60
    assert ids == walk(shop, query + "&size=83")
    assert ids[60:120] == shop.ids(query + "&size=60&page=2")
    last = (total - 1) // 60 + 1
    assert shop.search(f"{query}&size=60&page={last}")["next_cursor"] is None


# What each order goes by, of a hit and its number. Those without a date (every eleventh) come last.
ORDERS = {"relevance": lambda h, n: -(n % 17), "price:asc": lambda h, n: h["price"]["min"], "price:desc": lambda h, n: -h["price"]["max"],
          "newest": lambda h, n: -(n % 60) if n % 11 else 0, "best_selling": lambda h, n: -(n % 13)}


@pytest.mark.parametrize("sort", ORDERS)
@pytest.mark.parametrize("words", ["", "&q=shoe"], ids=["all", "words"])
def test_what_is_sold_out_comes_last_under_every_sort(shop, sort, words):
    """A seventh is sold out, among the cheapest, the newest and the best selling ones as well; and last of the whole walk, not of
    each page."""
    query = f"size=100&sort={sort}&price=..700{words}"
    hits = walk_hits(shop, query)
    in_stock = [h["in_stock"] for h in hits]
    assert in_stock == sorted(in_stock, reverse=True)
    assert len({h["id"] for h in hits}) == len(hits) == shop.search(query)["total"]["value"] > 1000
    assert 100 < in_stock.count(False) < len(hits) / 2
    for there in (True, False) if not words or sort != "relevance" else ():
        keys = [ORDERS[sort](h, int(h["id"][1:])) for h in hits if h["in_stock"] is there]
        assert keys == sorted(keys), "and in the order that was asked for"


def test_facets_and_language_may_change_in_a_walk(shop):
    first = shop.search("brand=LG&size=10&facets=brand&cursor=*")
    then = shop.search(f"brand=LG&size=20&facets=price,brand&lang=en&cursor={first['next_cursor']}")
    assert then["facets"]["brand"] == first["facets"]["brand"] and then["total"] == first["total"]


def test_a_walk_does_not_see_writes(shop, rng):
    """Prices, stock, new and deleted products while the walk is under way: it has what was there at its start."""

    def write(_):
        chosen = rng.sample(range(COUNT), 50)
        shop.index.put([document(n, rng.randrange(5000), rng.random() < 0.5) for n in chosen]
                       + [document(COUNT + rng.randrange(300))])

    expected = {f"p{n:05d}" for n in range(COUNT)}
    before = set(walk(shop, "sort=price:asc&size=100"))
    with Background(write, pause=0) as writer:
        for sort in ("price:asc", "newest"):
            first = shop.search(f"sort={sort}&size=100&cursor=*")
            writer.progress(2)  # before the second page
            found = [h["id"] for h in first["hits"]] + walk(shop, f"sort={sort}&size=100", first["next_cursor"])
            assert len(found) == len(set(found)), "twice"
            assert expected <= set(found) and before <= set(found), "missed"
            before = set(found)


MILLION = 1_000_000


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_to_the_end_of_a_million(stack, tmp_path, rng):
    """While prices and stock change, products come and products go: what was there at the start, each once."""
    made = Shop(stack, tmp_path)

    def write(_):
        made.index.put([document(n, rng.randrange(5000), rng.random() < 0.5) for n in rng.sample(range(MILLION), 100)]
                       + [document(MILLION + rng.randrange(1000))])
        stack.es("DELETE", f"/{made.index.index}/_doc/p{rng.randrange(MILLION):05d}", expect=(200, 404))

    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda begin: made.index.put([document(n) for n in range(begin, begin + 5000)]), range(0, MILLION, 5000)))
        made.start()
        first = made.search("size=100&sort=price:asc&cursor=*")
        with Background(write, pause=0.2) as writer:
            seen, pages = walked(made, first)
        assert len(seen) == MILLION and pages <= MILLION // 100 + 1 and writer.count > 100, (len(seen), pages, writer.count)
    finally:
        made.close()


def walked(made, answer):
    """The ids from this page on to the last one, and how many pages."""
    seen, pages = set(), 0
    while True:
        found = [hit["id"] for hit in answer["hits"]]
        assert seen.isdisjoint(found) and len(set(found)) == len(found), f"again, on page {pages}"
        assert answer["total"] == {"value": MILLION, "relation": "eq"}
        seen.update(found)
        pages += 1
        if answer["next_cursor"] is None:
            return seen, pages
        answer = made.search(f"size=100&sort=price:asc&cursor={answer['next_cursor']}")


def payload(cursor):
    text = cursor.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def test_a_lost_view_is_opened_again(shop):
    first = shop.search("size=100&sort=price:desc&brand=Nike&cursor=*")
    _, view, after = payload(first["next_cursor"])
    assert view and len(after) == 3
    name = "_pit" if shop.index.stack.has_nori else "_search/point_in_time"
    body = {"id": view} if name == "_pit" else {"pit_id": [view]}
    shop.index.stack.es("DELETE", f"/{name}", body)
    rest = walk(shop, "size=100&sort=price:desc&brand=Nike", first["next_cursor"])
    ids = [h["id"] for h in first["hits"]] + rest
    assert len(ids) == len(set(ids)) == first["total"]["value"]


@pytest.mark.parametrize("size", [60, 100])
def test_a_view_is_closed_with_the_last_page(shop, size):
    """An OpenSearch node has room for 300 of them."""
    cursor, views = "*", set()
    query = f"size={size}&sort=price:desc&price=1000..1500"
    while cursor:
        last, cursor = cursor, shop.search(f"{query}&cursor={cursor}")["next_cursor"]
        if cursor:
            views.add(payload(cursor)[1])
            assert shop.index.stack.es("POST", "/_search", {"size": 0, "pit": {"id": payload(cursor)[1]}})
    assert views

    def is_gone(view):
        return "hits" not in shop.index.stack.es("POST", "/_search", {"size": 0, "pit": {"id": view}}, expect=(200, 404))

    eventually(lambda: all(is_gone(view) for view in views), 20, "the view is closed")
    assert shop.search(f"{query}&cursor={last}")["next_cursor"] is None  # who asks for the last page again gets it


@pytest.fixture
def little_room(shop):
    """The server keeps three more searches open than it does now. OpenSearch's limit is on views; Elasticsearch has none but on scrolls."""
    es = shop.index.stack.es
    is_opensearch = es("GET", "/")["version"].get("distribution") == "opensearch"
    name = "search.max_open_pit_context" if is_opensearch else "search.max_open_scroll_context"
    now = len(es("GET", "/_search/point_in_time/_all", expect=(200, 404)).get("pits", [])) if is_opensearch else 0
    es("PUT", "/_cluster/settings", {"persistent": {name: now + 3}})
    yield is_opensearch
    es("PUT", "/_cluster/settings", {"persistent": {name: None}})


def test_walks_that_are_given_up(shop, little_room):
    """Each holds its view for two minutes. Whoever finds no room is told to come again; all others go on."""
    es, query, views, refused = shop.index.stack.es, "size=5&brand=LG&sort=newest", [], 0
    for _ in range(12):
        reply = shop.get(f"/v1/search?{query}&cursor=*")
        if reply.status_code == 200:
            views.append(reply.json()["next_cursor"])
        else:
            refused += 1
            assert reply.status_code == 503 and int(reply.headers["Retry-After"]) > 0, reply.text
            assert len(shop.ids(query)) == 5, "searches go on"
    if little_room:  # others' views come and go
        assert views and refused and len(views) + refused == 12
    else:
        assert (len(views), refused) == (12, 0)
    assert all(len(shop.ids(f"{query}&cursor={view}")) == 5 for view in views), "and so do the walks that have begun"
    lost = payload(views[0])[1]
    es("DELETE", "/_search/point_in_time" if little_room else "/_pit", {"pit_id": [lost]} if little_room else {"id": lost})
    if little_room:
        assert shop.get(f"/v1/search?{query}&cursor=*").status_code == 200, "there is room again"
        reply = shop.get(f"/v1/search?{query}&cursor={views[0]}")
        assert reply.status_code == 503 and "Retry-After" in reply.headers, "but none for the view that was lost"
    for view in views[1:]:
        es("DELETE", "/_search/point_in_time" if little_room else "/_pit",
           {"pit_id": [payload(view)[1]]} if little_room else {"id": payload(view)[1]})
    assert len(shop.ids(f"{query}&cursor={views[0]}")) == 5, "its place is not"


class Crowded(HttpProxy):
    """In front of a server that has no room for another view."""

    def _forward(self, client, body):
        if client.command == "POST" and ("/_pit?" in client.path or "point_in_time?" in client.path):
            return 429, b'{"error":{"type":"rejected_execution_exception","reason":"too many"},"status":429}'
        return super()._forward(client, body)


def test_no_room_for_another_view(stack, tmp_path):
    """Those who walk are told so; searches go on."""
    proxy = Crowded(stack.es_url)
    made = Shop(stack, tmp_path, settings={"elasticsearch.url": proxy.url, "query-api.loops": 1})
    try:
        made.index.put([document(n) for n in range(20)])
        made.start()
        for _ in range(12):
            reply = made.get("/v1/search?cursor=*&size=5")
            assert reply.status_code == 503 and "Retry-After" in reply.headers, reply.text
        assert len(made.ids("size=5")) == 5
    finally:
        made.close()
        proxy.close()


def test_what_is_no_cursor_is_refused(shop):
    good = shop.search("size=5&brand=LG&sort=newest&cursor=*")["next_cursor"]
    step = max(1, len(good) // 60)
    for at in range(0, len(good), step):
        other = "A" if good[at] != "A" else "B"
        shop.problem(f"size=5&brand=LG&sort=newest&cursor={good[:at]}{other}{good[at + 1:]}", field="cursor")
        shop.problem(f"size=5&brand=LG&sort=newest&cursor={good[:at]}", field="cursor")
    for other in ("brand=Nike&sort=newest", "brand=LG&sort=price:asc", "brand=LG&sort=newest&q=shoe", "sort=newest",
                  "brand=LG&sort=newest&typo=off", "brand=LG&sort=newest&price=0..1"):
        assert "another search" in shop.problem(f"{other}&cursor={good}", field="cursor")["errors"][0]["message"]
    assert "version" in shop.problem(f"brand=LG&sort=newest&cursor=2{good[1:]}", field="cursor")["errors"][0]["message"]
    shop.problem("cursor=**", field="cursor")
    shop.problem("cursor=" + "A" * 5000, field="cursor")
    shop.problem(f"brand=LG&sort=newest&page=2&cursor={good}", field="page")
    shop.problem("size=0&cursor=*", field="size")
    assert shop.search(f"sort=newest&brand=LG&size=5&cursor={good}")["hits"]


def test_pages_end_at_ten_thousand_and_say_what_to_do(shop):
    answer = shop.search("page=100&size=100")
    assert len(answer["hits"]) == 100 and answer["next_cursor"]
    assert "cursor" in shop.problem("page=101&size=100", field="page")["errors"][0]["message"]
    assert len(shop.search(f"size=100&cursor={answer['next_cursor']}")["hits"]) == 100


def test_in_the_body_of_a_post(shop):
    first = shop.search(body={"brand": ["LG", "Nike"], "size": 10, "cursor": "*"})
    then = shop.search(body={"size": 10, "brand": ["Nike", "LG"], "cursor": first["next_cursor"]})
    assert not {h["id"] for h in first["hits"]} & {h["id"] for h in then["hits"]} and len(then["hits"]) == 10
