"""/v1/stock: setting, adjusting, never below zero; movements add up to what is there."""
import concurrent.futures
import json

import pytest
import requests


@pytest.fixture
def stock(write_api):
    session = requests.Session()
    session.url = write_api.url + "/v1/stock"
    yield session
    session.close()


def field(reply):
    return reply.json()["errors"][0]["field"]


def test_put_and_get(stock):
    made = stock.put(stock.url + "/A-1", json={"available": 12})
    assert (made.status_code, made.headers["Location"], made.headers["ETag"]) == (201, "/v1/stock/A-1", '"1"')
    body = made.json()
    assert (body["sku"], body["available"], body["reserved"], body["sold"], body["state"]) == ("A-1", 12, 0, 0, "in")
    assert stock.get(stock.url + "/A-1").json() == body
    assert stock.get(stock.url + "/A-1", headers={"If-None-Match": '"1"'}).status_code == 304
    low = stock.put(stock.url + "/A-1", json={"available": 5})
    assert (low.status_code, low.json()["state"], low.json()["version"]) == (200, "low", 2)
    assert stock.put(stock.url + "/A-1", json={"available": 0}).json()["state"] == "out"
    assert stock.put(stock.url + "/A-1", json={"available": 1}, headers={"If-Match": '"2"'}).status_code == 412
    assert stock.put(stock.url + "/A-1", json={"available": 1}, headers={"If-Match": '"3"'}).status_code == 200
    assert stock.put(stock.url + "/new", json={"available": 1}, headers={"If-Match": '"1"'}).status_code == 412
    assert stock.get(stock.url + "/none").status_code == 404


def test_put_only_what_is_new(stock):
    """If-None-Match: * overwrites nothing."""
    url, only_new = stock.url + "/A-1", {"If-None-Match": "*"}
    assert stock.put(url, json={"available": 5}, headers=only_new).status_code == 201
    assert stock.put(url, json={"available": 9}, headers=only_new).status_code == 412
    assert stock.get(url).json()["available"] == 5
    for headers in ({"If-None-Match": '"1"'}, {"If-None-Match": "*", "If-Match": '"1"'}):
        assert stock.put(url, json={"available": 9}, headers=headers).status_code == 400


def test_skus_that_need_escapes(stock):
    for sku in ("a/b", "노트북", "50% off", "x?y#z", "a+b", "it's", 'q"\\'):
        url = stock.url + "/" + requests.utils.quote(sku, safe="")
        assert stock.put(url, json={"available": 1}).status_code == 201
        assert stock.get(url).json()["sku"] == sku
        assert stock.post(url + ":adjust", json={"delta": 2, "reason": sku}).json()["available"] == 3


def test_refuses(stock):
    url = stock.url + "/A-1"
    for body in ({}, {"available": -1}, {"available": 1.5}, {"available": "1"}, {"available": None}, {"available": 1e300}):
        reply = stock.put(url, json=body)
        assert (reply.status_code, field(reply)) == (400, "available")
    assert field(stock.put(url, json={"available": 1, "reserved": 2})) == "reserved"
    assert stock.put(stock.url + "/" + "x" * 129, json={"available": 1}).status_code == 400
    assert stock.put(stock.url + "/%20x", json={"available": 1}).status_code == 400
    assert stock.post(url + ":adjust", json={"delta": 1}).status_code == 404
    stock.put(url, json={"available": 1})
    for body in ({}, {"delta": 0}, {"delta": "1"}, {"delta": 0.5}):
        assert field(stock.post(url + ":adjust", json=body)) == "delta"
    assert field(stock.post(url + ":adjust", json={"delta": 1, "reason": 5})) == "reason"
    assert field(stock.post(url + ":adjust", json={"delta": 1, "reason": "x" * 256})) == "reason"


def test_adjust_never_goes_below_zero(stock, corner):
    url = stock.url + "/A-1"
    stock.put(url, json={"available": 30})
    refused = stock.post(url + ":adjust", json={"delta": -31})
    assert refused.status_code == 409 and "30 available" in refused.json()["detail"]

    def buy(_):
        return requests.post(url + ":adjust", json={"delta": -1, "reason": "sold"}, timeout=30).status_code

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(buy, range(60)))
    assert (codes.count(200), codes.count(409)) == (30, 30)
    assert stock.get(url).json()["available"] == 0
    assert corner.sql("SELECT SUM(delta) s, COUNT(*) n FROM stock_movements WHERE sku='A-1'")[0] == {"s": 0, "n": 31}
    assert stock.post(url + ":adjust", json={"delta": 9 * 10**15 + 1}).status_code == 400
    assert stock.post(url + ":adjust", json={"delta": 9 * 10**15}).status_code == 200
    assert stock.post(url + ":adjust", json={"delta": 1}).status_code == 409


def test_adjust_with_a_version_is_made_once(stock, corner):
    """An adjustment whose answer was lost: with If-Match the repeat is refused."""
    url = stock.url + "/A-1"
    tag = stock.put(url, json={"available": 10}).headers["ETag"]
    first, again = (stock.post(url + ":adjust", json={"delta": -3}, headers={"If-Match": tag}) for _ in range(2))
    assert (first.status_code, first.headers["ETag"], first.json()["available"]) == (200, '"2"', 7)
    assert again.status_code == 412 and stock.get(url).json()["available"] == 7
    assert stock.post(url + ":adjust", json={"delta": -3}, headers={"If-Match": first.headers["ETag"]}).json()["available"] == 4
    assert stock.post(stock.url + "/none:adjust", json={"delta": 1}, headers={"If-Match": "*"}).status_code == 404
    assert stock.post(url + ":adjust", json={"delta": 1}, headers={"If-Match": "2"}).json()["errors"][0]["field"] == "If-Match"
    assert corner.sql("SELECT SUM(delta) s, COUNT(*) n FROM stock_movements")[0] == {"s": 4, "n": 3}


def test_what_was_answered_with_503_is_not_stored_later(program, stack, corner):
    """The row is locked until after the deadline; the client has been told to try again."""
    hasty, patient = (program("write-api", settings).start().url + "/v1/stock/s" for settings in ({"write-api.deadline": "1s"}, {}))
    requests.put(patient, json={"available": 10}, timeout=30).raise_for_status()
    with stack.mysql(corner.name) as mysql, mysql.cursor() as cursor:
        mysql.begin()
        cursor.execute("SELECT * FROM stock WHERE sku='s' FOR UPDATE")
        late = requests.post(hasty + ":adjust", json={"delta": -1}, timeout=30)
        assert late.status_code == 503 and "Retry-After" in late.headers
        mysql.rollback()
        # Behind the adjustment in the queue for the lock.
        cursor.execute("SELECT available FROM stock WHERE sku='s' FOR UPDATE")
        assert cursor.fetchone() == (10,)
    assert requests.post(patient + ":adjust", json={"delta": -1}, timeout=30).json()["available"] == 9
    assert corner.sql("SELECT COUNT(*) n FROM stock_movements")[0]["n"] == 2


def test_concurrent_first_writes(stock, corner):
    def put(i):
        return requests.put(stock.url + "/A-1", json={"available": i}, timeout=30).status_code

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(put, range(32)))
    assert sorted(set(codes)) == [200, 201] and codes.count(201) == 1
    available = stock.get(stock.url + "/A-1").json()["available"]
    assert corner.sql("SELECT SUM(delta) s FROM stock_movements")[0]["s"] == available


def test_import(stock, write_api, corner):
    stock.put(stock.url + "/A", json={"available": 3})
    stock.put(stock.url + "/B", json={"available": 4})
    lines = ['{"sku":"A","available":7}', "", '{"sku":"B","available":4}', '{"sku":"C","available":-1}', '{"sku":"D","available":2}',
             '{"sku":"D","available":9}', '{"sku":"it\'s ? \\\\","available":1}', '{"available":1}', "[1]", '{"sku":"E","available":1,"x":1}']
    reply = requests.post(stock.url + ":import", data="\n".join(lines), timeout=30)
    assert reply.status_code == 200 and reply.headers["Content-Type"] == "application/x-ndjson"
    rows = [json.loads(row) for row in reply.text.splitlines()]
    assert [(r.get("line"), r.get("sku"), r.get("status")) for r in rows[:-1]] == [
        (1, "A", 200), (3, "B", 200), (4, "C", 400), (5, "D", 201), (6, "D", 200), (7, "it's ? \\", 201), (8, None, 400), (9, None, 400),
        (10, "E", 400)]
    assert rows[-1] == {"summary": {"lines": 9, "created": 2, "updated": 3, "failed": 4}}
    assert {r["sku"]: r["available"] for r in corner.sql("SELECT sku, available FROM stock")} == {
        "A": 7, "B": 4, "D": 9, "it's ? \\": 1}
    sums = corner.sql("SELECT s.sku FROM stock s JOIN stock_movements m ON m.sku=s.sku GROUP BY s.sku, s.available "
                      "HAVING SUM(m.delta) <> s.available")
    assert not sums


def test_concurrent_imports_of_the_same_skus(stock, corner):
    def load(i):
        body = "\n".join(f'{{"sku":"S{j}","available":{i * 1000 + j}}}' for j in range(3000))
        reply = requests.post(stock.url + ":import?results=errors", data=body, timeout=120)
        return reply.text

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for text in pool.map(load, range(3)):
            assert '"failed":0' in text, text[:2000]
    assert corner.sql("SELECT COUNT(*) n FROM stock")[0]["n"] == 3000
    wrong = corner.sql("SELECT s.sku FROM stock s JOIN (SELECT sku, SUM(delta) d FROM stock_movements GROUP BY sku) m "
                       "ON m.sku=s.sku WHERE m.d <> s.available")
    assert not wrong
