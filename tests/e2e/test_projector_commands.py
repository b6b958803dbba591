"""What the commands say and answer when something is not as they need it."""
import re
import subprocess

import pytest
from harness.command import Commands
from harness.shop import SURE_LEASE, document, insert, jobs, letters, physical, state, update

NOWHERE = {"mongo.uri": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300", "elasticsearch.url": "http://127.0.0.1:1",
           "projector.listen": "127.0.0.1:1"}
FAILED, USAGE, UNREACHABLE, DETACHED, INTERRUPTED = 1, 2, 4, 5, 130


@pytest.fixture
def commands(corner):
    return Commands(corner, SURE_LEASE)


@pytest.mark.parametrize("words, server, code", [
    ("reindex", "Elasticsearch", UNREACHABLE), ("reindex --dry-run", "Elasticsearch", UNREACHABLE), ("verify", "Elasticsearch", UNREACHABLE),
    ("rollback", "MongoDB", UNREACHABLE), ("jobs", "MongoDB", UNREACHABLE), ("jobs pause j", "MongoDB", UNREACHABLE),
    ("jobs cancel j", "MongoDB", UNREACHABLE), ("jobs confirm j", "MongoDB", UNREACHABLE), ("dead-letters list", "MongoDB", UNREACHABLE),
    ("dead-letters replay p", "MongoDB", UNREACHABLE), ("status", "MongoDB", FAILED)])
def test_servers_that_are_away(corner, words, server, code):
    """One line says which command and which server; nothing else is printed."""
    away = Commands(corner, NOWHERE)(*words.split(), expect=code, deadline=30)
    last = away.err.splitlines()[-1]
    assert last.startswith(f"projector {words.split()[0]}: {server} 127.0.0.1:1") and away.out == "", away.err
    assert len(away.err.splitlines()) == (2 if words == "status" else 1), away.err


@pytest.mark.parametrize("words", ["reindex --what", "reindex --mapping", "reindex x", "reindex --throttle many", "rollback x", "verify x",
                                   "verify --sample 0", "verify --since then", "verify --sample 5 --since 1h", "verify --rate 0", "status x",
                                   "jobs pause", "jobs pause a b", "jobs burn", "jobs throttle j", "jobs throttle j 0", "relay x",
                                   "run --from moon", "run x"])
def test_wrong_words(corner, words):
    wrong = Commands(corner, NOWHERE)(*words.split(), expect=USAGE, deadline=30)
    name = words.split()[0]
    assert re.fullmatch(rf"projector {name}: .+\nTry 'projector {name} --help'\.\n", wrong.err) and wrong.out == "", wrong.err


def test_a_job_that_there_is_not_and_one_that_is_over(corner, program, write_api, checker, commands, eventually):
    """Nobody becomes the projector for their sake."""
    assert commands("jobs").out == "no job is under way\n"
    for words in (("wait", "nope"), ("pause", "nope"), ("cancel", "nope"), ("confirm", "nope"), ("throttle", "nope", "5")):
        assert "nope" in commands("jobs", *words, expect=FAILED).err
    assert not state(corner).find_one({"_id": "lease"})
    insert(corner, range(10))
    projector = program("projector", SURE_LEASE).start()
    checker.assert_equal(60, at_least=10)
    scan = eventually(lambda: jobs(corner).find_one({"type": "scan", "state": "done"}), 60, "the first scan")["_id"]
    projector.stop()
    for words in (("jobs", "list", "--all", "--json"), ("verify", "--json")):
        with open("/dev/full", "w") as full:
            lost = subprocess.run([commands.binary, *words], env=commands.environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        assert lost.returncode == FAILED and lost.stderr.endswith(f"projector {words[0]}: cannot write to stdout\n"), lost
    lease = state(corner).find_one({"_id": "lease"})
    done = commands("jobs", "wait", scan)
    assert done.out == f"job {scan} is done\n" and "no projector is running" not in done.err
    assert state(corner).find_one({"_id": "lease"}) == lease

    left = commands("reindex", "--detach")
    assert re.fullmatch(r"job reindex-\S+\n", left.out) and "the job begins when one does" in left.err
    commands("jobs", "cancel", left.out.split()[1], expect=UNREACHABLE)


def test_ctrl_c(corner, program, write_api, checker, commands, eventually):
    """A comparison ends, and nothing comes of it; a replay and a repair go on."""
    insert(corner, range(600))
    projector = program("projector", {**SURE_LEASE, "projector.verify_rate": 0}).start()
    checker.assert_equal(60, at_least=600)
    eventually(lambda: jobs(corner).find_one({"type": "scan", "state": "done"}), 60, "the first scan")
    verifying = commands.start("verify", "--rate", "20", "--json")
    line = verifying.process.stdout.readline()
    assert '"event":"progress"' in line, line
    verifying.interrupt()
    verifying.finish(expect=INTERRUPTED, deadline=30)
    assert not any(e["event"] == "result" for e in verifying.events)

    update(corner, 3, price="dear")
    eventually(lambda: letters(corner).find_one({"_id": "p000003"}), 30, "the letter")
    projector.put_to_sleep()
    replaying = commands.start("dead-letters", "replay", "p000003")
    job = eventually(lambda: jobs(corner).find_one({"type": "repair", "state": "running"}), 30, "the replay")["_id"]
    replaying.interrupt()
    replaying.finish(expect=DETACHED, deadline=30)
    assert f"the replay {job} goes on without us" in replaying.err
    projector.wake()
    eventually(lambda: jobs(corner).find_one({"_id": job, "state": "done"}), 60, "it goes on")

    corner.stack.es("DELETE", f"/{physical(corner)}/_doc/p000005?refresh=true")
    corner.stack.es("PUT", f"/{physical(corner)}/_settings", {"index.blocks.write": True})
    repairing = commands.start("verify", "--repair")
    job = eventually(lambda: jobs(corner).find_one({"type": "repair", "state": "running"}), 60, "the repair")["_id"]
    repairing.interrupt()
    repairing.finish(expect=DETACHED, deadline=30)
    assert f"the repair {job} goes on without us" in repairing.err
    corner.stack.es("PUT", f"/{physical(corner)}/_settings", {"index.blocks.write": None})
    eventually(lambda: document(corner, "p000005"), 60, "it goes on")
