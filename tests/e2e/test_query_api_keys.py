"""API keys of the query-api: scopes, rates, expiry and revocation, in effect on every instance within two seconds; stored as
hashes, and their secrets nowhere else."""
import concurrent.futures
import hashlib
import time

import pytest
import requests
from harness.process import Program
from harness.query_fixture import PATIENT, PRODUCTS, STOCK, Pair
from harness.wait import eventually

ADMIN = "the-admin-key"


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


class KeyPair(Pair):
    """Two instances that search for keys only: one behind a proxy that names the client."""

    def __init__(self, stack, folder):
        super().__init__(stack, folder, PRODUCTS, STOCK,
                         {"query-api.admin_key": ADMIN, "query-api.anonymous": "false", "query-api.search_timeout": "20s",
                          "elasticsearch.timeout": "20s"})
        self.keys_index = self.shop.index.keys_index
        self.secrets = []

    def start(self):
        self.shop.api.start(deadline=30)
        self.second.start(deadline=30)
        self.on_every_loop(lambda url: self.ask(bearer(ADMIN), "/admin/keys", url).status_code == 200)  # it has seen the index
        return self

    def admin(self, method, id, body=None, headers=None):
        return self.shop.session.request(method, f"{self.shop.url}/admin/keys" + (f"/{id}" if id else ""), json=body,
                                         headers=headers if headers is not None else bearer(ADMIN), timeout=30)

    def make(self, id, **body):
        made = self.admin("PUT", id, {"scopes": ["search"], **body})
        assert made.status_code == 201, made.text
        self.secrets.append(made.json()["key"])
        return made.json()["key"]

    def ask(self, headers, path="/v1/search?size=1", url=None, method="GET"):
        return requests.request(method, (url or self.shop.url) + path, headers=headers, timeout=30)

    def everywhere(self, headers, status):
        """Every loop of both instances answers so; how long from now on one was asked that did not."""
        return self.on_every_loop(lambda url: self.ask(headers, url=url).status_code == status)


@pytest.fixture(scope="module")
def pair(stack, tmp_path_factory):
    made = KeyPair(stack, tmp_path_factory.mktemp("keys"))
    try:
        yield made.start()
    finally:
        made.close()


def refused(reply, status, word):
    assert reply.status_code == status, reply.text
    assert reply.headers["Content-Type"] == "application/problem+json" and word in reply.json()["detail"], reply.text
    assert reply.json()["request_id"] == reply.headers["X-Request-Id"]
    if status == 401:
        assert reply.headers["WWW-Authenticate"] == "Bearer"


def test_one_life(pair):
    body = {"scopes": ["search"], "rate": 100, "burst": 200, "expires_at": "2099-01-01T00:00:00.000000Z"}
    made = pair.admin("PUT", "life", body)
    assert made.status_code == 201 and made.headers["Location"] == "/admin/keys/life" and made.headers["Cache-Control"] == "no-store"
    secret = made.json().pop("key")
    pair.secrets.append(secret)
    shown = {"id": "life", **body}
    assert made.json() == {**shown, "key": secret} and secret.startswith("rsk_") and len(secret) == 52
    assert pair.admin("GET", "life").json() == shown
    pair.everywhere(bearer(secret), 200)
    changed = pair.admin("PUT", "life", {"scopes": ["write"]})
    shown = {"id": "life", "scopes": ["write"], "rate": None, "burst": None, "expires_at": None}
    assert changed.status_code == 200 and changed.json() == shown, "a change keeps the secret and does not show it"
    pair.everywhere(bearer(secret), 403)
    assert pair.admin("PUT", "life", {"scopes": ["search", "write"]}).status_code == 200
    pair.everywhere(bearer(secret), 200)
    listed = pair.admin("GET", "").json()
    assert [k["id"] for k in listed["items"]].count("life") == 1 and listed["next"] is None and listed["total"] >= 1
    assert pair.admin("DELETE", "life").status_code == 204
    for method in ("GET", "DELETE"):
        refused(pair.admin(method, "life"), 404, "life")
    pair.everywhere(bearer(secret), 401)


def test_scopes(pair):
    keys = {scope: pair.make(f"scope-{scope}", scopes=[scope]) for scope in ("search", "write", "admin")}
    pair.everywhere(bearer(keys["search"]), 200)
    pair.everywhere(bearer(keys["admin"]), 200)  # includes the others
    refused(pair.ask(bearer(keys["write"])), 403, "scope")
    for path in ("/admin/keys", "/admin/keys/scope-search", "/admin/synonyms", "/admin/rules/a"):
        for method in ("GET", "PUT", "DELETE") if path.count("/") == 3 else ("GET",):
            for scope in ("search", "write"):
                refused(pair.ask(bearer(keys[scope]), path, method=method), 403, "scope")
            refused(pair.ask({}, path, method=method), 401, "needed")
    assert pair.ask(bearer(keys["admin"]), "/admin/keys").status_code == 200
    for path in ("/v1/suggest?q=g", "/v1/products/gram-16", "/v1/categories/tree", "/v1/facets/brand/values?q=l"):
        refused(pair.ask({}, path), 401, "needed")
        assert pair.ask(bearer(keys["search"]), path).status_code == 200, path
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert pair.ask({}, path).status_code == 200, path


def test_no_cache_on_the_way_gives_answers_to_others(pair, open_api):
    """Rules for shared caches know Authorization, but not the header that InstantSearch clients send."""
    secret = pair.make("shared")
    pair.everywhere(bearer(secret), 200)
    for headers in (bearer(secret), {"X-Algolia-API-Key": secret}):
        for path in ("/v1/search?size=1", "/v1/suggest?q=g", "/v1/products/gram-16/similar"):
            assert pair.ask(headers, path).headers["Cache-Control"].startswith("private, max-age="), path
    opened = requests.get(open_api.url + "/v1/search", headers={"X-Forwarded-For": "203.0.113.5"}, timeout=30)
    assert opened.headers["Cache-Control"].startswith("max-age=")


def test_wrong_keys(pair):
    secret = pair.make("right")
    pair.everywhere(bearer(secret), 200)
    for wrong in ("", "x", secret[:-1], secret + "0", secret.upper(), "x" * 300, "\u00fc", hashlib.sha256(secret.encode()).hexdigest()):
        headers = {"Authorization": b"Bearer " + wrong.encode()}
        assert pair.ask(headers).status_code == 401, wrong
    refused(pair.ask({"Authorization": f"Basic {secret}"}), 401, "wrong")
    refused(pair.ask({}), 401, "needed")
    refused(pair.ask({}, f"/v1/search?x-algolia-api-key={secret}"), 401, "needed")
    assert pair.ask({"X-Algolia-API-Key": secret}).status_code == 200
    refused(pair.ask({"X-Algolia-API-Key": "wrong"}), 401, "wrong")
    assert pair.ask({"Authorization": f"bearer {secret}"}).status_code == 200
    assert pair.ask(bearer(ADMIN)).status_code == 200 and pair.ask(bearer(ADMIN + "x")).status_code == 401


def test_a_refused_upload_is_not_read(pair):
    reply = requests.post(pair.shop.url + "/v1/search", data=b"x" * 60000, timeout=30)
    refused(reply, 401, "needed")


def test_expiry(pair):
    past = pair.make("past", expires_at="2020-01-01T00:00:00Z")
    eventually(lambda: all("expired" in pair.ask(bearer(past)).text for _ in range(6)), 20)
    refused(pair.ask(bearer(past)), 401, "expired")
    seen = []
    for seconds in (4, 20):  # a busy machine may hear of a key only when its short life is over
        soon = pair.make(f"soon{seconds}", expires_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds)))
        eventually(lambda key=soon: (seen.append(pair.ask(bearer(key))), "expired" in seen[-1].text)[1], 30)
        if 200 in [r.status_code for r in seen]:
            return
    assert 200 in [r.status_code for r in seen]


def test_a_deleted_key_ends_within_two_seconds(pair):
    """Both ways; three of five must be in time, since the machine may be busy with other things."""
    times = []
    while sum(max(both) < 2 for both in times) < 3:
        assert sum(max(both) >= 2 for both in times) < 3, times
        secret = pair.make(f"fast{len(times)}")
        made = pair.everywhere(bearer(secret), 200)
        assert pair.admin("DELETE", f"fast{len(times)}").status_code == 204
        times.append((made, pair.everywhere(bearer(secret), 401)))


def test_bad_bodies(pair):
    for body, field in (({}, "scopes"), ({"scopes": ["root"]}, "scopes"), ({"scopes": ["search"], "rate": 0}, "rate"),
                        ({"scopes": ["search"], "burst": 3}, "burst"), ({"scopes": ["search"], "expires_at": "soon"}, "expires_at"),
                        ({"scopes": ["search"], "key": "mine"}, "key"), ([], "body")):
        reply = pair.admin("PUT", "bad", body)
        assert reply.status_code == 400 and reply.json()["errors"][0]["field"] == field, reply.text
    for id in ("a%20b", "%EA%B0%80", "x" * 65):
        for method in ("GET", "PUT", "DELETE"):
            reply = pair.admin(method, id, {"scopes": ["search"]})
            assert reply.status_code == 400 and reply.json()["errors"][0]["field"] == "id", reply.text
    reply = pair.ask(bearer(ADMIN), "/admin/keys?nonsense=1")
    assert reply.status_code == 400 and reply.json()["errors"][0]["field"] == "nonsense"
    assert pair.admin("GET", "bad").status_code == 404


def test_the_rate_of_a_key(pair):
    slow = pair.make("slow", rate=1, burst=5)
    free = pair.make("free")
    pair.everywhere(bearer(free), 200)
    eventually(lambda: pair.ask(bearer(slow)).status_code == 200, 20)
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: pair.ask(bearer(slow), "/v1/products/gram-16"), range(80)))
    assert {r.status_code for r in replies} == {200, 429}
    good = sum(r.status_code == 200 for r in replies)
    assert good <= 5 + (time.monotonic() - begun) + 1, "all connections share the rate"
    for reply in replies:
        if reply.status_code == 429:
            refused(reply, 429, "rate")
            assert reply.headers["Retry-After"] == "1"
    assert pair.ask(bearer(free)).status_code == 200
    eventually(lambda: pair.ask(bearer(slow)).status_code == 200, 20)
    assert pair.shop.api.metric("readside_http_refused_total", 'server="query-api",reason="key_rate"') >= 80 - good


def test_hashed_at_rest_and_in_no_log_or_metric(pair):
    secret = pair.make("quiet", rate=1000)
    pair.everywhere(bearer(secret), 200)
    pair.ask({}, f"/1/indexes/x/query?x-algolia-api-key={secret}", method="POST")
    pair.ask(bearer(secret), "/admin/keys")
    stored = requests.get(f"{pair.shop.index.stack.es_url}/{pair.keys_index}/_search?size=1000", timeout=30).text
    assert hashlib.sha256(secret.encode()).hexdigest() in stored
    shown = pair.admin("GET", "").text
    for program in (pair.shop.api, pair.second):
        metrics = requests.get(program.url + "/metrics", timeout=10).text
        for text in (program.log(), metrics, stored, shown):
            for one in [*pair.secrets, ADMIN]:
                assert one not in text
    assert hashlib.sha256(secret.encode()).hexdigest() not in shown
    assert "key.created" in pair.shop.api.log() and "id=quiet" in pair.shop.api.log()


# ---- without a key --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def open_api(pair, tmp_path_factory):
    made = Program("query-api", str(tmp_path_factory.mktemp("open")), pair.shop.index.environment,
                   {"query-api.admin_key": ADMIN, "query-api.anonymous_rate": "1", "query-api.anonymous_burst": "4",
                    "query-api.address_header": "X-Forwarded-For", "query-api.fallback": "false", **PATIENT})
    try:
        yield made.start(deadline=30)
        made.stop()
    finally:
        made.kill()


def statuses(api, headers, count=12, path="/v1/products/gram-16"):
    return [requests.get(api.url + path, headers=headers, timeout=30).status_code for _ in range(count)]


def test_searching_is_open_unless_it_is_closed(pair, open_api):
    secret = pair.make("vip")
    eventually(lambda: statuses(open_api, bearer(secret), 8) == [200] * 8, 20)  # every loop knows it
    own = {"X-Forwarded-For": "198.51.100.1"}
    assert statuses(open_api, own)[:4] == [200] * 4 and 429 in statuses(open_api, own)
    assert statuses(open_api, {**own, **bearer(secret)}) == [200] * 12, "a key has its own rate"
    limited = requests.get(open_api.url + "/v1/products/gram-16", headers=own, timeout=30)
    if limited.status_code == 429:
        refused(limited, 429, "address")
        assert int(limited.headers["Retry-After"]) >= 1
    # another address, the last one of a list; what a client writes before it does not count
    assert statuses(open_api, {"X-Forwarded-For": "198.51.100.1, 198.51.100.2"}, 4) == [200] * 4
    assert 429 in statuses(open_api, {"X-Forwarded-For": "203.0.113.77, 198.51.100.2"})
    # one IPv6 network of 64 bits is one client
    assert statuses(open_api, {"X-Forwarded-For": "2001:db8::1"}, 4) == [200] * 4
    assert 429 in statuses(open_api, {"X-Forwarded-For": "2001:db8::ffff:1"})
    assert statuses(open_api, {"X-Forwarded-For": "2001:db8:0:1::1"}, 4) == [200] * 4
    for last in (50, 51):  # IPv4 written as IPv6 is IPv4
        assert statuses(open_api, {"X-Forwarded-For": f"::ffff:192.0.2.{last}"}, 4) == [200] * 4
    assert 429 in statuses(open_api, {"X-Forwarded-For": "192.0.2.51"})
    # client libraries cannot do without a key: an unknown one is none; elsewhere it is wrong
    other = {"X-Forwarded-For": "198.51.100.9"}
    assert statuses(open_api, {**other, "X-Algolia-API-Key": "anything"}, 4) == [200] * 4
    assert statuses(open_api, {**other, **bearer("anything")}, 1) == [401]
    assert statuses(open_api, {**other, "X-Algolia-API-Key": "anything"}, 1, "/admin/keys") == [401]


def test_instantsearch_clients(pair, open_api):
    """Keys in the query, refusals in the form that these clients read, and from any origin; the question before needs no key."""
    secret = pair.make("browser", rate=1, burst=3)
    reader = pair.make("nobody", scopes=["write"])
    pair.everywhere(bearer(reader), 403)
    body = {"requests": [{"indexName": "products", "query": "gram"}]}

    def ask(query="", url=pair.shop.url, **how):
        return requests.post(f"{url}/1/indexes/*/queries{query}", json=body, timeout=30, **how)

    for query, status in (("", 401), ("?x-algolia-api-key=wrong", 401), (f"?x-algolia-api-key={reader}", 403)):
        reply = ask(query)
        assert reply.status_code == status and reply.json()["status"] == status and reply.json()["message"], reply.text
        assert reply.headers["Access-Control-Allow-Origin"] == "*"
    eventually(lambda: ask(f"?x-algolia-agent=a&x-algolia-api-key={secret}").status_code == 200, 20)
    [limited] = eventually(lambda: [r for r in [ask(headers={"X-Algolia-API-Key": secret})] if r.status_code == 429], 20, pause=0)
    assert limited.headers["Retry-After"] == "1" and limited.json()["status"] == 429
    assert requests.options(pair.shop.url + "/1/indexes/*/queries", timeout=30).status_code == 204
    assert ask("?x-algolia-api-key=anything", open_api.url, headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 200


def test_openapi_names_the_scopes(pair, open_api):
    closed = pair.ask({}, "/openapi.json").json()
    opened = requests.get(open_api.url + "/openapi.json", timeout=10).json()
    assert set(closed["components"]["securitySchemes"]) == {"bearer", "header", "query"}
    for document, free in ((closed, False), (opened, True)):
        for path, item in document["paths"].items():
            for method, operation in item.items():
                scopes = {s for way in operation["security"] for names in way.values() for s in names}
                wanted = {"admin"} if path.startswith("/admin") else {"search"} if path.startswith(("/v1/", "/1/")) else set()
                assert scopes == (set() if method == "options" else wanted), (path, scopes)
                assert ({} in operation["security"]) == (free and scopes == {"search"}), path


def test_no_keys_yet(pair, tmp_path):
    """Elasticsearch has not answered since the start: the first key works, others may be right, nobody is let through."""
    made = Program("query-api", str(tmp_path), pair.shop.index.environment,
                   {"query-api.admin_key": ADMIN, "query-api.anonymous": "false", "query-api.fallback": "false",
                    "elasticsearch.url": "http://127.0.0.1:9"})
    try:
        made.start(wait="alive", deadline=30)
        reply = requests.get(made.url + "/v1/search", headers=bearer("rsk_" + "0" * 48), timeout=30)
        refused(reply, 503, "not known yet")
        assert reply.headers["Retry-After"] == "1"
        assert requests.get(made.url + "/v1/search", headers=bearer(ADMIN), timeout=30).status_code == 503
        refused(requests.get(made.url + "/v1/search", timeout=30), 401, "needed")
        made.stop()
    finally:
        made.kill()
