"""An index that is filled from nothing refreshes seldom meanwhile, and gets its own interval back, whatever becomes of the
job and of the projector; and then it is merged."""
import time

import pytest
from harness.command import Commands
from harness.shop import SURE_LEASE, insert, jobs, log_has, physical, search_count, state, wait_job
from test_projector_reindex import mapping_file

COUNT = 12000  # more than are few: the last 10,000 are written with the index's own interval
LONG, OWN = "10000ms", "5s"
SMALL_STEPS = {**SURE_LEASE, "projector.scan_page": 100, "projector.bulk_max_docs": 100, "projector.lanes": 1}


@pytest.fixture
def proxy(es_proxy):
    """Lets no bulk pass until it is told to."""
    es_proxy.hold()
    return es_proxy


def interval(corner, index=None):
    """As the index has it; None: it has none of its own."""
    settings, = corner.stack.es("GET", f"/{index or physical(corner)}/_settings").values()
    return settings["settings"]["index"].get("refresh_interval")


def nothing_is_owed(corner):
    return state(corner).find_one({"_id": "fill"})["index"] == ""


@pytest.fixture
def held(corner, program, proxy, write_api, eventually):
    """held(settings): a projector at its first scan, none of whose bulks has passed."""
    def start(**settings):
        insert(corner, range(COUNT))
        made = program("projector", {**SMALL_STEPS, "elasticsearch.url": proxy.url, **settings}).start()
        eventually(lambda: proxy.held, 60, "a bulk is held")
        return made

    return start


# ---- a first scan -------------------------------------------------------------------------------------------------


def test_a_first_scan_ends_with_everything_to_be_found(corner, held, proxy, checker, eventually):
    projector = held(**{"projector.searchable_within": "20ms"})
    assert interval(corner) == LONG
    proxy.release(2)
    eventually(lambda: 0 < (jobs(corner).find_one({"type": "scan"}) or {}).get("done", 0), 60, "some are written")
    eventually(lambda at=time.monotonic(): time.monotonic() > at + 0.5, 30, "and would have been refreshed by now")
    assert projector.metric("readside_projector_refresh_seconds_count") == 0, "nor does the projector ask for refreshes"
    assert interval(corner) == LONG
    proxy.release()
    wait_job(corner, eventually, {"type": "scan", "state": "done"}, 120)
    assert interval(corner) == OWN and nothing_is_owed(corner)
    eventually(lambda: search_count(corner) == COUNT, 30, "a search finds all of them")
    checker.assert_equal(60, at_least=COUNT)
    assert log_has(projector, "event=fill.begins") and projector.log().count("event=fill.ends") == 1


@pytest.mark.parametrize("after", ["before-the-first-document", "half-way"])
def test_a_kill_owes_the_index_its_interval(corner, held, proxy, checker, eventually, after):
    """Where nothing is written yet the job of before is superseded by another one."""
    projector = held()
    if after == "half-way":
        proxy.release(2)
        eventually(lambda: proxy.answered == 2, 60, "some are written")
        corner.refresh()
        assert 0 < search_count(corner) < COUNT - 10000
    projector.kill()
    assert interval(corner) == LONG
    seen = proxy.held
    projector.start()
    eventually(lambda: proxy.held > seen, 60, "it goes on")
    assert interval(corner) == LONG
    scans = jobs(corner).count_documents({"type": "scan"})
    assert scans == 1 if after == "half-way" else scans >= 2, "one for each term: a busy machine may lose its lease between"
    proxy.release()
    wait_job(corner, eventually, {"type": "scan", "state": "done"}, 120)
    assert interval(corner) == OWN and nothing_is_owed(corner)
    checker.assert_equal(60, at_least=COUNT)


def test_a_job_that_is_superseded_while_nobody_runs(corner, held, proxy, checker, eventually):
    """And with the option at 0 by then: what is owed is given back."""
    projector = held()
    proxy.release(2)
    eventually(lambda: proxy.answered == 2, 60, "some are written")
    projector.kill()
    assert interval(corner) == LONG
    state(corner).delete_one({"_id": "checkpoint:stream"})
    seen, projector.settings["projector.fill_refresh"] = proxy.held, 0
    projector.start()
    eventually(lambda: proxy.held > seen, 60, "another scan, which sweeps")
    eventually(lambda: interval(corner) == OWN and nothing_is_owed(corner), 30, "with no document of it written")
    proxy.release()
    wait_job(corner, eventually, {"type": "scan", "state": "done", "sweep": True}, 120)
    checker.assert_equal(60, at_least=COUNT)


def test_who_sets_another_interval_meanwhile_has_the_last_word(corner, held, proxy, eventually):
    held()
    assert interval(corner) == LONG
    corner.stack.es("PUT", f"/{physical(corner)}/_settings", {"index": {"refresh_interval": "3s"}})
    proxy.release()
    wait_job(corner, eventually, {"type": "scan", "state": "done"}, 120)
    assert interval(corner) == "3s" and nothing_is_owed(corner)


def test_what_is_left_alone(corner, held, proxy, checker, eventually):
    projector = held(**{"projector.fill_refresh": 0, "projector.fill_merge": "false"})
    assert interval(corner) == OWN, "the option says so"
    proxy.release()
    checker.assert_equal(120, at_least=COUNT)
    projector.stop()

    del projector.settings["projector.fill_refresh"], projector.settings["projector.fill_merge"]
    state(corner).delete_one({"_id": "checkpoint:stream"})
    proxy.hold()
    seen = proxy.held
    projector.start()
    eventually(lambda: proxy.held > seen, 60, "a full scan of an index that serves")
    assert interval(corner) == OWN
    proxy.release()
    wait_job(corner, eventually, {"type": "scan", "state": "done", "sweep": True}, 120)
    assert interval(corner) == OWN and not log_has(projector, "event=fill")


def segments(corner, index=None):
    """That hold documents which are not deleted."""
    corner.refresh()
    shard, = next(iter(corner.stack.es("GET", f"/{index or physical(corner)}/_segments")["indices"].values()))["shards"]["0"]
    return sum(s["num_docs"] > 0 for s in shard["segments"].values())


@pytest.mark.parametrize("wanted", [True, False])
def test_what_was_filled_is_merged(corner, held, proxy, checker, eventually, wanted):
    """A refresh after each bulk, so that there is something to be merged."""
    projector = held(**{"projector.fill_merge": str(wanted).lower(), "projector.fill_refresh": 0})
    corner.stack.es("PUT", f"/{physical(corner)}/_settings", {"index": {"refresh_interval": "-1", "merge.policy.floor_segment": "1kb"}})
    for _ in range(3):
        before = proxy.answered
        proxy.release(5)
        eventually(lambda: proxy.answered >= before + 5, 60, "some are written")
        corner.refresh()
    assert segments(corner) > 1
    proxy.release()
    wait_job(corner, eventually, {"type": "scan", "state": "done"}, 120)
    checker.assert_equal(60, at_least=COUNT)
    asked = [path for path, _ in proxy.traces if "_forcemerge" in path]
    if wanted:
        assert asked == [f"/{physical(corner)}/_forcemerge?wait_for_completion=false&max_num_segments=1"]
        eventually(lambda: segments(corner) == 1, 60, "it is one segment")
        assert log_has(projector, "event=fill.merges .*segments=1")
    else:
        assert not asked and segments(corner) > 1


def test_a_merge_that_is_refused_is_said_and_changes_nothing(corner, held, proxy, checker, eventually):
    projector = held()
    proxy.deny, proxy.deny_path = 403, "_forcemerge"
    proxy.release()
    wait_job(corner, eventually, {"type": "scan", "state": "done"}, 120)
    assert log_has(projector, "event=fill.not_merged .*denied by the test's proxy.*consequence=")
    assert interval(corner) == OWN and nothing_is_owed(corner)
    checker.assert_equal(60, at_least=COUNT)


# ---- a reindex ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_reindex_paused_killed_and_cancelled(corner, program, write_api, checker, eventually, tmp_path):
    def seven_seconds(mapping):
        mapping["settings"]["index"]["refresh_interval"] = "7s"

    def the_servers_own(mapping):
        del mapping["settings"]["index"]["refresh_interval"]

    def ask(change, *more):
        path = mapping_file(tmp_path, change, f"{change.__name__}.json")
        return commands("reindex", "--mapping", path, "--throttle", "20", "--detach", "--json", *more).events[0]["id"]

    insert(corner, range(COUNT))
    projector = program("projector", SURE_LEASE).start()
    checker.assert_equal(120, at_least=COUNT)
    before, commands = physical(corner), Commands(corner, SURE_LEASE)

    def begun(job):
        def at_work():
            record = jobs(corner).find_one({"_id": job})
            return record["phase"] == "mark" and record["done"] > 0 and record["index"]
        return eventually(at_work, 90, "it marks")

    job = ask(seven_seconds)
    new = begun(job)
    assert (interval(corner, new), interval(corner, before)) == (LONG, OWN)
    commands("jobs", "pause", job)
    eventually(lambda: interval(corner, new) == "7s", 30, "paused, it has its own")
    commands("jobs", "resume", job)
    projector.restart()
    eventually(lambda: interval(corner, new) == LONG, 30, "a new term goes on as it began")
    projector.kill()
    assert interval(corner, new) == LONG
    projector.start()
    commands("jobs", "throttle", job, "off")
    assert commands("jobs", "wait", job, "--json").result["state"] == "done"
    assert physical(corner) == new and interval(corner) == "7s" and nothing_is_owed(corner)
    assert log_has(projector, f"event=fill.merges index={new} segments=1")
    checker.assert_equal(60, at_least=COUNT)

    job = ask(the_servers_own, "--keep-index")
    kept = begun(job)
    assert interval(corner, kept) == LONG
    commands("jobs", "cancel", job)
    wait_job(corner, eventually, {"_id": job, "state": "cancelled"})
    assert (interval(corner, kept), interval(corner)) == (None, "7s") and nothing_is_owed(corner)
