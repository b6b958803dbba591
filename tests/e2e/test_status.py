"""projector status: what the daemon answers, what is shown of it, and what MongoDB shows without one."""
import json
import os
import subprocess
from datetime import datetime

import requests
from bson import Int64

OK, FAILED, USAGE, ATTENTION, UNREACHABLE = 0, 1, 2, 3, 4


def product(number, **fields):
    return {"_id": f"p{number:05}", "name": f"Product {number}", "price": Int64(1000 + number), "currency": "KRW",
            "version": Int64(1), **fields}


class Status:
    """Runs `projector status` with the environment of the test's projector."""

    def __init__(self, corner, url):
        self.corner, self.url = corner, url

    def run(self, *arguments, expect=OK, url=True, **environment):
        binary = os.path.join(os.environ["READSIDE_BIN_DIR"], "projector")
        where = ["--url", self.url] if url else []
        done = subprocess.run([binary, "status", *where, *arguments], capture_output=True, text=True, timeout=60,
                              env={**os.environ, **self.corner.environment, **environment})
        assert done.returncode == expect, f"{done.returncode}, not {expect}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, expect=OK, **environment):
        return json.loads(self.run("--json", expect=expect, **environment))


def source(status, name):
    return next(s for s in status["sources"] if s["source"] == name)


def test_the_daemon_is_shown(corner, projector, eventually):
    status = Status(corner, projector.url)
    # What the first scan has indexed already counts nothing for the stream.
    eventually(lambda: "event=job.done job=scan-" in projector.log(), 30, "the first scan is done")
    corner.products.insert_many([product(n) for n in range(200)])
    corner.sql("INSERT INTO stock (sku, available) VALUES ('nobody', 1)")

    def finished():
        now = status.json()
        return source(now, "stream")["commit_to_indexed"]["count"] >= 200 and source(now, "queue")["marks"] >= 0 and now["jobs"] == [] and now

    now = eventually(finished, 30, "the status counts the products, and the first scan is done")
    assert now["from"] == "daemon" and now["ready"] and now["instance"]["role"] == "owner"
    assert now["instance"]["epoch"] == corner.stack.mongo[corner.name]["projector_state"].find_one({"_id": "lease"})["epoch"]
    assert now["targets"][0]["alias"] == corner.index and now["targets"][0]["paused"] is False
    assert len(now["lanes"]) == min(8, max(2, os.cpu_count())) and now["dead_letters"]["kept"] == 0
    assert source(now, "stream")["position"].endswith("Z") and {"lag_seconds", "unfinished", "unfinished_limit", "rows"} <= set(source(now, "queue"))
    eventually(lambda: source(status.json(), "stream").get("oplog_headroom_seconds"), 30, "the headroom is known")
    asked = requests.get(projector.url + "/v1/status", timeout=5).json()
    assert {asked[k] == now[k] for k in ("program", "version", "targets")} == {True}

    assert now["targets"][0]["role"] == "serving"
    assert eventually(lambda: status.json()["verification"]["verified_as_of"], 60, "verified").endswith("Z")

    shown = status.run()
    for words in ("verified      as of 20", "owner, epoch ", "ready", "oplog headroom ", "position stored ", "stream", "queue", "takes writes", corner.index, "dead letters  0", "jobs          none"):
        assert words in shown, f"{words!r} is missing:\n{shown}"
    assert "\033" not in shown, "no colours but on a terminal"
    assert "owner" in status.run(url=False, READSIDE_PROJECTOR_LISTEN="127.0.0.1:0",
                                 READSIDE_PROJECTOR_PORT_FILE=projector.port_path)


def test_what_needs_attention_has_an_exit_code(corner, projector, eventually):
    status = Status(corner, projector.url)
    corner.products.insert_one({"_id": "bad", "name": 17, "price": Int64(1)})
    eventually(lambda: status.json(expect=ATTENTION)["dead_letters"]["kept"] == 1, 30, "the dead letter is counted")
    assert "dead-letters list" in status.run(expect=ATTENTION)


def test_a_standby_is_well(corner, projector, program, eventually):
    second = program("projector", {"projector.admin_key": "right"}).start(wait="alive")
    status, key = Status(corner, second.url), {"READSIDE_PROJECTOR_ADMIN_KEY": "right"}
    now = eventually(lambda: (lambda s: s if s["instance"]["role"] == "standby" else None)(status.json(**key)), 20, "standby")
    assert not now["ready"] and "sources" not in now
    assert "standby" in status.run(**key)
    for wrong in ({}, {"READSIDE_PROJECTOR_ADMIN_KEY": "wrong"}):
        assert status.run(expect=FAILED, **wrong) == "", "a daemon that refuses us is one that answers"


def test_without_a_daemon_the_stored_state_is_shown(corner, projector, eventually):
    status = Status(corner, projector.url)
    corner.products.insert_many([product(n) for n in range(20)] + [{"_id": "bad", "name": 17, "price": Int64(1)}])
    states = corner.stack.mongo[corner.name]
    eventually(lambda: states["dead_letters"].count_documents({}) == 1, 20, "the dead letter")
    eventually(lambda: states["projector_state"].find_one({"_id": "checkpoint:stream", "token": {"$exists": True}}), 20, "the position")
    eventually(lambda: states["projector_state"].find_one({"_id": "verify"}), 20, "a first pass of verification")
    projector.stop()
    states["projector_jobs"].insert_one({"_id": "fanout-test", "type": "fanout", "state": "waiting", "phase": "mark",
                                         "epoch": Int64(1), "done": Int64(12), "total": Int64(100)})
    now = status.json(expect=UNREACHABLE)
    assert now["from"] == "mongodb" and now["daemon"]["url"] == projector.url
    lease = states["projector_state"].find_one({"_id": "lease"})
    assert now["lease"]["epoch"] == lease["epoch"] and now["lease"]["released"] is True
    assert now["lease"]["holder"]["pid"] == lease["holder"]["pid"]
    stream = source(now, "stream")
    token = states["projector_state"].find_one({"_id": "checkpoint:stream"})["token"]["_data"]
    assert stream["position"] is not None and stream["oplog_headroom_seconds"] > 0
    seconds = int(token[2:10], 16)
    assert datetime.fromisoformat(stream["position"].replace("Z", "+00:00")).timestamp() == seconds
    assert now["dead_letters"]["kept"] == 1 and now["jobs"][0]["id"] == "fanout-test" and now["jobs"][0]["done"] == 12
    assert now["verification"]["compared"] >= 0
    assert [t["role"] for t in now["targets"]] == ["serving"]
    shown = status.run(expect=UNREACHABLE)
    assert "no daemon answers" in shown and "fanout-test" in shown and "released" in shown


def test_usage(corner):
    status = Status(corner, "http://127.0.0.1:1")
    for wrong in (["--nothing"], ["more"], ["--timeout", "x"], ["--timeout"]):
        assert status.run(*wrong, expect=USAGE) == ""
    assert "Exit codes here" in status.run("--help")
    status.run(expect=FAILED, READSIDE_MONGO_URI="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300")
