"""Two projectors, one of them asleep or cut off; a primary that steps down; a MySQL that restarts: one true index."""
import threading

import pymysql
import pytest
from bson import Int64
from harness.background import Background
from harness.own_stack import OwnStack
from harness.shop import (FAST_LEASE, PREFIX, add_category, document, get, insert, jobs, log_has, price_is, product, state,
                          update)
from pymongo.errors import PyMongoError


def owns(projector):
    return projector.metric(PREFIX + "lease_owner") == 1


# ---- two instances ------------------------------------------------------------------------------------------------

PACE = [pytest.param(FAST_LEASE, 3.0, id="fast-lease"),
        pytest.param({}, 20.0, id="20s", marks=[pytest.mark.slow, pytest.mark.timeout(600)])]


class Asleep:
    """The process is stopped for the time of the block, and at least so many seconds."""

    def __init__(self, projector, seconds):
        self.projector, self.seconds = projector, seconds

    def __enter__(self):
        self.projector.put_to_sleep()
        self.long_enough = threading.Event()
        threading.Timer(self.seconds, self.long_enough.set).start()
        return self

    def __exit__(self, *_):
        self.long_enough.wait(self.seconds + 10)
        self.projector.wake()


@pytest.mark.parametrize("lease, seconds", PACE)
def test_what_a_sleeping_owner_had_sent_comes_too_late(corner, program, write_api, es_proxy, checker, eventually, lease, seconds):
    """Bulks of the old owner arrive after the standby has written newer content, one of each kind: an older document over a
    newer one, over a deletion, a deletion over a document that is back, and one of a product that nobody touched since."""
    insert(corner, range(200))
    first = program("projector", {**lease, "elasticsearch.url": es_proxy.url}).start()
    checker.assert_equal(30, at_least=200)
    es_proxy.hold()

    def at_once(session):  # so that no bulk goes before
        for number in (1, 2, 4):
            corner.products.update_one({"_id": f"p{number:06}"}, {"$set": {"price": Int64(111)}}, session=session)
        corner.products.delete_one({"_id": "p000003"}, session=session)

    with corner.stack.mongo.start_session() as session:
        session.with_transaction(at_once)
    eventually(lambda: es_proxy.held_ids() >= {"p000001", "p000002", "p000003", "p000004"}, 30, "they are on their way")
    second = program("projector", lease).start(wait="alive")  # not before: a machine that was away for two seconds makes it the owner
    corner.sql("INSERT INTO stock (sku, available) VALUES ('p000005', 50)")
    answered = es_proxy.answered
    with Asleep(first, seconds):
        eventually(lambda: owns(second), 60, "the standby takes over")
        update(corner, 1, price=Int64(222))
        corner.products.delete_one({"_id": "p000002"})
        corner.products.insert_one(product(3, price=Int64(333)))
        corner.sql("UPDATE stock SET available=0 WHERE sku='p000005'")
        checker.assert_equal(30, at_least=199)
        eventually(checker.queue_is_drained, 20)
        held = es_proxy.held
        es_proxy.release()
        eventually(lambda: es_proxy.answered >= answered + held, 30, "the old bulks have arrived")
        checker.assert_equal(0, at_least=199)
        position = state(corner).find_one({"_id": "checkpoint:stream"})
    eventually(lambda: not owns(first), 30, "the old owner notices")
    assert log_has(first, "event=lease.lost")
    eventually(lambda: get(first, "/readyz").status_code == 503, 30, "and says so")
    checker.assert_equal(0, at_least=199)
    assert first.metric(PREFIX + "lease_epoch") < second.metric(PREFIX + "lease_epoch")
    now = state(corner).find_one({"_id": "checkpoint:stream"})
    assert now["epoch"] == position["epoch"] == second.metric(PREFIX + "lease_epoch")
    assert now["token"]["_data"] >= position["token"]["_data"], "the position did not go back"
    assert price_is(corner, "p000001", 222) and document(corner, "p000002") is None and price_is(corner, "p000003", 333)

    second.stop()
    eventually(lambda: owns(first), 30, "and takes over in its turn")
    update(corner, 7, price=Int64(777))
    checker.assert_equal(30, at_least=199)


def test_an_owner_that_wakes_up_with_queue_rows_and_a_job_in_hand(corner, program, write_api, es_proxy, checker, eventually):
    """It can neither delete rows, nor move a job's cursor, nor end the job."""
    add_category(corner, 1, "", "Root")
    insert(corner, range(1500), categories=[Int64(1)], primary_category_id=Int64(1))
    settings = {**FAST_LEASE, "projector.scan_page": 50, "projector.background_window_marks": 100}
    first = program("projector", {**settings, "elasticsearch.url": es_proxy.url}).start()
    checker.assert_equal(30, at_least=1500)
    es_proxy.delay_per_item = 0.005
    corner.sql("UPDATE categories SET name='Renamed' WHERE id=1")
    eventually(lambda: jobs(corner).find_one({"type": "fanout", "state": "running", "done": {"$gt": 0}}), 30, pause=0.01)
    es_proxy.hold()
    corner.sql("INSERT INTO stock (sku, available) VALUES ('p000009', 50)")
    eventually(lambda: es_proxy.held > 0, 30, "bulks are on their way")
    second = program("projector", settings).start(wait="alive")
    with Asleep(first, 3.0):
        eventually(lambda: owns(second), 30, "the standby takes over")
        eventually(lambda: jobs(corner).find_one({"type": "fanout", "state": "done"}), 60, "the standby ends the job")
        job = jobs(corner).find_one({"type": "fanout"})
        corner.sql("UPDATE stock SET available=0 WHERE sku='p000009'")
        checker.assert_equal(30, at_least=1500)
    es_proxy.release()
    eventually(lambda: not owns(first), 30, "the old owner notices")
    assert jobs(corner).find_one({"type": "fanout"}) == job and job["done"] == 1500
    checker.assert_equal(10, at_least=1500)
    eventually(checker.queue_is_drained, 20)


def test_ownership_goes_back_and_forth_under_writes(corner, program, write_api, checker, eventually, rng):
    insert(corner, range(300))
    both = [program("projector", FAST_LEASE).start(), program("projector", FAST_LEASE).start(wait="alive")]
    checker.assert_equal(30, at_least=300)
    scans = jobs(corner).count_documents({"type": "scan"})  # a term that began before the first product was written has its own

    def write(n):
        update(corner, rng.randrange(300), price=Int64(n))

    with Background(write) as writer:
        for _ in range(3):
            owner = eventually(lambda: next((one for one in both if owns(one)), None), 30, "one owns")
            other = both[owner is both[0]]
            writer.progress(50)
            with Asleep(owner, 0.1):
                eventually(lambda o=other: owns(o), 30, "the other takes over")
                writer.progress(50)
            eventually(lambda o=owner: not owns(o), 30, "the sleeper notices")
    checker.assert_equal(60, at_least=300)
    assert both[0].metric(PREFIX + "history_lost_total") == 0 == both[1].metric(PREFIX + "history_lost_total")
    assert jobs(corner).count_documents({"type": "scan"}) == scans


# ---- the databases ------------------------------------------------------------------------------------------------


class TestDatabases:
    @pytest.fixture(scope="class")
    @classmethod
    def stack(cls):
        made = OwnStack("mongodb", "mysql")
        yield made
        made.close()

    @pytest.mark.parametrize("lease", [pytest.param(FAST_LEASE, id="fast-lease"), pytest.param({}, id="default-lease", marks=pytest.mark.slow)])
    def test_the_primary_steps_down_under_writes(self, corner, stack, program, write_api, checker, eventually, rng, lease):
        projector = program("projector", lease).start()
        insert(corner, range(500))
        checker.assert_equal(60, at_least=500)
        scans = jobs(corner).count_documents({"type": "scan"})

        def write(n):
            update(corner, rng.randrange(500), price=Int64(n))
            if n % 10 == 9:
                corner.sql("REPLACE INTO stock (sku, available) VALUES (%s, %s)", f"p{rng.randrange(500):06}",
                           rng.choice([0, 3, 50]))

        with Background(write, endures=PyMongoError) as writer:  # the driver itself tries again only once
            for _ in range(3):
                stack.mongo.admin.command("replSetStepDown", 2, force=True)
                writer.progress(100)
        checker.assert_equal(60, at_least=500)
        projector.wait_for("/readyz", 30)
        eventually(checker.queue_is_drained, 30)
        assert projector.metric(PREFIX + "history_lost_total") == 0, "a step-down loses no history"
        assert jobs(corner).count_documents({"type": "scan"}) == scans and not log_has(projector, "checkpoint.mended")

    @pytest.mark.slow
    def test_mysql_restarts_under_writes(self, corner, stack, program, write_api, checker, eventually, rng):
        add_category(corner, 1, "", "Root")
        insert(corner, range(500), categories=[Int64(1)], primary_category_id=Int64(1))
        projector = program("projector", FAST_LEASE).start()
        checker.assert_equal(60, at_least=500)

        def write(n):
            corner.sql("REPLACE INTO stock (sku, available) VALUES (%s, %s)", f"p{rng.randrange(500):06}", rng.choice([0, 3, 50]))
            if n % 50 == 49:
                corner.sql("UPDATE categories SET name=%s WHERE id=1", f"Root {n}")

        with Background(write, endures=pymysql.MySQLError) as writer:
            for _ in range(2):
                writer.progress(50)
                stack.restart("mysql")
                update(corner, rng.randrange(500), price=Int64(writer.count))
                writer.progress(50)
        checker.assert_equal(60, at_least=500)
        projector.wait_for("/readyz", 30)
        eventually(checker.queue_is_drained, 30)
        assert projector.starts == 1
        tree = corner.stack.es("GET", f"/{corner.categories_index}/_doc/1")["_source"]
        assert tree["name"] == corner.sql("SELECT name FROM categories WHERE id=1")[0]["name"]
