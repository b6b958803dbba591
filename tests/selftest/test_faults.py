"""The fault suite's own machinery: schedules that repeat, and a gate that refuses exactly what it says."""
import http.client
import http.server
import json
import os
import sys
import threading
import types

import pytest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TESTS, "faults"), os.path.join(TESTS, "e2e")]
import content  # noqa: E402
import faults  # noqa: E402
import faults_history  # noqa: E402, F401
import faults_search  # noqa: E402, F401
import gate  # noqa: E402
import runner  # noqa: E402
import schedule  # noqa: E402
import writers  # noqa: E402


def test_the_same_seed_makes_the_same_schedule(tmp_path):
    made = schedule.make(17, 5)
    assert schedule.make(17, 5) == made
    assert schedule.make(18, 5)["faults"] != made["faults"]
    schedule.save(made, tmp_path / "schedule")
    assert schedule.load(tmp_path / "schedule") == json.loads(json.dumps(made))


@pytest.mark.parametrize("seed", range(20))
def test_five_minutes_have_many_faults_of_all_kinds(seed):
    made = schedule.make(seed, 5)["faults"]
    assert len(made) >= 30 and {fault["kind"] for fault in made} == set(faults.KINDS)
    assert all(0 < fault["at"] < 300 and fault["seconds"] > 0 for fault in made)


def test_every_kind_of_fault_and_operation_is_there():
    dealt = {kind for deck in schedule.DECKS.values() for kind, _, _ in deck}
    assert dealt == set(faults.KINDS)
    for op in schedule.make(1, 10)["operations"]:
        assert hasattr(writers.Writer, f"_{op['writer']}_{op['kind']}".replace("-", "_")), op


@pytest.mark.parametrize("carried_out, differing, code", [(9, 0, 0), (9, 1, 1), (8, 0, 1)])
def test_the_end_of_a_run(capsys, carried_out, differing, code):
    """A difference and too few faults are failures, and the seed is said; the last line counts."""
    logged = []
    run = runner.Run(schedule.make(17, 4), types.SimpleNamespace(folder="here"), logged.append)
    run.counts["kill"] = carried_out
    run.left_out["poison", "the time was over"] = 2
    run.look_for_enough()
    assert run.summary(differing) == code
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == f"{carried_out} faults, 0 operations, {differing} differences"
    assert "left out: 2 × poison: the time was over" in logged
    assert any("--seed 17 --minutes 4" in line for line in said) == bool(code)


@pytest.mark.parametrize("minutes, without, failures", [(5, [], 1), (7, [], 1), (4.9, [], 0), (5, ["full-disk"], 0), (5, ["poison"], 1)])
def test_a_long_run_carries_out_every_kind_that_it_has_planned(capsys, minutes, without, failures):
    plan = schedule.leave_out(schedule.make(17, minutes), without)
    run = runner.Run(plan, types.SimpleNamespace(folder="here"), print)
    run.counts.update(fault["kind"] for fault in plan["faults"] if fault["kind"] != "full-disk")
    run.left_out["full-disk", "no room"] = 1
    run.look_for_enough()
    assert len(run.failures) == failures and run.summary(0) == failures
    assert all("full-disk" in what and "no room" in what for what in run.failures)
    said = capsys.readouterr().out
    assert ("--minutes 5 --without poison;" in said) == (without == ["poison"])


def test_what_is_left_out_is_no_part_of_the_schedule(tmp_path):
    whole = schedule.make(17, 5)
    made = schedule.leave_out(whole, ["kill", "poison"])
    assert made["faults"] == [fault for fault in whole["faults"] if fault["kind"] not in ("kill", "poison")]
    schedule.save(made, tmp_path / "schedule")
    assert schedule.load(tmp_path / "schedule")["without"] == ["kill", "poison"]


@pytest.mark.parametrize("minutes", [1, 5])
def test_what_this_machine_cannot_do_is_said_at_the_beginning(minutes):
    bare = types.SimpleNamespace(servers=types.SimpleNamespace(disk=None), programs={"write-api": types.SimpleNamespace(environment={})})
    said = []
    runner.Run({**schedule.make(17, 5), "minutes": minutes}, bare, said.append).say_what_is_impossible()
    assert sorted(line.split()[0] for line in said) == ["clock-jump", "full-disk"]
    assert all(("this run will fail" in line) == (minutes >= 5) for line in said), said


@pytest.mark.parametrize("seed", range(20))
def test_a_probe_is_longer_than_what_a_cut_lets_through(seed):
    cuts = [fault["args"]["bytes"] for fault in schedule.make(seed, 10)["faults"] if fault["kind"] == "cut-within"]
    assert cuts and max(cuts) < faults.CutWithin.PROBE_ROUNDS * faults.MYSQL_PING_BYTES


@pytest.mark.parametrize("kafka", [False, True])
def test_the_clocks_of_all_kinds_of_programs_jump(kafka):
    clocks = {}
    shop = types.SimpleNamespace(kafka=kafka, set_clock=clocks.__setitem__,
                                 named=lambda role: {"owner": ["projector-1"], "consumers": ["consumer-0", "consumer-1"]}[role])
    jump = faults.ClockJump(shop, {"args": {"seconds": 7200}, "seconds": 1})
    jump.inject()
    assert clocks == dict.fromkeys(["projector-1", "write-api", "query-api", *(["consumer-0", "consumer-1"] if kafka else [])], 7200)
    jump.heal()
    assert set(clocks.values()) == {0}
    assert jump.needs() >= {"projectors", "consumers", "write-api", "query-api"}


def test_products_follow_from_their_number():
    assert content.stored_product("c00001", 3) == content.stored_product("c00001", 3)
    assert content.stored_product("c00001", 3) != content.stored_product("c00001", 4)
    rows = {row[0]: row for row in content.category_rows()}
    for number, parent, level, path, _ in rows.values():
        assert path == (rows[parent][3] if parent else "") + f"{number}/" and level == path.count("/")


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers a bulk as Elasticsearch does, and keeps what it got."""

    protocol_version = "HTTP/1.1"
    got = []

    def log_message(self, format, *args):  # noqa: A002
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        items = gate._items(body)
        self.got += [json.loads(lines.split(b"\n")[0])[operation]["_id"] for operation, lines in items]
        answer = json.dumps({"items": [{operation: {"status": 200}} for operation, _ in items]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@pytest.fixture
def front():
    """A gate and what stands behind it."""
    Echo.got = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made = gate.Gate("127.0.0.1", server.server_address[1])
    yield made
    made.close()
    server.shutdown()
    server.server_close()


def bulk(front, ids):
    lines = []
    for n, i in enumerate(ids):
        lines += [json.dumps({"delete": {"_id": i}})] if n % 3 == 0 else [json.dumps({"index": {"_id": i}}), '{"a": 1}']
    connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=20)
    connection.request("POST", "/x/_bulk", "\n".join(lines) + "\n")
    reply = connection.getresponse()
    return reply.status, json.loads(reply.read())


def test_a_storm_refuses_items_at_their_place(front):
    front.rules.item_share, front.rules.status = 0.5, 503
    ids = [f"id{n}" for n in range(200)]
    status, answer = bulk(front, ids)
    statuses = [next(iter(item.values()))["status"] for item in answer["items"]]
    assert status == 200 and len(statuses) == 200 and answer["errors"]
    assert [i for i, s in zip(ids, statuses) if s == 200] == Echo.got
    assert front.rules.hits == statuses.count(503) > 50


def test_a_bulk_is_held_until_it_is_released(front):
    hold = front.rules.hold = gate.Hold(lambda body: b'"id0"' in body)
    asking = threading.Thread(target=bulk, args=(front, ["id0"]), daemon=True)
    asking.start()
    assert hold.held.wait(20) and Echo.got == []
    bulk(front, ["other"])
    assert Echo.got == ["other"]
    hold.released.set()
    assert hold.passed.wait(20) and Echo.got == ["other", "id0"]
    asking.join(20)


def test_lost_answers_are_of_bulks_that_were_carried_out(front):
    front.rules.lose_share = 1.0
    with pytest.raises((http.client.HTTPException, OSError)):
        bulk(front, ["id0"])
    assert Echo.got == ["id0"]
