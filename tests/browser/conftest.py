"""Fixtures of the browser tests: a shop of the sample catalogue with some hostile products, and Chromium.

No server but Elasticsearch is needed. Whatever a test does, it fails if the page logs an error, if a request leaves this
machine, or if a product's text was run as a script."""
import json
import os
import subprocess
import sys
import urllib.parse

import pytest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "e2e")]
from chromium import Browser  # noqa: E402
from harness.proxy import Proxy  # noqa: E402
from harness.query_fixture import Shop  # noqa: E402
from harness.stack import Stack  # noqa: E402
from widget_page import WidgetPage  # noqa: E402

PRODUCTS, SEED = 700, 1
XSS = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
HOSTILE = [
    {"id": "hostile", "name": {"ko": f"위험한 상품 {XSS}", "en": f"Hostile thing {XSS}"}, "description": {"ko": XSS}, "brand": f"Evil {XSS}",
     "price": 1000, "categories": [9901], "attributes": {"color": XSS, f"note {XSS}": "1"},
     "variants": [{"sku": f"h-1{XSS}", "attributes": {"size": XSS}}, {"sku": "h-2", "attributes": {"size": "L"}}]},
    {"id": 'a/b?c#d"<x>', "name": {"ko": "이상한 주소의 상품", "en": "Strange address"}, "price": 2000, "categories": [9901]},
    {"id": "import-1", "name": {"ko": "수입품 하나", "en": "First import"}, "price": 1999, "currency": "USD", "categories": [9902]},
    {"id": "import-2", "name": {"ko": "수입품 둘", "en": "Second import"}, "price": 4950, "currency": "USD", "categories": [9902]},
    {"id": "sold-out", "name": {"ko": "매진된 상품", "en": "Long gone"}, "brand": "Gone", "price": 3000, "categories": [9901]},
]
HOSTILE_STOCK = {f"h-1{XSS}": "in", "h-2": "out", 'a/b?c#d"<x>': "in"}


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def sample(folder):
    """(products, stock, tree) of the generator, as harness.query_fixture wants them."""
    subprocess.run([os.path.join(os.environ["READSIDE_BIN_DIR"], "catalogue"), "--products", str(PRODUCTS), "--seed", str(SEED),
                    "--out", str(folder), "--quiet"], check=True, timeout=60)
    paths, tree = {}, {}
    for row in lines(folder / "categories.ndjson"):
        above = paths.get(row.get("parent_id"))
        paths[row["id"]] = f"{above}/{row['id']}" if above else str(row["id"])
        tree[row["id"]] = (paths[row["id"]], row["name"]["ko"], row["name"]["en"])
    tree[9901] = ("9901", f"기타 {XSS}", f"Other {XSS}")
    tree[9902] = ("9902", "수입", "Imports")
    stock = {row["sku"]: "out" if row["available"] <= 0 else "low" if row["available"] <= 5 else "in" for row in lines(folder / "stock.ndjson")}
    return lines(folder / "products.ndjson") + HOSTILE, {**stock, **HOSTILE_STOCK}, tree


@pytest.fixture(scope="session")
def stack():
    made = Stack()
    yield made
    made.close()


@pytest.fixture(scope="session")
def proxy(stack):
    """Stands between the query-api and Elasticsearch."""
    address = urllib.parse.urlsplit(stack.es_url)
    made = Proxy(address.hostname, address.port)
    yield made
    made.close()


@pytest.fixture(scope="session")
def shop(stack, proxy, tmp_path_factory):
    products, stock, tree = sample(tmp_path_factory.mktemp("sample"))
    made = Shop(stack, tmp_path_factory.mktemp("shop"), products, stock, tree,
                settings={"elasticsearch.url": proxy.url, "query-api.loops": 1, "query-api.cache_bytes": "16m", "query-api.cache_fresh": "100ms",
                          "query-api.cache_stale": "0"})
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture(scope="session")
def npm():
    """The folder of the packages of packages.txt."""
    fetched = subprocess.run([os.path.join(HERE, "packages")], stdout=subprocess.PIPE, check=True, timeout=300, text=True)
    return fetched.stdout.strip()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    made = Browser(str(tmp_path_factory.mktemp("chromium")))
    yield made
    made.close()


@pytest.fixture
def browser(chromium, shop):
    """A fresh profile, a wide window, Korean. errors_expected: the test makes the server fail."""
    chromium.reset(shop.url)
    yield chromium
    chromium.assert_clean()


@pytest.fixture(scope="session")
def widget_page(shop, npm):
    """A page of another origin with every widget in its own looks, straight from npm."""
    made = WidgetPage(npm, shop.url)
    yield made
    made.close()
