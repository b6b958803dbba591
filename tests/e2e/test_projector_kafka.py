"""Scaled out: `projector relay` writes marks into a topic, members of a group (`run --from kafka`) work them off."""
import glob
import json
import os
import random
import re
import threading
import time
import urllib.parse

import pytest
import requests
from bson import Int64
from harness.command import Commands
from harness.kafka_topic import Debezium, KafkaProxy, brokers, debezium_key, debezium_value, sink_of, wait_for_partitions
from harness.process import Program
from harness.shop import PREFIX, SURE_LEASE, jobs, letters, product
from harness.tcp_proxy import TcpProxy
from harness.wait import patience


def price_is(corner, product_id, price):
    reply = corner.stack.es("GET", f"/{corner.index}/_doc/{product_id}", expect=(200, 404))
    return reply.get("_source", {}).get("price_min") == price


class Writer(threading.Thread):
    """Changes products and stock at random until it is told to stop, at most 200 a second: a machine that is busy with other
    tests would fall behind without end, and a check that waits for rest would find none."""

    def __init__(self, corner, rng, products):
        super().__init__(daemon=True)
        self.corner, self.rng, self.products = corner, random.Random(rng.random()), products
        self.over, self.changes, self.failed = threading.Event(), 0, None

    def run(self):
        try:
            while not self.over.wait(0.005):
                self.change()
                self.changes += 1
        except Exception as e:  # seen by finish()
            self.failed = e

    def change(self):
        n, kind = self.rng.randrange(self.products), self.rng.random()
        if kind < 0.05:
            self.corner.products.delete_one({"_id": f"p{n:06}"})
        elif kind < 0.15:
            self.corner.sql("INSERT INTO stock (sku, available) VALUES (%s, %s) ON DUPLICATE KEY UPDATE available=VALUES(available)",
                            f"p{n:06}", self.rng.choice([0, 3, 100]))
        elif kind < 0.17:
            self.corner.sql("UPDATE categories SET name=%s WHERE id=1", f"Name {self.changes}")
        else:
            fields = product(n, price=Int64(self.rng.randrange(10**6)), categories=[Int64(1)], primary_category_id=Int64(1))
            del fields["_id"]
            self.corner.products.update_one({"_id": f"p{n:06}"}, {"$set": fields}, upsert=True)

    def wait(self, changes, deadline=60):
        """Until it has made so many more."""
        goal, end = self.changes + changes, time.monotonic() + patience(deadline)
        while self.changes < goal and self.failed is None and time.monotonic() < end:
            self.over.wait(0.02)
        assert self.changes >= goal, f"only {self.changes} of {goal} changes: {self.failed}"

    def finish(self):
        self.over.set()
        self.join(30)
        assert self.failed is None and not self.is_alive(), self.failed


@pytest.fixture
def writer(corner, topic, rng, write_api):
    corner.sql("INSERT INTO categories (id, parent_id, level, path, name) VALUES (1, NULL, 1, '1/', 'A')")
    made = Writer(corner, rng, 400)
    yield made
    made.over.set()


# ---- all is well --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 4])
def test_relay_and_consumers(corner, topic, write_api, relay, consumer, checker, eventually, count):
    corner.sql("INSERT INTO categories (id, parent_id, level, path, name) VALUES (1, NULL, 1, '1/', 'A')")
    corner.products.insert_many([product(n, categories=[Int64(1)], primary_category_id=Int64(1)) for n in range(300)])
    writer = relay().start()
    consumers = [consumer().start(wait="alive") for _ in range(count)]
    wait_for_partitions(consumers, topic.partitions)
    checker.assert_equal(60, at_least=300)
    for one in consumers:
        one.wait_for("/readyz")
    corner.products.update_many({}, {"$set": {"price": Int64(7)}})
    corner.products.delete_many({"_id": {"$lt": "p000020"}})
    corner.products.insert_many([product(n) for n in range(300, 350)])
    corner.sql("INSERT INTO stock (sku, available) VALUES ('p000100', 3), ('p000101', 100)")
    corner.sql("UPDATE categories SET name='B' WHERE id=1")
    checker.assert_equal(60, at_least=330)
    eventually(checker.queue_is_drained, 30)
    assert all(one.metric(PREFIX + "bulk_documents_total") > 0 for one in consumers), "each does its share"
    assert not writer.metric(PREFIX + "bulk_documents_total"), "the relay writes no documents"
    delivered = writer.metric(PREFIX + "relay_messages_total", 'result="delivered"')
    assert delivered >= 300
    eventually(lambda: writer.metric(PREFIX + "relay_pending") == 0, 30, "the relay has nothing left to send")

    def caught_up():
        lags = [[one.metric(PREFIX + "kafka_lag_messages", f'partition="{p}"') or 0 for p in range(topic.partitions)] for one in consumers]
        assert not any(map(any, lags)), lags
        return sum(topic.offsets().values()) >= delivered

    eventually(caught_up, 30, "the offsets of all messages are stored")
    assert corner.stack.es("GET", f"/{corner.categories_index}/_doc/1")["_source"]["name"] == "B"


def test_back_to_a_single_instance(corner, topic, write_api, relay, program, checker, eventually):
    """What a relay wrote into a topic nobody may have read."""
    corner.products.insert_many([product(n) for n in range(100)])
    one = relay().start()
    eventually(lambda: one.metric(PREFIX + "relay_messages_total", 'result="delivered"') >= 100, 30, "marks are in the topic")
    one.stop()
    alone = program("projector", SURE_LEASE).start()
    checker.assert_equal(60, at_least=100)
    assert "marks went into another topic or index before" in alone.log()


def test_reindex_through_the_topic(corner, topic, writer, relay, consumer, checker, eventually):
    """Consumers write the new index too as soon as a mark asks for it, and nothing is swapped before they have."""
    relay().start()
    group = [consumer().start(wait="alive") for _ in range(2)]
    wait_for_partitions(group, topic.partitions)
    corner.products.insert_many([product(n) for n in range(300)])
    checker.assert_equal(60, at_least=300)
    before = list(corner.stack.es("GET", f"/_alias/{corner.index}"))
    writer.start()
    writer.wait(20)
    Commands(corner, {**SURE_LEASE, **topic.settings})("reindex", "--wait", deadline=180)
    writer.wait(20)
    writer.finish()
    after = list(corner.stack.es("GET", f"/_alias/{corner.index}"))
    assert len(after) == 1 and after != before
    checker.assert_equal(60)


def test_an_index_of_another_release(corner, topic, write_api, relay, consumer, checker, eventually):
    """Who cannot write it waits for a reindex; then changes go through the topic into the new index alone."""
    corner.products.insert_many([product(n) for n in range(100)])
    one, member = relay().start(), consumer().start(wait="alive")
    checker.assert_equal(60, at_least=100)
    member.stop()
    before = one.metric(PREFIX + "relay_messages_total", 'result="delivered"')
    corner.products.update_one({"_id": "p000006"}, {"$set": {"price": Int64(66)}})
    eventually(lambda: one.metric(PREFIX + "relay_messages_total", 'result="delivered"') > before, 30, "the mark is in the topic, unread")
    one.stop()
    (old,) = corner.stack.es("GET", f"/_alias/{corner.index}")
    meta = corner.stack.es("GET", f"/{old}/_mapping")[old]["mappings"]["_meta"]
    meta["readside"]["projection"]["version"] = 99
    corner.stack.es("PUT", f"/{old}/_mapping", {"_meta": meta})
    for each in (one.start(wait="alive"), member.start(wait="alive")):
        eventually(lambda each=each: "`projector reindex`" in requests.get(each.url + "/readyz", timeout=10).text, 60, "what helps")
    scans = jobs(corner).count_documents({"type": "scan"})
    corner.products.update_one({"_id": "p000007"}, {"$set": {"price": Int64(77)}})
    member.stop()
    making = Commands(corner, {**SURE_LEASE, **topic.settings}).start("reindex", "--wait")
    eventually(lambda: "consumers of the topic" in (jobs(corner).find_one({"type": "reindex"}) or {}).get("note", ""), 60,
               "it is compared once the marks are read")
    member.start(wait="alive")
    making.finish(deadline=180)
    corner.products.update_one({"_id": "p000008"}, {"$set": {"price": Int64(88)}})
    checker.assert_equal(60, at_least=100)
    assert all(price_is(corner, f"p00000{n}", n * 11) for n in (6, 7, 8)) and old not in corner.stack.es("GET", f"/_alias/{corner.index}")
    assert corner.stack.es("GET", f"/{old}/_doc/p000007")["_source"]["price_min"] == 1007, "nothing was written to the old one"
    assert sink_of(corner) == f"kafka:{topic.name}" and jobs(corner).count_documents({"type": "scan"}) == scans
    for each in (one, member):
        each.wait_for("/readyz")


# ---- members come and go ------------------------------------------------------------------------------------------


def test_consumers_are_killed_and_added_under_load(corner, topic, writer, relay, consumer, checker, eventually, rng):
    relay().start()
    group = [consumer().start(wait="alive") for _ in range(2)]
    wait_for_partitions(group, topic.partitions)
    writer.start()
    for how in ("kill", "stop", "kill"):
        writer.wait(100)
        group.append(consumer().start(wait="alive"))
        writer.wait(100)
        getattr(group.pop(rng.randrange(len(group))), how)()
    writer.wait(100)
    writer.finish()
    wait_for_partitions(group, topic.partitions)
    checker.assert_equal(90)
    eventually(checker.queue_is_drained, 30)


def test_what_a_consumer_had_not_finished_is_read_again(corner, topic, write_api, relay, consumer, checker, eventually):
    target = urllib.parse.urlsplit(corner.stack.es_url)
    proxy = TcpProxy(target.hostname, target.port)
    relay().start()
    member = consumer(**{"elasticsearch.url": f"http://127.0.0.1:{proxy.port}"}).start(wait="alive")
    corner.products.insert_many([product(n) for n in range(100)])
    checker.assert_equal(60, at_least=100)
    proxy.cut()
    marks = member.metric(PREFIX + "marks_total", 'source="stream"')
    corner.products.update_many({}, {"$set": {"price": Int64(8)}})
    eventually(lambda: member.metric(PREFIX + "marks_total", 'source="stream"') >= marks + 100, 30, "it has read the marks")
    eventually(lambda: sum(member.metric(PREFIX + "kafka_lag_messages", f'partition="{p}"') or 0 for p in range(topic.partitions)) >= 100,
               30, "they are not done")
    member.kill()
    consumer().start(wait="alive")
    checker.assert_equal(60, at_least=100)
    proxy.close()


@pytest.mark.slow
def test_a_consumer_that_sleeps_through_its_session(corner, topic, writer, relay, consumer, checker, eventually):
    relay().start()
    sleeper, other = consumer().start(wait="alive"), consumer().start(wait="alive")
    wait_for_partitions([sleeper, other], topic.partitions)
    epoch = sleeper.metric(PREFIX + "lease_epoch")
    writer.start()
    writer.wait(100)
    sleeper.put_to_sleep()  # in the middle of something
    try:
        eventually(lambda: other.metric(PREFIX + "kafka_partitions") == topic.partitions, 60, "the other has all partitions")
        writer.wait(100)
        writer.finish()
        checker.assert_equal(60)
    finally:
        sleeper.wake()
    wait_for_partitions([sleeper, other], topic.partitions)
    checker.assert_equal(5)
    assert sleeper.metric(PREFIX + "lease_epoch") > epoch, "a new assignment has a new epoch"
    assert "event=group.revoked" in sleeper.log()


def test_a_relay_dies_and_another_takes_over(corner, topic, writer, relay, consumer, checker, eventually):
    lease = {"projector.lease_ttl": "6s"}  # one is put to sleep; who is killed is followed at once
    first, second = relay(**lease).start(), relay(**lease).start(wait="alive")
    member = consumer().start(wait="alive")
    writer.start()
    writer.wait(100)
    assert second.metric(PREFIX + "lease_owner") == 0 and requests.get(second.url + "/readyz", timeout=10).status_code == 503
    first.kill()
    eventually(lambda: second.metric(PREFIX + "lease_owner") == 1, 30, "the standby takes over")
    writer.wait(100)
    third = relay(**lease).start(wait="alive")
    second.put_to_sleep()
    try:
        eventually(lambda: third.metric(PREFIX + "lease_owner") == 1, 30, "and the next one")
        writer.wait(100)
    finally:
        second.wake()
    eventually(lambda: second.metric(PREFIX + "lease_owner") == 0, 30, "the old one notices")
    writer.finish()
    checker.assert_equal(60)
    eventually(checker.queue_is_drained, 30)
    member.wait_for("/readyz")


# ---- Kafka --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_kafka_goes_away_and_comes_back(corner, topic, writer, relay, consumer, checker, eventually):
    proxy = KafkaProxy(brokers()[0])
    away = {"kafka.brokers": proxy.address, "kafka.message_timeout": "2s", "projector.window_marks": 100, "projector.stream_batch": 50,
            "projector.background_window_marks": 100, "projector.scan_page": 50}
    one, member = relay(**away).start(), consumer(**away).start(wait="alive")
    wait_for_partitions([member], topic.partitions)
    writer.start()
    writer.wait(50)
    proxy.cut()
    eventually(lambda: one.metric(PREFIX + "relay_messages_total", 'result="failed"') > 0, 60, "messages fail")
    eventually(lambda: requests.get(one.url + "/readyz", timeout=10).status_code == 503, 30, "it says so")
    writer.wait(500)
    assert 0 < one.metric(PREFIX + "relay_pending") <= 600, "what waits is bounded; the oplog has the rest"
    eventually(lambda: requests.get(member.url + "/readyz", timeout=10).status_code == 503, 60, "the consumer says so too")
    proxy.mend()
    writer.wait(50)
    writer.finish()
    checker.assert_equal(120)
    eventually(checker.queue_is_drained, 60)
    one.wait_for("/readyz")
    member.wait_for("/readyz")
    proxy.close()


def test_a_dead_letter_is_replayed_when_a_consumer_has_tried(corner, topic, write_api, relay, consumer, eventually):
    """Not when the relay has said so: until then nobody knows whether it can be written now."""
    relay().start()
    member = consumer().start(wait="alive")
    eventually(lambda: jobs(corner).find_one({"type": "scan", "state": "done"}), 60, "the first scan, which would try it once more")
    corner.products.insert_many([product(1), product(2, price="dear")])
    eventually(lambda: letters(corner).find_one({"_id": "p000002"}), 60, "its letter")
    eventually(lambda: price_is(corner, "p000001", 1001), 60, "the other")
    member.stop()
    replay = Commands(corner, {**SURE_LEASE, **topic.settings}).start("dead-letters", "replay", "--all", "--json")
    eventually(lambda: jobs(corner).find_one({"type": "repair", "state": "done"}), 60, "the relay has said so")
    time.sleep(1)
    assert replay.process.poll() is None and letters(corner).count_documents({"_id": "p000002"}) == 1
    consumer().start(wait="alive")
    said = replay.finish(expect=3).events
    assert said[-1] == {"event": "replayed", "products": 1, "written": 0, "failed": 1}
    assert letters(corner).find_one({"_id": "p000002"})["times"] == 2


def test_the_clock_is_set_back(corner, topic, write_api, relay, tmp_path, checker, eventually):
    """librdkafka waits until a time of the wall clock: two hours longer than it meant to. The member sends its heartbeats all the
    same, keeps its partitions, reads on and stops when it is asked to."""
    library = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not library:
        pytest.skip("libfaketime is not installed")
    corner.products.insert_many([product(n) for n in range(50)])
    relay().start()
    clock = tmp_path / "clock"
    clock.write_text("+0\n", "ascii")
    member = Program("projector", str(tmp_path), {**corner.environment, "LD_PRELOAD": library[0], "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_CACHE_DURATION": "1",
                                                  "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"},
                     {**SURE_LEASE, **topic.settings, "kafka.session_timeout": "6s"}, bin_dir=os.environ["READSIDE_PLAIN_BIN_DIR"], arguments=["run", "--from", "kafka"])
    try:
        member.start()
        checker.assert_equal(60, at_least=50)
        for text in ("+7200\n", "+0\n"):
            clock.write_text(text, "ascii")
            begun = time.monotonic()
            eventually(lambda: time.monotonic() - begun > 9, 30, "more than a session", pause=0.5)
            assert member.metric(PREFIX + "kafka_partitions") == topic.partitions, "it has lost none"
            corner.products.update_many({}, {"$inc": {"price": Int64(1)}})
            checker.assert_equal(30, at_least=50)
        assert "event=group.revoked" not in member.log()
        member.stop()
    finally:
        member.kill()


def test_malformed_messages_stop_nothing(corner, topic, write_api, relay, consumer, checker, eventually, rng):
    corner.products.insert_many([product(n) for n in range(50)])
    relay().start()
    member = consumer(**{"kafka.session_timeout": "60s"}).start(wait="alive")  # a new assignment may read some a second time
    checker.assert_equal(60, at_least=50)
    bad_keys = [(None, b"{}"), (b"", b"{}"), (b"\xff\xfe", None), (b"x" * 500, b'{"v":1}')]
    bad_values = [(b"p000001", b"not json"), (b"p000002", b'{"v":9}'), (b"p000003", b'{"time":[-1,0]}'), (b"p000004", b"[" * 5000),
                  (b"p000005", rng.randbytes(300))]
    odd = [(b"p000006", None), (b"p000007", b'{"v":1,"time":[4000000000,1]}'), (b"p000008", b'{"v":1,"target_revision":999}'),
           (b"p000009", b'{"v":1,"source":"moon"}'), (b"no-such-product", b"{}")]
    for key, value in bad_keys + bad_values + odd:
        topic.send(key, value)
    topic.flush()
    corner.products.update_many({}, {"$set": {"price": Int64(5)}})
    checker.assert_equal(60, at_least=50)

    def counted():
        part = {p: member.metric(PREFIX + "kafka_bad_messages_total", f'part="{p}"') for p in ("key", "value", "time")}
        assert part == {"key": len(bad_keys), "value": len(bad_values), "time": 1}, part
        return True

    eventually(counted, 30, "each is counted")
    said = re.compile(r"event=kafka\.bad_message .*partition=\d+ offset=\d+")
    eventually(lambda: len(said.findall(member.log())) == len(bad_keys) + len(bad_values), 30, "and said")
    member.wait_for("/readyz")


# ---- a topic of another tool --------------------------------------------------------------------------------------


def connector(corner, topic, schema, over):
    """Writes what Debezium's MongoDB connector writes for each change: every third without its place in the second, as
    versions do that know only the second, and a tombstone after a delete."""
    operations = {"insert": "c", "update": "u", "replace": "u", "delete": "d"}
    with corner.products.watch(full_document="updateLookup", max_await_time_ms=200) as stream:
        over.ready.set()
        for count in range(10**9):
            event = stream.try_next()
            if event is None and over.is_set():
                break
            if event is None or event["operationType"] not in operations:
                continue
            key = debezium_key(event["documentKey"]["_id"], schema)
            value = debezium_value(operations[event["operationType"]], event["documentKey"]["_id"], event["clusterTime"],
                                   {"name": (event.get("fullDocument") or {}).get("name")}, schema)
            topic.send(key, value.replace(b'"ord":', b'"unknown":') if count % 3 == 0 else value)
            if event["operationType"] == "delete":
                topic.send(key, None)
    topic.flush()


@pytest.mark.parametrize("schema", [False, True])
def test_a_topic_of_debezium(corner, topic, write_api, consumer, checker, eventually, schema):
    topic.create()
    over = threading.Event()
    over.ready = threading.Event()
    tool = threading.Thread(target=connector, args=(corner, topic, schema, over), daemon=True)
    tool.start()
    assert over.ready.wait(30)
    format_of = {"kafka.marks_format": "debezium"}
    group = [consumer(**format_of).start(wait="alive") for _ in range(2)]
    corner.products.insert_many([product(n) for n in range(200)])
    corner.products.update_many({"_id": {"$lt": "p000100"}}, {"$set": {"price": Int64(3)}})
    corner.products.delete_many({"_id": {"$gt": "p000180"}})
    wait_for_partitions(group, topic.partitions)
    checker.assert_equal(60, at_least=180)
    corner.products.update_many({}, {"$set": {"price": Int64(4)}})
    checker.assert_equal(60, at_least=180)
    over.set()
    tool.join(30)
    assert not tool.is_alive()
    assert all(one.metric(PREFIX + "kafka_fence_reads_total") > 0 for one in group), "marks without a time"
    assert not any(one.metric(PREFIX + "kafka_bad_messages_total", f'part="{p}"') for one in group for p in ("key", "value", "time"))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("schema", [False, True])
def test_the_connector_itself(corner, topic, write_api, relay, consumer, checker, eventually, tmp_path, schema):
    """A snapshot first, then changes; without schemas a relay writes marks of stock and categories into its topic."""
    topic.name = topic.settings["kafka.marks_topic"] = f"{corner.name}.{corner.name}.products"
    topic.create()
    format_of = {"kafka.marks_format": "debezium"}
    corner.products.insert_many([product(n) for n in range(200)])
    group = [consumer(**format_of).start(wait="alive") for _ in range(2)]
    connect = Debezium(corner, tmp_path, schema)
    try:
        wait_for_partitions(group, topic.partitions)
        checker.assert_equal(120, at_least=200)
        corner.products.update_many({"_id": {"$lt": "p000100"}}, {"$set": {"price": Int64(3)}})
        corner.products.delete_many({"_id": {"$gt": "p000180"}})
        corner.products.insert_one({**product(7), "_id": 'a "quoted" 이름\\'})
        checker.assert_equal(60, at_least=181)
        if not schema:
            ids = [product(n)["_id"] for n in range(200)] + ['a "quoted" 이름\\']
            assert topic.keys() == {json.dumps({"id": json.dumps(i, ensure_ascii=False)}, ensure_ascii=False, separators=(",", ":")).encode()
                                    for i in ids}, "as a relay writes them: tests/unit/test_mark_message.c"
            corner.sql("INSERT INTO categories (id, parent_id, level, path, name) VALUES (1, NULL, 1, '1/', 'A')")
            corner.products.update_many({}, {"$set": {"categories": [Int64(1)], "primary_category_id": Int64(1)}})
            relay(**format_of).start()
            corner.sql("INSERT INTO stock (sku, available) VALUES ('p000001', 3)")
            corner.sql("UPDATE categories SET name='B' WHERE id=1")
            checker.assert_equal(60, at_least=181)
    finally:
        connect.close()
    assert not any(one.metric(PREFIX + "kafka_bad_messages_total", f'part="{p}"') for one in group for p in ("key", "value", "time"))


# ---- names of categories --------------------------------------------------------------------------------------------


def category_names(corner, product_id):
    reply = corner.stack.es("GET", f"/{corner.index}/_doc/{product_id}", expect=(200, 404))
    return reply.get("_source", {}).get("category_names")


def test_a_product_enters_a_renamed_category_that_no_mark_told_of(corner, topic, write_api, consumer, eventually):
    """Marks of other tools know nothing of categories, and whoever made the fan-out did not find the product in this one."""
    topic.create()
    corner.sql("INSERT INTO categories (id, parent_id, level, path, name) VALUES (1, NULL, 1, '1/', 'Old')")
    corner.products.insert_one(product(1))
    one = consumer(**{"kafka.marks_format": "key"}).start(wait="alive")
    wait_for_partitions([one], topic.partitions)
    topic.send(b"p000001", None)
    topic.flush()
    eventually(lambda: price_is(corner, "p000001", 1001), 30, "it is there, without a category")
    for name in ("New", "Newer"):
        corner.sql("UPDATE categories SET name = %s WHERE id = 1", name)
        corner.products.update_one({"_id": "p000001"}, {"$set": {"categories": [Int64(1)], "primary_category_id": Int64(1)}})
        topic.send(b"p000001", None)
        topic.flush()
        eventually(lambda name=name: category_names(corner, "p000001") == {"en": [name]}, 30, "under the name of now")


def test_every_mark_of_a_relay_tells_of_the_categories(corner, topic, write_api, relay, eventually):
    """So that whoever reads a mark has a tree no older than the fan-outs before it."""
    corner.sql("INSERT INTO categories (id, parent_id, level, path, name) VALUES (1, NULL, 1, '1/', 'Old')")
    one = relay().start()
    revision = corner.sql("SELECT revision FROM category_revision")[0]["revision"]
    corner.sql("UPDATE categories SET name = 'New' WHERE id = 1")
    eventually(lambda: one.metric(PREFIX + "category_revision") > revision, 30, "the relay has heard of it")
    corner.products.insert_one(product(1))
    found = topic.message(lambda key, value: key == b"p000001" and not value.get("background"), eventually)
    assert found["category_revision"] == revision + 1, found
