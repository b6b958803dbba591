"""The end of a run: everything is mended, comes to rest, and is compared with the sources."""
import time

import requests
from faults_history import confirm_waiting
from harness.checker import field_differences
from world import METRIC

SHOWN = 12


class NotQuiet(AssertionError):
    """Something does not come to rest, although nothing is broken any more."""


def quiesce(world, deadline):
    """Waits until the programs have nothing to do any more. Says what they were doing if they do not end."""
    end = time.monotonic() + deadline
    while True:
        world.assert_programs_run()
        reason = unrest(world)
        if reason is None:
            return
        if time.monotonic() > end:
            raise NotQuiet(f"not at rest after {deadline} s: {reason}")
        world.pause(0.3)


def unrest(world):
    """What still goes on; None if nothing."""
    try:
        confirm_waiting(world)
        owners = [name for name in ("projector-0", "projector-1") if world.owns(name)]
        if len(owners) != 1:
            return f"{len(owners)} projectors own the lease"
        program = world.programs[owners[0]]
        for name in (owners[0], *world.writing[2:], "write-api", "query-api"):
            ready = requests.get(world.programs[name].url + "/readyz", timeout=5)
            if ready.status_code != 200:
                return f"{name} is not ready: {ready.text[:300]}"
        if world.projector_state("projector_jobs").count_documents({"state": {"$in": ["running", "waiting"]}}):
            return "jobs are running"
        if rows := world.corner.sql("SELECT COUNT(*) AS n FROM projection_queue")[0]["n"]:
            return f"{rows} rows in projection_queue"
        for source in ("stream", "queue"):
            if (lag := program.metric("readside_projector_lag_seconds", f'source="{source}"')) != 0:
                return f"lag of the {source}: {lag}"
        for name in world.writing[2:]:
            if behind := sum(world.programs[name].metrics(METRIC + "kafka_lag_messages")):
                return f"{name} is {behind:.0f} messages behind"
        if letters := list(world.projector_state("dead_letters").find({}, {"_id": 1, "reason": 1}).limit(5)):
            return f"dead letters: {letters}"
    except (requests.RequestException, AssertionError) as e:
        return f"{type(e).__name__}: {e}"
    return None


def differences(world, deadline):
    """Lines about what differs, once nothing changes it any more or the deadline has passed. The index may be a refresh
    and a lease behind for a moment; a difference that stays is one."""
    world.assert_programs_run()
    lines = differences_of(world, deadline)
    world.assert_programs_run()
    return lines


def differences_of(world, deadline):
    end = time.monotonic() + deadline
    while True:
        lines = world.checker.differences() + category_differences(world)
        if not lines or time.monotonic() > end:
            return lines
        world.pause(0.5)


def category_differences(world):
    """The index of categories against MySQL: id, parent, path, name."""
    corner = world.corner
    expected = {str(row["id"]): row for row in corner.sql("SELECT id, parent_id, path, level, name FROM categories")}
    corner.stack.es("POST", f"/{corner.categories_index}/_refresh")
    hits = corner.stack.es("POST", f"/{corner.categories_index}/_search", {"size": 10000})["hits"]["hits"]
    actual = {hit["_id"]: hit["_source"] for hit in hits if hit["_id"] != "_meta"}
    lines = [f"category {i}: missing in the index" for i in sorted(expected.keys() - actual.keys())]
    lines += [f"category {i}: in the index, not in the database" for i in sorted(actual.keys() - expected.keys())]
    for i in sorted(expected.keys() & actual.keys()):
        wanted = {"id": expected[i]["id"], "parent_id": expected[i]["parent_id"], "name": expected[i]["name"],
                  "path": expected[i]["path"].rstrip("/"), "level": expected[i]["level"]}
        found = {k: actual[i].get(k) for k in wanted}
        found["path"] = (found["path"] or "").rstrip("/")
        if wanted != found:
            lines.append(f"category {i}: " + "; ".join(field_differences(wanted, found)))
    return lines


def show(lines):
    return "\n".join(line[:600] for line in lines[:SHOWN]) + (f"\n… and {len(lines) - SHOWN} more" if len(lines) > SHOWN else "")
