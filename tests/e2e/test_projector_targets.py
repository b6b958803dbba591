"""The indexes beside the serving one: what they do not take, and their loss, is their own affair."""
import pytest
from bson import Int64
from harness.command import Commands
from test_projector_reindex import FAST_LEASE, insert, jobs, mapping_file, physical, serving, targets


@pytest.fixture
def commands(corner):
    return Commands(corner, FAST_LEASE)


def price(corner, product, index=None):
    found = corner.stack.es("GET", f"/{index or corner.index}/_doc/{product}", expect=(200, 404))
    return found["_source"]["price_min"] if found.get("found") else None


def brand_is_a_number(mapping):
    mapping["mappings"]["properties"]["brand"] = {"type": "long"}
    for rule in mapping["projection"]["rules"]:
        if rule["field"] == "brand":
            rule.pop("max_bytes", None)


def test_what_the_old_index_refuses(corner, program, write_api, checker, commands, eventually, tmp_path):
    insert(corner, range(40), brand="17")
    program("projector", {**FAST_LEASE, "projector.mapping": mapping_file(tmp_path, brand_is_a_number)}).start()
    eventually(lambda: price(corner, "p00039"), 60, "the first scan")
    old = serving(corner)
    commands("reindex", "--mapping", mapping_file(tmp_path, name="plain.json"))
    assert serving(corner) != old
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


def test_the_new_index_is_lost(corner, program, write_api, checker, commands, eventually):
    insert(corner, range(200))
    program("projector", {**FAST_LEASE, "projector.scan_page": 10}).start()
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
