"""The projector has the index refreshed in time, so that a change is searchable within [projector] searchable_within. All indexes here
never refresh by themselves: what a search finds was shown by the projector."""
from harness.http_proxy import HttpProxy
from harness.kafka_topic import Topic
from harness.shop import document, insert, log_has, physical, price_is, product, search_count, update

REFRESHES = "readside_projector_refresh_seconds_count"
SOON = {"projector.searchable_within": "100ms", "projector.lease_ttl": "60s"}


def never_by_itself(corner, eventually):
    """The projector makes the index: its name is known when it runs."""
    eventually(lambda: corner.stack.es("GET", f"/_alias/{corner.index}"), 60, "there is an index")
    corner.stack.es("PUT", f"/{physical(corner)}/_settings", {"index": {"refresh_interval": "-1"}})


def test_what_is_written_is_found(corner, program, write_api, eventually):
    projector = program("projector", SOON).start()
    never_by_itself(corner, eventually)
    for number in range(10):
        insert(corner, [number])
        eventually(lambda n=number: search_count(corner) == n + 1, 30, "one more is found")
    assert 10 <= projector.metric(REFRESHES) <= 22, "each change one, and hardly more: nothing is refreshed on a whim"
    corner.products.delete_one({"_id": "p000003"})
    eventually(lambda: search_count(corner) == 9, 30, "a deleted one is found no more")


def test_0_leaves_it_to_the_index(corner, program, write_api, eventually):
    projector = program("projector", {**SOON, "projector.searchable_within": "0"}).start()
    never_by_itself(corner, eventually)
    for number in range(10):
        insert(corner, [number])
        eventually(lambda n=number: document(corner, f"p{n:06}"), 30, "it is in the index")
    assert search_count(corner) == 0 and projector.metric(REFRESHES) == 0
    corner.refresh()
    assert search_count(corner) == 10


def test_a_refresh_that_fails_is_tried_again(corner, program, write_api, stack, eventually):
    proxy = HttpProxy(stack.es_url)
    try:
        projector = program("projector", {**SOON, "elasticsearch.url": proxy.url}).start()
        never_by_itself(corner, eventually)
        proxy.deny_path, proxy.deny = "/_refresh", 403
        insert(corner, [1])
        eventually(lambda: log_has(projector, "event=refresh.failed"), 30, "it says so")
        update(corner, 1, price=7)
        eventually(lambda: price_is(corner, "p000001", 7), 30, "writing goes on")
        assert search_count(corner) == 0 and "status=403" in projector.log()
        proxy.deny = None
        eventually(lambda: search_count(corner) == 1, 60, "found in the end, and nothing was written after that")
    finally:
        proxy.close()


def test_the_relay_does_it_for_its_consumers(corner, program, write_api, eventually):
    topic = Topic(corner)
    try:
        relay = program("projector", {**topic.settings, **SOON}, arguments=["relay"]).start()
        consumer = program("projector", {**topic.settings, **SOON}, arguments=["run", "--from", "kafka"]).start()
        never_by_itself(corner, eventually)
        corner.products.insert_many([product(n) for n in range(20)])
        eventually(lambda: search_count(corner) == 20, 60, "what the consumer wrote is found")
        assert consumer.metric(REFRESHES) == 0 and relay.metric(REFRESHES) > 0
        consumer.stop()
        relay.stop()
    finally:
        topic.close()
