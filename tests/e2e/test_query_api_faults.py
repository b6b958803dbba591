"""Elasticsearch refuses, hangs, is slow, answers nonsense: every request is answered in time, and all is well again when
it is back."""
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from harness.process import Program
from harness.proxy import http_answer
from harness.query_fixture import PRODUCTS, STOCK, Shop
from harness.wait import eventually

TIMEOUT = 0.6  # search_timeout of these tests, in seconds
SECRET = "secret_reason_of_the_server"
ES_ERROR = '{"error":{"type":"' + SECRET + '","reason":"' + SECRET + '","root_cause":[]},"status":%d}'


@pytest.fixture(scope="module")
def shop(stack, proxy, tmp_path_factory):
    made = Shop(stack, tmp_path_factory.mktemp("faults"), PRODUCTS, STOCK,
                settings={"elasticsearch.url": proxy.url, "query-api.search_timeout": f"{int(TIMEOUT * 1000)}ms"})
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture(autouse=True)
def well_again(proxy, shop):
    yield
    proxy.set("pass")
    eventually(lambda: all_well(shop), 10, "searches work again")


def all_well(shop):
    """Over fresh connections, so that every loop of the program is asked."""
    return all(requests.get(shop.url + "/v1/search?q=laptop", timeout=10).status_code == 200 for _ in range(6))


def assert_unavailable(reply, began, seconds=TIMEOUT + 1):
    assert reply.status_code == 503, f"{reply.status_code} {reply.text[:500]}"
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert int(reply.headers["Retry-After"]) >= 1
    assert SECRET not in reply.text and "lasticsearch" not in reply.text
    assert time.monotonic() - began < seconds


def ask(shop, path="/v1/search?q=laptop&facets=brand"):
    began = time.monotonic()
    return requests.get(shop.url + path, timeout=20), began


BROKEN = {
    "refuse": "refuse", "hang": "hang", "silence": "silence",
    "no http": b"SSH-2.0-OpenSSH_9.2\r\n", "half an answer": http_answer(200, '{"hits":{"to')[:-4], "cut": b"",
    "html": http_answer(200, "<html>proxy</html>", "text/html"), "empty": http_answer(200, ""), "no json": http_answer(200, '{"hits":'),
    "another shape": http_answer(200, '{"hits":[]}'), "a list": http_answer(200, "[]"), "timed out": http_answer(200, '{"timed_out":true,"hits":{"total":{"value":0},"hits":[]}}'),
    "shards failed": http_answer(200, '{"timed_out":false,"_shards":{"failed":1},"hits":{"total":{"value":0},"hits":[]}}'),
    "a hit without a document": http_answer(200, '{"timed_out":false,"hits":{"total":{"value":1},"hits":[{}]}}'),
    "429": http_answer(429, ES_ERROR % 429), "500": http_answer(500, ES_ERROR % 500), "502": http_answer(502, "<html>" + SECRET), "503": http_answer(503, ES_ERROR % 503),
    "401": http_answer(401, ES_ERROR % 401), "403": http_answer(403, ES_ERROR % 403),
    "no index": http_answer(404, ES_ERROR % 404), "deep": http_answer(200, "[" * 100000), "nul": http_answer(200, b'{"hits":\0}'), "not utf-8": http_answer(200, b'{"hits":"\xff"}'),
}


@pytest.mark.parametrize("path", ["/v1/suggest?q=lap", "/v1/products/gram-16/similar", "/v1/facets/brand/values?q=l", "/v1/search?cursor=*"])
@pytest.mark.parametrize("how", ["refuse", "hang", "no json", "a list", "another shape", "timed out", "shards failed", "500", "no index", "not utf-8"])
def test_other_endpoints_while_the_engine_is_broken(shop, proxy, how, path):
    proxy.set(BROKEN[how])
    assert_unavailable(*ask(shop, path))


def test_retry_after_says_when_the_engine_is_tried_next(shop, proxy):
    """The pause between probes doubles up to three seconds."""
    proxy.set("refuse")
    seen = set()

    def longer():
        reply, began = ask(shop, "/v1/suggest?q=lap")
        assert_unavailable(reply, began)
        seen.add(int(reply.headers["Retry-After"]))
        assert len(reply.raw.headers.getlist("Retry-After")) == 1
        return max(seen) > 1

    eventually(longer, 30, "a pause of more than a second")
    assert seen <= {1, 2, 3} and 1 in seen


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_server_is_503_in_time(shop, proxy, how):
    proxy.set(BROKEN[how])
    for _ in range(2):
        assert_unavailable(*ask(shop))
    tree, _ = ask(shop, "/v1/categories/tree")  # in memory, but for the counts
    assert tree.status_code == 200 and tree.json()["degraded"] in ("stale", "fallback") and tree.headers["Cache-Control"] == "no-store"
    assert tree.json()["nodes"][0]["name"] == "컴퓨터"
    assert_unavailable(*ask(shop, "/v1/products/tea"))


PART = {"timed_out": False, "_shards": {"failed": 0}, "status": 200, "hits": {"total": {"value": 0}, "hits": []}, "aggregations": {}}
BROKEN_PART = {"429": {"error": {"type": SECRET}, "status": 429}, "503": {"error": {"type": SECRET}, "status": 503},
               "no index": {"error": {"type": SECRET}, "status": 404}, "no facets": {**PART, "aggregations": None},
               "timed out": {**PART, "timed_out": True}, "shards failed": {**PART, "_shards": {"failed": 1}}}


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("how", BROKEN_PART)
def test_a_page_of_which_a_part_is_broken_is_503(shop, proxy, how, which):
    parts = [PART, PART]
    path = "/v1/search?category=1&facets=category,brand"
    proxy.set(http_answer(200, json.dumps({"responses": parts})))
    assert ask(shop, path)[0].status_code == 200
    parts[which] = BROKEN_PART[how]
    proxy.set(http_answer(200, json.dumps({"responses": parts})))
    if (how, which) == ("no facets", 0):  # a page may have none of its own
        assert ask(shop, path)[0].status_code == 200
    else:
        assert_unavailable(*ask(shop, path))


def test_a_part_that_is_refused_opens_the_breaker(shop, proxy):
    proxy.set(http_answer(200, json.dumps({"responses": [PART, BROKEN_PART["429"]]})))
    eventually(lambda: ask(shop, "/v1/search?category=1&facets=category")[0].status_code == 503
               and any(shop.api.metric("readside_query_api_breaker_open", f'loop="{n}"') == 1 for n in range(64)), 20)


def test_a_refused_query_is_500_without_the_servers_words(shop, proxy):
    """Nothing that a client can send leads there; if it does, it is a mistake of ours and not of the client."""
    proxy.set(http_answer(400, ES_ERROR % 400))
    reply, _ = ask(shop)
    assert reply.status_code == 500 and SECRET not in reply.text and reply.json()["request_id"] in reply.text
    assert SECRET in shop.api.log()


def test_a_part_that_is_refused_is_500_and_the_log_says_why(shop, proxy):
    part = {"error": {"type": "parsing_exception", "reason": "reason_of_the_part"}, "status": 400}
    proxy.set(http_answer(200, json.dumps({"responses": [PART, part]})))
    reply, _ = ask(shop, "/v1/search?category=1&facets=category")
    assert reply.status_code == 500 and "reason_of" not in reply.text and reply.json()["request_id"] in reply.text
    assert "reason_of_the_part" in shop.api.log()


@pytest.mark.parametrize("how", ["refuse", "hang", "500"])
def test_the_breaker_opens_and_closes(shop, proxy, how):
    proxy.set(BROKEN[how])
    shed = shop.api.metric("readside_query_api_shed_total", 'reason="down"')
    breakers = [f'loop="{n}"' for n in range(64) if shop.api.metric("readside_query_api_breaker_open", f'loop="{n}"') is not None]
    assert breakers

    def open_everywhere():
        with ThreadPoolExecutor(8) as pool:
            for reply, began in pool.map(lambda _: ask(shop), range(16)):
                assert_unavailable(reply, began, TIMEOUT * 2 + 1)
        return all(shop.api.metric("readside_query_api_breaker_open", label) == 1 for label in breakers)

    eventually(open_everywhere, 20, "every loop knows that the server is down")
    quick = 0
    asked = proxy.asked
    for _ in range(40):
        reply, began = ask(shop)
        assert_unavailable(reply, began)
        quick += time.monotonic() - began < 0.1
    assert quick >= 30, f"{quick} of 40 refused at once"
    assert proxy.asked - asked < 30, "no storm of retries"
    assert shop.api.metric("readside_query_api_shed_total", 'reason="down"') > shed
    proxy.set("pass")
    began = time.monotonic()
    eventually(lambda: all_well(shop), 8, "recovery")
    assert time.monotonic() - began < 6
    # a loop that got no request since has its breaker open still; every further search closes one
    eventually(lambda: all_well(shop) and all(shop.api.metric("readside_query_api_breaker_open", label) == 0 for label in breakers), 8)
    assert "event=breaker.open" in shop.api.log() and "event=breaker.closed" in shop.api.log()


def test_a_hung_server_holds_up_nothing_else(shop, proxy):
    """Health, metrics and mistakes are answered while searches wait; too many of these are refused at once."""
    proxy.set("hang")
    with ThreadPoolExecutor(16) as pool:
        waiting = [pool.submit(ask, shop) for _ in range(16)]
        began = time.monotonic()
        assert requests.get(shop.url + "/healthz", timeout=5).status_code == 200
        assert requests.get(shop.url + "/v1/search?page=0", timeout=5).status_code == 400
        assert time.monotonic() - began < TIMEOUT
        for one in waiting:
            assert_unavailable(*one.result(), TIMEOUT + 2)


def test_readiness_follows_the_server(shop, proxy):
    proxy.set("refuse")
    eventually(lambda: requests.get(shop.url + "/readyz", timeout=5).status_code == 503, 10, "not ready")
    assert requests.get(shop.url + "/healthz", timeout=5).status_code == 200
    proxy.set("pass")
    eventually(lambda: requests.get(shop.url + "/readyz", timeout=5).status_code == 200, 10, "ready")


def test_ready_means_every_loop(shop, proxy, tmp_path):
    """A question of the start needs two late answers (the revision of the categories, then they), readiness itself one."""
    proxy.late = 0.2
    api = Program("query-api", str(tmp_path), shop.index.environment, {"elasticsearch.url": proxy.url, "query-api.loops": 3})
    try:
        api.start(deadline=30)
        proxy.late = 0
        for _ in range(12):  # connections go to the loops in turn
            assert requests.get(api.url + "/v1/categories/tree", timeout=10).status_code == 200
            event = {"type": "click", "product_ids": ["tea"]}
            reply = requests.post(api.url + "/v1/events", json=event, timeout=10)
            assert reply.status_code == 202, reply.text + api.log()
        api.stop()
    finally:
        proxy.late = 0
        api.kill()


def test_a_server_that_is_down_at_the_start(shop, proxy, tmp_path):
    proxy.set("refuse")
    api = Program("query-api", str(tmp_path), shop.index.environment, {"elasticsearch.url": proxy.url, "query-api.search_timeout": "600ms", "query-api.fallback": "false"})
    try:
        api.start(wait="alive", deadline=30)
        assert requests.get(api.url + "/readyz", timeout=5).status_code == 503
        assert requests.get(api.url + "/v1/search", timeout=5).status_code == 503
        reply = requests.get(api.url + "/v1/categories/tree", timeout=5)
        assert reply.status_code == 503 and "Retry-After" in reply.headers
        eventually(lambda: f"event=waiting server=elasticsearch error=UNAVAILABLE message=\"Elasticsearch: 127.0.0.1:{proxy.port}: " in api.log(), 10)
        proxy.set("pass")
        api.wait_for("/readyz", 10)
        eventually(lambda: requests.get(api.url + "/v1/search?q=laptop", timeout=5).json().get("hits"), 10, "searches")
        eventually(lambda: requests.get(api.url + "/v1/categories/tree", timeout=5).json().get("nodes"), 10, "categories")
        api.stop()
    finally:
        api.kill()


def test_an_index_that_is_not_there_yet(stack, tmp_path):
    environment = {"READSIDE_QUERY_API_INDEX": "t-query-nowhere", "READSIDE_QUERY_API_CATEGORIES_INDEX": "t-query-nowhere-categories"}
    api = Program("query-api", str(tmp_path), environment, {"query-api.fallback": "false"})
    try:
        api.start(wait="alive", deadline=30)
        reply = requests.get(api.url + "/v1/search", timeout=5)
        assert reply.status_code == 503 and "projector" in reply.json()["detail"] and "Retry-After" in reply.headers
        assert requests.get(api.url + "/readyz", timeout=5).status_code == 503
        assert requests.get(api.url + "/v1/products/x", timeout=5).status_code == 503
        api.stop()
    finally:
        api.kill()
