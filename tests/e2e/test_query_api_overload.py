"""More searches than Elasticsearch can do: some wait, bounded; the others are answered at once, while it still works."""
import contextlib
import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from harness.http_proxy import HttpProxy
from harness.query_fixture import PRODUCTS, STOCK, Shop
from harness.wait import eventually

CLIENTS = 80


class Gate(HttpProxy):
    """Holds searches for products while it is closed; everything else passes."""

    def __init__(self, url):
        super().__init__(url)
        self.searches = 0

    def _forward(self, client, body):
        if "-products/_search" in client.path:
            with self.lock:
                self.searches += 1
            self.let_go.wait()
        return super()._forward(client, body)


@pytest.fixture(scope="module")
def gate(stack):
    made = Gate(stack.es_url)
    yield made
    made.close()


@pytest.fixture
def shop(stack, gate, tmp_path):
    settings = {"elasticsearch.url": gate.url, "query-api.loops": 1, "query-api.search_timeout": "60s", "query-api.upstream_wait": "0s",
                "query-api.cache_bytes": "8m", "query-api.cache_fresh": "0s", "query-api.cache_stale": "0s"}
    made = Shop(stack, tmp_path, PRODUCTS, STOCK, settings=settings)
    try:
        yield made.start()
    finally:
        gate.release()
        made.close()


def ask(shop, q):
    return requests.get(f"{shop.url}/v1/search", params={"q": q, "typo": "off"}, timeout=60)


def test_the_queue_is_bounded_and_the_rest_refused_at_once(shop, gate):
    assert ask(shop, "laptop").json()["degraded"] is None
    before = gate.searches
    gate.hold()

    def numbers():
        return (int(shop.api.metric("readside_query_api_shed_total", 'reason="load"')), gate.searches - before,
                int(shop.api.metric("readside_query_api_waiting", 'loop="0"')))

    with ThreadPoolExecutor(CLIENTS) as pool, contextlib.ExitStack() as end:
        end.callback(gate.release)
        asked = [pool.submit(ask, shop, f"laptop {n}") for n in range(CLIENTS)]
        eventually(lambda: sum(numbers()) == CLIENTS, 30, "every search is held, waits or is refused")
        refused, at_engine, waiting = numbers()
        limit = int(shop.api.metric("readside_query_api_limit", 'loop="0"'))
        assert 1 <= at_engine <= limit and 1 <= waiting and at_engine + waiting <= 9 * limit, (refused, at_engine, waiting, limit)
        assert refused >= 10
        eventually(lambda: sum(one.done() for one in asked) == refused, 20, "the refused have their answer")
        for reply in (one.result() for one in asked if one.done()):
            assert reply.status_code == 503 and reply.headers["Retry-After"] == "1", reply.text
            assert reply.headers["Content-Type"] == "application/problem+json" and "too many" in reply.json()["detail"]
        # what was seen before has its answer still, and what asks nothing does not notice
        known = ask(shop, "laptop")
        assert known.status_code == 200 and known.json()["degraded"] == "stale" and known.json()["hits"]
        assert requests.get(shop.url + "/healthz", timeout=10).status_code == 200
        assert requests.get(shop.url + "/v1/search?page=0", timeout=10).status_code == 400
        gate.release()
        statuses = [one.result().status_code for one in asked]
    assert statuses.count(200) == at_engine + waiting and statuses.count(503) == refused
    assert ask(shop, "laptop").json()["degraded"] is None
    assert numbers()[2] == 0


def test_a_client_that_goes_away_keeps_no_place(shop, gate):
    gate.hold()
    numbers = itertools.count()

    def one_more_is_refused():
        for _ in range(CLIENTS):
            with contextlib.suppress(requests.exceptions.ReadTimeout):
                requests.get(f"{shop.url}/v1/search", params={"q": f"gone {next(numbers)}"}, timeout=(5, 0.01))
        return shop.api.metric("readside_query_api_shed_total", 'reason="load"') > 0

    eventually(one_more_is_refused, 30, "there is no more place")
    gate.release()
    eventually(lambda: shop.api.metric("readside_query_api_waiting", 'loop="0"') == 0, 30)
    eventually(lambda: ask(shop, "back").status_code == 200, 30)
