"""Jobs: paused, resumed, throttled and cancelled, whatever their kind."""
import re
import signal
import time

import pytest
from bson import Int64
from harness.command import Commands
from harness.http_proxy import HttpProxy
from harness.shop import PREFIX, SURE_LEASE, get
from test_projector_reindex import insert, jobs, physical, serving, targets

SLOW_PAGES = {**SURE_LEASE, "projector.scan_page": 10}


@pytest.fixture
def commands(corner):
    return Commands(corner, SURE_LEASE)


def record(corner, job):
    return corner.stack.mongo[corner.name]["projector_jobs"].find_one({"_id": job})


def active(corner, kind):
    return corner.stack.mongo[corner.name]["projector_jobs"].find_one({"type": kind, "state": "running"})


def stays_put(corner, job, eventually):
    """Its progress comes to rest: the same after three more words of the daemon about other things."""
    seen = []

    def at_rest():
        corner.products.update_one({"_id": "p00000"}, {"$set": {"price": Int64(len(seen))}, "$inc": {"version": 1}})
        eventually(lambda n=len(seen): corner.stack.es("GET", f"/{corner.index}/_doc/p00000")["_source"]["price_min"] == n, 60)
        seen.append(record(corner, job)["done"])
        return len(seen) >= 4 and len(set(seen[-4:])) == 1

    eventually(at_rest, 90, "it is paused", pause=0.4)
    return seen[-1]


def test_a_reindex_paused_throttled_and_cancelled(corner, program, write_api, checker, commands, eventually):
    insert(corner, range(400))
    program("projector", SLOW_PAGES).start()
    checker.assert_equal(90, at_least=400)
    before = serving(corner)
    job = commands("reindex", "--detach", "--json", "--throttle", "10").events[0]["id"]
    eventually(lambda: record(corner, job)["phase"] == "mark" and record(corner, job)["done"] > 0, 90, "it marks")
    assert "paused" in commands("jobs", "pause", job).out
    done = stays_put(corner, job, eventually)
    assert done < 400 and len(physical(corner)) == 2
    listed = commands("jobs", "list", "--json").events[0]
    assert (listed["id"], listed["state"], listed["throttle"]) == (job, "paused", 10)
    commands("jobs", "resume", job)
    eventually(lambda: record(corner, job)["done"] > done, 60, "it goes on")
    assert "cancelled" in commands("jobs", "cancel", job).out
    eventually(lambda: physical(corner) == [before], 60, "the half-built index is gone")
    assert [t["role"] for t in targets(corner)["list"]] == ["serving"]
    assert "no active job" in commands("jobs", "pause", job, expect=1).err
    corner.products.delete_one({"_id": "p00001"})
    checker.assert_equal(60, at_least=399)


@pytest.fixture
def throttled(corner, program, write_api, checker, commands, eventually):
    """A projector, and words for a reindex of 200 products that takes long."""
    insert(corner, range(200))
    program("projector", SLOW_PAGES).start()
    checker.assert_equal(90, at_least=200)
    return "reindex", "--throttle", "5"


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_detaches_and_a_second_one_cancels(corner, throttled, commands, eventually, presses):
    before = serving(corner)
    waiting = commands.at_terminal(*throttled)
    job = eventually(lambda: active(corner, "reindex"), 90, "the job")["_id"]
    eventually(lambda: record(corner, job)["phase"] == "mark" and record(corner, job)["done"] > 0, 90, "it marks")
    waiting.press("\x03")
    eventually(lambda: "Ctrl-C once more" in waiting.shown, 20, "it says what comes of it")
    if presses == 1:
        waiting.finish(expect=5)
        assert f"projector jobs wait {job}" in waiting.shown
        done = record(corner, job)["done"]
        eventually(lambda: record(corner, job)["done"] > done, 60, "the job goes on")
        commands("jobs", "throttle", job, "off")
        assert commands("jobs", "wait", job, "--json").result["state"] == "done" and serving(corner) != before
    else:
        waiting.process.send_signal(signal.SIGSTOP)  # its time for a second one goes on, but it looks for that first
        waiting.press("\x03")
        waiting.process.send_signal(signal.SIGCONT)
        waiting.finish(expect=1)
        assert record(corner, job)["state"] == "cancelled" and serving(corner) == before


def test_who_is_terminated_detaches_at_once(corner, throttled, commands, eventually):
    waiting = commands.start(*throttled)
    job = eventually(lambda: active(corner, "reindex"), 90, "the job")["_id"]
    waiting.process.terminate()
    waiting.finish(expect=5)
    assert "once more" not in waiting.err and f"projector jobs wait {job}" in waiting.err
    assert record(corner, job)["state"] == "running"


def test_ctrl_c_cancels_if_it_is_told_to(corner, program, write_api, checker, commands, eventually):
    insert(corner, range(200))
    program("projector", SLOW_PAGES).start()
    checker.assert_equal(90, at_least=200)
    before = serving(corner)
    running = commands.start("reindex", "--throttle", "5", "--cancel-on-interrupt", "--json")
    eventually(lambda: jobs(corner, phase="mark"), 90, "it marks")
    running.interrupt()
    running.finish(expect=1)
    assert running.result["state"] == "cancelled" and serving(corner) == before


# ---- how it is shown ----------------------------------------------------------------------------------------------


def bars_of(shown, phase, total, unit):
    """[(done, what is said behind it)] of the bars of a phase, each of which must be as long as its number says."""
    bars = re.findall(rf"\r\x1b\[K{phase} +\[(#*)(-*)\] +(\d+)% (\d+) of {total} {unit}([^\r\n]*)", shown)
    for full, empty, percent, done, _ in bars:
        assert len(full + empty) == 32 and abs(len(full) / 32 - int(done) / total) <= 1 / 32, bars
        assert abs(int(percent) - int(done) * 100 / total) <= 1, bars
    return [(int(done), said) for _, _, _, done, said in bars]


def grows(terminal, *of):
    """It has been seen at more than three places."""
    return len({done for done, _ in bars_of(terminal.shown, *of)}) > 3


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(corner, program, write_api, checker, commands, eventually):
    """With rate and time left; and the throttle holds. All who wait for one job see it: it lasts long enough for each, since the
    job tells how far it is once a second."""
    insert(corner, range(300))
    program("projector", SLOW_PAGES).start()
    checker.assert_equal(90, at_least=300)
    began = time.monotonic()
    shown = commands.at_terminal("reindex", "--throttle", "25")
    job = eventually(lambda: active(corner, "reindex"), 90, "the job")["_id"]
    piped, told = commands.start("jobs", "wait", job), commands.start("jobs", "wait", job, "--json")
    shown.finish()
    assert time.monotonic() - began > 300 / 25 * 0.9, "no faster than told"
    bars = bars_of(shown.shown, "mark", 300, "documents")
    assert len(bars) > 10 and len({done for done, _ in bars}) > 3, shown.shown
    assert all(said.endswith(" (at most 25/s)") for _, said in bars), bars
    rates = [int(found[1]) for _, said in bars if (found := re.match(r", (\d+)/s, \d+ s left", said))]
    assert rates and rates[-1] < 200, rates  # the first one may be that of a page that was late
    assert f"alias {corner.index} -> {serving(corner)}" in shown.shown

    lines = piped.finish().err.splitlines()
    assert any(re.fullmatch(r"mark: \d+ of 300 documents, \d+/s, \d+ s left \(at most 25/s\)", line) for line in lines), lines
    assert not any("\r" in line or "\x1b" in line for line in lines), lines

    progress = [e for e in told.finish().events if e["event"] == "progress" and e["phase"] == "mark"]
    assert any(0 < e["done"] < e["total"] == 300 and e["rate"] > 0 and e["eta_seconds"] > 0 for e in progress), progress


def test_the_bars_of_verify_and_of_a_job_that_is_waited_for(corner, program, write_api, checker, commands, eventually):
    insert(corner, range(300))
    program("projector", {**SLOW_PAGES, "projector.verify_rate": "0"}).start()
    checker.assert_equal(90, at_least=300)
    comparing = commands.at_terminal("verify", "--rate", "50")
    comparing.finish()
    bars = bars_of(comparing.shown, "compare", 300, "documents")
    assert len({done for done, _ in bars}) > 3 and bars[-1][0] == 300, comparing.shown

    job = commands("reindex", "--detach", "--json", "--throttle", "10").events[0]["id"]
    waiting = commands.at_terminal("jobs", "wait", job)
    eventually(lambda: grows(waiting, "mark", 300, "documents"), 60, "the bar grows")
    commands("jobs", "throttle", job, "off")
    waiting.finish()
    assert f"alias {corner.index} -> {serving(corner)}" in waiting.shown


def test_the_bar_of_a_replay(corner, program, write_api, es_proxy, checker, commands, eventually):
    insert(corner, range(300))
    program("projector", {**SLOW_PAGES, "projector.verify_rate": "0", "projector.lanes": 1, "projector.background_window_marks": 100,
                          "projector.bulk_max_docs": 10, "elasticsearch.url": es_proxy.url}).start()
    checker.assert_equal(90, at_least=300)
    eventually(lambda: not active(corner, "scan"), 60, "the first scan is over")
    corner.stack.mongo[corner.name]["dead_letters"].insert_many(
        [{"_id": f"p{n:05}", "reason": "of before", "status": 400, "times": Int64(1)} for n in range(300)])
    es_proxy.delay_per_item = 0.04
    replaying = commands.at_terminal("dead-letters", "replay", "--all")
    eventually(lambda: grows(replaying, "replay", 300, "products"), 60, "the bar grows")
    es_proxy.delay_per_item = 0.0
    replaying.finish()
    assert "300 replayed: 300 written, 0 failed again" in replaying.shown


# ---- other kinds --------------------------------------------------------------------------------------------------


@pytest.fixture
def slow(es_proxy):
    """An Elasticsearch that takes its time, so that a job has its end well behind the commands that it is given."""
    return es_proxy


def test_scan_and_fanout_paused_and_cancelled(corner, program, write_api, slow, checker, commands, eventually):
    corner.sql("INSERT INTO categories (id, parent_id, level, path, name, version, created_at, updated_at) "
               "VALUES (1, NULL, 1, '1/', 'First', 1, NOW(6), NOW(6))")
    insert(corner, range(1500), categories=[1])
    slow.delay_per_item = 0.01
    program("projector", {**SLOW_PAGES, "projector.lanes": 1, "projector.background_window_marks": 100,
                          "elasticsearch.url": slow.url}).start(wait="alive")
    scan = eventually(lambda: active(corner, "scan"), 90, "the first scan")["_id"]
    commands("jobs", "throttle", scan, "20")
    commands("jobs", "pause", scan)
    stays_put(corner, scan, eventually)
    commands("jobs", "throttle", scan, "off")
    commands("jobs", "resume", scan)
    slow.delay_per_item = 0.0
    checker.assert_equal(90, at_least=1500)

    eventually(lambda: not active(corner, "scan"), 60, "the scan is over")
    slow.delay_per_item = 0.01
    corner.sql("UPDATE categories SET name = 'Renamed' WHERE id = 1")
    fanout = eventually(lambda: active(corner, "fanout"), 60, "a fan-out", pause=0.005)["_id"]
    commands("jobs", "pause", fanout)
    stays_put(corner, fanout, eventually)
    assert record(corner, fanout)["done"] < 1500
    assert "cancelled" in commands("jobs", "cancel", fanout).out
    assert record(corner, fanout)["state"] == "cancelled" and record(corner, fanout)["finished_at"]
    slow.delay_per_item = 0.0
    corner.sql("UPDATE categories SET name = 'Renamed again' WHERE id = 1")
    checker.assert_equal(90, at_least=1500)


def test_a_job_is_told_what_to_do_while_elasticsearch_is_away(corner, program, write_api, checker, commands, eventually):
    """Its marks fill the window, and none is over: it hears all the same."""
    corner.sql("INSERT INTO categories (id, parent_id, level, path, name, version, created_at, updated_at) "
               "VALUES (1, NULL, 1, '1/', 'First', 1, NOW(6), NOW(6))")
    insert(corner, range(1000), categories=[1])
    proxy = HttpProxy(corner.stack.es_url)
    try:
        projector = program("projector", {**SLOW_PAGES, "projector.background_window_marks": 100, "elasticsearch.url": proxy.url}).start()
        checker.assert_equal(90, at_least=1000)
        eventually(lambda: not active(corner, "scan"), 60, "the first scan is over")
        proxy.hold()
        corner.sql("UPDATE categories SET name = 'Renamed' WHERE id = 1")
        fanout = eventually(lambda: active(corner, "fanout"), 60, "a fan-out", pause=0.02)["_id"]
        proxy.refuse()
        proxy.release()
        eventually(lambda: projector.metric(PREFIX + "unfinished_marks", 'source="job"') >= 100, 60, "the window is full")
        assert "paused" in commands("jobs", "pause", fanout).out
        eventually(lambda: [j["state"] for j in get(projector, "/v1/status").json()["jobs"]] == ["paused"], 30, "it has heard")
        assert "cancelled" in commands("jobs", "cancel", fanout).out
        eventually(lambda: record(corner, fanout)["state"] == "cancelled", 30, "it has heard")
        proxy.accept()
        corner.sql("UPDATE categories SET name = 'Renamed again' WHERE id = 1")
        checker.assert_equal(90, at_least=1000)
    finally:
        proxy.close()


@pytest.mark.parametrize("words", [("dead-letters", "replay", "p00003"), ("verify", "--repair")], ids=" ".join)
def test_who_waits_for_a_repair_hears_that_it_is_cancelled(corner, program, write_api, checker, commands, eventually, words):
    """It does not come to its end by itself: the index takes no writes."""
    insert(corner, range(20))
    program("projector", {**SURE_LEASE, "projector.verify_rate": "0"}).start()
    checker.assert_equal(60, at_least=20)
    eventually(lambda: not active(corner, "scan"), 60, "the first scan is over")
    letters = corner.stack.mongo[corner.name]["dead_letters"]
    letters.insert_one({"_id": "p00003", "reason": "of before", "status": 400, "times": Int64(1)})
    corner.stack.es("DELETE", f"/{serving(corner)}/_doc/p00004?refresh=true")
    corner.stack.es("PUT", f"/{serving(corner)}/_settings", {"index.blocks.write": True})
    waiting = commands.start(*words)
    job = eventually(lambda: active(corner, "repair"), 60, "the repair")["_id"]
    assert "cancelled" in commands("jobs", "cancel", job).out
    waiting.finish(expect=1, deadline=40)
    assert f"the job {job} was cancelled after 0 products" in waiting.err
    assert letters.find_one({"_id": "p00003"}), "nothing is known of it"
    corner.stack.es("PUT", f"/{serving(corner)}/_settings", {"index.blocks.write": None})
    insert(corner, range(20, 30))
    eventually(lambda: corner.stack.es("GET", f"/{corner.index}/_doc/p00029", expect=(200, 404)).get("found"), 60, "it goes on")
