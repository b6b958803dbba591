"""A topic of marks that somebody deletes, or whose messages expire, while a relay and its consumers use it or not."""
import urllib.parse

from bson import Int64
from harness.kafka_topic import sink_of, wait_for_partitions
from harness.shop import PREFIX, SURE_LEASE, product
from harness.tcp_proxy import TcpProxy

TOPIC_WAS_DELETED = 'event=start.full_scan reason="the topic was deleted'


def test_marks_that_expired_are_made_good(corner, topic, write_api, relay, consumer, checker, eventually):
    corner.products.insert_many([product(n) for n in range(100)])
    one, member = relay().start(), consumer().start(wait="alive")
    checker.assert_equal(60, at_least=100)
    member.stop()
    before = one.metric(PREFIX + "relay_messages_total", 'result="delivered"')
    corner.products.update_many({}, {"$set": {"price": Int64(9)}})
    corner.products.delete_many({"_id": {"$lt": "p000010"}})
    eventually(lambda: one.metric(PREFIX + "relay_messages_total", 'result="delivered"') >= before + 110, 30, "marks are in the topic")
    topic.drop_messages()
    member.start(wait="alive")
    eventually(lambda: "event=group.marks_lost" in member.log(), 60, "it says so")
    checker.assert_equal(60, at_least=90)
    assert member.metric(PREFIX + "kafka_offsets_lost_total") > 0


def leave_unread(corner, topic, relay, consumer, checker, eventually):
    """A relay, with marks in the topic that nobody has read."""
    corner.products.insert_many([product(n) for n in range(100)])
    one, member = relay.start(), consumer().start(wait="alive")
    checker.assert_equal(60, at_least=100)
    member.stop()
    before = one.metric(PREFIX + "relay_messages_total", 'result="delivered"')
    corner.products.update_many({}, {"$set": {"price": Int64(11)}})
    eventually(lambda: one.metric(PREFIX + "relay_messages_total", 'result="delivered"') >= before + 100, 30, "marks are in the topic")
    return one


def test_the_topic_is_deleted_while_no_relay_runs(corner, topic, write_api, relay, consumer, checker, eventually):
    """What is lost is stored before the topic is made again: by whoever, and whatever becomes of the relay that has noticed."""
    leave_unread(corner, topic, relay(), consumer, checker, eventually).stop()
    topic.delete(eventually)
    many = {"kafka.marks_replicas": 3}  # there is one broker
    unable = relay(**many).start(wait="alive")
    eventually(lambda: "Kafka does not create the topic" in unable.log(), 30, "it cannot make the topic")
    unable.kill()
    assert topic.name not in topic.admin.list_topics() and sink_of(corner) == "lost"
    topic.create()
    again = relay(**many).start()  # who can make none uses one that is there
    assert TOPIC_WAS_DELETED in again.log()
    consumer().start(wait="alive")
    checker.assert_equal(60, at_least=100)
    assert sink_of(corner) == f"kafka:{topic.name}"


def test_somebody_else_makes_the_deleted_topic_again(corner, topic, write_api, relay, consumer, checker, eventually):
    """Before the relay that has noticed can."""
    target = urllib.parse.urlsplit(corner.stack.es_url)
    proxy = TcpProxy(target.hostname, target.port)
    one = leave_unread(corner, topic, relay(**{"elasticsearch.url": f"http://127.0.0.1:{proxy.port}"}), consumer, checker, eventually)
    topic.delete(eventually)
    proxy.cut()  # no term begins without it
    corner.products.update_one({"_id": "p000001"}, {"$set": {"price": Int64(12)}})
    eventually(lambda: "event=start.failed" in one.log(), 60, "it is noticed")
    assert sink_of(corner) == "lost"
    topic.create()
    proxy.mend()
    eventually(lambda: TOPIC_WAS_DELETED in one.log(), 60, "it reads everything anew")
    consumer().start(wait="alive")
    checker.assert_equal(60, at_least=100)
    proxy.close()


def test_the_topic_is_deleted_under_a_relay(corner, topic, write_api, relay, consumer, checker, eventually):
    """With marks that nobody has read: it is noticed at the next mark, and everything is read anew."""
    one = leave_unread(corner, topic, relay(), consumer, checker, eventually)
    topic.delete(eventually)
    corner.products.update_one({"_id": "p000001"}, {"$set": {"price": Int64(12)}})
    eventually(lambda: TOPIC_WAS_DELETED in one.log(), 60, "it reads everything anew")
    assert one.log().count("event=start.full_scan") == 2, "the first one is that of an empty index"
    eventually(lambda: len(topic.admin.describe_topics([topic.name])[0]["partitions"]) == topic.partitions, 30, "it is made as it was")
    consumer().start(wait="alive")
    checker.assert_equal(60, at_least=100)


def notices(corner, relay):
    """That the topic was deleted, at a mark: a broker may take others for a while, until it has deleted it in fact."""
    corner.products.update_one({"_id": "p000001"}, {"$inc": {"version": 1}})
    return TOPIC_WAS_DELETED in relay.log()


def test_the_topic_is_deleted_under_relay_and_consumers(corner, topic, write_api, relay, consumer, checker, eventually):
    """What the consumers had done in the old one says nothing of the new one, which soon has more."""
    corner.products.insert_many([product(n) for n in range(500)])
    one, group = relay(**{"projector.verify_rate": 0}).start(), [consumer().start(wait="alive") for _ in range(2)]
    wait_for_partitions(group, topic.partitions)
    checker.assert_equal(60, at_least=500)
    eventually(lambda: sum(topic.offsets().values()) >= 500, 30, "the offsets are stored")
    topic.admin.delete_topics([topic.name])
    corner.products.update_many({}, {"$set": {"price": Int64(11)}})
    corner.products.insert_many([product(n) for n in range(1000, 9000)])
    eventually(lambda: notices(corner, one), 60, "it reads everything anew")
    checker.assert_equal(90, at_least=8500)
    for each in (one, *group):
        each.stop()


def test_the_topic_is_deleted_under_a_consumer_that_is_behind(corner, topic, write_api, relay, consumer, checker, eventually):
    """It reads nothing just then, and is not to go on in the new topic where it was in the old one."""
    target = urllib.parse.urlsplit(corner.stack.es_url)
    proxy = TcpProxy(target.hostname, target.port)
    corner.products.insert_many([product(n) for n in range(1000)])
    one = relay(**{"projector.verify_rate": 0}).start()
    member = consumer(**{"elasticsearch.url": f"http://127.0.0.1:{proxy.port}", "projector.window_marks": 100}).start(wait="alive")
    checker.assert_equal(60, at_least=1000)
    eventually(lambda: sum(topic.offsets().values()) >= 1000, 30, "the offsets are stored")
    proxy.cut()
    corner.products.update_many({}, {"$set": {"price": Int64(11)}})
    eventually(lambda: member.metric(PREFIX + "unfinished_marks", 'source="stream"') >= 100, 30, "it is full")
    topic.admin.delete_topics([topic.name])
    corner.products.insert_many([product(n) for n in range(1000, 4000)])
    eventually(lambda: notices(corner, one), 60, "it reads everything anew")
    eventually(lambda: sum(topic.ends().values()) >= 4000, 60, "the new topic has more than the old one had")
    proxy.mend()
    checker.assert_equal(90, at_least=4000)
    proxy.close()


def test_who_stands_by_makes_no_topic(corner, topic, write_api, relay, program, checker, eventually):
    """And has none that is new when it takes over."""
    corner.products.insert_many([product(n) for n in range(10)])
    alone = program("projector", SURE_LEASE).start()
    checker.assert_equal(60, at_least=10)
    standby = relay().start(wait="alive")
    eventually(lambda: "event=standby" in standby.log(), 30, "it waits for the lease")
    assert topic.name not in topic.admin.list_topics()
    alone.stop()
    eventually(lambda: standby.metric(PREFIX + "lease_owner") == 1, 30, "it takes over")
    eventually(lambda: topic.name in topic.admin.list_topics(), 30, "it has made the topic")
    assert "event=start.full_scan" not in standby.log()
