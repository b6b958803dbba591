"""The indexes beside the serving one: what they do not take, and their loss, is their own affair."""
import time

import pytest
import requests
from bson import Int64
from harness.command import Commands
from harness.http_proxy import HttpProxy
from harness.shop import SURE_LEASE, log_has
from test_projector_reindex import insert, jobs, mapping_file, physical, serving, targets


@pytest.fixture
def commands(corner):
    return Commands(corner, SURE_LEASE)


def price(corner, product, index=None):
    found = corner.stack.es("GET", f"/{index or corner.index}/_doc/{product}", expect=(200, 404))
    return found["_source"]["price_min"] if found.get("found") else None


def brand_is_a_number(mapping):
    mapping["mappings"]["properties"]["brand"] = {"type": "long"}
    for rule in mapping["projection"]["rules"]:
        if rule["field"] == "brand":
            rule.pop("max_bytes", None)


def the_new_one_serves(corner, projector, eventually):
    """To the projector too: for a moment behind the swap it goes on as it began."""
    eventually(lambda: log_has(projector, f"event=owner .*index={serving(corner)} "), 60, "a term with the new index")


def test_what_the_old_index_refuses(corner, program, write_api, checker, commands, eventually, tmp_path):
    insert(corner, range(40), brand="17")
    projector = program("projector", {**SURE_LEASE, "projector.mapping": mapping_file(tmp_path, brand_is_a_number)}).start()
    eventually(lambda: price(corner, "p00039"), 60, "the first scan")
    old = serving(corner)
    commands("reindex", "--mapping", mapping_file(tmp_path, name="plain.json"))
    assert serving(corner) != old
    the_new_one_serves(corner, projector, eventually)
    letters = corner.stack.mongo[corner.name]["dead_letters"]
    corner.products.update_one({"_id": "p00005"}, {"$set": {"brand": "Acme", "price": Int64(55)}, "$inc": {"version": 1}})
    eventually(lambda: targets(corner)["list"][1].get("flaw"), 60, "the flaw is noted")
    assert targets(corner)["list"][1]["flaw"]["id"] == "p00005" and letters.count_documents({}) == 0
    corner.products.update_one({"_id": "p00005"}, {"$set": {"price": Int64(56)}, "$inc": {"version": 1}})
    corner.products.update_one({"_id": "p00006"}, {"$set": {"price": Int64(66)}, "$inc": {"version": 1}})
    eventually(lambda: price(corner, "p00005") == 56 and price(corner, "p00006") == 66, 60, "the serving index goes on")
    eventually(lambda: price(corner, "p00006", old) == 66, 60, "and the old one gets what it takes")
    assert "p00005" in commands("rollback", expect=1).err and serving(corner) != old

    assert commands("rollback", "--force", "--json").result["state"] == "done"
    assert serving(corner) == old
    eventually(lambda: letters.find_one({"_id": "p00005"}), 90, "the full scan finds what it cannot say")
    eventually(lambda: price(corner, "p00039"), 60)


def test_what_the_old_index_refuses_just_after_the_swap(corner, program, write_api, checker, commands, eventually, tmp_path):
    """Sent when it served still, and refused when the job is done: no letter is left, which nobody would look at again."""
    database = corner.stack.mongo[corner.name]
    insert(corner, range(40), brand="17")
    proxy = HttpProxy(corner.stack.es_url)
    try:
        program("projector", {**SURE_LEASE, "elasticsearch.url": proxy.url, "projector.mapping": mapping_file(tmp_path, brand_is_a_number)}).start()
        eventually(lambda: jobs(corner, type="scan", state="done"), 60, "the first scan")
        old = serving(corner)

        def refuse_one():
            proxy.after_alias = None
            proxy.hold()
            corner.products.update_one({"_id": "p00005"}, {"$set": {"brand": "Acme", "price": Int64(55)}, "$inc": {"version": 1}})
            eventually(lambda: "p00005" in proxy.held_ids(), 60, "it is on its way")

        proxy.after_alias = refuse_one
        job = commands("reindex", "--mapping", mapping_file(tmp_path, name="plain.json"), "--detach", "--json").events[0]["id"]
        eventually(lambda: jobs(corner, _id=job, state="done"), 60, "the reindex is over")
        assert proxy.after_alias is None and serving(corner) != old
        proxy.release()
        eventually(lambda: targets(corner)["list"][1].get("flaw"), 60, "the flaw is noted")
        eventually(lambda: price(corner, "p00005") == 55 and database["dead_letters"].count_documents({}) == 0, 60, "what serves takes it")
        assert "p00005" in commands("rollback", expect=1).err
    finally:
        proxy.close()


def test_a_forced_rollback_that_is_killed_still_owes_its_scan(corner, program, write_api, checker, commands, eventually, tmp_path):
    """Between the swap and the scan, which the database refuses to store as long as the first owner lives."""
    database = corner.stack.mongo[corner.name]
    insert(corner, range(40), brand="17")
    projector = program("projector", {**SURE_LEASE, "projector.mapping": mapping_file(tmp_path, brand_is_a_number)}).start()
    eventually(lambda: jobs(corner, type="scan", state="done"), 60, "the first scan")
    old = serving(corner)
    commands("reindex", "--mapping", mapping_file(tmp_path, name="plain.json"))
    new = serving(corner)
    the_new_one_serves(corner, projector, eventually)
    corner.products.update_one({"_id": "p00005"}, {"$set": {"brand": "Acme", "price": Int64(55)}, "$inc": {"version": 1}})
    eventually(lambda: targets(corner)["list"][1].get("flaw"), 60, "the flaw is noted")

    database.command("collMod", "projector_jobs", validator={"type": {"$ne": "scan"}})
    job = commands("rollback", "--force", "--detach", "--json").events[0]["id"]
    eventually(lambda: serving(corner) == old and targets(corner)["list"][0]["index"] == old, 60, "the swap")
    eventually(lambda: "flaw" not in targets(corner)["list"][0], 60, "of which nothing tells any more")
    projector.kill()
    assert jobs(corner, type="rollback", _id=job, state="running") and len(jobs(corner, type="scan")) == 1
    database["dead_letters"].insert_one({"_id": "p00007", "index": new, "status": 400, "reason": "of before", "times": Int64(1)})
    database.command("collMod", "projector_jobs", validator={})
    projector.start()
    assert commands("jobs", "wait", job, "--json").result["state"] == "done"
    assert not database["dead_letters"].find_one({"index": new}), "the letters of the index before go"
    eventually(lambda: database["dead_letters"].find_one({"_id": "p00005"}), 90, "the full scan finds what it cannot say")
    assert len(jobs(corner, type="scan")) == 2


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_what_the_new_index_refuses_while_the_alias_is_swapped(corner, program, write_api, checker, commands, eventually, tmp_path, known):
    """known: what it lacks was stored before it serves, and all products are read anew. Otherwise the change is not done yet, and
    is refused once more by the index that serves now."""
    insert(corner, range(40), brand="17")
    proxy = HttpProxy(corner.stack.es_url)
    database = corner.stack.mongo[corner.name]
    try:
        projector = program("projector", {**SURE_LEASE, "elasticsearch.url": proxy.url}).start()
        eventually(lambda: jobs(corner, type="scan", state="done"), 60, "the first scan")
        before = serving(corner)

        def refuse_one():
            proxy.after_alias = None
            if not known:
                database.command("collMod", "projector_state", validator={"list.flaw": {"$exists": False}})
            corner.products.update_one({"_id": "p00005"}, {"$set": {"brand": "Acme", "price": Int64(55)}, "$inc": {"version": 1}})
            eventually(lambda: price(corner, "p00005", before) == 55, 60, "the index of before has the change")
            if known:
                eventually(lambda: any("flaw" in each for each in targets(corner)["list"]), 60, "what the new one lacks is stored")
            else:
                eventually(lambda: "event=target.flaw_not_stored" in projector.log(), 60, "it cannot be stored")

        proxy.after_alias = refuse_one
        done = commands("reindex", "--mapping", mapping_file(tmp_path, brand_is_a_number), "--json").result
        assert done["state"] == "done" and serving(corner) == done["index"] != before
        database.command("collMod", "projector_state", validator={})
        eventually(lambda: database["dead_letters"].find_one({"_id": "p00005", "index": serving(corner)}), 60, "the letter")
        corner.products.update_one({"_id": "p00006"}, {"$set": {"price": Int64(66)}, "$inc": {"version": 1}})
        eventually(lambda: price(corner, "p00006") == 66 and price(corner, "p00006", before) == 66, 60, "both get what they take")
        eventually(lambda: len(jobs(corner, type="scan", state="done")) == 1 + known, 60, "all are read anew, or were done")
        assert not any("flaw" in target for target in targets(corner)["list"])
        assert ("event=index.lacks_changes" in projector.log()) == known
    finally:
        proxy.close()


def test_an_index_whose_job_is_gone_is_in_nobodys_way(corner, program, write_api, checker, commands, eventually):
    insert(corner, range(40))
    projector = program("projector", SURE_LEASE).start()
    eventually(lambda: jobs(corner, type="scan", state="done"), 60, "the first scan")
    commands("reindex", "--no-swap", "--detach")
    eventually(lambda: jobs(corner, state="waiting"), 60, "the new index is complete")
    abandoned = targets(corner)["list"][1]["index"]
    corner.stack.mongo[corner.name]["projector_jobs"].delete_many({"type": "reindex"})
    done = commands("reindex", "--json").result
    assert done["state"] == "done" and serving(corner) == done["index"] != abandoned
    assert f"event=index.abandoned index={abandoned}" in projector.log()
    eventually(lambda: abandoned not in physical(corner), 60, "it is deleted")


def test_copies_that_do_not_fit_into_one_request_go_one_by_one(corner, program, write_api, checker, commands, eventually):
    proxy = HttpProxy(corner.stack.es_url)
    try:
        insert(corner, range(40))
        projector = program("projector", {**SURE_LEASE, "elasticsearch.url": proxy.url, "projector.verify_rate": "0"}).start()
        checker.assert_equal(60, at_least=40)
        old = serving(corner)
        commands("reindex")
        the_new_one_serves(corner, projector, eventually)
        letters, proxy.largest = corner.stack.mongo[corner.name]["dead_letters"], 50_000
        for number, fields in ((3, {"description": "d" * 35_000}), (4, {"description": "d" * 60_000}), (5, {"name": "small"})):
            corner.products.update_one({"_id": f"p{number:05}"},
                                       {"$set": {"price": Int64(number + 50), **fields}, "$inc": {"version": 1}})
        for number in (3, 5):
            eventually(lambda p=f"p{number:05}", n=number: price(corner, p) == price(corner, p, old) == n + 50, 60, "both copies")
        eventually(lambda: letters.find_one({"_id": "p00004", "status": 413}), 60, "the one that does not fit alone")
        assert letters.count_documents({}) == 1
        assert "flaw" not in targets(corner)["list"][1], "which is no fault of the old index"
        corner.products.delete_one({"_id": "p00003"})
        eventually(lambda: price(corner, "p00003") is None and price(corner, "p00003", old) is None, 60, "gone from both")
    finally:
        proxy.close()


def test_what_both_indexes_refuse_keeps_its_letter(corner, program, write_api, checker, commands, eventually, tmp_path):
    insert(corner, range(40), brand="17")
    corner.products.update_one({"_id": "p00005"}, {"$set": {"brand": "Acme"}})
    mapping = mapping_file(tmp_path, brand_is_a_number)
    program("projector", {**SURE_LEASE, "projector.mapping": mapping, "projector.verify_rate": "0"}).start()
    letters = corner.stack.mongo[corner.name]["dead_letters"]
    eventually(lambda: letters.find_one({"_id": "p00005"}), 60, "the first index refuses it")
    commands("reindex", "--mapping", mapping)
    eventually(lambda: letters.find_one({"_id": "p00005", "index": serving(corner)}), 60, "and so does the second")
    assert letters.count_documents({}) == 1


def test_an_outage_does_not_cost_the_way_back_but_a_closed_index_does(corner, program, write_api, es_proxy, checker, commands, eventually):
    insert(corner, range(40))
    projector = program("projector", {**SURE_LEASE, "elasticsearch.url": es_proxy.url, "projector.target_patience": "1s",
                                      "projector.retry_max": "500ms", "projector.verify_rate": "0"}).start()
    checker.assert_equal(60, at_least=40)
    old = serving(corner)
    commands("reindex")
    the_new_one_serves(corner, projector, eventually)
    es_proxy.refuse()
    change(corner, 3, 33)
    time.sleep(4)
    es_proxy.accept()
    eventually(lambda: price(corner, "p00003") == price(corner, "p00003", old) == 33, 60, "both have the change")
    assert "flaw" not in targets(corner)["list"][1]

    corner.stack.es("POST", f"/{old}/_close")
    change(corner, 4, 44)
    eventually(lambda: targets(corner)["list"][1].get("flaw", {}).get("gone"), 60, "it is given up")
    checker.assert_equal(60, at_least=40)
    assert "cannot be written any more" in commands("rollback", "--force", expect=1).err and serving(corner) != old
    projector.wait_for("/readyz")


# ---- an index of another release ----------------------------------------------------------------------------------


@pytest.fixture
def foreign(corner, program, write_api, checker):
    """A shop whose index was made with a projection that the program does not know: (the projector, stopped, and a
    function that says which version the projection has)."""
    def says(version):
        meta = corner.stack.es("GET", f"/{corner.index}/_mapping")[serving(corner)]["mappings"]["_meta"]
        meta["readside"]["projection"]["version"] = version
        corner.stack.es("PUT", f"/{corner.index}/_mapping", {"_meta": meta})

    insert(corner, range(100))
    projector = program("projector", SURE_LEASE).start()
    checker.assert_equal(60, at_least=100)
    projector.stop()
    says(99)
    return projector, says


def change(corner, number, value):
    corner.products.update_one({"_id": f"p{number:05}"}, {"$set": {"price": Int64(value)}, "$inc": {"version": 1}})


def scans(corner):
    return jobs(corner, type="scan")


@pytest.mark.parametrize("who", ["daemon", "command"])
def test_an_index_of_another_release(corner, foreign, checker, commands, eventually, who):
    projector, _ = foreign
    old = serving(corner)
    change(corner, 7, 77)
    if who == "daemon":
        projector.start(wait="alive")
        eventually(lambda: "`projector reindex`" in requests.get(projector.url + "/readyz", timeout=10).text, 30, "what helps")
        assert "event=start.failed" in projector.log() and price(corner, "p00007") == 1007
    before = len(scans(corner))
    assert commands("reindex", "--json").result["state"] == "done"
    assert serving(corner) != old
    if who == "command":
        projector.start()
    change(corner, 8, 88)
    checker.assert_equal(60, at_least=100)
    assert price(corner, "p00007", old) == 1007, "nothing was written to the old one"
    assert len(scans(corner)) == before, "nothing is scanned twice"
    assert "this release cannot write it" in commands("rollback", expect=1).err
    projector.wait_for("/readyz")


def test_a_reindex_of_a_foreign_index_is_given_up(corner, foreign, checker, commands, eventually):
    """What changed meanwhile went nowhere: whoever can write that index begins with a scan."""
    projector, says = foreign
    projector.start(wait="alive")
    running = commands.start("reindex", "--throttle", "10", "--json")
    eventually(lambda: jobs(corner, phase="mark", done={"$gt": 0}), 60, "it marks")
    change(corner, 7, 77)
    (new,) = set(physical(corner)) - {serving(corner)}
    eventually(lambda: price(corner, "p00007", new) == 77, 60, "the change is in the new index")
    (job,) = jobs(corner, type="reindex")
    commands("jobs", "cancel", job["_id"])
    running.finish(expect=1)
    says(1)
    checker.assert_equal(60, at_least=100)
    assert "or into none" in projector.log()


def test_the_new_index_is_lost(corner, program, write_api, checker, commands, eventually):
    insert(corner, range(200))
    program("projector", {**SURE_LEASE, "projector.scan_page": 10}).start()
    checker.assert_equal(60, at_least=200)
    before = serving(corner)
    running = commands.start("reindex", "--throttle", "20", "--json")
    eventually(lambda: jobs(corner, phase="mark", done={"$gt": 0}), 90, "it marks")
    (new,) = set(physical(corner)) - {before}
    corner.stack.es("DELETE", f"/{new}")
    running.finish(expect=1)
    assert running.result["state"] == "failed" and new in running.result["error"]
    insert(corner, range(200, 210))
    checker.assert_equal(60, at_least=210)
    assert physical(corner) == [before] and [t["role"] for t in targets(corner)["list"]] == ["serving"]


def test_an_alias_that_was_moved_by_hand(corner, program, write_api, checker, eventually):
    """To a copy of before some changes, as a restored snapshot is one: nothing says what it lacks, so all is read anew."""
    insert(corner, range(40))
    projector = program("projector", {**SURE_LEASE, "projector.verify_rate": 0}).start()
    eventually(lambda: jobs(corner, type="scan", state="done"), 60, "the first scan")
    eventually(lambda: price(corner, "p00039"), 60)
    stack, first, copy = corner.stack, serving(corner), serving(corner) + "-copy"
    made = stack.es("GET", f"/{first}")[first]
    settings = {k: v for k, v in made["settings"]["index"].items() if k not in ("creation_date", "uuid", "version", "provided_name")}
    stack.es("PUT", f"/{copy}", {"mappings": made["mappings"], "settings": settings})
    stack.es("POST", f"/{first}/_refresh")
    stack.es("POST", "/_reindex?refresh=true", {"source": {"index": first}, "dest": {"index": copy, "version_type": "external"}})
    corner.products.update_one({"_id": "p00007"}, {"$set": {"price": Int64(77)}, "$inc": {"version": 1}})
    corner.products.delete_one({"_id": "p00008"})
    eventually(lambda: price(corner, "p00007") == 77 and price(corner, "p00008") is None, 60, "the changes are in the first index")
    projector.stop()
    stack.es("POST", "/_aliases", {"actions": [{"remove": {"index": first, "alias": corner.index}}, {"add": {"index": copy, "alias": corner.index}}]})
    assert price(corner, "p00008") is not None
    projector.start()
    checker.assert_equal(60, at_least=39)
    assert "event=index.unknown" in projector.log()
