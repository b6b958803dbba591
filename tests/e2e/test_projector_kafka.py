"""Scaled out: `projector relay` writes marks into a topic, members of a group (`run --from kafka`) work them off."""
import random
import re
import signal
import threading
import time

import pytest
import requests
from bson import Int64
from harness.kafka_topic import KafkaProxy, Topic, brokers, debezium_key, debezium_value, wait_for_partitions

PREFIX = "readside_projector_"
FAST_LEASE = {"projector.lease_ttl": "2s", "projector.lease_renew": "400ms"}


def product(number, **fields):
    made = {"_id": f"p{number:05}", "name": f"Product {number}", "brand": "Acme", "price": Int64(1000 + number), "currency": "KRW",
            "attributes": {"color": "black", "size": Int64(number)}, "version": Int64(1)}
    made.update(fields)
    return made


def price_is(corner, product_id, price):
    reply = corner.stack.es("GET", f"/{corner.index}/_doc/{product_id}", expect=(200, 404))
    return reply.get("_source", {}).get("price_min") == price


@pytest.fixture
def topic(corner):
    made = Topic(corner)
    yield made
    made.close()


@pytest.fixture
def relay(program, topic):
    """relay() makes one; .start() starts it."""
    return lambda **more: program("projector", {**FAST_LEASE, **topic.settings, **more}, arguments=["relay"])


@pytest.fixture
def consumer(program, topic):
    return lambda **more: program("projector", {**FAST_LEASE, **topic.settings, **more}, arguments=["run", "--from", "kafka"])


class Writer(threading.Thread):
    """Changes products and stock at random until it is told to stop."""

    def __init__(self, corner, rng, products):
        super().__init__(daemon=True)
        self.corner, self.rng, self.products = corner, random.Random(rng.random()), products
        self.over, self.changes, self.failed = threading.Event(), 0, None

    def run(self):
        try:
            while not self.over.is_set():
                self.change()
                self.changes += 1
        except Exception as e:  # seen by finish()
            self.failed = e

    def change(self):
        n, kind = self.rng.randrange(self.products), self.rng.random()
        if kind < 0.05:
            self.corner.products.delete_one({"_id": f"p{n:05}"})
        elif kind < 0.15:
            self.corner.sql("INSERT INTO stock (sku, available) VALUES (%s, %s) ON DUPLICATE KEY UPDATE available=VALUES(available)",
                            f"p{n:05}", self.rng.choice([0, 3, 100]))
        elif kind < 0.17:
            self.corner.sql("UPDATE categories SET name=%s WHERE id=1", f"Name {self.changes}")
        else:
            fields = product(n, price=Int64(self.rng.randrange(10**6)), categories=[Int64(1)], primary_category_id=Int64(1))
            del fields["_id"]
            self.corner.products.update_one({"_id": f"p{n:05}"}, {"$set": fields}, upsert=True)

    def wait(self, changes, deadline=60):
        """Until it has made so many more."""
        goal, end = self.changes + changes, time.monotonic() + deadline
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
    corner.products.delete_many({"_id": {"$lt": "p00020"}})
    corner.products.insert_many([product(n) for n in range(300, 350)])
    corner.sql("INSERT INTO stock (sku, available) VALUES ('p00100', 3), ('p00101', 100)")
    corner.sql("UPDATE categories SET name='B' WHERE id=1")
    checker.assert_equal(60, at_least=330)
    eventually(checker.queue_is_drained, 30)
    assert all(one.metric(PREFIX + "bulk_documents_total") > 0 for one in consumers), "each does its share"
    assert not writer.metric(PREFIX + "bulk_documents_total"), "the relay writes no documents"
    delivered = writer.metric(PREFIX + "relay_messages_total", 'result="delivered"')
    assert delivered >= 300 and writer.metric(PREFIX + "relay_pending") == 0

    def caught_up():
        lags = [[one.metric(PREFIX + "kafka_lag_messages", f'partition="{p}"') or 0 for p in range(topic.partitions)] for one in consumers]
        assert not any(map(any, lags)), lags
        return sum(topic.offsets().values()) >= delivered

    eventually(caught_up, 30, "the offsets of all messages are stored")
    assert corner.stack.es("GET", f"/{corner.categories_index}/_doc/1")["_source"]["name"] == "B"
