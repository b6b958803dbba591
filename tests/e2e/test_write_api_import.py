"""POST /v1/products:import: results per line, order, modes, memory, broken uploads, servers that go away meanwhile."""
import concurrent.futures
import json
import os
import random
import socket
import threading
import time

import pytest
import requests
from harness.proxy import Proxy
from harness.wait import eventually


class Import:
    def __init__(self, write_api):
        self.url, self.port = write_api.url + "/v1/products:import", write_api.port

    def __call__(self, body, expect=200, **parameters):
        reply = requests.post(self.url, data=body, params=parameters, timeout=300)
        assert reply.status_code == expect, reply.text[:1000]
        if expect != 200:
            return reply.json()
        assert reply.headers["Content-Type"] == "application/x-ndjson"
        rows = [json.loads(line) for line in reply.text.splitlines()]
        assert list(rows[-1]) == ["summary"]
        return rows[:-1], rows[-1]["summary"]


@pytest.fixture
def load(write_api):
    return Import(write_api)


def lines(ids, **fields):
    return "\n".join(json.dumps({"id": id, "name": f"name of {id}", **fields}, ensure_ascii=False) for id in ids).encode()


def brief(rows):
    return [(r["line"], r.get("id"), r["status"]) for r in rows]


def test_every_line_has_a_result(load, corner):
    body = b"\n".join([
        b'{"id":"a","name":"x"}', b"", b"   \r", b'{"id":"b","name":"x"}\r', b"broken", b'{"id":"c","name":"\xff"}', b'{"name":"x"}',
        b'{"id":"d","name":"x","nope":1,"price":-1}', b'{"id":"e","name":"x","categories":[9]}', b'{"id":"a","name":"y"}', b"[]",
        b'{"id":"f","name":"x","name":"y"}', b"[" * 5000, b'{"id":"g","name":"last without a newline"}'])
    rows, summary = load(body)
    assert brief(rows) == [(1, "a", 201), (4, "b", 201), (5, None, 400), (6, None, 400), (7, None, 400), (8, "d", 400), (9, "e", 400),
                           (10, "a", 200), (11, None, 400), (12, None, 400), (13, None, 400), (14, "g", 201)]
    assert [e["field"] for e in rows[5]["errors"]] == ["nope", "price"]
    assert rows[6]["errors"] == [{"field": "categories[0]", "message": "there is no category 9"}]
    assert summary == {"lines": 12, "created": 3, "updated": 1, "failed": 8}
    assert {p["_id"]: (p["name"], p["version"]) for p in corner.products.find()} == {
        "a": ("y", 2), "b": ("x", 1), "g": ("last without a newline", 1)}


def test_upsert_keeps_creation_and_counts_versions(load, corner, write_api):
    made = requests.put(write_api.url + "/v1/products/a", json={"name": "old", "attributes": {"x": 1}}, timeout=10).json()
    rows, _ = load(lines(["a", "b"], price=5))
    assert brief(rows) == [(1, "a", 200), (2, "b", 201)]
    now = requests.get(write_api.url + "/v1/products/a", timeout=10).json()
    assert (now["version"], now["created_at"], now["price"], "attributes" in now) == (2, made["created_at"], 5, False)
    rows, summary = load(lines(["a", "b", "c"]), results="errors")
    assert rows == [] and summary == {"lines": 3, "created": 1, "updated": 2, "failed": 0}
    assert corner.products.find_one({"_id": "a"})["version"] == 3


def test_insert_mode(load, corner):
    load(lines(["a"]))
    rows, summary = load(lines(["a", "b", "b"]), mode="insert")
    assert brief(rows) == [(1, "a", 409), (2, "b", 201), (3, "b", 409)]
    assert summary == {"lines": 3, "created": 1, "updated": 0, "failed": 2}
    assert corner.products.find_one({"_id": "a"})["version"] == 1


def test_a_sku_belongs_to_one_product(load):
    load(b'{"id":"a","name":"x","variants":[{"sku":"S"}]}')
    for mode in ("upsert", "insert"):
        rows, _ = load(b'{"id":"b","name":"x","variants":[{"sku":"S"}]}', mode=mode)
        assert brief(rows) == [(1, "b", 409)] and '"S"' in rows[0]["errors"][0]["message"]
    rows, _ = load(b'{"id":"a","name":"x","variants":[{"sku":"T"}]}\n{"id":"b","name":"x","variants":[{"sku":"S"}]}')
    assert 201 in [r["status"] for r in rows] or [r["status"] for r in rows] == [200, 409]


def test_the_last_line_of_an_id_wins(load, corner, rng):
    ids = [f"p{rng.randrange(300)}" for _ in range(6000)]
    body = b"\n".join(json.dumps({"id": id, "name": str(i)}).encode() for i, id in enumerate(ids))
    rows, summary = load(body)
    assert [r["line"] for r in rows] == list(range(1, 6001))
    assert summary["failed"] == 0 and summary["created"] == len(set(ids))
    last = {id: str(i) for i, id in enumerate(ids)}
    assert {p["_id"]: p["name"] for p in corner.products.find()} == last
    assert sum(p["version"] for p in corner.products.find()) == 6000


def test_parameters_and_empty_uploads(load):
    assert load(b"")[1] == load(b"\n\n\r\n")[1] == {"lines": 0, "created": 0, "updated": 0, "failed": 0}
    problem = load(b"", expect=400, mode="replace", results="some", x="1")
    assert [e["field"] for e in problem["errors"]] == ["mode", "results", "x"]
    assert requests.get(load.url, timeout=10).status_code == 405


def test_long_lines(program, corner):
    write_api = program("write-api", {"write-api.import_line_max": "2k", "write-api.import_batch": "4k"}).start()
    load = Import(write_api)
    fits = json.dumps({"id": "a", "name": "x" * 1900}).encode()
    rows, summary = load(b"\n".join([fits, b'{"id":"b","name":"' + b"y" * 5000 + b'"}', fits.replace(b'"a"', b'"c"'),
                                     b"z" * 3_000_000, b'{"id":"d","name":"x"}', b" " * 100000]))
    assert brief(rows) == [(1, "a", 201), (2, None, 413), (3, "c", 201), (4, None, 413), (5, "d", 201), (6, None, 413)]
    assert summary["failed"] == 3


def generated(count, pad=200):
    for i in range(count):
        yield json.dumps({"id": f"p{i:07}", "name": f"product {i}", "attributes": {"a": i, "text": "x" * pad}}).encode() + b"\n"


def test_memory_stays_small(program, corner):
    """60,000 lines, 50 MB, of which every tenth is wrong, in one upload; memory is that of a few batches. Without a sanitizer,
    whose bookkeeping would hide it."""
    write_api = program("write-api", bin_dir=os.environ["READSIDE_PLAIN_BIN_DIR"]).start()
    load = Import(write_api)

    def body():
        for i, line in enumerate(generated(60000, pad=900)):
            yield b'{"id":5}\n' if i % 10 == 0 else line

    load(lines([f"w{i}" for i in range(3000)]))
    before = write_api.rss_kib()
    highest, done = [before], threading.Event()

    def watch():
        while not done.wait(0.02):
            highest[0] = max(highest[0], write_api.rss_kib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        rows, summary = load(body(), results="errors")
    finally:
        done.set()
        watcher.join()
    assert summary == {"lines": 60000, "created": 54000, "updated": 0, "failed": 6000} and len(rows) == 6000
    assert highest[0] - before < 16 * 1024, f"grew from {before} to {highest[0]} KiB"


def test_too_many_imports(program):
    write_api = program("write-api", {"write-api.imports_max": 1}).start()
    load = Import(write_api)
    first = socket.create_connection(("127.0.0.1", write_api.port))
    first.sendall(b"POST /v1/products:import HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"id\"\r\n")

    def refused():
        reply = requests.post(load.url, data=b"", timeout=10)
        return reply.status_code == 503 and int(reply.headers["Retry-After"]) >= 1

    eventually(refused, 20)
    first.close()
    eventually(lambda: not refused(), 20)


def test_a_broken_upload_leaves_nothing_half(program, corner, rng):
    """Uploads cut off anywhere: complete products or none, and the program goes on."""
    load = Import(program("write-api").start())
    body = b"".join(generated(3000))
    for _ in range(12):
        s = socket.create_connection(("127.0.0.1", load.port))
        s.sendall(b"POST /v1/products:import HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
        s.sendall(body[:rng.randrange(len(body))])
        if rng.random() < 0.5:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset
        s.close()
    # The last of them may still be finishing their batches.
    eventually(lambda: requests.post(load.url, data=b"", timeout=10).status_code == 200, 20)
    rows, summary = load(body)
    assert summary["failed"] == 0 and summary["created"] + summary["updated"] == 3000
    for product in corner.products.find():
        assert product["attributes"]["text"] == "x" * 200


def test_requests_are_answered_during_an_import(write_api, load):
    slowest = []

    def ask():
        session = requests.Session()
        while not done.is_set():
            begun = time.monotonic()
            assert session.put(write_api.url + "/v1/products/other", json={"name": "x"}).status_code in (200, 201)
            slowest.append(time.monotonic() - begun)

    done = threading.Event()
    asking = threading.Thread(target=ask)
    asking.start()
    try:
        assert load(generated(20000), results="errors")[1]["failed"] == 0
    finally:
        done.set()
        asking.join()
    assert len(slowest) > 5 and sorted(slowest)[len(slowest) // 2] < 1.0


# ---- servers that go away ----------------------------------------------------------------------------------------

@pytest.fixture
def mongo_proxy(stack):
    host, port = stack.mongo.primary or stack.mongo.address
    made = Proxy(host, port)
    yield made
    made.close()


def another_attempt(write_api):
    """Waits until an attempt to write has failed that was looked for from now on: the next one begins after this."""
    def retries():
        return write_api.metric("readside_write_api_import_retries_total")

    before = retries()
    eventually(lambda: retries() > before, 20)


def behind(proxy, **more):
    return {"mongo.uri": f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true", "mongo.server_selection": "500ms",
            "write-api.probe_interval": "100ms", **more}


@pytest.mark.parametrize("mode", ["upsert", "insert"])
def test_an_outage_in_the_middle(program, mongo_proxy, corner, mode):
    """The connection breaks again and again while batches are written: nothing is lost, nothing counts twice."""
    write_api = program("write-api", behind(mongo_proxy)).start()
    load = Import(write_api)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    pauses = random.Random(seed)
    done = threading.Event()

    def disturb():
        for _ in range(6):
            if done.wait(pauses.uniform(0.1, 0.5)):
                break
            mongo_proxy.set("refuse")
            done.wait(pauses.uniform(0.05, 0.3))
            mongo_proxy.set("pass")
            eventually(lambda: requests.get(write_api.url + "/readyz", timeout=5).status_code == 200, 20)

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    try:
        rows, summary = load(generated(30000), mode=mode)
    finally:
        done.set()
        disturbing.join()
        mongo_proxy.set("pass")
    assert summary == {"lines": 30000, "created": 30000, "updated": 0, "failed": 0}, summary
    assert [r["line"] for r in rows] == list(range(1, 30001))
    assert corner.products.count_documents({}) == 30000
    if mode == "insert":
        assert corner.products.count_documents({"version": {"$ne": 1}}) == 0


def test_a_category_that_goes_while_its_products_wait(program, mongo_proxy, corner):
    """Checked when they came, written after an outage: a category that was deleted meanwhile is refused by then."""
    write_api = program("write-api", behind(mongo_proxy, **{"write-api.category_cache": "0"})).start()
    for id in (1, 2):
        assert requests.post(write_api.url + "/v1/categories", json={"id": id, "name": f"c{id}"}).status_code == 201

    def upload():
        mongo_proxy.set("refuse")
        yield lines(["gone"], categories=[1]) + b"\n" + lines(["there"], categories=[2])

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(requests.post, write_api.url + "/v1/products:import", data=upload(), timeout=60)
        eventually(lambda: write_api.metric("readside_write_api_import_retries_total") > 0, 20)
        corner.sql("DELETE FROM categories WHERE id = 1")
        another_attempt(write_api)  # may have looked at the categories before
        mongo_proxy.set("pass")
        rows = [json.loads(row) for row in answer.result().text.splitlines()]
    assert brief(rows[:-1]) == [(1, "gone", 400), (2, "there", 201)]
    assert rows[0]["errors"] == [{"field": "categories[0]", "message": "there is no category 1"}]
    assert [p["_id"] for p in corner.products.find()] == ["there"]


@pytest.mark.parametrize("mode, statuses, versions", [("upsert", [201, 400, 201, 200, 200], {"kept": 1, "second": 1, "both": 3}),
                                                      ("insert", [201, 400, 201, 201, 400], {"kept": 1, "second": 1, "both": 1})])
def test_a_stored_line_stays_stored_whatever_its_category_does(program, mongo_proxy, corner, mode, statuses, versions):
    """Stored with its answer lost; when the batch is sent again its category has gone. Also where an id stands twice, and where
    the first of its lines named a category that never was."""
    write_api = program("write-api", behind(mongo_proxy, **{"write-api.category_cache": "0", "write-api.import_workers": "1"})).start()
    assert requests.post(write_api.url + "/v1/categories", json={"id": 1, "name": "c"}).status_code == 201
    load = Import(write_api)
    load(lines(["before"]))  # the worker is connected

    def upload():
        mongo_proxy.late = 60
        yield b"\n".join([lines(["kept"], categories=[1]), lines(["second"], categories=[9]), lines(["second", "both"], categories=[1]),
                          lines(["both"], categories=[1])])

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(load, upload(), mode=mode)
        eventually(lambda: corner.products.count_documents({"_id": {"$in": list(versions)}}) == 3, 20)
        corner.sql("DELETE FROM categories WHERE id = 1")
        mongo_proxy.set("refuse")  # first of all: the answer may be on its way only now
        mongo_proxy.late = 0
        another_attempt(write_api)
        mongo_proxy.set("pass")
        rows, summary = answer.result()
    assert [r["id"] for r in rows] == ["kept", "second", "second", "both", "both"] and [r["status"] for r in rows] == statuses
    assert rows[1]["errors"] == [{"field": "categories[0]", "message": "there is no category 9"}]
    assert all(("errors" in r) == (r["status"] == 400) for r in rows)
    assert summary["failed"] == statuses.count(400) and summary["created"] == statuses.count(201)
    assert {p["_id"]: p["version"] for p in corner.products.find({"_id": {"$ne": "before"}})} == versions


def test_the_last_line_wins_across_an_outage(program, mongo_proxy, corner, stack):
    """The first line of an id is stored and known to be; the second waits in MongoDB, for a SKU that an open transaction has, when
    the connection breaks."""
    write_api = program("write-api", behind(mongo_proxy)).start()
    load = Import(write_api)
    body = b'{"id":"a","name":"first"}\n{"id":"a","name":"last","variants":[{"sku":"S"}]}'

    def waiting():
        operations = stack.mongo.admin.aggregate([{"$currentOp": {}}, {"$match": {"ns": f"{corner.name}.products", "op": "update", "active": True}}])
        return [operation["opid"] for operation in operations if operation.get("writeConflicts", 0) > 0]

    with concurrent.futures.ThreadPoolExecutor(1) as pool, stack.mongo.start_session() as session:
        with session.start_transaction():
            corner.products.insert_one({"_id": "other", "variants": [{"sku": "S"}]}, session=session)
            answer = pool.submit(load, body)
            eventually(waiting, 20)
            mongo_proxy.set("refuse")
            for operation in waiting():
                stack.mongo.admin.command("killOp", op=operation)
            eventually(lambda: not waiting(), 20)
            session.abort_transaction()
        eventually(lambda: write_api.metric("readside_write_api_import_retries_total") > 0, 20)
        mongo_proxy.set("pass")
        rows, _ = answer.result()
    assert brief(rows) == [(1, "a", 201), (2, "a", 200)]
    assert corner.products.find_one({"_id": "a"})["name"] == "last"


def test_an_outage_that_does_not_end(program, mongo_proxy, corner):
    write_api = program("write-api", behind(mongo_proxy, **{"write-api.import_retry": "1s"})).start()
    load = Import(write_api)

    def body():
        for i, line in enumerate(generated(8000)):
            if i == 4000:
                mongo_proxy.set("refuse")
            yield line

    rows, summary = load(body())
    assert summary["lines"] == 8000 and summary["created"] + summary["failed"] == 8000 and summary["failed"] >= 1000
    assert {r["status"] for r in rows} <= {201, 503, 504}
    assert all(r["errors"] for r in rows if r["status"] != 201)
    mongo_proxy.set("pass")
    write_api.wait_for("/readyz")
    stored = {p["_id"] for p in corner.products.find({}, {"_id": 1})}
    assert {r["id"] for r in rows if r["status"] == 201} <= stored
    eventually(lambda: load(generated(8000), results="errors")[1]["failed"] == 0, 20)  # a second's patience is not much
