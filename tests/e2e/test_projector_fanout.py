"""A category with many products is renamed and moved: jobs that survive, are coalesced, and leave live edits their way."""
import itertools
import re
import time

import pytest
from bson import Int64
from harness.http_proxy import HttpProxy
from harness.planting import Verify
from harness.shop import PREFIX, add_category, document, get, insert, jobs, move_category, no_job_runs, price_is, update, wait_job

ORDINARY = 4000
MANY = 100000


def sizes(*values):
    """The ordinary size, and the one of the issue in a slow version."""
    return [pytest.param(ORDINARY, *values, id="few"),
            pytest.param(MANY, *values, id="many", marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]


class Slow:
    """settings(count): for a projector whose jobs over so many products take seconds, with many moments to be watched: small
    pages, a small window, and an Elasticsearch that takes its time for each document, until over()."""

    def __init__(self, url):
        self.proxy = HttpProxy(url)

    def settings(self, count):
        self.proxy.delay_per_item = 0.01 if count <= ORDINARY else 0.001
        return {"projector.scan_page": 50, "projector.background_window_marks": 100, "elasticsearch.url": self.proxy.url}

    def over(self):
        self.proxy.delay_per_item = 0.0


@pytest.fixture
def slow(stack):
    made = Slow(stack.es_url)
    yield made
    made.proxy.close()


@pytest.fixture
def shop(corner, write_api, checker):
    """fill(n): n products in the category 1/2/3/, and 1,000 that are in none."""
    def fill(count):
        add_category(corner, 1, "", "Root")
        add_category(corner, 2, "1/", "Middle")
        add_category(corner, 3, "1/2/", "Leaf")
        add_category(corner, 9, "", "Elsewhere")
        insert(corner, range(count), categories=[Int64(3)], primary_category_id=Int64(3))
        insert(corner, range(900000, 901000))
        return count
    return fill


def start_slowly(corner, program, slow, checker, eventually, count):
    """The index is filled at full speed; then it is slow."""
    projector = program("projector").start()
    settle(corner, checker, eventually, count)
    projector.stop()
    projector.settings.update(slow.settings(count))
    return projector.start()


def settle(corner, checker, eventually, count):
    checker.assert_equal(600, at_least=count)
    eventually(lambda: no_job_runs(corner), 60, "no job runs")


def in_index(corner, field, value):
    corner.refresh()
    return corner.stack.es("POST", f"/{corner.index}/_count", {"query": {"term": {field: value}}})["count"]


def sets(corner):
    """How many products there are of each category_set; not those without categories."""
    corner.refresh()
    question = {"size": 0, "aggs": {"sets": {"terms": {"field": "category_set"}}}}
    buckets = corner.stack.es("POST", f"/{corner.index}/_search", question)["aggregations"]["sets"]["buckets"]
    return {bucket["key"]: bucket["doc_count"] for bucket in buckets if bucket["key"]}


@pytest.mark.parametrize("count", sizes())
def test_a_rename_and_a_move_are_jobs_with_progress(corner, program, shop, checker, eventually, count):
    shop(count)
    projector = program("projector").start()
    settle(corner, checker, eventually, count)

    corner.sql("UPDATE categories SET name='Renamed' WHERE id=1")
    tree = f"/{corner.categories_index}/_doc/1"
    eventually(lambda: corner.stack.es("GET", tree)["_source"]["name"] == "Renamed", 20, "the tree of the searches")
    job = wait_job(corner, eventually, {"type": "fanout", "state": "done"}, 600)
    assert job["total"] == count and job["done"] == count
    assert sorted(job["categories"]) == [1, 2, 3]
    checker.assert_equal(60, at_least=count)

    move_category(corner, 2, "9/")
    eventually(lambda: jobs(corner).count_documents({"type": "fanout", "state": "done"}) >= 2, 600, "the move's job")
    checker.assert_equal(60, at_least=count)
    assert in_index(corner, "category_paths", "9/2/3") == count and in_index(corner, "category_paths", "1") == 0
    assert sets(corner) == {"9/2/3": count}
    eventually(lambda: projector.metric(PREFIX + "jobs", 'type="fanout",state="running"') == 0, 20, "the metric says so")
    eventually(checker.queue_is_drained, 20)


def test_a_category_moves_below_another_one_of_the_product(corner, projector, shop, checker, eventually):
    count = shop(50)
    insert(corner, range(800000, 800020), categories=[Int64(9), Int64(3)])
    settle(corner, checker, eventually, count)
    assert sets(corner) == {"1/2/3": count, "1/2/3,9": 20}
    move_category(corner, 2, "9/")
    eventually(lambda: sets(corner) == {"9/2/3": count + 20}, 60, "the category above is not named any more")
    checker.assert_equal(60, at_least=count)


@pytest.mark.parametrize("count", sizes())
def test_live_edits_do_not_wait_for_a_job(corner, program, shop, slow, checker, eventually, count):
    """Order, not time: edits that are made while the job runs are in the index while it is still far from its end."""
    shop(count)
    projector = start_slowly(corner, program, slow, checker, eventually, count)
    slow.proxy.delay_per_item *= 3  # the edits are over by then, however slow the machine is

    corner.sql("UPDATE categories SET name='Renamed' WHERE id=1")
    wait_job(corner, eventually, {"type": "fanout", "state": "running", "done": {"$gt": 0}}, 60, pause=0.01)
    places = []
    for n in range(20):
        # One that no job touches, and one at the very end of the job's way.
        for number in (900000 + n, count - 1 - n):
            update(corner, number, price=Int64(5000 + n))
            eventually(lambda i=number, p=5000 + n: price_is(corner, f"p{i:06}", p), 30, "a live edit", pause=0.005)
        places.append(in_index_named(corner, "Renamed"))
    running = jobs(corner).find_one({"type": "fanout", "state": "running"})
    print(f"documents renamed after each pair of edits: {places} of {count}")
    assert running, "the job was over before twenty edits were"
    assert places[-1] < count * 0.8, "the edits were indexed only when the job was nearly over"
    # The edit of a product that the job has yet to come to carries the new name already.
    assert "Renamed" in document(corner, f"p{count - 1:06}")["category_names"]["en"]
    slow.over()
    settle(corner, checker, eventually, count)
    assert projector.metric(PREFIX + "dead_letters_total") == 0


def in_index_named(corner, name):
    corner.refresh()
    return corner.stack.es("POST", f"/{corner.index}/_count", {"query": {"match": {"category_names.en": name}}})["count"]


@pytest.mark.parametrize("count", sizes())
def test_a_killed_job_goes_on_where_it_was(corner, program, shop, slow, checker, eventually, count):
    shop(count)
    projector = start_slowly(corner, program, slow, checker, eventually, count)
    move_category(corner, 3, "9/")
    seen = 0
    for kill in range(3):
        job = wait_job(corner, eventually, {"type": "fanout", "state": "running", "done": {"$gt": seen}}, 60, pause=0.005)
        projector.kill()
        stored = jobs(corner).find_one({"_id": job["_id"]})
        assert stored["state"] == "running" and stored["cursor"]["id"] > "", "it was killed in the middle"
        seen = stored["done"]
        projector.start()
        resumed = eventually(lambda: re.search(rf"event=job\.running job={job['_id']} .*done=(\d+)",
                                               projector.log().split(f"--- start {projector.starts}")[1]), 60, "the job goes on")
        # A last write of the killed one may have come after our look.
        now = jobs(corner).find_one({"_id": job["_id"]})["done"]
        assert 0 < seen <= int(resumed.group(1)) <= now, "it goes on from what was stored"
    print(f"killed at {seen} of {count}")
    slow.over()
    checker.assert_equal(600, at_least=count)
    done = wait_job(corner, eventually, {"type": "fanout", "state": "done"}, 600)
    assert done["_id"] == job["_id"] and done["done"] == count
    assert in_index(corner, "category_paths", "9/3") == count


@pytest.mark.parametrize("count", sizes())
def test_overlapping_changes_are_coalesced(corner, program, shop, slow, checker, eventually, count):
    """Thirty changes in and above one subtree, while a job runs, cost far less than thirty jobs."""
    shop(count)
    projector = start_slowly(corner, program, slow, checker, eventually, count)
    before = projector.metric(PREFIX + "bulk_documents_total")
    corner.sql("UPDATE categories SET name='First' WHERE id=1")
    wait_job(corner, eventually, {"type": "fanout", "state": "running", "done": {"$gt": 0}}, 60, pause=0.01)
    turn = -1

    def superseded():
        return jobs(corner).count_documents({"type": "fanout", "state": "superseded"})

    while turn < 9 or not superseded():  # who is slow may see ten at once, and make one job of them
        turn += 1
        corner.sql("UPDATE categories SET name=%s WHERE id=1", f"Root {turn}")
        corner.sql("UPDATE categories SET name=%s WHERE id=3", f"Leaf {turn}")
        move_category(corner, 3, "9/" if turn % 2 == 0 else "1/2/")
        assert turn < 200, "none waits in the place of another"
    assert jobs(corner).find_one({"type": "fanout", "state": "running"}), "something was running all the while"
    slow.over()
    settle(corner, checker, eventually, count)
    written = projector.metric(PREFIX + "bulk_documents_total") - before
    made = jobs(corner).count_documents({"type": "fanout"})
    print(f"{made} jobs, {superseded()} superseded, {written:.0f} documents written for {count} products")
    assert written <= 5 * count
    eventually(checker.queue_is_drained, 20)
    tree = corner.stack.es("GET", f"/{corner.categories_index}/_doc/1")["_source"]
    assert tree["name"] == f"Root {turn}"


class Renames:
    """A new name for the category above all products with every call."""

    def __init__(self, corner):
        self.corner, self.count = corner, 0

    def __call__(self):
        self.count += 1
        self.corner.sql("UPDATE categories SET name=%s WHERE id=1", f"Generation{self.count}")


def test_renames_that_come_faster_than_a_job_runs(corner, program, shop, slow, checker, eventually):
    """They wait in the place of one another while a job runs, and each job that has begun comes to its end."""
    count = shop(300)
    start_slowly(corner, program, slow, checker, eventually, count)
    rename = Renames(corner)

    def finished():
        rename()
        return jobs(corner).count_documents({"type": "fanout", "state": "done"}) >= 2

    eventually(finished, 120, "two jobs are over, whatever comes", pause=0.1)
    slow.over()
    settle(corner, checker, eventually, count)
    superseded = jobs(corner).count_documents({"type": "fanout", "state": "superseded"})
    begun = jobs(corner).count_documents({"type": "fanout", "begun": True})
    print(f"{rename.count} renames, {superseded} jobs superseded, {begun} begun")
    assert superseded > begun
    assert jobs(corner).count_documents({"begun": True, "state": {"$ne": "done"}}) == 0
    last = jobs(corner).find_one({"type": "fanout", "state": "done"}, sort=[("created_at", -1)])
    assert last["done"] == last["total"] == count


@pytest.mark.slow
def test_a_verification_waits_for_no_rename_that_comes_after_it(corner, program, shop, slow, checker, eventually):
    """Products that never come to rest are all that it cannot judge."""
    count = shop(300)
    start_slowly(corner, program, slow, checker, eventually, count)
    rename, verify = Renames(corner), Verify(corner)
    process = verify.start()
    while process.poll() is None:
        rename()
        time.sleep(0.1)
    code, found = verify.finish(process), verify.result
    print(f"after {rename.count} renames: {found}")
    assert code == (Verify.DIFFERENCES if found["unsettled"] else Verify.EQUAL), verify.said
    assert found["missing"] == found["stale"] == found["orphaned"] == 0 and found["unsettled"] <= count
    slow.over()
    settle(corner, checker, eventually, count)
    verify.run(expect=Verify.EQUAL)


def test_a_job_goes_on_under_more_live_changes_than_can_be_written(corner, program, shop, slow, checker, eventually):
    """There is always a full bulk of live changes; the job has its turn all the same."""
    count = shop(100)
    projector = start_slowly(corner, program, slow, checker, eventually, count)
    projector.stop()
    projector.settings.update({"projector.bulk_max_docs": 5, "projector.lanes": 2})
    projector.start()
    prices = itertools.count(1)

    def change_all():
        corner.products.update_many({"_id": {"$gte": "p900000"}}, {"$set": {"price": Int64(next(prices))}, "$inc": {"version": 1}})

    def fewest_waiting():
        change_all()
        waiting.append(min(lane["live"] for lane in get(projector, "/v1/status").json()["lanes"]))
        return waiting[-1]

    def finished():
        fewest_waiting()
        return jobs(corner).find_one({"type": "fanout", "state": "done"})

    waiting = []
    eventually(lambda: fewest_waiting() > 100, 30, "more live changes than can be written", pause=0.2)
    corner.sql("UPDATE categories SET name='Renamed' WHERE id=1")
    waiting.clear()
    done = eventually(finished, 120, "the job is over", pause=0.2)
    print(f"live changes that waited: {waiting}")
    assert done["done"] == count and min(waiting) > 5, "there were not more live changes than could be written"
    slow.over()
    settle(corner, checker, eventually, count)


def test_a_product_in_two_categories_of_a_job_counts_for_both(corner, program, write_api, checker, eventually):
    """done never passes total."""
    add_category(corner, 1, "", "Root")
    add_category(corner, 2, "1/", "Middle")
    insert(corner, range(300), categories=[Int64(1), Int64(2)], primary_category_id=Int64(2))
    program("projector").start()
    settle(corner, checker, eventually, 300)
    corner.sql("UPDATE categories SET name='Renamed' WHERE id=1")
    job = wait_job(corner, eventually, {"type": "fanout", "state": "done"}, 60)
    assert job["done"] == job["total"]
    checker.assert_equal(30, at_least=300)
