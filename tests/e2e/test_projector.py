"""The projector alone: what it does when documents, positions, indexes and servers are not as they should be."""
import os
import re
import subprocess
import urllib.parse

import pytest
import requests
from bson import Int64
from harness.tcp_proxy import TcpProxy

FAST_LEASE = {"projector.lease_ttl": "2s", "projector.lease_renew": "400ms"}
PREFIX = "readside_projector_"


def product(number, **fields):
    made = {"_id": f"p{number:05}", "name": f"Product {number}", "brand": "Acme", "price": Int64(1000 + number), "currency": "KRW",
            "attributes": {"color": "black", "size": Int64(number)}, "version": Int64(1)}
    made.update(fields)
    return made


def insert(corner, numbers):
    corner.products.insert_many([product(n) for n in numbers])


def physical(corner):
    return next(iter(corner.stack.es("GET", f"/_alias/{corner.index}")))


def document(corner, product_id):
    """As the index has it now, without waiting for a refresh; None if it is not there."""
    reply = corner.stack.es("GET", f"/{corner.index}/_doc/{product_id}", expect=(200, 404))
    return reply.get("_source") if reply.get("found") else None


def price_is(corner, product_id, price):
    found = document(corner, product_id)
    return found is not None and found.get("price_min") == price


def state(corner, collection="projector_state"):
    return corner.stack.mongo[corner.name][collection]


# ---- documents ----------------------------------------------------------------------------------------------------


def test_a_bad_document_is_put_aside_and_stops_nothing(corner, projector, checker, eventually):
    insert(corner, range(50))
    corner.products.insert_one({"_id": "bad", "name": 17, "price": Int64(1)})
    insert(corner, range(50, 100))
    eventually(lambda: document(corner, "p00099"), 20, "the products after the bad one")
    letter = eventually(lambda: state(corner, "dead_letters").find_one({"_id": "bad"}), 20, "the dead letter")
    assert "name" in letter["reason"] and letter["replay"] == "projector dead-letters replay bad"
    eventually(lambda: projector.metric(PREFIX + "dead_letters_total") >= 1, 20, "it is counted, once it is stored")

    corner.products.update_one({"_id": "bad"}, {"$set": {"name": "good"}})
    eventually(lambda: document(corner, "bad"), 20, "the mended product")
    eventually(lambda: state(corner, "dead_letters").count_documents({}) == 0, 20, "the letter is gone")
    checker.assert_equal(20, at_least=101)


def test_hot_products_cost_few_writes(corner, projector, checker, eventually):
    insert(corner, range(10))
    eventually(lambda: document(corner, "p00009"), 20)
    before = projector.metric(PREFIX + "bulk_documents_total")
    for i in range(2000):
        corner.products.update_one({"_id": f"p{i % 10:05}"}, {"$set": {"price": Int64(i)}, "$inc": {"version": 1}})
    eventually(lambda: price_is(corner, "p00009", 1999), 30, "the last update")
    assert projector.metric(PREFIX + "bulk_documents_total") - before <= 2000
    checker.assert_equal(20, at_least=10)


def test_a_write_that_changes_nothing_is_left_out(corner, projector, eventually):
    insert(corner, [1])
    eventually(lambda: document(corner, "p00001"), 20)
    for n in range(5):
        corner.products.update_one({"_id": "p00001"}, {"$inc": {"version": 1}, "$set": {"traceparent": f"{n}"}})
    eventually(lambda: projector.metric(PREFIX + "suppressed_total") > 0, 20, "suppressed")
    corner.products.update_one({"_id": "p00001"}, {"$set": {"price": Int64(7)}})
    eventually(lambda: price_is(corner, "p00001", 7), 20, "a real change is written")


def test_a_row_committed_late_is_not_skipped(corner, projector, checker, eventually):
    insert(corner, range(3))
    eventually(lambda: all(document(corner, f"p{n:05}") for n in range(3)), 20)
    with corner.stack.mysql(corner.name) as early, early.cursor() as cursor:
        early.begin()
        cursor.execute("INSERT INTO stock (sku, available) VALUES ('p00000', 9)")  # takes the lower queue id
        corner.sql("INSERT INTO stock (sku, available) VALUES ('p00001', 9)")
        eventually(lambda: document(corner, "p00001")["stock"] == "in", 20, "the later row, committed first")
        early.commit()
    eventually(lambda: document(corner, "p00000")["stock"] == "in", 20, "the earlier row, committed last")
    eventually(checker.queue_is_drained, 20)


def test_a_newer_version_in_the_index_raises_the_epoch(corner, projector, eventually):
    insert(corner, [1])
    eventually(lambda: document(corner, "p00001"), 20)
    epoch = projector.metric(PREFIX + "lease_epoch")
    far = (int(epoch) + 5) << 40
    corner.stack.es("PUT", f"/{physical(corner)}/_doc/p00001?version={far}&version_type=external", {"id": "p00001"})
    corner.products.update_one({"_id": "p00001"}, {"$set": {"price": Int64(5)}})
    eventually(lambda: price_is(corner, "p00001", 5), 20, "written over it")
    assert projector.metric(PREFIX + "lease_epoch") == epoch + 6
    assert state(corner).find_one({"_id": "lease"})["epoch"] == epoch + 6
    assert corner.sql("SELECT epoch FROM projector_fence")[0]["epoch"] == epoch + 6
    corner.sql("INSERT INTO stock (sku, available) VALUES ('p00001', 9)")
    eventually(lambda: corner.sql("SELECT COUNT(*) AS n FROM projection_queue")[0]["n"] == 0, 20, "rows go with the new epoch")


@pytest.mark.slow
def test_rows_whose_products_fill_more_than_an_answer(corner, projector, checker, eventually):
    """MongoDB answers 16 MB at a time; a page of rows names a thousand products with 18 MB of SKUs."""
    def sku(number, variant):
        return f"{'s' * 110}-{number:05}-{variant:03}"

    for begin in range(0, 1000, 100):
        corner.products.insert_many([product(n, variants=[{"sku": sku(n, v)} for v in range(125)]) for n in range(begin, begin + 100)])
    eventually(lambda: document(corner, "p00999"), 120)
    corner.sql("INSERT INTO stock (sku, available) VALUES " + ",".join(["(%s, 9)"] * 1000), *(sku(n, 124) for n in range(1000)))
    eventually(lambda: corner.sql("SELECT COUNT(*) AS n FROM projection_queue")[0]["n"] == 0, 60, "all rows are done")
    checker.assert_equal(60, at_least=1000)


# ---- positions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["deleted", "token"])
def test_a_lost_position_is_made_good(corner, projector, checker, damage):
    insert(corner, range(300))
    checker.assert_equal(30, at_least=300)
    projector.stop()
    corner.products.delete_many({"_id": {"$lt": "p00020"}})
    corner.products.update_many({"_id": {"$gt": "p00250"}}, {"$set": {"price": Int64(1)}})
    if damage == "deleted":
        state(corner).delete_one({"_id": "checkpoint:stream"})
    else:
        state(corner).update_one({"_id": "checkpoint:stream"}, {"$set": {"token": {"_data": "8263nonsense"}}})
    projector.start()
    checker.assert_equal(60, at_least=280)
    job = state(corner, "projector_jobs").find_one({"type": "scan"}, sort=[("created_at", -1)])
    assert job["orphans"] == 20


def test_a_dropped_collection_waits_for_a_word(corner, projector, checker, eventually):
    insert(corner, range(100))
    checker.assert_equal(30, at_least=100)
    corner.products.drop()
    jobs = state(corner, "projector_jobs")
    waiting = eventually(lambda: jobs.find_one({"state": "waiting"}), 30, "the sweep waits")
    assert waiting["orphans"] == 100
    insert(corner, range(500, 510))
    eventually(lambda: document(corner, "p00509"), 20, "serving goes on")
    assert document(corner, "p00005"), "nothing is removed without a word"
    assert projector.metric(PREFIX + "history_lost_total") == 1
    name = urllib.parse.quote(waiting["_id"])
    assert requests.post(f"{projector.url}/v1/jobs/nonsense:confirm", timeout=10).status_code == 404
    assert requests.post(f"{projector.url}/v1/jobs/{name}:confirm", timeout=10).status_code == 204
    checker.assert_equal(30, at_least=10)


def test_an_index_that_vanishes_pauses_and_is_rebuilt_at_a_restart(corner, projector, checker, eventually):
    insert(corner, range(100))
    checker.assert_equal(30, at_least=100)
    index = physical(corner)
    corner.stack.es("DELETE", f"/{index}")
    corner.products.update_one({"_id": "p00001"}, {"$set": {"price": Int64(3)}})
    eventually(lambda: projector.metric(PREFIX + "target_paused") == 1, 20, "paused")
    eventually(lambda: requests.get(projector.url + "/readyz", timeout=10).status_code == 503, 20, "not ready")
    assert corner.stack.es("GET", f"/{index}", expect=(404,)), "it is not created by a write"
    projector.restart()
    checker.assert_equal(60, at_least=100)


def test_an_index_that_refuses_writes_pauses_until_it_takes_them(corner, projector, checker, eventually):
    insert(corner, range(200))
    checker.assert_equal(30, at_least=200)
    corner.stack.es("PUT", f"/{physical(corner)}/_settings", {"index.blocks.write": True})
    corner.products.update_many({}, {"$set": {"price": Int64(8)}})
    eventually(lambda: projector.metric(PREFIX + "target_paused") == 1, 20, "paused")
    assert state(corner, "dead_letters").count_documents({}) == 0
    corner.stack.es("PUT", f"/{physical(corner)}/_settings", {"index.blocks.write": False})
    checker.assert_equal(30, at_least=200)
    eventually(lambda: projector.metric(PREFIX + "target_paused") == 0, 20, "it goes on")
    projector.wait_for("/readyz", 20)


def test_jobs_survive_a_kill(corner, program, write_api, checker, eventually):
    insert(corner, range(6000))
    projector = program("projector", {"projector.scan_page": 50, "projector.background_window_marks": 200}).start()
    jobs = state(corner, "projector_jobs")
    eventually(lambda: (jobs.find_one() or {}).get("done", 0) > 0, 60, "progress is stored", pause=0.01)
    projector.kill()
    stored = jobs.find_one()
    projector.start()
    checker.assert_equal(120, at_least=6000)
    job = eventually(lambda: jobs.find_one({"state": "done"}), 60, "the job ends")
    assert job["_id"] == stored["_id"] and job["done"] >= 6000
    resumed = re.search(r"event=job\.running .*done=(\d+)", projector.log().split("--- start 2")[1])
    if stored["state"] == "running":
        assert int(resumed.group(1)) >= stored["done"], "it goes on where it was"


# ---- categories ---------------------------------------------------------------------------------------------------


def test_changes_of_one_category_are_coalesced(corner, projector, checker, eventually):
    corner.sql("INSERT INTO categories (id, parent_id, level, path, name) VALUES (1, NULL, 1, '1/', 'A')")
    corner.sql("INSERT INTO categories (id, parent_id, level, path, name) VALUES (2, 1, 2, '1/2/', 'B')")
    corner.products.insert_many([product(n, categories=[Int64(2)], primary_category_id=Int64(2)) for n in range(300)])
    checker.assert_equal(30, at_least=300)
    for n in range(20):
        corner.sql("UPDATE categories SET name=%s WHERE id=1", f"A{n}")
    checker.assert_equal(30, at_least=300)
    eventually(checker.queue_is_drained, 20)
    eventually(lambda: state(corner, "projector_jobs").count_documents({"state": "running"}) == 0, 20, "jobs end")
    tree = corner.stack.es("GET", f"/{corner.categories_index}/_doc/1")["_source"]
    assert tree["name"] == "A19"


def test_a_category_that_comes_after_its_product(corner, projector, checker):
    corner.products.insert_one(product(1, categories=[Int64(7)], primary_category_id=Int64(7)))
    checker.assert_equal(30, at_least=1)
    corner.sql("INSERT INTO categories (id, parent_id, level, path, name) VALUES (7, NULL, 1, '7/', 'Late')")
    checker.assert_equal(30, at_least=1)


# ---- the lease ----------------------------------------------------------------------------------------------------


def test_a_standby_takes_over_and_the_old_owner_stops(corner, program, write_api, checker, eventually):
    both = [program("projector", FAST_LEASE).start(), program("projector", FAST_LEASE).start(wait="alive")]
    insert(corner, range(100))
    checker.assert_equal(30, at_least=100)

    def owner_first():  # on a machine that was away for two seconds it may be the other one by now
        both.sort(key=lambda one: -one.metric(PREFIX + "lease_owner"))
        return [one.metric(PREFIX + "lease_owner") for one in both] == [1, 0] and \
            [requests.get(one.url + "/readyz", timeout=60).status_code for one in both] == [200, 503]

    eventually(owner_first, 30, "one owns, and the other is not ready")
    first, second = both
    first.put_to_sleep()
    try:
        corner.products.update_many({}, {"$set": {"price": Int64(42)}})
        eventually(lambda: second.metric(PREFIX + "lease_owner") == 1, 30, "the standby takes over")
        eventually(lambda: price_is(corner, "p00099", 42), 30, "it serves")
        corner.products.update_many({}, {"$set": {"price": Int64(43)}})
        checker.assert_equal(30, at_least=100)
    finally:
        first.wake()
    eventually(lambda: first.metric(PREFIX + "lease_owner") == 0, 30, "the old owner notices")
    checker.assert_equal(10, at_least=100)
    assert first.metric(PREFIX + "lease_epoch") < second.metric(PREFIX + "lease_epoch")

    second.stop()
    eventually(lambda: first.metric(PREFIX + "lease_owner") == 1, 30, "a released lease is taken at once")
    corner.products.update_many({}, {"$set": {"price": Int64(44)}})
    checker.assert_equal(30, at_least=100)


def test_a_killed_owner_is_followed_at_once_on_the_same_machine(corner, projector, eventually):
    """Default lease of 10 s: the process is seen to be gone."""
    insert(corner, range(10))
    eventually(lambda: document(corner, "p00009"), 20)
    projector.kill()
    corner.products.update_one({"_id": "p00001"}, {"$set": {"price": Int64(9)}})
    projector.start(deadline=60)
    assert "event=standby" not in projector.log().split("--- start 2")[1]
    eventually(lambda: price_is(corner, "p00001", 9), 20)


# ---- servers ------------------------------------------------------------------------------------------------------


@pytest.fixture
def proxies(stack):
    made = {"mysql": TcpProxy(os.environ["READSIDE_MYSQL_HOST"], os.environ["READSIDE_MYSQL_PORT"])}
    es = urllib.parse.urlsplit(stack.es_url)
    made["elasticsearch"] = TcpProxy(es.hostname, es.port)
    mongo = re.match(r"mongodb://([^:/]+):(\d+)", os.environ["READSIDE_MONGO_URI"])
    made["mongo"] = TcpProxy(mongo[1], mongo[2])
    yield made
    for one in made.values():
        one.close()


def through(proxies):
    """Settings that go through the proxies; a direct connection, because the set would name the server itself."""
    return {**FAST_LEASE, "mysql.host": "127.0.0.1", "mysql.port": proxies["mysql"].port,
            "elasticsearch.url": f"http://127.0.0.1:{proxies['elasticsearch'].port}",
            "mongo.uri": f"mongodb://127.0.0.1:{proxies['mongo'].port}/?directConnection=true"}


@pytest.mark.parametrize("server", ["mysql", "elasticsearch", "mongo"])
def test_a_server_that_dies_and_comes_back(corner, program, write_api, proxies, checker, eventually, server):
    projector = program("projector", through(proxies)).start()
    insert(corner, range(200))
    corner.sql("INSERT INTO stock (sku, available) VALUES ('p00001', 1)")
    checker.assert_equal(30, at_least=200)
    proxies[server].cut()
    corner.products.update_many({}, {"$set": {"price": Int64(77)}})
    corner.products.delete_many({"_id": {"$lt": "p00010"}})
    corner.sql("INSERT INTO stock (sku, available) VALUES ('p00150', 100)")
    eventually(lambda: re.search(r"level=warn.*(UNAVAILABLE|TIMEOUT)|event=(lease\.lost|waiting)", projector.log()), 40,
               "it says so")
    assert requests.get(projector.url + "/healthz", timeout=10).status_code == 200
    proxies[server].mend()
    checker.assert_equal(90, at_least=190)
    projector.wait_for("/readyz", 60)
    eventually(checker.queue_is_drained, 20)


def test_it_waits_for_every_server_and_stops_while_waiting(corner, program, write_api, proxies, checker, eventually):
    for one in proxies.values():
        one.cut()
    insert(corner, range(20))
    projector = program("projector", through(proxies)).start(wait="alive")
    for server, name in (("mongo", "MongoDB"), ("mysql", "MySQL"), ("elasticsearch", "Elasticsearch")):
        eventually(lambda n=name: f"event=waiting server={n}" in projector.log(), 60, f"it waits for {name}")
        assert requests.get(projector.url + "/readyz", timeout=10).status_code == 503
        if server == "mysql":
            projector.restart(wait="alive")  # told to stop while it waits
            eventually(lambda: projector.log().count("event=waiting server=MySQL") >= 2, 60)
        proxies[server].mend()
    projector.wait_for("/readyz", 60)
    checker.assert_equal(60, at_least=20)


def test_a_server_that_is_gone_just_when_a_term_begins(corner, program, write_api, proxies, checker, eventually):
    """The last thing that is read before it is the owner: once by us, once more by the driver, and again."""
    insert(corner, range(20))
    proxies["mongo"].cut_at(b"find\0\x0d\0\0\0dead_letters\0", times=3)
    projector = program("projector", through(proxies)).start()
    assert re.search(r"event=start\.failed error=UNAVAILABLE .*list dead letters", projector.log())
    assert "engine.failed" not in projector.log() and projector.metric(PREFIX + "lease_epoch") > 1
    checker.assert_equal(30, at_least=20)


# ---- command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, code, said", [
    ([], 2, "no command"), (["fly"], 2, "unknown command"), (["run", "away"], 2, "no argument away"),
    (["--help"], 0, "run "), (["--print-config"], 0, "bulk_max_bytes"), (["--nonsense"], 2, "--nonsense"),
    (["--projector.lease_ttl=1s", "--check-config"], 2, "projector.lease_renew (3000 ms) is more than half of projector.lease_ttl (1000 ms)"),
    (["--projector.lease_ttl=6s", "--check-config"], 0, "configuration ok")])
def test_command_line(arguments, code, said):
    done = subprocess.run([os.path.join(os.environ["READSIDE_BIN_DIR"], "projector"), *arguments], capture_output=True,
                          text=True, timeout=30)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
