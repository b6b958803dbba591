"""The position in the change stream is gone, or is nonsense: the projector recovers by itself, says so and keeps serving."""
import json

import bson
import pytest
import requests
from bson import Int64
from harness.background import Background
from harness.own_stack import OwnStack
from harness.shop import (FAST_LEASE, PREFIX, SURE_LEASE, document, get, insert, jobs, log_has, physical, price_is, product, search_count,
                          state, update, wait_job)

COUNT = 600


def lose_history(corner, projector, checker, change):
    """Indexed; then, while nobody looks, some products go, some change and the position is lost."""
    insert(corner, range(COUNT))
    checker.assert_equal(30, at_least=COUNT)
    projector.stop()
    corner.products.delete_many({"_id": {"$lt": "p000020"}})
    corner.products.update_many({"_id": {"$gte": "p000500"}}, {"$set": {"price": Int64(1)}})
    change()


def recovered(corner, projector, checker, eventually, orphans=20):
    checker.assert_equal(60, at_least=COUNT - orphans)
    job = wait_job(corner, eventually, {"type": "scan", "state": "done", "orphans": orphans}, 30)
    # And from here on as ever: positions are stored again and a restart goes on from them.
    update(corner, 300, price=Int64(31))
    eventually(lambda: price_is(corner, "p000300", 31), 30, "the stream goes on")
    assert_positions_are_stored(corner, eventually)
    projector.restart()
    update(corner, 301, price=Int64(32))
    eventually(lambda: price_is(corner, "p000301", 32), 30, "after a restart too")
    assert "event=start.full_scan" not in last_log(projector) and "stream.history_lost" not in last_log(projector)
    return job


def last_log(projector):
    return projector.log().split(f"--- start {projector.starts}\n")[1]


def stored_token(corner):
    """The position's token if the document that holds it is as it should be."""
    found = state(corner).find_one({"_id": "checkpoint:stream"}) or {}
    token = found.get("token")
    sound = isinstance(token, dict) and isinstance(token.get("_data"), str) and isinstance(found.get("generation"), int)
    return token["_data"] if sound and found.get("epoch") == state(corner).find_one({"_id": "lease"})["epoch"] else None


def assert_positions_are_stored(corner, eventually):
    before = eventually(lambda: stored_token(corner), 30, "a sound position")
    update(corner, 299, price=Int64(29))
    eventually(lambda: (stored_token(corner) or before) > before, 30, "a later one")


# ---- the checkpoint -----------------------------------------------------------------------------------------------

# What the document is changed to; None: it is deleted.
DAMAGES = {
    "deleted": None,
    "token-garbage": {"token": {"_data": "8263nonsense"}},
    "token-cut": "cut",
    "token-other-type": {"token": 17},
    "token-empty": {"token": {}},
    "token-inner-type": {"token": {"_data": Int64(5)}},
    "token-binary": {"token": {"_data": bson.Binary(b"\x00\xff" * 40)}},
    "epoch-text": {"epoch": "seven"},
    "epoch-huge": {"epoch": Int64(2**62)},
    "epoch-missing": {"epoch": "missing"},
    "generation-text": {"generation": "one", "token": 5},
    "all-of-it": {"token": [1, 2], "epoch": [3], "generation": {"a": 1}, "start_at": "yesterday"},
}


def damage_checkpoint(corner, how):
    states = state(corner)
    old = states.find_one({"_id": "checkpoint:stream"})
    if how is None:
        states.delete_one({"_id": "checkpoint:stream"})
    elif how == "cut":
        states.update_one({"_id": old["_id"]}, {"$set": {"token._data": old["token"]["_data"][:-6]}})
    elif how.get("epoch") == "missing":
        states.update_one({"_id": old["_id"]}, {"$unset": {"epoch": "", "token": ""}})
    else:
        states.update_one({"_id": old["_id"]}, {"$set": how})


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_checkpoint_is_made_good(corner, projector, checker, eventually, how):
    lose_history(corner, projector, checker, lambda: damage_checkpoint(corner, DAMAGES[how]))
    projector.start()
    if "token" in (DAMAGES[how] or {"token": None}):
        eventually(lambda: log_has(projector, r"level=error .*event=stream\.history_lost reason="), 30, "the loss is said")
        eventually(lambda: projector.metric(PREFIX + "history_lost_total") == 1, 30, "and counted")
        recovered(corner, projector, checker, eventually)
        return
    # The position itself was fine, or cannot be told from a fine one: both ways lead to a true index.
    checker.assert_equal(60, at_least=COUNT - 20)
    assert_positions_are_stored(corner, eventually)
    projector.restart()
    update(corner, 301, price=Int64(32))
    eventually(lambda: price_is(corner, "p000301", 32), 30, "after a restart too")


@pytest.mark.parametrize("how", ["deleted", "epoch-text", "generation-text", "all-of-it"])
def test_a_checkpoint_damaged_under_a_running_projector_is_written_again(corner, projector, checker, eventually, how):
    insert(corner, range(300))
    checker.assert_equal(30, at_least=300)
    eventually(lambda: stored_token(corner), 30, "a position is stored")
    damage_checkpoint(corner, DAMAGES[how])
    update(corner, 5, price=Int64(5))
    eventually(lambda: price_is(corner, "p000005", 5), 30, "serving goes on")
    assert_positions_are_stored(corner, eventually)
    assert log_has(projector, r"level=warn .*event=checkpoint\.mended")
    projector.restart()
    assert "event=start.full_scan" not in last_log(projector), "nothing was lost, so nothing is scanned"
    update(corner, 6, price=Int64(6))
    checker.assert_equal(30, at_least=300)


# ---- MySQL --------------------------------------------------------------------------------------------------------


SET_BACK = {"type": "scan", "state": "done", "reason": {"$regex": "before, or into none"}}


@pytest.mark.parametrize("how", ["categories", "fence", "while-nobody-ran"])
def test_a_mysql_that_is_set_back(corner, program, write_api, checker, eventually, how):
    """To a copy of before: what stands there now is taken, though it is older than what was seen."""
    corner.sql("INSERT INTO categories (id, parent_id, level, path, name) VALUES (1, NULL, 1, '1/', 'A')")
    for name in ("B", "C", "D"):
        corner.sql("UPDATE categories SET name=%s WHERE id=1", name)
    projector = program("projector", {"projector.verify_rate": 0}).start()
    corner.products.insert_many([{**product(n), "categories": [Int64(1)], "primary_category_id": Int64(1)} for n in range(20)])
    checker.assert_equal(30, at_least=20)
    if how == "categories":
        corner.sql("UPDATE category_revision SET revision=1 WHERE id=1")
        corner.sql("UPDATE categories SET name='E' WHERE id=1")
    elif how == "fence":
        corner.sql("UPDATE projector_fence SET epoch=0 WHERE id=1")
        corner.sql("INSERT INTO stock (sku, available) VALUES (%s, 3)", "p000001")
    else:
        projector.stop()
        corner.sql("UPDATE projector_fence SET epoch=0 WHERE id=1")
        corner.sql("UPDATE categories SET name='E' WHERE id=1")
        corner.sql("DELETE FROM projection_queue")
        projector.start()
    eventually(lambda: log_has(projector, r"level=error .*event=queue\.set_back"), 30, "it is noticed")
    wait_job(corner, eventually, SET_BACK, 30)
    checker.assert_equal(30, at_least=20)
    eventually(checker.queue_is_drained, 30)
    assert jobs(corner).count_documents({"type": "scan", "reason": SET_BACK["reason"]}) == 1, "one term has seen it"


# ---- the collection -----------------------------------------------------------------------------------------------


def test_a_collection_dropped_and_rebuilt(corner, program, write_api, checker, eventually):
    """Most of it comes back before the sweep could have been confirmed: then nobody needs to confirm anything."""
    projector = program("projector", {"projector.sweep_recount": "1s"}).start()
    insert(corner, range(COUNT))
    checker.assert_equal(30, at_least=COUNT)
    corner.products.drop()
    waiting = wait_job(corner, eventually, {"state": "waiting"}, 30)
    assert waiting["orphans"] == COUNT
    assert log_has(projector, r"level=error .*event=stream\.history_lost") and log_has(projector, r"level=error .*event=job\.waits")
    assert projector.metric(PREFIX + "history_lost_total") == 1
    eventually(lambda: projector.metric(PREFIX + "jobs", 'type="scan",state="waiting"') == 1, 20, "the metric says that it waits")
    assert search_count(corner) == COUNT, "searches are served from what there is"
    with corner.stack.mongo.start_session() as session:  # at once: a count in between might do
        session.with_transaction(lambda s: corner.products.insert_many([product(n) for n in range(50, COUNT)], session=s))
    eventually(lambda: document(corner, f"p{COUNT - 1:06}"), 30)
    checker.assert_equal(60, at_least=COUNT - 50)
    assert wait_job(corner, eventually, {"_id": waiting["_id"], "state": "done"}, 30)["orphans"] == 50


def test_a_collection_renamed_changed_and_renamed_back(corner, program, write_api, checker, eventually):
    """What changes while it has another name is seen by nobody."""
    projector = program("projector", {"projector.sweep_recount": "1s"}).start()
    insert(corner, range(100))
    checker.assert_equal(30, at_least=100)
    elsewhere = corner.stack.mongo[corner.name]["products_elsewhere"]
    corner.products.rename(elsewhere.name)
    waiting = wait_job(corner, eventually, {"state": "waiting"}, 30)
    assert waiting["orphans"] == 100 and projector.metric(PREFIX + "history_lost_total") == 1
    elsewhere.update_many({"_id": {"$lt": "p000050"}}, {"$set": {"price": Int64(1)}})
    elsewhere.delete_many({"_id": {"$gte": "p000090"}})
    elsewhere.rename(corner.products.name)
    checker.assert_equal(60, at_least=90)
    wait_job(corner, eventually, {"_id": waiting["_id"], "state": {"$in": ["done", "superseded"]}}, 30)


def test_a_sweep_of_most_of_the_index_waits_for_a_word_over_restarts(corner, program, write_api, checker, eventually):
    projector = program("projector", {**SURE_LEASE, "projector.sweep_recount": "1s"}).start()
    insert(corner, range(COUNT))
    checker.assert_equal(30, at_least=COUNT)
    projector.stop()
    corner.products.delete_many({"_id": {"$gte": "p000280"}})  # less than half is left, and nothing says so any more
    damage_checkpoint(corner, None)
    projector.start()
    waiting = wait_job(corner, eventually, {"state": "waiting"}, 60)
    assert waiting["orphans"] == COUNT - 280
    for how in (projector.restart, lambda: (projector.kill(), projector.start())):
        how()
        eventually(lambda: projector.metric(PREFIX + "jobs", 'type="scan",state="waiting"') == 1, 20, "it waits again")
    insert(corner, [5000])
    eventually(lambda: document(corner, "p005000"), 20, "live changes are served meanwhile")
    kept = search_count(corner)
    for _ in range(3):
        assert get(projector, "/readyz").status_code == 200
    assert search_count(corner) >= kept, "nothing goes without a word"
    job = jobs(corner).find_one({"state": "waiting"})
    assert requests.post(f"{projector.url}/v1/jobs/{job['_id']}:confirm", timeout=10).status_code == 204
    checker.assert_equal(60, at_least=281)
    wait_job(corner, eventually, {"_id": job["_id"], "state": "done"}, 30)


def test_a_sweep_goes_on_behind_pages_of_documents_that_are_not_ours(corner, projector, checker, eventually):
    """Whole pages of ids that no product can have, alike in their beginning and not, before the orphans and behind them."""
    def plant_foreign():
        index, body = physical(corner), ""
        for n in range(1100):
            for start in ("a" * 130, "o" * 127 + "가", f"p0000{n % 20:02}-{n}" + "힣" * 50, "\U0010ffff" * 33):
                body += json.dumps({"index": {}}) + "\n" + json.dumps({"id": f"{start}{n:04}"}) + "\n"
        reply = corner.stack.http.post(f"{corner.stack.es_url}/{index}/_bulk?refresh=true", data=body.encode(), timeout=60,
                                       headers={"Content-Type": "application/x-ndjson"})
        assert reply.status_code == 200 and not reply.json()["errors"]
        state(corner).delete_one({"_id": "checkpoint:stream"})

    lose_history(corner, projector, checker, plant_foreign)
    projector.start()
    wait_job(corner, eventually, {"type": "scan", "state": "done", "phase": "sweep", "orphans": 20}, 60)
    corner.refresh()
    assert search_count(corner) == COUNT - 20 + 4 * 1100
    assert not document(corner, "p000019") and document(corner, "p000020")


# ---- the oplog ----------------------------------------------------------------------------------------------------


class TestTruncatedOplog:
    @pytest.fixture(scope="class")
    @classmethod
    def stack(cls):
        made = OwnStack("mongodb", READSIDE_MONGODB_OPLOG_MB="1", READSIDE_MONGODB_SYNC_SECONDS="1")
        yield made
        made.close()

    def start_of_oplog(self, stack):
        return stack.mongo["local"]["oplog.rs"].find().sort("$natural", 1).limit(1)[0]["ts"]

    def truncate_past(self, stack, corner, eventually, position):
        """Writes until the server has really thrown away what stood at the position: only what a checkpoint of the
        storage engine holds may go."""
        filler = stack.mongo[corner.name]["filler"]

        def gone():
            filler.insert_many([{"text": "x" * 10000} for _ in range(200)])
            return self.start_of_oplog(stack) > position

        eventually(gone, 120, "the oplog is cut", pause=0.01)
        filler.drop()

    def now(self, stack):
        return stack.mongo.admin.command("ping")["operationTime"]

    def test_while_the_projector_is_down(self, corner, stack, program, write_api, checker, eventually):
        projector = program("projector").start()

        def cut():
            self.truncate_past(stack, corner, eventually, self.now(stack))

        lose_history(corner, projector, checker, cut)
        projector.start()
        eventually(lambda: projector.metric(PREFIX + "history_lost_total") == 1, 30, "the metric says so")
        said = r"level=error .*event=stream\.history_lost reason=.*(286|ChangeStreamHistoryLost|resume)"
        eventually(lambda: log_has(projector, said), 30, "and the log")
        recovered(corner, projector, checker, eventually)

    def stream_rests(self, stack, corner):
        """The server has answered the stream's last question, and is asked no other: its cursor stays where it is. An open
        question would go on reading what is written, past the place that is cut off."""
        found = [op for op in stack.mongo.admin.aggregate([{"$currentOp": {"idleCursors": True}}])
                 if op.get("ns") == f"{corner.name}.products" and op.get("cursor", {}).get("tailable")]
        return found and all(op["type"] == "idleCursor" for op in found)

    def test_while_it_is_held_up(self, corner, stack, program, write_api, checker, eventually):
        """The stream itself is overtaken: the cursor's place is gone under a projector that reads on too late."""
        projector = program("projector", FAST_LEASE).start()
        insert(corner, range(COUNT))
        checker.assert_equal(30, at_least=COUNT)
        projector.put_to_sleep()
        try:
            update(corner, 100, price=Int64(1))
            eventually(lambda: self.stream_rests(stack, corner), 30, "the stream's cursor rests")
            self.truncate_past(stack, corner, eventually, self.now(stack))
            corner.products.delete_many({"_id": {"$lt": "p000030"}})
        finally:
            projector.wake()
        checker.assert_equal(60, at_least=COUNT - 30)
        assert projector.metric(PREFIX + "history_lost_total") >= 1
        wait_job(corner, eventually, {"type": "scan", "state": "done", "orphans": 30}, 30)

    def test_live_writes_go_on_during_the_recovery(self, corner, stack, program, write_api, checker, eventually):
        projector = program("projector", {"projector.scan_page": 20, "projector.background_window_marks": 100}).start()
        lose_history(corner, projector, checker, lambda: self.truncate_past(stack, corner, eventually, self.now(stack)))

        def write(n):
            update(corner, 20 + n % (COUNT - 20), price=Int64(10**6 + n))

        with Background(write, pause=0.005) as writer:
            projector.start()
            wait_job(corner, eventually, {"type": "scan", "reason": {"$regex": "resume|286|hist"}, "state": "done"}, 60)
            assert search_count(corner) >= COUNT - 20
        assert writer.count > 10
        checker.assert_equal(60, at_least=COUNT - 20)
