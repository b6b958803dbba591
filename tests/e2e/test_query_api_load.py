"""Many clients at once, at every endpoint, while names, synonyms and keys change and while the program is asked to stop. Made for
the sanitizer builds."""
import collections
import http.client
import json
import random
import threading
import time

import pytest
import requests
from harness.query_fixture import PRODUCTS, STOCK, TREE, Shop, make_tree
from harness.wait import eventually

ADMIN = {"Authorization": "Bearer the-admin-key"}
LAPTOPS = {"indexName": "products", "query": "laptop", "facets": ["brand", "cat.lvl0", "price"]}
# method, path, body, and what it may be answered
REQUESTS = [
    *(("GET", path, None, {200}) for path in (
        "/v1/search?q=laptop&facets=brand,category,price,attr.*", "/v1/search?attr.color=black&in_stock=true&facets=attr.color&sort=newest",
        "/v1/search?q=labtop+samsung&size=100&fields=variants", "/v1/search?q=notebook-computer", "/v1/search?size=2&cursor=*", "/v1/products/runner?lang=en",
        "/v1/categories/tree", "/healthz", "/metrics", "/readyz", "/openapi.json", "/v1/suggest?q=lap", "/v1/suggest?q=%EB%85%B8%E3%85%8C",
        "/v1/products/gram-16/similar", "/v1/facets/brand/values?q=l", "/v1/recommendations?user_id=ann")),
    ("GET", "/v1/search?page=0", None, {400}), ("GET", "/v1/products/nobody", None, {404}), ("GET", "/nowhere", None, {404}),
    ("POST", "/v1/search/batch", {"searches": [{"q": "laptop"}, {"q": "bag", "facets": ["brand"]}, {"q": "laptop"}]}, {200}),
    ("POST", "/1/indexes/*/queries", {"requests": [LAPTOPS, {**LAPTOPS, "facetFilters": [["brand:LG"]]}, {**LAPTOPS, "query": "", "hitsPerPage": 0}]}, {200}),
    ("POST", "/1/indexes/*/recommendations", {"requests": [{"indexName": "products", "model": "related-products", "objectID": "gram-16", "threshold": 0}]}, {200}),
    ("POST", "/v1/events", {"events": [{"type": "click", "product_id": "bag", "user_id": "ann"}, {"type": "purchase", "product_id": "tea", "user_id": "bob"}]}, {202}),
]
CACHES = {"no cache": {"query-api.cache_bytes": 0},
          "cache": {"query-api.cache_bytes": "256k", "query-api.cache_fresh": "20ms", "query-api.cache_stale": "100ms"}}


@pytest.fixture(params=CACHES)
def shop(request, stack, tmp_path):
    made = Shop(stack, tmp_path, PRODUCTS, STOCK, settings={
        "query-api.categories_poll": "50ms", "query-api.overrides_poll": "50ms", "query-api.keys_poll": "50ms", "query-api.analytics_flush": "100ms",
        "query-api.admin_key": "the-admin-key", "query-api.search_timeout": "20s", **CACHES[request.param]})
    try:
        made.start()
        # what the first of them waits for: the indexes of events, synonyms and keys
        eventually(lambda: made.session.post(made.url + "/v1/events", json=REQUESTS[-1][2], timeout=30).status_code == 202, 30)
        eventually(lambda: admin(made, "PUT", "synonyms/first", {"terms": ["first", "second"]}) in (200, 201), 30)
        eventually(lambda: all(nobodys(made) == 401 for _ in range(8)), 30, "every loop knows the keys")  # 503 before that
        yield made
    finally:
        made.close()


def nobodys(shop):
    """What a search is told that brings a key that there is not, on a connection of its own."""
    return requests.get(f"{shop.url}/v1/search", headers={"Authorization": "Bearer nobodys"}, timeout=30).status_code


def admin(shop, method, path, body=None):
    return shop.session.request(method, f"{shop.url}/admin/{path}", json=body, headers=ADMIN, timeout=30).status_code


class Client(threading.Thread):
    """Asks one thing after the other until it is told to stop; keeps what it got. key(): one to come with, or None."""

    def __init__(self, port, seed, stop, key):
        super().__init__()
        self.port, self.rng, self.told, self.key = port, random.Random(seed), stop, key
        self.seen, self.broken = collections.Counter(), []

    def run(self):
        connection = None
        while not self.told.is_set():
            number = self.rng.randrange(len(REQUESTS))
            method, path, body, _ = REQUESTS[number]
            key = self.key() if self.rng.random() < 0.3 else None
            try:
                if connection is None or self.rng.random() < 0.05:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})})
                reply = connection.getresponse()
                reply.read()
                self.seen[number, key is not None, reply.status] += 1
            except (OSError, http.client.HTTPException) as e:
                self.broken.append(e)
                connection = None


class Clients:
    """While the block lasts: eight of them."""

    def __init__(self, shop, rng, key=lambda: None):
        self.stop = threading.Event()
        self.all = [Client(shop.api.port, rng.random(), self.stop, key) for _ in range(8)]

    def __enter__(self):
        for client in self.all:
            client.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for client in self.all:
            client.join()

    def seen(self):
        return sum((collections.Counter(dict(c.seen)) for c in self.all), collections.Counter())

    def unexpected(self, also=()):
        """With a key: 401 when it is gone, 429 when it comes too often."""
        return {(REQUESTS[number][:2], status): count for (number, key, status), count in self.seen().items()
                if status not in REQUESTS[number][3] | set(also) | ({401, 429} if key else set())}


def test_load_while_names_synonyms_and_keys_change(shop, rng):
    secrets = []
    with Clients(shop, rng, lambda: secrets[-1] if secrets else None) as clients:
        for revision in range(2, 6):
            tree = {k: (path, f"{ko} {revision}", en) for k, (path, ko, en) in TREE.items()}
            shop.index.put_categories(make_tree(tree), revision)
            made = shop.session.put(f"{shop.url}/admin/keys/k{revision}", json={"scopes": ["search"], "rate": 50}, headers=ADMIN, timeout=30)
            assert made.status_code == 201, made.text
            secrets.append(made.json()["key"])
            assert admin(shop, "PUT", "synonyms/changing", {"terms": ["laptop", f"computer{revision}"]}) in (200, 201)
            eventually(lambda: shop.get("/v1/categories/tree").json()["revision"] == revision, 30, f"revision {revision}")
            eventually(lambda: shop.ids(f"q=computer{revision}"), 30, f"synonym {revision}")
            assert admin(shop, "DELETE", f"keys/k{revision - 1}") == (204 if revision > 2 else 404)
            assert admin(shop, "DELETE", "synonyms/changing") == 204
        eventually(lambda: {number for number, _, status in clients.seen() if status in REQUESTS[number][3]} == set(range(len(REQUESTS))), 60, "each was answered")
        eventually(lambda: any(key and status == 200 for _, key, status in clients.seen()), 60, "and some who came with a key")
    assert not clients.unexpected(), clients.unexpected()
    assert not any(c.broken for c in clients.all), [c.broken for c in clients.all]
    assert sum(clients.seen().values()) > 200


@pytest.mark.parametrize("shop", ["cache"], indirect=True)
def test_stop_under_load(shop, rng):
    """SIGTERM answers what is under way; whoever comes later is refused the connection."""
    with Clients(shop, rng) as clients:
        eventually(lambda: sum(count for (_, _, status), count in clients.seen().items() if status == 200) > 100, 20, "load")
        began = time.monotonic()
        shop.api.stop(deadline=20)
        took = time.monotonic() - began
    assert took < 10
    assert not clients.unexpected(also={503}), clients.unexpected(also={503})
