"""Reindex and rollback: a new index beside the serving one, and no shopper notices."""
import json
import threading

import pytest
import requests
from bson import Int64
from harness.command import Commands

FAST_LEASE = {"projector.lease_ttl": "2s", "projector.lease_renew": "400ms"}


def product(number, **fields):
    made = {"_id": f"p{number:05}", "name": f"Product {number}", "brand": "Acme", "price": Int64(1000 + number), "currency": "KRW",
            "attributes": {"color": "black", "size": Int64(number)}, "version": Int64(1)}
    made.update(fields)
    return made


def insert(corner, numbers, **fields):
    corner.products.insert_many([product(n, **fields) for n in numbers])


def serving(corner):
    indexes = list(corner.stack.es("GET", f"/_alias/{corner.index}"))
    assert len(indexes) == 1, indexes
    return indexes[0]


def physical(corner):
    return sorted(row["index"] for row in corner.stack.es("GET", f"/_cat/indices/{corner.index}-*?format=json&h=index"))


def targets(corner):
    return corner.stack.mongo[corner.name]["projector_state"].find_one({"_id": "targets"})


def jobs(corner, **query):
    return list(corner.stack.mongo[corner.name]["projector_jobs"].find({"type": "reindex", **query}))


def mapping_file(tmp_path, change=None, name="mapping.json"):
    """The mapping in the binary, with a change, as a file."""
    import os
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
    with open(os.path.join(root, "mappings", "products-v1-plain.json"), encoding="utf-8") as f:
        mapping = json.load(f)
    if change:
        change(mapping)
    path = tmp_path / name
    path.write_text(json.dumps(mapping))
    return str(path)


@pytest.fixture
def commands(corner):
    return Commands(corner, FAST_LEASE)


class Writers:
    """Changes products, stock and categories as long as it runs; `with` starts and stops it."""

    def __init__(self, corner, rng, count):
        self.corner, self.rng, self.count = corner, rng, count
        self.stopping, self.writes, self.failed = threading.Event(), 0, None

    def __enter__(self):
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.stopping.set()
        self.thread.join(30)
        assert self.failed is None, self.failed

    def run(self):
        try:
            while not self.stopping.wait(0.05):
                self.one()
                self.writes += 1
        except Exception as e:  # shown by the test's own thread
            self.failed = e

    def one(self):
        number = self.rng.randrange(self.count)
        kind = self.rng.random()
        if kind < 0.6:
            self.corner.products.update_one({"_id": f"p{number:05}"},
                                            {"$set": {"price": Int64(self.rng.randrange(10**6))}, "$inc": {"version": 1}})
        elif kind < 0.7:
            self.corner.products.delete_one({"_id": f"p{number:05}"})
        elif kind < 0.8:
            self.corner.products.replace_one({"_id": f"p{number:05}"}, product(number, categories=[1]), upsert=True)
        elif self.writes % 100 != 99:
            self.corner.sql("REPLACE INTO stock (sku, available) VALUES (%s, %s)", f"p{number:05}", self.rng.randrange(9))
        else:
            self.corner.sql("UPDATE categories SET name = %s WHERE id = 1", f"Name {self.writes}")


class Searcher:
    """Searches through the query-api as long as it runs: every answer must be whole and have products."""

    def __init__(self, query_api):
        self.url = query_api.url
        self.stopping, self.answers, self.wrong = threading.Event(), 0, []

    def __enter__(self):
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.stopping.set()
        self.thread.join(30)
        assert self.answers > 20 and not self.wrong, (self.answers, self.wrong[:5])

    def run(self):
        session = requests.Session()
        while not self.stopping.wait(0.01):
            try:
                reply = session.get(self.url + "/v1/search", params={"q": "Product", "page": 1 + self.answers % 20},
                                    timeout=10)
                if reply.status_code != 200 or not reply.json()["hits"]:
                    self.wrong.append((reply.status_code, reply.text[:300]))
                self.answers += 1
            except Exception as e:
                self.wrong.append(repr(e))


def category(corner):
    corner.sql("INSERT INTO categories (id, parent_id, level, path, name, version, created_at, updated_at) "
               "VALUES (1, NULL, 1, '1/', 'First', 1, NOW(6), NOW(6))")


def test_nobody_notices(corner, program, write_api, checker, commands, eventually, rng):
    category(corner)
    insert(corner, range(600), categories=[1])
    program("projector", FAST_LEASE).start()
    checker.assert_equal(60, at_least=600)
    query_api = program("query-api").start()
    before = serving(corner)
    with Searcher(query_api) as searcher, Writers(corner, rng, 600) as writers:
        eventually(lambda: searcher.answers > 5 and writers.writes > 50, 30, "both work")
        done = commands("reindex", "--json", deadline=280)
        assert done.result["state"] == "done" and done.result["index"] == serving(corner) != before
        eventually(lambda w=writers.writes: writers.writes > w + 50, 30, "some writes after it")
    checker.assert_equal(60)
    assert targets(corner)["list"][1]["index"] == before
    phases = [e["phase"] for e in done.events if e["event"] == "progress"]
    assert phases and phases == sorted(phases, key=["create", "mark", "verify", "swap"].index)
