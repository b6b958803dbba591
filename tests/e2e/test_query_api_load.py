"""Many clients at once, while names change and while the program is asked to stop. Made for the sanitizer builds."""
import http.client
import random
import threading
import time

import pytest
from harness.query_fixture import PRODUCTS, STOCK, TREE, Shop, make_tree
from harness.wait import eventually

PATHS = ["/v1/search?q=laptop&facets=brand,category,price,attr.*", "/v1/search?attr.color=black&in_stock=true&facets=attr.color&sort=newest",
         "/v1/search?page=0", "/v1/products/runner?lang=en", "/v1/products/nobody", "/v1/categories/tree", "/healthz", "/metrics", "/readyz",
         "/v1/search?q=labtop+samsung&size=100&fields=variants", "/nowhere"]


@pytest.fixture
def shop(stack, tmp_path):
    made = Shop(stack, tmp_path, PRODUCTS, STOCK, settings={"query-api.categories_poll": "50ms"})
    try:
        yield made.start()
    finally:
        made.close()


class Client(threading.Thread):
    """Asks one thing after the other until it is told to stop; keeps what it got."""

    def __init__(self, port, seed, stop):
        super().__init__()
        self.port, self.rng, self.told = port, random.Random(seed), stop
        self.seen, self.broken = {}, []

    def run(self):
        connection = None
        while not self.told.is_set():
            try:
                if connection is None or self.rng.random() < 0.05:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                connection.request("GET", self.rng.choice(PATHS))
                reply = connection.getresponse()
                reply.read()
                self.seen[reply.status] = self.seen.get(reply.status, 0) + 1
            except (OSError, http.client.HTTPException) as e:
                self.broken.append(e)
                connection = None


def start_clients(shop, rng, count=8):
    stop = threading.Event()
    clients = [Client(shop.api.port, rng.random(), stop) for _ in range(count)]
    for client in clients:
        client.start()
    return clients, stop


def seen_by(clients):
    return {status: sum(c.seen.get(status, 0) for c in clients) for status in {s for c in clients for s in c.seen}}


def test_load_while_names_change(shop, rng):
    clients, stop = start_clients(shop, rng)
    try:
        for revision in range(2, 12):
            tree = {k: (path, f"{ko} {revision}", en) for k, (path, ko, en) in TREE.items()}
            shop.index.put_categories(make_tree(tree), revision)
            eventually(lambda: shop.get("/v1/categories/tree").json()["revision"] == revision, 30, f"revision {revision}")
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert set(seen_by(clients)) <= {200, 400, 404}, seen_by(clients)
    assert not any(c.broken for c in clients), [c.broken for c in clients]
    assert sum(seen_by(clients).values()) > 200


def test_stop_under_load(shop, rng):
    """SIGTERM answers what is under way; whoever comes later is refused the connection."""
    clients, stop = start_clients(shop, rng)
    try:
        eventually(lambda: seen_by(clients).get(200, 0) > 100, 20, "load")
        began = time.monotonic()
        shop.api.stop(deadline=20)
        took = time.monotonic() - began
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert took < 10
    assert set(seen_by(clients)) <= {200, 400, 404, 503}, seen_by(clients)
