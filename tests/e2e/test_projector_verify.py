"""projector verify: what is planted is found and nothing else, whatever the writers do meanwhile."""
import datetime
import itertools
import json
import os
import re
import time

import pytest
import requests
from bson import Int64
from harness.background import Background
from harness.command import Commands
from harness.http_proxy import HttpProxy
from harness.planting import DEAD, MISSING, STALE, Planter, Verify, Writers
from harness.shop import PREFIX, SURE_LEASE, add_category, document, get, insert, letters, no_job_runs, physical, state
from harness.tcp_proxy import TcpProxy

QUIET = {"projector.verify_rate": 0}  # the continuous verification of the daemon is not what is tested
MAPPING = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "mappings", "products-v1-plain.json")
LIVE = 500                           # products that writers change, all over the range of ids; the others are planted


def live_products(count):
    """Their numbers, so that every page of a walk has some."""
    live = min(LIVE, count)
    return [n * count // live for n in range(live)]


def old_products(count):
    return sorted(set(range(count)).difference(live_products(count)))


@pytest.fixture
def shop(corner, write_api, program, checker, eventually):
    """fill(n, settings): n products in the index, some of the live ones in a category; the projector."""
    def fill(count, **settings):
        for number, path in ((1, ""), (2, "1/"), (3, "1/2/"), (9, "")):
            add_category(corner, number, path, f"Category {number}")
        moved = live_products(count)[::5]  # with their category
        insert(corner, moved, categories=[Int64(3)], primary_category_id=Int64(3))
        insert(corner, sorted(set(range(count)).difference(moved)), categories=[Int64(9)])
        projector = program("projector", {**QUIET, **settings}).start()
        eventually(lambda: checker.queue_is_drained() and no_job_runs(corner), 900, "the first scan", pause=1)
        corner.refresh()
        return projector
    return fill


def plant_all(planter, each):
    return planter.missing(each) | planter.stale(each) | planter.orphaned(each)


def raises_no_alarm(corner, verify):
    """Nothing is planted: what a walk suspects at first is what writers are at. It has to meet some of that."""
    for _ in range(20):
        corner.refresh()
        verify.run(expect=Verify.EQUAL)
        if verify.result["candidates"] > 0:
            return
    raise AssertionError("no walk has met a product that was just changing")


def sizes():
    """The ordinary size, and the one that the promise is about in a slow version."""
    return [pytest.param(6000, 200, 2, id="few"),
            pytest.param(200000, 700, 2, id="many", marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count, each, rounds", sizes())
def test_all_that_is_planted_is_found_and_nothing_else(corner, shop, checker, rng, count, each, rounds):
    shop(count)
    verify = Verify(corner, timeout=1800)
    planter = Planter(corner, rng, [f"p{n:06}" for n in old_products(count)])
    with Writers(corner, rng, live_products(count), category=3, parents=["1/", "1/2/", "9/"]) as writers:
        raises_no_alarm(corner, verify)
        for number in range(rounds):
            planted = plant_all(planter, each)
            corner.refresh()
            verify.run(expect=Verify.DIFFERENCES)
            verify.assert_found(planted)
            verify.run("--repair", expect=Verify.EQUAL)
            verify.assert_found(planted)
            assert verify.result["repaired"] == len(planted)
            raises_no_alarm(corner, verify)
            print(f"round {number}: {len(planted)} of {verify.result['compared']} found and repaired, {writers.operations} writes, "
                  f"{verify.result['candidates']} candidates in the last walk, {verify.result['seconds']:.1f} s")
    assert writers.operations > 100
    checker.assert_equal(300, at_least=count // 2)


@pytest.mark.slow
def test_what_is_never_at_rest_is_not_equal(corner, shop):
    """Somebody writes a wrong document under one higher version after the other: nobody can say what it will be."""
    shop(200)

    def write(n):
        version = 2**50 + n
        corner.stack.es("PUT", f"/{corner.index}/_doc/p000150?version={version}&version_type=external",
                        {"id": "p000150", "version": version, "content_hash": version}, expect=(200, 201))

    verify = Verify(corner)
    with Background(write, pause=0) as writer:
        writer.progress(1)
        corner.refresh()
        verify.run(expect=Verify.DIFFERENCES)
    assert not verify.result["equal"] and verify.result["unsettled"] == 1 and not verify.differences


def test_deep_finds_content_that_was_altered_under_its_hash(corner, shop, checker, rng):
    shop(LIVE + 1000)
    verify, planter = Verify(corner), Planter(corner, rng, [f"p{n:06}" for n in old_products(LIVE + 1000)])
    altered, seen = planter.altered(100), plant_all(planter, 30)
    corner.refresh()
    verify.run(expect=Verify.DIFFERENCES)
    verify.assert_found(seen)
    with Writers(corner, rng, live_products(LIVE + 1000)):
        verify.run("--deep", expect=Verify.DIFFERENCES)
        verify.assert_found(seen | altered)
        assert {i for _, i in altered} <= {line["id"] for line in verify.lines if line.get("altered")}
        verify.run("--deep", "--repair", expect=Verify.EQUAL)
    checker.assert_equal(60, at_least=500)


def test_documents_under_strange_names(corner, shop, checker):
    """Without an id, with the id of another, without a hash."""
    shop(400)
    index, source = physical(corner), document(corner, "p000007")
    for name, content in (("nameless", {"brand": "x"}), ("other", source), ("hashless", {"id": "hashless"})):
        corner.stack.es("PUT", f"/{index}/_doc/{name}?refresh=true", content)
    verify = Verify(corner)
    verify.run(expect=Verify.DIFFERENCES)
    assert verify.differences == {("orphaned", "nameless"), ("orphaned", "hashless")}
    verify.run("--deep", expect=Verify.DIFFERENCES)
    assert verify.differences == {("orphaned", "nameless"), ("orphaned", "hashless"), ("orphaned", "other")}
    verify.run("--deep", "--repair", expect=Verify.EQUAL)
    checker.assert_equal(30, at_least=400)


def test_documents_with_ids_that_no_product_can_have(corner, shop):
    """They are found, no repair is promised, and what can be repaired is."""
    shop(400)
    index = physical(corner)
    for name in ("p000100" + "x" * 122, "p000200" + "가" * 60, "of-ours"):
        corner.stack.es("PUT", f"/{index}/_doc/{name}?refresh=true", {"id": name, "content_hash": 1})
    verify = Verify(corner)
    verify.run("--repair", expect=Verify.DIFFERENCES)
    reasons = {line["id"]: line.get("reason", "") for line in verify.lines if line["event"] == "difference"}
    assert sorted(reasons) == ["of-ours", "p000100" + "x" * 122, "p000200" + "가" * 60]
    assert all(("delete the document" in reason) == (name != "of-ours") for name, reason in reasons.items()), reasons
    assert verify.result["orphaned"] == 3 and verify.result["repaired"] == 1
    verify.run(expect=Verify.DIFFERENCES)
    assert verify.result["orphaned"] == 2


def test_dead_letters_are_a_class_of_their_own(corner, shop, eventually):
    shop(400)
    corner.products.update_one({"_id": "p000005"}, {"$set": {"name": 17}})
    corner.products.insert_one({"_id": "bad", "name": "x", "price": "much"})
    eventually(lambda: letters(corner).count_documents({}) == 2, 30, "two dead letters")
    verify = Verify(corner)
    verify.run("--repair", expect=Verify.DIFFERENCES)
    verify.assert_found({(DEAD, "p000005"), (DEAD, "bad")})
    assert verify.result["dead_lettered"] == 2 and verify.result["repaired"] == 0
    assert "name" in next(line["reason"] for line in verify.lines if line.get("id") == "p000005")
    corner.products.delete_one({"_id": "bad"})
    corner.products.update_one({"_id": "p000005"}, {"$set": {"name": "good"}})
    verify.run(expect=Verify.EQUAL)


def test_a_sample(corner, shop, rng):
    shop(LIVE + 2000)
    verify, planter = Verify(corner), Planter(corner, rng, [f"p{n:06}" for n in old_products(LIVE + 2000)])
    planted = plant_all(planter, 400)
    corner.refresh()
    verify.run("--sample", "10000", expect=Verify.DIFFERENCES)  # more than there are: everything
    verify.assert_found(planted)
    verify.run("--sample", "300", expect=Verify.DIFFERENCES)
    assert verify.differences < planted and 300 <= verify.result["compared"] <= 600
    assert {kind for kind, _ in verify.differences} == {"missing", "stale", "orphaned"}


def test_what_changed_since(corner, shop, rng):
    shop(LIVE + 200)
    verify, planter = Verify(corner), Planter(corner, rng, [f"p{n:06}" for n in old_products(LIVE + 200)])
    now = datetime.datetime.now(datetime.timezone.utc)
    recent, old = planter.take(40), planter.take(40)
    for ids, moment in ((recent, now - datetime.timedelta(minutes=5)), (old, now - datetime.timedelta(days=2))):
        corner.products.update_many({"_id": {"$in": ids}}, {"$set": {"updated_at": moment}})
    verify.run(expect=Verify.EQUAL)
    planter.free = recent[:30] + old[:30]
    planted = planter.stale(30) | planter.missing(30)
    corner.refresh()
    verify.run("--since", "1h", expect=Verify.DIFFERENCES)
    verify.assert_found({(kind, i) for kind, i in planted if i in recent})
    assert verify.result["compared"] == 40
    verify.run("--since", (now - datetime.timedelta(days=3)).isoformat(), expect=Verify.DIFFERENCES)
    verify.assert_found(planted)


def test_a_removal_of_more_than_half_waits_for_a_person(corner, shop, eventually):
    projector = shop(1000)
    stamp, index = (document(corner, "p000001")["version"] >> 40) << 40, physical(corner)
    lines = "".join(f'{{"index":{{"_id":"o{n}","version":{stamp + n + 1},"version_type":"external_gte"}}}}\n'
                    f'{{"id":"o{n}","content_hash":1,"version":1}}\n' for n in range(1500))
    reply = requests.post(f"{corner.stack.es_url}/{index}/_bulk?refresh=true", data=lines, timeout=60,
                          headers={"Content-Type": "application/x-ndjson"})
    assert not reply.json()["errors"], reply.text[:500]
    verify = Verify(corner)
    verify.run("--repair", expect=Verify.DIFFERENCES)
    assert verify.result["orphaned"] == 1500 and verify.result["repaired"] == 0
    job = state(corner, "projector_jobs").find_one({"type": "repair", "state": "waiting"})
    assert len(job["ids"]) == 1500 and document(corner, "o7") and f"projector jobs confirm {job['_id']}" in json.dumps(verify.lines)
    assert requests.post(f"{projector.url}/v1/jobs/{job['_id']}:confirm", timeout=10).status_code == 204
    eventually(lambda: not document(corner, "o7") and no_job_runs(corner), 60, "the orphans are gone")
    verify.run(expect=Verify.EQUAL)


# ---- without servers -----------------------------------------------------------------------------------------------


def test_without_a_projector(corner, shop):
    projector = shop(400)
    projector.stop()
    corner.products.insert_one({"_id": "later", "name": "x", "price": Int64(1)})
    verify = Verify(corner)
    verify.run(expect=Verify.DIFFERENCES)
    assert verify.differences == {(MISSING, "later")} and verify.result["projector_runs"] is False
    verify.run("--repair", expect=Verify.UNREACHABLE)
    assert "projector run" in verify.said
    projector.start()
    verify.run(expect=Verify.EQUAL)


def test_a_projector_that_stands_still_is_waited_for(corner, shop, program, eventually):
    """Its Elasticsearch takes no bulk: what it has not written is no difference."""
    proxy = HttpProxy(corner.stack.es_url)
    shop(400, **{"elasticsearch.url": proxy.url})
    proxy.hold()
    corner.products.update_one({"_id": "p000001"}, {"$set": {"price": Int64(5)}})
    eventually(lambda: proxy.held > 0, 30, "a bulk is held")
    verify = Verify(corner)
    verify.run("--patience", "3", expect=Verify.UNREACHABLE)
    assert not verify.differences and "does not get on" in verify.said
    process = verify.start()
    proxy.release()
    assert verify.finish(process) == Verify.EQUAL and not verify.differences
    proxy.close()


@pytest.mark.parametrize("server", ["elasticsearch", pytest.param("mongodb", marks=pytest.mark.slow), pytest.param("mysql", marks=pytest.mark.slow)])
def test_a_server_that_goes_away_in_the_middle(corner, shop, rng, server):
    shop(3000)
    address = corner.stack.addresses
    proxy = {"elasticsearch": lambda: TcpProxy(*corner.stack.es_url.split("//")[1].split(":")),
             "mongodb": lambda: TcpProxy(*next(iter(corner.stack.mongo.nodes))),
             "mysql": lambda: TcpProxy(address["READSIDE_MYSQL_HOST"], address["READSIDE_MYSQL_PORT"])}[server]()
    through = {"elasticsearch": {"READSIDE_ELASTICSEARCH_URL": f"http://127.0.0.1:{proxy.port}"},
               "mongodb": {"READSIDE_MONGO_URI": f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true",
                           "READSIDE_MONGO_SERVER_SELECTION": "1s"},
               "mysql": {"READSIDE_MYSQL_HOST": "127.0.0.1", "READSIDE_MYSQL_PORT": str(proxy.port)}}[server]
    verify = Verify(corner)
    for mended in (False, True):
        # So slow that the server is gone long before the end; where it is mended, that does not matter.
        process = verify.start("--rate", "600" if mended else "100", "--patience", "60" if mended else "2", **through)
        deadline = time.monotonic() + 60
        for line in process.stdout:  # it is on its way
            if '"done":0,' not in line or time.monotonic() > deadline:
                break
        proxy.cut()
        if mended:
            assert process.stdout.readline() is not None
            proxy.mend()
        code = verify.finish(process)
        assert not verify.differences, verify.differences
        assert code == (Verify.EQUAL if mended else Verify.UNREACHABLE), verify.said
        assert mended or verify.said.startswith("projector verify: ") or "\nprojector verify: " in verify.said, verify.said
        proxy.mend()
    proxy.close()


# ---- continuous ----------------------------------------------------------------------------------------------------


CONTINUOUS = {"projector.verify_rate": 5000, "projector.verify_pause": "200ms"}


def found(projector):
    return {kind: projector.metric(PREFIX + "verify_differences_total", f'kind="{kind}"') for kind in ("missing", "stale", "orphaned")}


def test_continuous_verification_repairs(corner, shop, checker, eventually, rng):
    projector = shop(LIVE + 1000, **CONTINUOUS)
    eventually(lambda: projector.metric(PREFIX + "verify_passes_total") > 0, 60, "a first pass")
    planter = Planter(corner, rng, [f"p{n:06}" for n in old_products(LIVE + 1000)])
    with Writers(corner, rng, live_products(LIVE + 1000), category=3, parents=["1/", "9/"]):
        plant_all(planter, 50)
        corner.refresh()
        planted_at = time.time()
        eventually(lambda: projector.metric(PREFIX + "verified_as_of_timestamp_seconds") > planted_at, 120, "verified since")
    checker.assert_equal(60, at_least=500)
    assert found(projector) == {"missing": 50, "stale": 50, "orphaned": 50}
    assert projector.metric(PREFIX + "verify_repaired_total") == 150
    assert projector.metric(PREFIX + "verify_compared_total") > 1500
    # Stored a moment after it is told.
    eventually(lambda: state(corner).find_one({"_id": "verify"})["verified_as_of"].timestamp() > planted_at - 1, 30, "it is stored")


def test_continuous_verification_keeps_to_its_rate(corner, shop, eventually):
    projector = shop(1500, **{"projector.verify_rate": 300, "projector.verify_pause": "200ms"})

    def passes(more_than):
        """How many, and the time of the daemon's clock at which the last of them was over."""
        said = get(projector, "/v1/status").json().get("verification", {"passes": 0})
        return said["passes"] > more_than and (said["passes"], datetime.datetime.fromisoformat(said["pass_begun_at"]))

    first, begun = eventually(lambda: passes(0), 60, "a first pass")
    last, over = eventually(lambda: passes(first), 60, "another one")
    compared = [int(n) for n in re.findall(r"event=verify\.pass compared=(\d+)", projector.log())]
    took = (over - begun).total_seconds()
    print(f"{last - first} passes in {took:.1f} s, each of {compared}")
    assert min(compared) >= 1500 and took > 0.8 * sum(compared[first:last]) / 300


def test_a_reindex_under_continuous_verification(corner, shop, checker, eventually, rng):
    """The index that is walked is swapped while writers go on; what is damaged in the new one is found there."""
    projector = shop(LIVE + 300, **SURE_LEASE, **CONTINUOUS)
    commands, before = Commands(corner, SURE_LEASE), physical(corner)

    def passes():
        return projector.metric(PREFIX + "verify_passes_total")

    with Writers(corner, rng, live_products(LIVE + 300), category=3, parents=["1/", "9/"]):
        job = commands("reindex", "--detach", "--json", "--throttle", "10").events[0]["id"]
        commands("jobs", "pause", job)
        eventually(lambda already=passes(): passes() > already, 60, "the old index is walked meanwhile")
        commands("jobs", "throttle", job, "off")
        commands("jobs", "resume", job)
        assert commands("jobs", "wait", job, "--json").result["state"] == "done" and physical(corner) != before
        plant_all(Planter(corner, rng, [f"p{n:06}" for n in old_products(LIVE + 300)]), 20)
        corner.refresh()
        planted_at = time.time()
        eventually(lambda: projector.metric(PREFIX + "verified_as_of_timestamp_seconds") > planted_at, 120, "verified since")
    checker.assert_equal(60, at_least=700)
    assert found(projector) == {"missing": 20, "stale": 20, "orphaned": 20}


def test_continuous_verification_only_tells(corner, shop, eventually, rng):
    projector = shop(LIVE + 300, **CONTINUOUS, **{"projector.verify_repair": "false"})
    clean = eventually(lambda: projector.metric(PREFIX + "verified_as_of_timestamp_seconds"), 60, "a clean pass")
    planted = plant_all(Planter(corner, rng, [f"p{n:06}" for n in old_products(LIVE + 300)]), 20)
    corner.refresh()
    planted_at = time.time()
    eventually(lambda: min(found(projector).values()) >= 20, 60, "all are found")
    passes = projector.metric(PREFIX + "verify_passes_total")
    eventually(lambda: projector.metric(PREFIX + "verify_passes_total") > passes + 1, 60, "two more passes")
    assert clean <= projector.metric(PREFIX + "verified_as_of_timestamp_seconds") < planted_at
    verify = Verify(corner)
    verify.run(expect=Verify.DIFFERENCES)
    verify.assert_found(planted)
    assert any(kind == STALE for kind, _ in planted)


def test_foreign_documents_hold_up_nothing(corner, shop, eventually):
    """All products are verified all the same; the others are counted until somebody removes them, also across a restart."""
    projector = shop(400, **CONTINUOUS)
    index = physical(corner)
    paths = [f"/{index}/_doc/{name}?refresh=true" for name in ("p000100" + "x" * 122, "p000200" + "가" * 60)]

    def metric(name):
        return projector.metric(PREFIX + name)

    for path in paths:
        corner.stack.es("PUT", path, {"id": path.split("/")[-1].split("?")[0], "content_hash": 1})
    planted_at = time.time()
    eventually(lambda: metric("verified_as_of_timestamp_seconds") > planted_at, 60, "verified since")
    assert metric("foreign_documents") == 2 and found(projector) == {"missing": 0, "stale": 0, "orphaned": 0}
    section = requests.get(projector.url + "/v1/status", timeout=10).json()["verification"]
    assert section["foreign"] == 2 and section["left"] == 0
    projector.kill()
    projector.start()
    eventually(lambda: metric("foreign_documents") == 2, 20, "they are not forgotten")
    for path in paths:
        corner.stack.es("DELETE", path)
    eventually(lambda: metric("foreign_documents") == 0, 60, "they are removed")


def deleted_product(corner, eventually, product_id):
    """What a writer that is late would send: the document and version of before the deletion."""
    late = corner.stack.es("GET", f"/{corner.index}/_doc/{product_id}")
    corner.products.delete_one({"_id": product_id})
    eventually(lambda: document(corner, product_id) is None, 30, "it is deleted")
    return f"/{physical(corner)}/_doc/{product_id}?version={late['_version']}&version_type=external_gte", late["_source"]


@pytest.mark.slow
def test_a_late_write_is_refused_long_after_the_deletion(corner, shop, eventually):
    """Longer than the minute for which Elasticsearch remembers deletions by itself."""
    shop(400)
    path, source = deleted_product(corner, eventually, "p000300")
    over, numbers = time.monotonic() + 100, itertools.count(1000)

    def long_enough():
        insert(corner, [next(numbers)])  # deletions are forgotten at refreshes, and those need something new
        corner.refresh()
        return time.monotonic() >= over

    eventually(long_enough, 130, "the time", pause=5)
    corner.stack.es("PUT", path, source, expect=(409,))
    assert document(corner, "p000300") is None


def test_a_late_write_after_the_deletion_is_forgotten_is_found(corner, shop, checker, eventually, tmp_path):
    """An index that remembers deletions for a tenth of a second: then only verification removes what came back."""
    with open(MAPPING, encoding="utf-8") as f:
        mapping = json.load(f)
    mapping["settings"]["index"]["gc_deletes"] = "100ms"
    (tmp_path / "mapping.json").write_text(json.dumps(mapping))
    projector = shop(400, **CONTINUOUS, **{"projector.mapping": str(tmp_path / "mapping.json")})
    path, source = deleted_product(corner, eventually, "p000300")

    def comes_back():
        corner.refresh()
        return "result" in corner.stack.es("PUT", path, source, expect=(200, 201, 409))

    eventually(comes_back, 60, "a late write is taken")
    eventually(lambda: document(corner, "p000300") is None, 60, "it is removed again")
    assert found(projector)["orphaned"] == 1
    checker.assert_equal(30, at_least=399)


def test_a_pass_goes_on_after_a_restart(corner, shop, eventually):
    projector = shop(3000, **{"projector.verify_rate": 150, "projector.verify_pause": "200ms"})
    stored = eventually(lambda: state(corner).find_one({"_id": "verify", "cursor": {"$gt": ""}}), 60, "a stored position")
    begun, cursor = stored["begun_at"], stored["cursor"]
    projector.kill()
    projector.settings.update({"projector.verify_rate": 5000, "projector.verify_pause": "1h"})  # this pass, and no other behind it
    projector.start()
    after = eventually(lambda: projector.metric(PREFIX + "verified_as_of_timestamp_seconds"), 60, "the pass is over")
    assert abs(after - begun.timestamp()) < 0.01, "the pass began before the restart"
    assert projector.metric(PREFIX + "verify_compared_total") < 3000, f"it went on behind {cursor}"
