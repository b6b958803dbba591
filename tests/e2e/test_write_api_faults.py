"""Hostile clients, servers that are away, migrations: nothing but a clear answer, and no effect on anybody else."""
import concurrent.futures
import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest
import requests
from harness.proxy import Proxy
from harness.wait import eventually


def raw(port, data, timeout=15.0, reset=False):
    """Sends bytes, returns what comes back until the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as s:
        got = b""
        with contextlib.suppress(OSError):
            s.sendall(data)
            if reset:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return b""
            s.shutdown(socket.SHUT_WR)
            while piece := s.recv(65536):
                got += piece
        return got


def request(path, body=b"", method=b"POST", head=b""):
    return b"%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n%s" % (method, path, len(body), head, body)


INJECTED = request(b"/v1/stock/x'%20OR%201=1--", b'{"available":1}', method=b"PUT")
HOSTILE = [
    b"", b"\r\n\r\n", b"GET\r\n\r\n", b"\x00" * 100, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 100,
    b"POST /v1/products HTTP/1.1\r\n\r\n", b"POST /v1/products HTTP/9.9\r\nHost: x\r\n\r\n",
    request(b"/v1/products/" + b"a" * 20000, method=b"GET"), request(b"/v1/products/%00", method=b"GET"),
    request(b"/v1/products/%ff", method=b"GET"), request(b"/v1/products/%", method=b"GET"), request(b"/v1/products/a%2fb", method=b"GET"),
    request(b"/v1/products/..%2f..%2fetc", method=b"DELETE"), request(b"//v1//products", b"{}"),
    request(b"/v1/products", b"{}", head=b"X: " + b"y" * 50000 + b"\r\n"), request(b"/v1/products", b"x" * (2 << 20)),
    request(b"/v1/products", b"{}", head=b"Content-Length: 5\r\n"), request(b"/v1/products", b"{}", head=b"Transfer-Encoding: chunked\r\n"),
    b"POST /v1/products HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"POST /v1/products HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    b"POST /v1/products:import HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    b"POST /v1/products HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"POST /v1/products HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{",
    request(b"/v1/products", b'{"name":"x","attributes":{"$where":"while(1);"}}'), request(b"/v1/products", b'{"name":{"$ne":1}}'),
    request(b"/v1/products", b'{"name":"x","id":{"$gt":""}}'), request(b"/v1/products", b'{"a":' * 200000), request(b"/v1/products", b"[" * 900000),
    request(b"/v1/products", b'{"name":"x","price":1e' + b"9" * 1000 + b"}"), request(b"/v1/products", b'{"name":"x","price":' + b"1" * 900000 + b"}"),
    request(b"/v1/products", b'{"name":"' + b"\\u0000" * 1000 + b'"}'), request(b"/v1/products", b'{"name":"\xc0\xaf"}'),
    request(b"/v1/products", b'{"name":"x","variants":[' + b",".join(b'{"sku":"%d"}' % i for i in range(30000)) + b"]}"),
    request(b"/v1/products", b'{"name":"x","attributes":{' + b",".join(b'"k%d":1' % i for i in range(60000)) + b"}}"),
    request(b"/v1/products", b"{" + b",".join(b'"k%d":1' % i for i in range(60000)) + b"}"),
    request(b"/v1/products/none", b"{" + b",".join(b'"k%d":null' % i for i in range(60000)) + b"}", method=b"PATCH"),
    INJECTED, request(b"/v1/stock/%27;DROP%20TABLE%20stock", method=b"GET"),
    request(b"/v1/categories/1%20OR%201=1", method=b"GET"), request(b"/v1/categories/1/subtree?a=%27", method=b"GET"),
    request(b"/v1/categories/99999999999999999999", method=b"DELETE"), request(b"/v1/categories/1?reassign_to=2&reassign_to=3", method=b"DELETE"),
    request(b"/v1/categories", b'{"name":"x","parent_id":1e400}'), request(b"/v1/categories", b'{"name":"' + b"x" * 900000 + b'"}'),
    request(b"/v1/products:import?mode=%ff", b""), request(b"/v1/products:import", b"\xff" * 500000), request(b"/v1/stock:import", b"[" * 500000),
    request(b"/v1/products/p", b"{}", method=b"PUT", head=b"If-Match: " + b'"1",' * 3000 + b'"1"\r\n'),
    request(b"/v1/products/p", method=b"GET", head=b"If-None-Match: \x01\x02\r\n"), request(b"/v1/products", b"{}", head=b"traceparent: 00-zz\r\n"),
    request(b"/v1/products", b"{}", method=b"BREW"), request(b"*", method=b"OPTIONS"),
]


def status(reply):
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", reply)
    return int(found.group(1)) if found else None


def test_hostile_requests(program, corner, rng):
    """Each of them many times, with others beside it: no 5xx but 501 and 505, nothing stored."""
    attack_all(program("write-api", {"write-api.read_timeout": "500ms"}).start(), corner, rng, rounds=2)


def test_hostile_requests_leave_no_memory_behind(program, corner, rng):
    """Without a sanitizer, whose bookkeeping would hide it."""
    write_api = program("write-api", {"write-api.read_timeout": "500ms"}, bin_dir=os.environ["READSIDE_PLAIN_BIN_DIR"]).start()
    attack_all(write_api, corner, rng, rounds=4)
    before = write_api.rss_kib()
    attack_all(write_api, corner, rng, rounds=6)
    assert write_api.rss_kib() - before < 24 * 1024, f"{before} KiB, then {write_api.rss_kib()} KiB"


def attack_all(write_api, corner, rng, rounds):
    good = write_api.url + "/v1/products/good"
    # Even a good client may be too slow for this read_timeout, on a busy machine.
    eventually(lambda: requests.put(good, json={"name": "x"}, timeout=30).status_code in (200, 201), 20)

    def attack(data):
        return data, status(raw(write_api.port, data, reset=False))

    def round_of_all():
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for data, code in pool.map(attack, rng.sample(HOSTILE, len(HOSTILE))):
                assert code is None or code < 500 or code in (501, 505), (data[:200], code)
        eventually(lambda: requests.get(good, timeout=30).status_code == 200, 20)

    for _ in range(rounds):
        round_of_all()
    assert [p["_id"] for p in corner.products.find()] == ["good"]
    eventually(lambda: status(raw(write_api.port, INJECTED)) in (200, 201), 20, "it is stored as what it is")
    assert [r["sku"] for r in corner.sql("SELECT sku FROM stock")] == ["x' OR 1=1--"]


def test_random_bytes_and_mutations(program, rng):
    write_api = program("write-api", {"write-api.read_timeout": "500ms"}).start()
    good = request(b"/v1/products", json.dumps({"name": {"ko": "노트북"}, "attributes": {"a": [1, 2.5, "x"]}, "variants": [{"sku": "s"}]}).encode())
    for _ in range(300):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 8)):
            at = rng.randrange(len(data))
            kind = rng.randrange(3)
            if kind == 0:
                data[at] = rng.randrange(256)
            elif kind == 1:
                del data[at:at + rng.randrange(1, 9)]
            else:
                data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        code = status(raw(write_api.port, bytes(data)))
        assert code is None or code < 500 or code in (501, 505), (bytes(data), code)
    eventually(lambda: requests.get(write_api.url + "/healthz", timeout=10).status_code == 200, 20)


def test_slow_and_vanishing_clients(program):
    write_api = program("write-api", {"write-api.read_timeout": "500ms"}).start()
    slow = []
    for start in (b"POST /v1/pro", b"POST /v1/products HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
                  b"POST /v1/products:import HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"id\""):
        for _ in range(20):
            s = socket.create_connection(("127.0.0.1", write_api.port))
            s.sendall(start)
            slow.append(s)
    for _ in range(50):
        raw(write_api.port, request(b"/v1/products", b'{"name":"x"}'), reset=True)
    eventually(lambda: requests.put(write_api.url + "/v1/products/p", json={"name": "x"}, timeout=10).status_code in (200, 201), 20)

    def closed(s):
        s.settimeout(10)
        with contextlib.suppress(ConnectionError):
            while s.recv(4096):
                pass
        return True

    assert all(closed(s) for s in slow)
    for s in slow:
        s.close()


def test_a_full_queue_answers_at_once(program, stack, corner):
    """Workers blocked on a locked row: what the queue cannot hold is refused immediately."""
    write_api = program("write-api", {"write-api.workers": 1, "write-api.queue_max": 2, "write-api.deadline": "60s"}).start()
    url = write_api.url + "/v1/stock/s"
    requests.put(url, json={"available": 1}, timeout=30).raise_for_status()
    with stack.mysql(corner.name) as mysql, mysql.cursor() as cursor:
        mysql.begin()
        cursor.execute("SELECT * FROM stock WHERE sku='s' FOR UPDATE")
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            begun = time.monotonic()
            waiting = [pool.submit(requests.put, url, json={"available": 2}, timeout=90) for _ in range(16)]
            eventually(lambda: sum(f.done() for f in waiting) >= 12, 19, "what the queue cannot hold has its answer")
            refused = [f for f in waiting if f.done()]
            assert {f.result().status_code for f in refused} == {503} and time.monotonic() - begun < 30
            assert all("Retry-After" in f.result().headers for f in refused)
            assert requests.get(write_api.url + "/healthz", timeout=20).status_code == 200
            mysql.rollback()
            assert 200 in {f.result().status_code for f in waiting}


# ---- servers ---------------------------------------------------------------------------------------------------

@pytest.fixture
def proxies(stack):
    host, port = stack.mongo.primary or stack.mongo.address
    made = Proxy(host, port), Proxy(os.environ["READSIDE_MYSQL_HOST"], int(os.environ["READSIDE_MYSQL_PORT"]))
    yield made
    for proxy in made:
        proxy.close()


@pytest.fixture
def behind(program, proxies):
    """A way to MongoDB that takes half a second is taken for none, and a busy machine may need as long: what is to be served is
    asked for until it is (served)."""
    mongo, mysql = proxies
    return program("write-api", {
        "mongo.uri": f"mongodb://127.0.0.1:{mongo.port}/?directConnection=true", "mongo.server_selection": "500ms",
        "mysql.host": "127.0.0.1", "mysql.port": mysql.port, "write-api.probe_interval": "100ms"})


def served(url, body, status=(200, 201)):
    eventually(lambda: requests.put(url, json=body, timeout=30).status_code in status, 20, f"PUT {url}")


def test_servers_down_at_the_start(behind, proxies, corner):
    mongo, mysql = proxies
    mongo.set("refuse")
    mysql.set("refuse")
    write_api = behind.start(wait="alive")
    ready = requests.get(write_api.url + "/readyz", timeout=20)
    assert ready.status_code == 503 and {c["name"]: c["ready"] for c in ready.json()["conditions"]} == {
        "mongo": False, "mysql": False, "migrations": False}
    refused = requests.post(write_api.url + "/v1/products", json={"name": "x"}, timeout=20)
    assert refused.status_code == 503 and "Retry-After" in refused.headers
    eventually(lambda: all(re.search(f"event=waiting what={what} why=", write_api.log()) for what in ("mongodb", "mysql")), 20)
    mongo.set("pass")
    eventually(lambda: "event=connected to=mongodb" in write_api.log(), 20)
    assert requests.get(write_api.url + "/readyz", timeout=20).status_code == 503
    mysql.set("pass")
    write_api.wait_for("/readyz", 30)
    served(write_api.url + "/v1/products/p", {"name": "x"})


@pytest.mark.parametrize("away", [0, 1], ids=["mongodb", "mysql"])
def test_one_server_down_at_the_start(behind, proxies, away):
    """What needs only the other one is served, as when it dies later."""
    proxies[away].set("refuse")
    write_api = behind.start(wait="alive")
    urls = [write_api.url + "/v1/products/p", write_api.url + "/v1/stock/s"]
    bodies = [{"name": "x"}, {"available": 1}]
    served(urls[1 - away], bodies[1 - away])
    reply = requests.put(urls[away], json=bodies[away], timeout=20)
    assert reply.status_code == 503 and "does not answer" in reply.json()["detail"]
    assert requests.get(write_api.url + "/readyz", timeout=20).status_code == 503
    proxies[away].set("pass")
    write_api.wait_for("/readyz", 30)
    served(urls[away], bodies[away])


def test_servers_that_die_and_come_back(behind, proxies, corner):
    mongo, mysql = proxies
    write_api = behind.start()
    products, stock = write_api.url + "/v1/products/p", write_api.url + "/v1/stock/s"

    def code(url, body):
        reply = requests.put(url, json=body, timeout=30)
        assert reply.status_code < 500 or int(reply.headers["Retry-After"]) >= 1
        return reply.status_code

    def seconds_until(url, wanted):
        begun = time.monotonic()
        assert code(url, {"name": "x"}) == wanted
        return time.monotonic() - begun

    served(products, {"name": "x"})
    served(stock, {"available": 1})
    mongo.set("refuse")
    assert code(products, {"name": "x"}) == 503
    eventually(lambda: requests.get(write_api.url + "/readyz", timeout=5).status_code == 503, 20)
    assert min(seconds_until(products, 503) for _ in range(5)) < 0.5  # known to be away: no waiting, but for a busy machine
    served(stock, {"available": 2}, (200,))  # needs no MongoDB
    mongo.set("pass")
    eventually(lambda: code(products, {"name": "x"}) == 200, 20)
    mysql.set("refuse")
    assert code(stock, {"available": 3}) == 503
    eventually(lambda: code(stock, {"available": 3}) == 503, 20)
    served(products, {"name": "y"}, (200,))  # needs no MySQL without categories
    mysql.set("pass")
    eventually(lambda: code(stock, {"available": 3}) == 200, 20)
    write_api.wait_for("/readyz", 20)


@pytest.mark.parametrize("server", [0, 1], ids=["mongodb", "mysql"])
def test_a_server_that_hangs(behind, proxies, corner, server):
    """It takes connections and says nothing: whatever is asked is answered within the deadline, and all is well when it speaks again."""
    behind.settings["write-api.deadline"] = "2s"
    write_api, category = behind.start(), 1
    corner.sql("INSERT INTO categories (id, level, path, name) VALUES (1, 1, '1/', 'c')")
    served(write_api.url + "/v1/products/p", {"name": "x"})
    needs = [[("GET", "/v1/products/p", None), ("PUT", "/v1/products/p", {"name": "y"}), ("PATCH", "/v1/products/p", {"name": "z"}),
              ("DELETE", "/v1/products/p", None), ("POST", "/v1/products", {"name": "x"}), ("DELETE", f"/v1/categories/{category}", None)],
             [("GET", f"/v1/categories/{category}/subtree", None), ("POST", "/v1/categories", {"name": "d"}), ("PUT", "/v1/stock/s", {"available": 1}),
              ("POST", f"/v1/categories/{category}:move", {"parent_id": None}), ("POST", "/v1/products", {"name": "x", "categories": [category]})]][server]

    def ask(what):
        begun = time.monotonic()
        reply = requests.request(what[0], write_api.url + what[1], json=what[2], timeout=30)
        return what, reply, time.monotonic() - begun

    proxies[server].set("hang")
    fastest = {}  # of two: what a busy machine adds is not added twice
    for _ in range(2):
        with concurrent.futures.ThreadPoolExecutor(len(needs)) as pool:
            for what, reply, took in pool.map(ask, needs):
                assert reply.status_code == 503 and int(reply.headers["Retry-After"]) >= 1, (what, reply.status_code, reply.text)
                fastest[what[:2]] = min(took, fastest.get(what[:2], took))
    assert max(fastest.values()) < 5, fastest
    assert requests.get(write_api.url + "/healthz", timeout=20).status_code == 200
    proxies[server].set("pass")
    eventually(lambda: requests.get(write_api.url + "/readyz", timeout=5).status_code == 200, 30)
    eventually(lambda: [ask(what)[1].status_code < 500 for what in needs[:3]] == [True] * 3, 20)


def test_stop_during_an_outage_is_quick(behind, proxies):
    write_api = behind.start()
    proxies[0].set("refuse")
    proxies[1].set("refuse")
    requests.put(write_api.url + "/v1/products/p", json={"name": "x"}, timeout=30)
    begun = time.monotonic()
    write_api.stop()
    assert time.monotonic() - begun < 20


def test_stop_finishes_what_is_under_way(write_api, corner):
    codes, lock = [], threading.Lock()

    def put(i):
        session = requests.Session()
        with contextlib.suppress(requests.ConnectionError):
            for j in range(10000):
                reply = session.put(f"{write_api.url}/v1/products/p{i}-{j}", json={"name": "x"}, timeout=30)
                with lock:
                    codes.append((f"p{i}-{j}", reply.status_code))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        running = [pool.submit(put, i) for i in range(8)]
        eventually(lambda: len(codes) > 50, 20)
        write_api.stop()
        concurrent.futures.wait(running)
    assert {c for _, c in codes} <= {201, 503}
    assert {id for id, c in codes if c == 201} <= {p["_id"] for p in corner.products.find()}


@pytest.mark.slow
def test_stop_gives_up_an_upload_that_never_ends(write_api, corner):
    def lines():  # slower than that, and it would be given up for its slowness
        for i in range(1000000):
            if write_api.process is None or write_api.process.poll() is not None:
                return
            yield json.dumps({"id": f"p{i % 5000}", "name": "x" * 5000}).encode() + b"\n"
            time.sleep(0.01)

    def upload():
        with contextlib.suppress(requests.RequestException):
            requests.post(write_api.url + "/v1/products:import", data=lines(), timeout=120,
                          headers={"Content-Type": "application/x-ndjson"})

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(upload)
        eventually(lambda: corner.products.count_documents({}) > 500, 60)
        write_api.stop(deadline=120)
        concurrent.futures.wait([running])


# ---- migrations --------------------------------------------------------------------------------------------------

def test_several_instances_start_at_once(program, corner):
    made = [program("write-api") for _ in range(4)]
    for one in made:
        one.start(wait=None)
    for one in made:
        one.port = eventually(one._read_port, 30)
        one.wait_for("/readyz", 60)
    assert [r["version"] for r in corner.sql("SELECT version FROM schema_migrations ORDER BY version")] == [1, 2, 3]
    applied = sum(one.log().count("event=migration.applied") for one in made)
    assert applied == 3
    assert len(corner.sql("SHOW TRIGGERS")) == 13
    assert {"variants_sku", "categories_1__id_1"} <= set(corner.products.index_information())


def test_a_half_applied_migration_is_finished(program, corner):
    program("write-api").start().stop()
    corner.sql("DROP TRIGGER stock_after_update")
    corner.sql("DELETE FROM schema_migrations WHERE version=2")
    program("write-api").start()
    assert len(corner.sql("SHOW TRIGGERS")) == 13


def test_a_changed_migration_stops_the_start(program, corner):
    program("write-api").start().stop()
    corner.sql("UPDATE schema_migrations SET checksum='0123456789abcdef' WHERE version=1")
    write_api = program("write-api").start(wait=None)
    assert write_api.process.wait(30) == 1
    write_api.process = None
    assert "must not change" in write_api.log() and "0123456789abcdef" in write_api.log()


def test_command_line():
    binary = os.path.join(os.environ["READSIDE_BIN_DIR"], "write-api")

    def run(*arguments):
        return subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=30, check=False)

    assert "import_batch_lines" in run("--help").stdout
    assert "[write-api]" in run("--print-config").stdout
    assert run("--check-config").returncode == 0
    refused = run("--write-api.workers=0", "--check-config")
    assert refused.returncode == 2 and "workers" in refused.stderr
    assert run("start").returncode == 2


def test_reload(write_api):
    write_api.process.send_signal(signal.SIGHUP)
    eventually(lambda: "event=reloaded changed=0" in write_api.log(), 20)
    assert "needs_restart" not in write_api.log()
    assert requests.get(write_api.url + "/readyz", timeout=5).status_code == 200
