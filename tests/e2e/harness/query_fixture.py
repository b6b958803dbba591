"""A small shop in a search index of its own, a query-api in front of it, and ways to ask it."""
import time

import requests

from .process import Program
from .search_index import Reference, SearchIndex
from .wait import eventually

TREE = {
    1: ("1", "컴퓨터", "Computers"), 4: ("1/4", "노트북", "Laptops"), 13: ("1/4/13", "게이밍 노트북", "Gaming laptops"),
    5: ("1/5", "모니터", "Monitors"), 2: ("2", "패션", "Fashion"), 20: ("2/20", "운동화", "Running shoes"),
    21: ("2/21", "가방", "Bags"), 3: ("3", "식품", "Food"),
}
PRODUCTS = [
    {"id": "gram-16", "name": {"ko": "LG 그램 노트북 16", "en": "LG gram laptop 16"}, "description": {"ko": "가볍고 오래 가는 노트북"},
     "brand": "LG", "price": 1890000, "categories": [4], "created_at": "2026-03-01T00:00:00.000Z",
     "attributes": {"model": "16Z90S-GA5CK", "screen_inch": 16, "color": "black", "ports": ["usb-c", "hdmi"], "touch": False,
                    "size": {"width_mm": 354.5}}},
    {"id": "gram-14", "name": {"ko": "LG 그램 노트북 14", "en": "LG gram laptop 14"}, "brand": "LG", "price": 1590000, "categories": [4],
     "created_at": "2026-02-01T00:00:00.000Z",
     "attributes": {"model": "14Z90S-GA5CK", "screen_inch": 14, "color": "white", "ports": ["usb-c"], "touch": True}},
    {"id": "odyssey", "name": {"ko": "삼성 오디세이 게이밍 노트북", "en": "Samsung Odyssey gaming laptop"}, "brand": "Samsung",
     "price": 2500000, "categories": [13], "created_at": "2026-04-01T00:00:00.000Z",
     "attributes": {"model": "NT940XGK-KC51G", "ean": "8806095000010", "screen_inch": 16, "color": "black"}},
    {"id": "monitor", "name": {"ko": "LG 울트라기어 모니터", "en": "LG UltraGear monitor"}, "brand": "LG", "price": 450000,
     "categories": [5], "attributes": {"screen_inch": 27}},
    {"id": "runner", "name": {"ko": "나이키 러닝화 운동화", "en": "Nike running shoes"}, "brand": "Nike", "price": 129000,
     "categories": [20], "primary_category_id": 20, "created_at": "2026-01-05T00:00:00.000Z", "attributes": {"gender": "unisex"},
     "variants": [{"sku": "RUN-BLK-260", "attributes": {"color": "black", "shoe_mm": 260}},
                  {"sku": "RUN-BLK-270", "attributes": {"color": "black", "shoe_mm": 270}, "price": 139000},
                  {"sku": "RUN-RED-260", "attributes": {"color": "red", "shoe_mm": 260}}]},
    {"id": "bag", "name": {"ko": "노트북 가방", "en": "Laptop bag"}, "brand": "Samsonite", "price": 89000, "categories": [21, 4],
     "primary_category_id": 21, "variants": [{"sku": "BAG-1"}, {"sku": "BAG-2", "price": 99000}]},
    {"id": "tea", "name": "녹차 & <b>보리차</b>", "price": 5000, "categories": [3], "currency": "KRW"},
    {"id": "gone", "name": {"ko": "단종 노트북", "en": "Discontinued laptop"}, "brand": "LG", "price": 10000, "categories": [4],
     "created_at": "2026-05-01T00:00:00.000Z", "attributes": {"color": "black"}},
]
STOCK = {"gram-16": "in", "gram-14": "low", "odyssey": "in", "monitor": "in", "RUN-BLK-260": "out", "RUN-BLK-270": "in",
         "RUN-RED-260": "in", "BAG-1": "low", "BAG-2": "out", "tea": "in"}


# The programs' own limits are a few seconds, which a machine that does many things at once may stand still for.
PATIENT = {"query-api.search_timeout": "20s", "query-api.events_timeout": "20s"}


def make_tree(rows):
    return {i: {"path": path, "name": ko, "names": {"ko": ko, "en": en}} for i, (path, ko, en) in rows.items()}


class Shop:
    """The index, the products in it and the query-api before it."""

    def __init__(self, stack, folder, products=(), stock=None, tree=None, settings=None, mapping=None, shards=1, without=(), **how):
        self.index = SearchIndex(stack, mapping, without).create(shards)
        self.tree = make_tree(tree or TREE)
        self.products, self.stock = list(products), dict(stock or {})
        self.reference = Reference(self.products, self.stock, self.tree)
        self.index.put_categories(self.tree, 1)
        if self.products:
            self.index.put_products(self.products, self.stock)
        self.session = requests.Session()
        # without the cache, unless a test wants it: what is written is found at once, and what is broken shows; and a busy
        # machine is neither overload nor outage. What MongoDB answers in an outage is for the tests of that
        self.api = Program("query-api", str(folder), self.index.environment,
                           {"query-api.cache_bytes": 0, "query-api.upstream_wait": "10s", "query-api.fallback": "false", **PATIENT, **(settings or {})}, **how)

    def start(self, **how):
        self.api.start(deadline=30, **how)
        return self

    def close(self):
        self.session.close()
        try:
            self.api.stop()
        finally:
            self.api.kill()
            self.index.remove()

    @property
    def url(self):
        return self.api.url

    def get(self, path, **how):
        return self.session.get(self.url + path, timeout=40, **how)

    def search(self, text="", status=200, body=None):
        """text: the query string as it stands in the URL; body: POST that instead."""
        path = "/v1/search" + ("?" + text if text else "")
        reply = self.session.post(self.url + path, json=body, timeout=40) if body is not None else self.get(path)
        assert reply.status_code == status, f"{text} {body}: {reply.status_code} {reply.text[:1500]}"
        return reply.json()

    def ids(self, text="", **how):
        return [hit["id"] for hit in self.search(text, **how)["hits"]]

    def problem(self, text="", body=None, field=None, status=400):
        """The request is refused with problem+json that names the field."""
        path = "/v1/search" + ("?" + text if text else "")
        reply = self.session.post(self.url + path, data=body, timeout=20) if body is not None else self.get(path)
        said = f"{text[:200]} {str(body)[:200]}: {reply.status_code} {reply.text[:500]}"
        assert reply.status_code == status, said
        assert reply.headers["Content-Type"] == "application/problem+json", said
        problem = reply.json()
        assert problem["status"] == status and problem["request_id"] == reply.headers["X-Request-Id"], said
        if field is not None:
            assert field in [e["field"] for e in problem["errors"]], said
        return problem


class Pair:
    """One shop, and two instances of the query-api before it."""

    def __init__(self, stack, folder, products, stock, settings):
        self.shop = Shop(stack, folder, products, stock, settings=settings)
        second = folder / "second"
        second.mkdir()
        self.second = Program("query-api", str(second), self.shop.index.environment, {"query-api.fallback": "false", **PATIENT, **(settings or {})})

    def close(self):
        try:
            self.second.stop()
        finally:
            self.second.kill()
            self.shop.close()

    def on_every_loop(self, check, tries=6, begun=None):
        """check(url) holds for both instances, whichever loop answers; how long after `begun` (now) the last request was sent of
        which it did not. How long the others take, one after the other, is not the programs' affair."""
        last = begun = begun or time.monotonic()

        def holds(url):
            nonlocal last
            for _ in range(tries):
                sent = time.monotonic()
                right = False
                try:
                    right = check(url)
                finally:
                    last = last if right else sent
                if not right:
                    return False
            return True

        for url in (self.shop.url, self.second.url):
            eventually(lambda url=url: holds(url), 30)
        return last - begun
