"""Every parameter of every endpoint, as /openapi.json has them, and every member of a body, with what a stranger may write into
it: an answer, or a 400 that names it; no word of Elasticsearch's, and the same memory afterwards."""
import json
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, quote_from_bytes

import pytest
import requests
from harness.query_fixture import PRODUCTS, STOCK, Shop
from harness.wait import eventually

ADMIN = {"Authorization": "Bearer fuzz-admin"}
LEAK = re.compile(r"_exception|root_cause|illegal_argument|x_content|query_shard|failed_shards|lasticsearch|pensearch|\borg\.|\bjava\.|lucene", re.IGNORECASE)

NO_TEXT = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\xe3\x85", b"\0", b"a\0b"]  # no UTF-8, and the NUL
KOREAN = ["ㅏ", "ㄱ", "ㄱㄱㄱㄱㄱㄱㄱㄱ", "ㅏㅏㅏ", "\u1100", "\u1161", "\u11a8", "\u1100\u1161\u11a8\u11a8", "\u115f\u1160", "\uffa1\uffc2", "\uffa0", "힣" * 170, "ㄳ", "\ua960\ud7b0", "가\u3131"]
SIGNS = ["🎧", "👩‍👩‍👧‍👦", "🇰🇷", "e" + "\u0301" * 200, "\u202e\u2066x", "\ufeff", "\u200b", "\uffff", "\U0010ffff", "\ufdfa" * 80, "İ", "ß" * 128, "\t", "a\nb", "\x7f", "\x1b[31m"]
NUMBERS = ["NaN", "nan..", "..NaN", "Infinity..", "-inf..inf", "-1", "-0", "0", "00", "+1", "1.5", "1e999", "-1e999..1e999", "9" * 400, "99999999999999999999", "9223372036854775808",
           "0x10", "1..2..3", "..", "5..1", "1_000", "١٢", "１２", " 1", "1 ", "true", "null", "None", "[]", "{}", "1e-320..", ".5..", "5."]
INJECTION = ["{\"match_all\":{}}", "\"}},{\"match_all\":{}}", "\"]}", "\\", "\\\"", "\\u0000", "*", "?", "a*|b(c[", "/.*/", ".{0,}", "[[[[", "(((" * 60, "~2", "name:x OR *:*", "_id", "_source", "_all", "..",
             "../../_search", "%2e%2e%2f", "_search?pretty", "products/_doc", "a,b,,c", ",", ",,,,", "attr.*", "attr.*,attr.*", "*.*", "'; DROP TABLE products; --", "${jndi:ldap://x}", "{{7*7}}", "<script>", "a=b&c=d",
             "#", "=", "@&~<>#", "true|false", "a" * 256, "a" * 513, "x" * 6000, "1/" * 200, "-", "--", "1.x", "*" * 300]
TEXTS = KOREAN + SIGNS + NUMBERS + INJECTION
PATH_NAMES = {"name": "brand", "id": "gram-16", "index": "products", "facet": "brand", "kind": "synonyms", "version": "x", "file": "app.js"}


def deep(depth):
    return "[" * depth + "]" * depth


VALUES = [json.dumps(text, ensure_ascii=False) for text in TEXTS[::3]] + [
    "null", "true", "false", "0", "-1", "1.5", "1e400", "-0", "9" * 400, "1e-400", "[]", "{}", "[[]]", "[null]", "[{}]", '[""]', '{"":""}', '{"a":{"b":{}}}', '{"match_all":{}}', '["a",1,true,null]',
    deep(20), deep(500), "[" + ",".join(["1"] * 2000) + "]", "[" + ",".join(f'"attr.a{n}:1"' for n in range(1000)) + "]", '"\\ud800"', '"\\u0000"', "NaN", "'a'", '{"a":1,"a":2}', "\"" + "x" * 10240 + "\""]

SEARCH = ["q", "lang", "category", "brand", "price", "in_stock", "sort", "page", "size", "cursor", "facets", "facet_size", "fields", "typo", "context", "explain", "attr", "attr.color"]
INSTANT = ["query", "page", "hitsPerPage", "facets", "facetFilters", "numericFilters", "filters", "maxValuesPerFacet", "highlightPreTag", "highlightPostTag", "ruleContexts", "typoTolerance",
           "attributesToRetrieve", "offset", "length", "tagFilters", "analytics", "lang", "queryLanguages", "params"]
FACET = ["facet", "facetQuery", "maxFacetHits", "type"]
RECOMMEND = ["model", "objectID", "maxRecommendations", "threshold", "queryParameters", "fallbackParameters", "facetName", "facetValue"]
EVENT = ["type", "product_id", "product_ids", "user_id", "query_id", "query", "position", "time", "event_id", "more"]
# method, path, a body in which %s is what is tried, the names of its members
BODIES = [("POST", "/v1/search", "{%s}", SEARCH), ("POST", "/v1/search/batch", '{"searches":[{%s}]}', SEARCH), ("POST", "/v1/search/batch", "{%s}", ["searches"]),
          ("POST", "/v1/events", '{"type":"click","product_id":"fuzz",%s}', EVENT[3:]), ("POST", "/v1/events", '{"product_id":"fuzz",%s}', ["type"]),
          ("POST", "/v1/events", '{"type":"cart",%s}', ["product_id", "product_ids"]),
          ("POST", "/v1/events", "{%s}", ["events"]), ("PUT", "/admin/synonyms/fuzz", "{%s}", ["terms"]), ("PUT", "/admin/synonyms/fuzz", '{"to":["b"],%s}', ["from"]),
          ("PUT", "/admin/synonyms/fuzz", '{"from":["b"],%s}', ["to"]), ("PUT", "/admin/stopwords/fuzz", "{%s}", ["terms"]),
          ("PUT", "/admin/rules/fuzz", '{"pin":["x"],%s}', ["query", "match", "contexts", "boost", "bury"]), ("PUT", "/admin/rules/fuzz", '{"query":"zzqq",%s}', ["pin", "boost", "bury"]),
          ("PUT", "/admin/keys/fuzz", '{"scopes":["search"],%s}', ["rate", "burst", "expires_at", "key"]), ("PUT", "/admin/keys/fuzz", "{%s}", ["scopes"]),
          ("POST", "/1/indexes/products/query", "{%s}", INSTANT), ("POST", "/1/indexes/*/queries", '{"requests":[{"indexName":"products",%s}]}', INSTANT), ("POST", "/1/indexes/*/queries", "{%s}", ["requests"]),
          ("POST", "/1/indexes/*/queries", '{"requests":[{%s}]}', ["indexName"]),
          ("POST", "/1/indexes/*/queries", '{"requests":[{"type":"facet","facet":"brand","indexName":"products",%s}]}', FACET[1:3]),
          ("POST", "/1/indexes/*/queries", '{"requests":[{"type":"facet","indexName":"products",%s}]}', ["facet"]),
          ("POST", "/1/indexes/products/facets/brand/query", "{%s}", INSTANT + FACET[1:3]),
          ("POST", "/1/indexes/*/recommendations", '{"requests":[{"indexName":"products","model":"related-products","objectID":"gram-16",%s}]}', RECOMMEND[2:]),
          ("POST", "/1/indexes/*/recommendations", '{"requests":[{"indexName":"products","model":"related-products",%s}]}', ["objectID"]),
          ("POST", "/1/indexes/*/recommendations", '{"requests":[{"indexName":"products",%s}]}', ["model"])]
# no members (refused, or ignored as InstantSearch wants it), and those of a search in a batch, which /v1/search describes
NOT_DESCRIBED = {"more", "key", "threshold", "fallbackParameters"}
IN_A_BATCH = set(SEARCH)


class Asker:
    """Asks over a connection per thread, and remembers what was wrong."""

    def __init__(self, shop):
        self.shop, self.local, self.wrong = shop, threading.local(), []
        self.lock = threading.Lock()

    def ask(self, method, path, body=None):
        if not hasattr(self.local, "session"):
            self.local.session = requests.Session()
        return self.local.session.request(method, self.shop.url + path, data=body, headers=ADMIN, timeout=30)

    def judge(self, what, reply, names, allowed=(200, 400)):
        """names: what a 400 may name."""
        text = reply.text
        if reply.status_code not in allowed:
            self.note(what, f"status {reply.status_code}", text)
        if LEAK.search(text):
            self.note(what, "Elasticsearch's words", text)
        if reply.status_code >= 400:
            self.judge_error(what, reply, names)
        elif "json" in reply.headers["Content-Type"]:
            reply.json()

    def judge_error(self, what, reply, names):
        said = reply.json()
        if what.split(" ")[1].startswith("/1/"):
            if set(said) != {"message", "status"} or said["status"] != reply.status_code or not said["message"]:
                self.note(what, "no error that clients read", reply.text)
            named = [name for name in names if name in said["message"]]
        else:
            if reply.headers["Content-Type"] != "application/problem+json" or said["status"] != reply.status_code:
                self.note(what, "no problem", reply.text)
            fields = [e["field"] for e in said.get("errors", [])]
            named = [f for f in fields for name in names if f == name or re.match(re.escape(name) + r"[.\[]", f)]
        if reply.status_code == 400 and not named:
            self.note(what, f"names none of its own", reply.text)

    def note(self, what, why, text):
        with self.lock:
            self.wrong.append(f"{why}: {what[:300]}: {text[:500]}")

    def all(self, tries):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda one: one(), tries))
        assert not self.wrong, f"{len(self.wrong)} wrong, such as\n" + "\n".join(sorted(self.wrong)[:25])


def operations(shop):
    document = shop.get("/openapi.json").json()
    return [(method.upper(), path, operation) for path, item in document["paths"].items() for method, operation in item.items() if method != "options"]


def fill(path, but=None, value=None):
    return re.sub(r"\{(\w+)\}", lambda m: value if m[1] == but else PATH_NAMES[m[1]], path)


def in_the_query(asker):
    """(what is tried, how) for each parameter of each query."""
    for method, path, operation in operations(asker.shop):
        query = [p for p in operation["parameters"] if p["in"] == "query"]
        for parameter in query:
            name = parameter["name"].replace("{name}", "color")
            needed = "".join("&" + p["name"] + "=x" for p in query if p["required"] and p is not parameter)

            def one(value, names, name=name, path=path, method=method, needed=needed, allowed=(200, 400)):
                target = f"{fill(path)}?{quote(name)}={value}{needed}"
                asker.judge(f"{method} {target}", asker.ask(method, target), names, allowed)

            for text in TEXTS:
                yield lambda one=one, text=text, name=name: one(quote(text, safe=""), [name])
            for raw in NO_TEXT:
                yield lambda one=one, raw=raw, name=name: one(quote_from_bytes(raw), [name, "query"])
            yield lambda one=one, name=name: one("x" * 10240, [name, "query"], allowed=(400, 414))
            yield lambda one=one, name=name: one(f"&{quote(name)}=".join(["1"] * 600), [name, "query"], allowed=(400, 414))
            yield lambda one=one, name=name: one(f"1&{quote(name)}=2", [name])


def in_the_path(asker):
    for method, path, operation in operations(asker.shop):
        for parameter in re.findall(r"\{(\w+)\}", path):
            for text in TEXTS + NO_TEXT:
                value = quote_from_bytes(text) if isinstance(text, bytes) else quote(text, safe="")
                if not value or value in (".", ".."):
                    continue

                def one(method=method, path=path, parameter=parameter, value=value, operation=operation):
                    target = fill(path, parameter, value)
                    body = "{}" if "requestBody" in operation else None
                    names = [parameter, "path", "query", "body", "terms", "scopes", "requests", "does not exist", "facets to search in", "objectID"]
                    asker.judge(f"{method} {target}", asker.ask(method, target, body), names, (200, 201, 204, 400, 404, 414))
                yield one


def in_the_body(asker):
    for method, path, frame, names in BODIES:
        for name in names:
            for value in VALUES:
                body = (frame % f'"{name}":{value}').encode("utf-8", "surrogatepass")

                def one(method=method, path=path, body=body, name=name):
                    allowed = (200, 201, 202, 400, 403, 404) + ((413,) if len(body) > 60000 else ())
                    asker.judge(f"{method} {path} {body.decode()}", asker.ask(method, path, body), [name, "body", "JSON", "params"], allowed)
                yield one


def begin(shop):
    shop.start()
    eventually(lambda: all(requests.get(shop.url + path, headers=ADMIN, timeout=20).status_code == 200
                           for path in ("/admin/rules", "/admin/keys") for _ in range(8)), 20, "every loop has its indexes")
    return shop


def members(schema):
    for name, inner in schema.get("properties", {}).items():
        yield name
        yield from members(inner.get("items", {}))


def test_every_member_that_is_described_is_tried(shop):
    tried = {}
    for _, path, frame, names in BODIES:
        tried.setdefault(path, set()).update(names, re.findall(r'"(\w+)":', frame))
    for method, path, operation in operations(shop):
        if "requestBody" not in operation or path == "/v1/search":
            continue
        described = set(members(operation["requestBody"]["content"]["application/json"]["schema"]))
        for kind in ("synonyms", "stopwords", "rules") if "{kind}" in path else ("",):
            mine = tried[path.replace("{kind}", kind).replace("{id}", "fuzz").replace("{index}", "products").replace("{facet}", "brand")]
            mine -= NOT_DESCRIBED | (IN_A_BATCH if path.endswith("/batch") else set())
            assert described >= mine if kind else described == mine, (method, path, described ^ mine)


WHERE = [in_the_query, in_the_path, in_the_body]


@pytest.fixture(scope="module")
def shop(stack, tmp_path_factory):
    made = Shop(stack, tmp_path_factory.mktemp("fuzz"), PRODUCTS, STOCK, settings={"query-api.admin_key": "fuzz-admin"})
    try:
        yield begin(made)
    finally:
        made.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("where", WHERE)
def test_whatever_is_written_somewhere(shop, where):
    asker = Asker(shop)
    asker.all(where(asker))
    shop.api.assert_runs()
    assert shop.search("q=laptop")["total"]["value"] == 5


def test_memory_afterwards(stack, tmp_path, rng):
    """Without a sanitizer, whose bookkeeping would hide how much the program takes itself."""
    made = Shop(stack, tmp_path, PRODUCTS, STOCK, settings={"query-api.admin_key": "fuzz-admin", "query-api.loops": 1},
                bin_dir=os.environ.get("READSIDE_PLAIN_BIN_DIR"))
    try:
        asker = Asker(begin(made))
        everything = [one for where in WHERE for one in where(asker)]
        made.api.assert_memory_settles(lambda: asker.all(rng.sample(everything, 2500)))
    finally:
        made.close()
