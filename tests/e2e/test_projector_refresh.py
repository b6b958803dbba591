"""The projector has the index refreshed in time, so that a change is searchable within [projector] searchable_within. All indexes here
never refresh by themselves: what a search finds was shown by the projector."""
import pytest
from harness.kafka_topic import Topic
from harness.shop import document, insert, log_has, price_is, product, search_count, update
from test_projector_reindex import mapping_file

REFRESHES = "readside_projector_refresh_seconds_count"


def never(mapping):
    mapping["settings"]["index"]["refresh_interval"] = "-1"


@pytest.fixture
def soon(tmp_path):
    """From its creation on: a change of the interval is itself followed by a refresh."""
    return {"projector.searchable_within": "100ms", "projector.lease_ttl": "60s", "projector.mapping": mapping_file(tmp_path, never)}


def test_what_is_written_is_found(corner, program, write_api, soon, eventually):
    projector = program("projector", soon).start()
    for number in range(10):
        insert(corner, [number])
        eventually(lambda n=number: search_count(corner) == n + 1, 30, "one more is found")
    eventually(lambda: projector.metric(REFRESHES) >= 10, 30, "each change one")
    assert projector.metric(REFRESHES) <= 22, "and hardly more: nothing is refreshed on a whim"
    corner.products.delete_one({"_id": "p000003"})
    eventually(lambda: search_count(corner) == 9, 30, "a deleted one is found no more")


def test_0_leaves_it_to_the_index(corner, program, write_api, soon, eventually):
    projector = program("projector", {**soon, "projector.searchable_within": "0"}).start()
    for number in range(10):
        insert(corner, [number])
        eventually(lambda n=number: document(corner, f"p{n:06}"), 30, "it is in the index")
    assert search_count(corner) == 0 and projector.metric(REFRESHES) == 0
    corner.refresh()
    assert search_count(corner) == 10


def test_a_refresh_that_fails_is_tried_again(corner, program, write_api, soon, es_proxy, eventually):
    projector = program("projector", {**soon, "elasticsearch.url": es_proxy.url}).start()
    es_proxy.deny_path, es_proxy.deny = "/_refresh", 403
    insert(corner, [1])
    eventually(lambda: log_has(projector, "event=refresh.failed"), 30, "it says so")
    update(corner, 1, price=7)
    eventually(lambda: price_is(corner, "p000001", 7), 30, "writing goes on")
    assert search_count(corner) == 0 and "status=403" in projector.log()
    es_proxy.deny = None
    eventually(lambda: search_count(corner) == 1, 60, "found in the end, and nothing was written after that")


def test_the_relay_does_it_for_its_consumers(corner, program, write_api, soon, eventually):
    topic = Topic(corner)
    try:
        relay = program("projector", {**topic.settings, **soon}, arguments=["relay"]).start()
        consumer = program("projector", {**topic.settings, **soon}, arguments=["run", "--from", "kafka"]).start()
        corner.products.insert_many([product(n) for n in range(20)])
        eventually(lambda: search_count(corner) == 20, 60, "what the consumer wrote is found")
        eventually(lambda: relay.metric(REFRESHES) > 0, 30, "the relay asked for that")
        assert consumer.metric(REFRESHES) == 0
        consumer.stop()
        relay.stop()
    finally:
        topic.close()


def test_who_reads_the_topic_of_another_tool_does_it_himself(corner, program, write_api, soon, eventually):
    """There may be no relay at all."""
    topic = Topic(corner).create()
    try:
        settings = {**topic.settings, **soon, "kafka.marks_format": "key"}
        consumer = program("projector", settings, arguments=["run", "--from", "kafka"]).start(wait="alive")
        corner.products.insert_many([product(n) for n in range(20)])
        for number in range(20):
            topic.send(product(number)["_id"].encode(), None)
        topic.flush()
        eventually(lambda: search_count(corner) == 20, 60, "what was written is found")
        consumer.stop()
    finally:
        topic.close()
