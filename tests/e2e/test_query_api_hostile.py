"""Clients that mean harm, or do not know better: a 4xx or a closed connection, the same memory, and no harm to others."""
import os
import random
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.query_fixture import PRODUCTS, STOCK, Shop
from harness.wait import eventually, patience
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

READ_TIMEOUT = 1.0
# A machine that stands still for as long as that makes a good request late, too: it is told so and asks again.
LATE = Retry(total=None, connect=0, read=False, status=3, status_forcelist=[408], allowed_methods=None, raise_on_status=False)
HTTP_ITSELF = (501, 505)  # a transfer coding or a version of HTTP that there is not


@pytest.fixture(scope="module")
def shop(stack, tmp_path_factory):
    """Without a sanitizer, whose bookkeeping would hide how much memory the program takes itself."""
    made = Shop(stack, tmp_path_factory.mktemp("hostile"), PRODUCTS, STOCK,
                settings={"query-api.read_timeout": f"{int(READ_TIMEOUT * 1000)}ms", "query-api.idle_timeout": "2s", "query-api.loops": 1},
                bin_dir=os.environ.get("READSIDE_PLAIN_BIN_DIR"))
    made.session.headers["Connection"] = "close"  # a kept connection may reach its idle_timeout just when it is used again
    made.session.mount("http://", HTTPAdapter(max_retries=LATE))
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture(autouse=True)
def alive(shop):
    yield
    shop.api.assert_runs()
    assert shop.search("q=laptop")["total"]["value"] > 0


def exchange(shop, data, close=False, seconds=10.0, pieces=None):
    """Sends bytes as they are; all that comes back until the server closes or goes quiet."""
    with socket.create_connection(("127.0.0.1", shop.api.port), timeout=seconds) as s:
        try:
            for piece in pieces or [data]:
                s.sendall(piece)
            if close:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has closed already: there may be an answer all the same
        answer = b""
        try:
            while piece := s.recv(65536):
                answer += piece
                head, _, body = answer.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                if length and len(body) >= int(length[1]):
                    break
        except OSError:
            pass  # quiet or reset
        return answer


def answered(shop, data, **how):
    """exchange, of what arrives at once: asked again if it was LATE."""
    return next((answer for answer in (exchange(shop, data, **how) for _ in range(3)) if status(answer) != 408), b"late three times")


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else None


def get(target, headers=b"Host: x\r\n"):
    return b"GET " + target + b" HTTP/1.1\r\n" + headers + b"\r\n"


def post(body, headers=b""):
    return b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % len(body) + headers + b"\r\n" + body


BAD_REQUESTS = {
    "nul in the path": get(b"/v1/search\0?q=a"), "nul in the query": get(b"/v1/search?q=a\0b"), "escaped nul": get(b"/v1/search?q=a%00b"),
    "raw bytes": get(b"/v1/search?q=\xff\xfe"), "half an escape": get(b"/v1/search?q=%"), "bad escape": get(b"/v1/search?q=%zz"),
    "overlong utf-8": get(b"/v1/search?q=%C0%AF"), "surrogate": get(b"/v1/search?q=%ED%A0%80"), "bad path": get(b"/v1/products/%FF"),
    "long q": get(b"/v1/search?q=" + b"x" * 10000), "long uri": get(b"/v1/search?q=" + b"x" * 100000), "long header": get(b"/v1/search", b"Host: x\r\nA: " + b"x" * 100000 + b"\r\n"),
    "many headers": get(b"/v1/search", b"Host: x\r\n" + b"".join(b"H%d: x\r\n" % i for i in range(5000))), "1000 filters": get(b"/v1/search?" + b"&".join(b"attr.a%d=1" % i for i in range(1000))),
    "no host": get(b"/v1/search", b""), "two hosts": get(b"/v1/search", b"Host: x\r\nHost: y\r\n"),
    "two lengths": b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", "negative length": b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n{}",
    "huge length": b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n{}", "long length": b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n{}",
    "no length": b"POST /v1/search HTTP/1.1\r\nHost: x\r\n\r\n", "bad chunk": b"POST /v1/search HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "endless chunks": b"POST /v1/search HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b"[" * 4096 + b"\r\n" + (b"1000\r\n" + b"[" * 4096 + b"\r\n") * 40,
    "both": b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "depth": post(b"[" * 30000 + b"]" * 30000), "objects": post(b'{"a":' * 8000), "numbers": post(b'{"size":' + b"9" * 60000 + b"}"), "exponent": post(b'{"attr":{"a":1e99999}}'),
    "duplicates": post(b'{"brand":["a"],"brand":["b"]}'), "not utf-8": post(b'{"q":"\xed\xa0\x80"}'), "nul": post(b'{"q":"a"}\0'), "control": post(b'{"q":"a\nb"}'), "bom": post(b'\xef\xbb\xbf{}'),
    "many values": post(b'{"brand":[' + b",".join(b'"%d"' % i for i in range(5000)) + b"]}"), "too large": post(b" " * 70000 + b"{}"),
    "gzip": post(b"\x1f\x8b\x08\x00garbage", b"Content-Encoding: gzip\r\n"), "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 300, "noise": bytes(range(256)) * 10,
    "method": b"BREW /v1/search HTTP/1.1\r\nHost: x\r\n\r\n", "long method": b"A" * 5000 + b" / HTTP/1.1\r\n\r\n", "http 9": b"GET /v1/search HTTP/9.9\r\nHost: x\r\n\r\n", "no version": b"GET /v1/search\r\n\r\n",
}


@pytest.mark.parametrize("what", BAD_REQUESTS)
def test_a_bad_request_is_refused(shop, what):
    answer = exchange(shop, BAD_REQUESTS[what], close=True)
    assert answer == b"" or 400 <= status(answer) < 500 or status(answer) in HTTP_ITSELF, answer[:500]
    if answer.startswith(b"HTTP/1.1 4") and b"problem+json" in answer:
        assert b'"status":%d' % status(answer) in answer


@pytest.mark.parametrize("what, field", [
    ("nul in the path", b"path"), ("bad path", b"path"), ("escaped nul", b"query"), ("raw bytes", b"query"), ("bad escape", b"query"), ("surrogate", b"query"),
    ("depth", b"body"), ("duplicates", b"body"), ("not utf-8", b"body"), ("numbers", b"size"), ("nul", b"body"), ("exponent", b"attr.a"),
])
def test_the_problem_names_the_field(shop, what, field):
    answer = answered(shop, BAD_REQUESTS[what])
    assert status(answer) == 400 and b'"field":"' + field + b'"' in answer, answer[-600:]


def test_sizes_have_their_own_status(shop):
    for what, expected in (("too large", 413), ("long length", 413), ("long header", 431), ("long q", 414)):
        assert status(answered(shop, BAD_REQUESTS[what])) == expected, what
    assert status(answered(shop, BAD_REQUESTS["long uri"])) in (414, 431)


def test_a_nul_in_a_header_is_harmless(shop):
    answer = answered(shop, get(b"/v1/search", b"Host: x\r\nA: b\0c\r\nX-Request-Id: a\0b\r\n"))
    assert status(answer) in (200, 400) and b"\0" not in answer


def test_a_half_closed_connection_gets_its_answer(shop):
    assert status(answered(shop, get(b"/v1/search?q=laptop"), close=True)) == 200
    assert status(answered(shop, post(b'{"q":"laptop"}'), close=True)) == 200
    assert status(exchange(shop, b"GET /v1/sea", close=True)) in (None, 400, 408)


def test_requests_in_a_row_on_one_connection(shop):
    answer = answered(shop, b"", pieces=[get(b"/v1/search?size=0") + get(b"/v1/search?page=0") + get(b"/healthz", b"Host: x\r\nConnection: close\r\n")], seconds=5)
    assert answer.startswith(b"HTTP/1.1 200")
    assert status(answered(shop, b"GET /v1/search?q=laptop HTTP/1.0\r\n\r\n")) == 200


def test_slow_clients_are_closed_and_hurt_nobody(shop):
    """Byte by byte, in the head and in the body, 60 of them. Others wait no longer than without them, on however busy a machine."""
    def search_seconds():
        t = time.monotonic()
        assert shop.search("q=laptop")["hits"]
        return time.monotonic() - t

    def median(numbers):
        return sorted(numbers)[len(numbers) // 2]

    usual = median([search_seconds() for _ in range(20)])
    slow = []
    for n in range(60):
        s = socket.create_connection(("127.0.0.1", shop.api.port), timeout=10)
        s.sendall(b"GET /v1/search?q=" if n % 2 else post(b"{" * 500)[:-499])
        slow.append(s)
    began = time.monotonic()
    last = began
    latencies = []
    while slow and time.monotonic() < began + patience(20):
        latencies.append(search_seconds())
        if time.monotonic() - last > 0.1:
            last = time.monotonic()
            for s in list(slow):
                try:
                    s.send(b"x")
                    s.setblocking(False)
                    if s.recv(65536) == b"":
                        raise ConnectionError
                except BlockingIOError:
                    pass  # it is still being listened to
                except OSError:
                    slow.remove(s)
                    s.close()
                else:
                    s.setblocking(True)
    assert not slow, f"{len(slow)} slow clients are served still"
    assert median(latencies) < max(0.2, 4 * usual), (median(latencies), usual)


def connections(shop):
    """Taken and closed, at one moment."""
    said = shop.get("/metrics").text
    return [float(re.search(rf'^readside_http_connections_{what}total{{server="query-api"}} (\S+)', said, re.MULTILINE)[1]) for what in ("", "closed_")]


def test_clients_that_leave_early(shop):
    before = connections(shop)[0]
    for n in range(200):
        with socket.create_connection(("127.0.0.1", shop.api.port), timeout=10) as s:
            s.sendall(get(b"/v1/search?q=laptop&facets=brand,attr.*" + str(n).encode()))
            if n % 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset instead of a farewell

    def all_gone():
        taken, closed = connections(shop)
        return taken >= before + 200 and taken - closed == 1  # that of who asks

    eventually(all_gone, 20, "nothing is kept for them")


def connected(shop, greets):
    """A connection, which has had an answer or not: asked for at once, as it may not be idle for long before that either."""
    while True:
        s = socket.create_connection(("127.0.0.1", shop.api.port), timeout=10)
        if not greets:
            return s
        s.sendall(get(b"/healthz"))
        answer = s.recv(65536)
        if status(answer) != 408:  # LATE
            assert status(answer) == 200, answer[:200]
            return s
        s.close()


def test_idle_connections_are_closed(shop):
    idle = [connected(shop, greets=n % 2 == 1) for n in range(100)]
    assert shop.search("q=laptop")["hits"]
    for s in idle:
        s.settimeout(30)
        while s.recv(65536):
            pass
        s.close()


def random_request(rng):
    """Something like a request, with a mistake in a random place."""
    data = bytearray(rng.choice([*BAD_REQUESTS.values(), get(b"/v1/search?q=laptop&facets=attr.*&attr.color=black"), post(b'{"q":"laptop","attr":{"a":[1,2]}}')])[:5000])
    for _ in range(rng.randint(0, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def test_memory_does_not_grow(shop, rng):
    """Of bad requests."""
    def storm(count):
        requests_ = [random_request(rng) for _ in range(count)]
        with ThreadPoolExecutor(40) as pool:
            for data, answer in zip(requests_, pool.map(lambda d: exchange(shop, d, close=True, seconds=5), requests_)):
                assert answer == b"" or status(answer) is None or status(answer) < 500 or status(answer) in HTTP_ITSELF, (data[:300], answer[:600])
        shop.search("q=laptop&facets=attr.*")

    shop.api.assert_memory_settles(lambda: storm(500))


def test_large_searches_do_not_keep_their_memory(shop):
    body = {"q": "노트북 laptop", "facets": ["attr.*", "brand", "category", "price", "in_stock"], "size": 100, "fields": ["variants", "description", "flat"]}

    def storm():
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda _: shop.session.post(shop.url + "/v1/search", json=body, timeout=20).status_code, range(120))) == {200}

    shop.api.assert_memory_settles(storm)
