"""Reindex and rollback: a new index beside the serving one, and no shopper notices."""
import json

import pytest
import requests
from bson import Int64
from harness.background import Background
from harness.command import Commands
from harness.shop import SURE_LEASE


def product(number, **fields):
    made = {"_id": f"p{number:05}", "name": f"Product {number}", "brand": "Acme", "price": Int64(1000 + number), "currency": "KRW",
            "attributes": {"color": "black", "size": Int64(number)}, "version": Int64(1)}
    made.update(fields)
    return made


def insert(corner, numbers, **fields):
    corner.products.insert_many([product(n, **fields) for n in numbers])


def serving(corner):
    indexes = list(corner.stack.es("GET", f"/_alias/{corner.index}"))
    assert len(indexes) == 1, indexes
    return indexes[0]


def physical(corner):
    return sorted(row["index"] for row in corner.stack.es("GET", f"/_cat/indices/{corner.index}-*?format=json&h=index"))


def targets(corner):
    return corner.stack.mongo[corner.name]["projector_state"].find_one({"_id": "targets"})


def jobs(corner, **query):
    return list(corner.stack.mongo[corner.name]["projector_jobs"].find({"type": "reindex", **query}))


def mapping_file(tmp_path, change=None, name="mapping.json"):
    """The mapping in the binary, with a change, as a file."""
    import os
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
    with open(os.path.join(root, "mappings", "products-v1-plain.json"), encoding="utf-8") as f:
        mapping = json.load(f)
    if change:
        change(mapping)
    path = tmp_path / name
    path.write_text(json.dumps(mapping))
    return str(path)


@pytest.fixture
def commands(corner):
    return Commands(corner, SURE_LEASE)


class Writers(Background):
    """Changes products, stock and categories."""

    def __init__(self, corner, rng, count):
        super().__init__(self.one, pause=0.05)
        self.corner, self.rng, self.products = corner, rng, count

    def one(self, n):
        number = self.rng.randrange(self.products)
        kind = self.rng.random()
        if kind < 0.6:
            self.corner.products.update_one({"_id": f"p{number:05}"},
                                            {"$set": {"price": Int64(self.rng.randrange(10**6))}, "$inc": {"version": 1}})
        elif kind < 0.7:
            self.corner.products.delete_one({"_id": f"p{number:05}"})
        elif kind < 0.8:
            self.corner.products.replace_one({"_id": f"p{number:05}"}, product(number, categories=[1]), upsert=True)
        elif n % 100 != 99:
            self.corner.sql("REPLACE INTO stock (sku, available) VALUES (%s, %s)", f"p{number:05}", self.rng.randrange(9))
        else:
            self.corner.sql("UPDATE categories SET name = %s WHERE id = 1", f"Name {n}")


class Searcher(Background):
    """Searches through the query-api: every answer must be whole, of this moment, and have products."""

    def __init__(self, query_api):
        super().__init__(self.one, pause=0.01)
        self.url, self.session = query_api.url, requests.Session()

    def one(self, n):
        reply = self.session.get(self.url + "/v1/search", params={"q": "Product", "page": 1 + n % 10}, timeout=60)
        assert reply.status_code == 200, (reply.status_code, reply.text[:300])
        answer = reply.json()
        assert answer["hits"] and answer["degraded"] is None, reply.text[:300]


class AliasSearcher(Background):
    """Searches the alias in Elasticsearch itself, without a pause: there is no moment without an index behind it."""

    def __init__(self, corner):
        super().__init__(self.one, pause=0)
        self.url, self.session, self.seen = f"{corner.stack.es_url}/{corner.index}/_search?size=1", requests.Session(), set()
        self.session.trust_env = False

    def one(self, n):
        reply = self.session.get(self.url, timeout=60)
        assert reply.status_code == 200, (reply.status_code, reply.text[:300])
        answer = reply.json()
        assert answer["hits"]["total"]["value"] > 0 and answer["_shards"]["failed"] == 0, reply.text[:300]
        self.seen.add(answer["hits"]["hits"][0]["_index"])


def category(corner):
    corner.sql("INSERT INTO categories (id, parent_id, level, path, name, version, created_at, updated_at) "
               "VALUES (1, NULL, 1, '1/', 'First', 1, NOW(6), NOW(6))")


def test_nobody_notices(corner, program, write_api, checker, commands, eventually, rng):
    category(corner)
    insert(corner, range(600), categories=[1])
    program("projector", SURE_LEASE).start()
    checker.assert_equal(60, at_least=600)
    query_api = program("query-api", {"query-api.cache_bytes": 0, "query-api.fallback": "false",  # nothing hides a gap
                                      "query-api.search_timeout": "50s"}).start()  # slow is no gap
    before = serving(corner)
    with Searcher(query_api) as searcher, AliasSearcher(corner) as direct, Writers(corner, rng, 600) as writers:
        searcher.progress(5)
        direct.progress(5)
        writers.progress(50)
        done = commands("reindex", "--json", deadline=280)
        assert done.result["state"] == "done" and done.result["index"] == serving(corner) != before
        searcher.progress(5)
        direct.progress(50)
        writers.progress(50)
    assert direct.seen == {before, done.result["index"]}
    checker.assert_equal(60)
    assert targets(corner)["list"][1]["index"] == before
    phases = [e["phase"] for e in done.events if e["event"] == "progress"]
    assert phases and phases == sorted(phases, key=["create", "mark", "verify", "swap"].index)


# ---- what changes nothing -----------------------------------------------------------------------------------------


def test_what_is_refused_or_only_looked_at_changes_nothing(corner, program, write_api, checker, commands, eventually, tmp_path):
    insert(corner, range(50))
    program("projector", SURE_LEASE).start()
    checker.assert_equal(60, at_least=50)
    before, indexes, stored = serving(corner), physical(corner), targets(corner)

    def no_such_analyzer(mapping):
        mapping["mappings"]["properties"]["brand"] = {"type": "text", "analyzer": "nobody_made_this"}
        mapping["settings"]["index"]["refresh_interval"] = "7s"

    path = mapping_file(tmp_path, no_such_analyzer)
    shown = commands("reindex", "--mapping", path, "--dry-run").out
    assert "~ settings.refresh_interval = 5s -> 7s" in shown and "+ mappings.properties.brand.analyzer = nobody_made_this" in shown
    assert "products to write: 50" in shown
    plan = json.loads(commands("reindex", "--mapping", path, "--dry-run", "--json", "--throttle", "10").out)
    assert plan["documents"] == 50 and plan["bytes"] > 0 and plan["seconds"] >= 5 and plan["serving"] == before
    assert {d["path"]: d["after"] for d in plan["differences"]}["settings.refresh_interval"] == "7s"
    assert "no difference" in (same := commands("reindex", "--dry-run").out), same
    assert jobs(corner) == [] and physical(corner) == indexes

    refused = commands("reindex", "--mapping", path, "--json", expect=1)
    assert "nobody_made_this" in refused.err and refused.result["state"] == "failed"
    broken = tmp_path / "broken.json"
    broken.write_text('{"settings": {}, "mappings": {"properties": {}}, "projection": {"version": 1, "rules": [{"field": 5}]}}')
    assert commands("reindex", "--mapping", str(broken), expect=1).err
    assert commands("reindex", "--mapping", str(tmp_path / "missing.json"), expect=1).err
    assert commands("reindex", "--throttle", "0", expect=2).err and commands("reindex", "--wait", "--detach", expect=2).err
    assert (serving(corner), physical(corner), targets(corner)) == (before, indexes, stored)
    assert "no index of before" in commands("rollback", expect=1).err


def test_a_document_that_the_new_index_refuses_blocks_the_swap(corner, program, write_api, checker, commands, eventually, tmp_path):
    insert(corner, range(120), brand="17")
    corner.products.update_one({"_id": "p00077"}, {"$set": {"brand": "Not a number"}})
    corner.products.insert_one({"_id": "bad", "name": 17, "price": Int64(1)})  # nobody can write this one
    projector = program("projector", SURE_LEASE).start()
    eventually(lambda: corner.stack.mongo[corner.name]["dead_letters"].count_documents({}) == 1, 60, "the dead letter")
    before = serving(corner)

    def brand_is_a_number(mapping):
        mapping["mappings"]["properties"]["brand"] = {"type": "long"}
        for rule in mapping["projection"]["rules"]:
            rule.pop("max_bytes", None) if rule["field"] == "brand" else None

    failed = commands("reindex", "--mapping", mapping_file(tmp_path, brand_is_a_number), "--json", expect=1)
    assert failed.result["state"] == "failed" and "p00077" in failed.result["error"] and "brand" in failed.result["error"]
    assert serving(corner) == before
    assert [d["_id"] for d in corner.stack.mongo[corner.name]["dead_letters"].find()] == ["bad"]
    corner.products.update_one({"_id": "p00003"}, {"$set": {"price": Int64(4711)}})
    eventually(lambda: corner.stack.es("GET", f"/{corner.index}/_doc/p00003")["_source"]["price_min"] == 4711, 60, "it lives on")
    eventually(lambda: physical(corner) == [before], 60, "the index that failed is deleted")

    done = commands("reindex", "--json")  # a product that nobody can write does not block one
    assert done.result["state"] == "done" and serving(corner) == done.result["index"]
    assert projector.process.poll() is None


# ---- the way there and back ---------------------------------------------------------------------------------------


def test_confirmed_swap_and_the_way_back(corner, program, write_api, checker, commands, eventually):
    insert(corner, range(150))
    program("projector", SURE_LEASE).start()
    checker.assert_equal(60, at_least=150)
    first = serving(corner)
    waits = commands("reindex", "--no-swap", "--json")
    second, job = waits.result["index"], waits.result["id"]
    assert waits.result["state"] == "waiting" and serving(corner) == first != second
    assert "is under way" in commands("reindex", expect=1).err
    corner.products.update_many({}, {"$set": {"price": Int64(5)}, "$inc": {"version": 1}})
    confirmed = commands("jobs", "confirm", job, "--json").events
    assert [e["id"] for e in confirmed] == [job] and confirmed[0]["state"] in ("running", "done")
    assert commands("jobs", "wait", job, "--json").result["state"] == "done"
    assert serving(corner) == second
    checker.assert_equal(60, at_least=150)

    waiting = commands.start("reindex", "--no-swap", "--wait", "--json")  # to the very end
    job = eventually(lambda: jobs(corner, type="reindex", state="waiting"), 60, "it waits for a word")[0]["_id"]
    assert waiting.process.poll() is None and serving(corner) == second
    commands("jobs", "confirm", job)
    first, second = second, waiting.finish().result["index"]
    assert waiting.result["state"] == "done" and serving(corner) == second != first

    corner.products.update_many({"_id": {"$lt": "p00100"}}, {"$set": {"price": Int64(6)}, "$inc": {"version": 1}})
    corner.products.delete_one({"_id": "p00000"})
    assert commands("rollback", "--json").result["state"] == "done"
    assert serving(corner) == first
    checker.assert_equal(60, at_least=149)
    corner.products.update_many({}, {"$set": {"price": Int64(7)}, "$inc": {"version": 1}})
    assert commands("rollback", "--json").result["index"] == second == serving(corner)
    checker.assert_equal(60, at_least=149)


def test_an_old_index_goes_when_its_time_is_over(corner, program, write_api, checker, commands, eventually):
    insert(corner, range(20))
    program("projector", {**SURE_LEASE, "projector.rollback_keep": "1s"}).start()
    checker.assert_equal(60, at_least=20)
    commands("reindex")
    eventually(lambda: physical(corner) == [serving(corner)], 60, "the old index is deleted")
    assert "projector reindex with the mapping of then" in commands("rollback", expect=1).err
    insert(corner, range(20, 30))
    checker.assert_equal(60, at_least=30)


# ---- kills --------------------------------------------------------------------------------------------------------


def hold_in_phase(es_proxy, corner, phase):
    """No job gets beyond it: a request without which the phase cannot end is kept, "created" and "swapped": its answer.
    A check that it is so far."""
    new = f"/{corner.index}-"

    def creates(method, path):
        return method == "PUT" and path.startswith(new) and path.count("/") == 1

    def compares(method, path):
        return path.startswith(new) and "/_search" in path and jobs(corner, phase="verify")

    def swaps(method, path):
        return path.startswith("/_aliases")

    if phase == "mark":
        es_proxy.hold()
        return lambda: es_proxy.held > 0
    if phase in ("create", "verify", "swap"):
        es_proxy.catch = {"create": creates, "verify": compares, "swap": swaps}[phase]
    else:
        es_proxy.catch_answer = {"created": creates, "swapped": swaps}[phase]
    return lambda: es_proxy.caught > 0


@pytest.mark.parametrize("phase", ["create", "created", "mark", "verify", "swap", "swapped"])
def test_a_daemon_killed_in_any_phase(corner, program, write_api, es_proxy, checker, commands, eventually, phase):
    insert(corner, range(200))
    projector = program("projector", {**SURE_LEASE, "elasticsearch.url": es_proxy.url, "projector.verify_rate": 0}).start()
    checker.assert_equal(60, at_least=200)
    before = serving(corner)
    is_held = hold_in_phase(es_proxy, corner, phase)
    confirmed = ["--no-swap"] if phase == "swapped" else []
    job = commands("reindex", "--detach", "--json", *confirmed).events[0]["id"]
    if confirmed:
        eventually(lambda: jobs(corner, state="waiting"), 60, "it waits")
        commands("jobs", "confirm", job)
    eventually(is_held, 60, f"it is held in the phase {phase}")
    projector.kill()
    killed = jobs(corner)[0]
    assert (killed["state"], killed["phase"]) == ("running", {"created": "create", "swapped": "swap"}.get(phase, phase)), killed
    assert (serving(corner) != before) == (phase == "swapped")
    corner.products.update_many({}, {"$set": {"price": Int64(9)}, "$inc": {"version": 1}})
    es_proxy.catch = es_proxy.catch_answer = None
    es_proxy.release()  # what was held arrives now
    projector.start()
    assert commands("jobs", "wait", job, "--json").result["state"] == "done"
    assert serving(corner) != before and len(physical(corner)) == 2
    checker.assert_equal(60, at_least=200)


def test_without_a_daemon_the_command_does_the_work(corner, program, write_api, checker, commands, eventually):
    insert(corner, range(200))
    projector = program("projector", SURE_LEASE).start()
    checker.assert_equal(60, at_least=200)
    before = serving(corner)
    projector.stop()
    corner.products.update_many({}, {"$set": {"price": Int64(11)}, "$inc": {"version": 1}})
    killed = commands.start("reindex", "--throttle", "4")  # so that nobody comes too late, here as below
    eventually(lambda: jobs(corner, phase="mark", done={"$gt": 0}), 90, "it has begun")
    killed.kill()
    assert "no projector is running" in killed.err
    job = jobs(corner)[0]["_id"]

    epoch = jobs(corner)[0]["epoch"]
    detaching = commands.start("jobs", "wait", job)
    eventually(lambda: jobs(corner)[0]["epoch"] > epoch, 60, "it has taken the job over")
    detaching.interrupt()
    detaching.finish(expect=5)
    assert f"projector jobs wait {job}" in detaching.err
    commands("jobs", "throttle", job, "off")
    assert commands("jobs", "wait", job, "--json").result["state"] == "done"
    assert serving(corner) != before
    checker.assert_equal(30, at_least=200)


def test_the_command_and_the_daemon_are_killed(corner, program, write_api, checker, commands, eventually):
    """The command while a daemon works; the daemon while a command waits, which then does the work; both."""
    insert(corner, range(200))
    projector = program("projector", {**SURE_LEASE, "projector.scan_page": 10}).start()
    checker.assert_equal(60, at_least=200)
    before = serving(corner)

    def goes_on():
        done = jobs(corner)[0]["done"]
        eventually(lambda: jobs(corner)[0]["done"] > done, 60, "it goes on")

    command = commands.start("reindex", "--throttle", "4")
    eventually(lambda: jobs(corner, phase="mark", done={"$gt": 0}), 90, "it has begun")
    job = jobs(corner)[0]["_id"]
    command.kill()
    goes_on()
    corner.products.update_many({}, {"$set": {"price": Int64(12)}, "$inc": {"version": 1}})

    command, epoch = commands.start("jobs", "wait", job), jobs(corner)[0]["epoch"]
    projector.kill()
    eventually(lambda: jobs(corner)[0]["epoch"] > epoch, 60, "the command has taken it over")
    goes_on()
    command.kill()
    assert "no projector is running" in command.err

    projector.start()
    command = commands.start("jobs", "wait", job)
    goes_on()
    projector.kill()
    command.kill()
    assert jobs(corner)[0]["state"] == "running" and jobs(corner)[0]["done"] < 200 and serving(corner) == before
    corner.products.delete_one({"_id": "p00001"})
    projector.start()
    commands("jobs", "throttle", job, "off")
    assert commands("jobs", "wait", job, "--json").result["state"] == "done" and len(jobs(corner)) == 1
    assert serving(corner) != before
    checker.assert_equal(60, at_least=199)


# ---- the verification before the swap -----------------------------------------------------------------------------


def building(corner):
    return next(t["index"] for t in targets(corner)["list"] if t["role"] == "building")


def test_what_is_wrong_in_the_new_index_is_found_before_the_swap(corner, program, write_api, checker, commands, eventually):
    """Nothing else would: the continuous verification is off."""
    insert(corner, range(300))
    program("projector", {**SURE_LEASE, "projector.scan_page": 10, "projector.verify_rate": 0}).start()
    checker.assert_equal(60, at_least=300)
    job = commands("reindex", "--throttle", "10", "--detach", "--json").events[0]["id"]
    eventually(lambda: jobs(corner, phase="mark", done={"$gte": 4}), 90, "some are written")
    commands("jobs", "pause", job)
    new = building(corner)

    def written(product_id):
        return corner.stack.es("GET", f"/{new}/_doc/{product_id}", expect=(200, 404)).get("_source")

    first = [eventually(lambda n=n: written(f"p0000{n}"), 30, "the first ones") for n in range(3)]
    old, stamp = first[2], max(one["version"] for one in first)
    corner.stack.es("DELETE", f"/{new}/_doc/p00000?version={stamp}&version_type=external_gte")
    for name, content in (("p00001", {**old, "id": "p00001", "price_min": 7, "content_hash": 7}), ("orphan", {**old, "id": "orphan"})):
        corner.stack.es("PUT", f"/{new}/_doc/{name}?version={stamp}&version_type=external_gte", content, expect=(200, 201))
    corner.stack.mongo[corner.name]["projector_jobs"].insert_one(
        {"_id": "scan-held", "type": "scan", "state": "running", "phase": "mark", "epoch": Int64(0), "done": Int64(0), "paused": True})
    commands("jobs", "throttle", job, "off")
    commands("jobs", "resume", job)
    eventually(lambda: "(the job scan-held is paused)" in commands("jobs").out, 60, "it says what it waits for", pause=0.5)
    commands("jobs", "cancel", "scan-held")
    done = commands("jobs", "wait", job, "--json").result
    assert done["state"] == "done" and "note" not in done and serving(corner) == new
    checker.assert_equal(0, at_least=300)


def test_an_index_that_stays_wrong_is_not_swapped_in(corner, program, write_api, checker, commands, eventually, es_proxy):
    """Somebody keeps removing a product from it, whenever it was written."""
    insert(corner, range(100))
    projector = program("projector", {**SURE_LEASE, "projector.verify_rate": 0, "elasticsearch.url": es_proxy.url}).start()
    checker.assert_equal(60, at_least=100)
    before = serving(corner)
    es_proxy.after_bulk = lambda: [corner.stack.es("DELETE", f"/{index}/_doc/p00017?refresh=true", expect=(200, 404))
                                   for index in physical(corner) if index != before]
    failed = commands("reindex", "--json", expect=1)
    assert failed.result["state"] == "failed" and "1 products differ" in failed.result["error"] and "p00017" in failed.result["error"]
    assert projector.log().count("event=job.verified") == 4
    es_proxy.after_bulk = None
    eventually(lambda: physical(corner) == [before], 60, "the index that failed is deleted")
    assert serving(corner) == before
    checker.assert_equal(60, at_least=100)
