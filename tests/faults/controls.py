"""tests/faults/controls: negative controls. Each rule of the projector that this suite exists for is switched off in a build
of its own, and a directed schedule that hits it must then end with differences; with the normal build it must not."""
import argparse
import os
import signal
import sys
import time
import traceback

import check
import content
import faults_history  # noqa: F401 (check confirms its jobs)
from bson import Int64
from gate import Hold
from runner import Events, interrupted
from servers import PROJECT
from world import METRIC, PROJECTORS, World

OWNER, STANDBY = PROJECTORS
VICTIM = content.cold_id(1)
OLD, NEW = 111_000, 222_000
PRODUCTS = 20
SETTLE_SECONDS = 12  # of what is to stay
PATIENCE_SECONDS = 60  # for what is to come: a busy machine may need them


class Scene:
    """A small shop with one product whose bulks are held."""

    def __init__(self, world):
        self.world, self.products = world, world.corner.products

    def start(self):
        programs = self.world.programs
        programs["write-api"].start()
        self.products.insert_many([content.stored_product(content.cold_id(n), 0) for n in range(PRODUCTS)])
        programs[OWNER].start()
        self.world.checker.assert_equal(60, at_least=PRODUCTS)
        self.world.eventually(self.no_job_runs, 30, "the first scan is over")

    def no_job_runs(self):
        return self.world.projector_state("projector_jobs").count_documents({"state": "running"}) == 0

    def hold(self, drop=False):
        made = Hold(lambda body: f'"{VICTIM}"'.encode() in body, drop)
        self.world.gates[OWNER].rules.hold = made
        return made

    def set_price(self, price):
        """The cluster time of the change."""
        with self.world.stack.mongo.start_session() as session:
            self.products.update_one({"_id": VICTIM}, {"$set": {"price": Int64(price), "variants": []}}, session=session)
            return session.operation_time

    def held(self, hold):
        self.world.eventually(hold.held.is_set, 30, "the bulk is held")

    def indexed_price(self):
        reply = self.world.stack.es("GET", f"/{self.world.corner.index}/_doc/{VICTIM}", expect=(200, 404))
        return reply.get("_source", {}).get("price_min")

    def stored_position(self):
        """(seconds, increment) of the stored resume token: a key string that begins with its cluster time."""
        stored = self.world.projector_state().find_one({"_id": "checkpoint:stream"}) or {}
        data = stored.get("token", {}).get("_data", "0" * 18)
        return int(data[2:10], 16), int(data[10:18], 16)


def version(scene):
    """The owner stands still with a bulk on its way, the standby takes over and writes something newer; then the old bulk
    arrives."""
    world = scene.world
    world.programs[STANDBY].start(wait="alive")
    hold = scene.hold()
    scene.set_price(OLD)
    scene.held(hold)
    owner = world.programs[OWNER].process
    owner.send_signal(signal.SIGSTOP)
    world.eventually(lambda: world.owns(STANDBY), 60, "the standby takes over")
    scene.set_price(NEW)
    world.eventually(lambda: scene.indexed_price() == NEW, 60, "the new owner writes what is newer")
    hold.released.set()
    world.eventually(hold.passed.is_set, 30, "the old owner's bulk arrives")
    owner.send_signal(signal.SIGCONT)
    world.eventually(lambda: not world.owns(OWNER), 30, "the old owner notices")


def checkpoint(scene):
    """A bulk is never answered, the position may not move beyond it; then the owner is killed and the bulk lost."""
    world = scene.world
    hold = scene.hold(drop=True)
    changed = scene.set_price(NEW)
    scene.held(hold)
    # A dozen times the interval in which positions are stored; a build in which this one moves has more time for it.
    end = time.monotonic() + (6 if world.projector_bin_dir == world.bin_dir else PATIENCE_SECONDS)
    while time.monotonic() < end and scene.stored_position() < (changed.time, changed.inc):
        world.pause(0.1)
    moved = scene.stored_position() >= (changed.time, changed.inc)
    world.log(f"    the stored position has {'moved beyond' if moved else 'stayed before'} the change")
    world.programs[OWNER].kill()
    world.gates[OWNER].rules.hold = None
    hold.released.set()
    world.programs[OWNER].start()


def coalescing(scene):
    """A product changes while the bulk with its content before is on its way."""
    world = scene.world
    hold = scene.hold()
    scene.set_price(OLD)
    scene.held(hold)
    projector = world.programs[OWNER]
    marks = projector.metric(METRIC + "marks_total", 'source="stream"')
    scene.set_price(NEW)
    world.eventually(lambda: projector.metric(METRIC + "marks_total", 'source="stream"') > marks, 30,
                     "the mark of the second change arrives")
    world.gates[OWNER].rules.hold = None
    hold.released.set()
    world.eventually(hold.passed.is_set, 30, "the bulk arrives")


SCENES = {"version": version, "checkpoint": checkpoint, "coalescing": coalescing}


def differing(world, name, variant):
    """How many documents differ at the end of a scene."""
    world.projector_bin_dir = os.path.join(PROJECT, "build", variant, "bin")
    world.open_shop(f"{name}_{variant}", proxied=False)
    try:
        scene = Scene(world)
        scene.start()
        SCENES[name](scene)
        running = {k: p for k, p in world.programs.items() if p.process is not None}
        for one in running.values():
            one.assert_runs()
        lines = check.differences_of(world, PATIENCE_SECONDS if variant == "dev" else SETTLE_SECONDS)
        world.log(f"{name}, build {variant}: {len(lines)} differences" + (f"; {lines[0][:200]}" if lines else ""))
        return len(lines)
    finally:
        world.close_shop()


def judge(world, names):
    """What is wrong with the controls."""
    wrong = []
    for name in names:
        try:
            if differing(world, name, "dev"):
                wrong.append(f"{name}: the normal build ends with differences")
            if not differing(world, name, f"control-{name}"):
                wrong.append(f"{name}: no difference although the rule is switched off")
        except Exception as e:  # the other controls are to be judged too
            traceback.print_exc()
            wrong.append(f"{name}: {type(e).__name__}: {e}")
    return wrong


def main():
    parser = argparse.ArgumentParser(prog="tests/faults/controls", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="CONTROL", help=", ".join(SCENES) + " (all)")
    parser.add_argument("--var", default=os.path.join(PROJECT, "var", "faults"), help="servers and logs (var/faults)")
    options = parser.parse_args()
    names = options.names or list(SCENES)
    if unknown := set(names) - set(SCENES):
        parser.error(f"no control {', '.join(sorted(unknown))}")
    folder = os.path.join(os.path.abspath(options.var), "runs", f"{time.strftime('%Y%m%d-%H%M%S')}-controls")
    os.makedirs(folder)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    world = World(folder, os.path.abspath(options.var), os.path.join(PROJECT, "build", "dev", "bin"),
                  Events(os.path.join(folder, "events.log")))
    try:
        world.open_servers()
        wrong = judge(world, names)
    except KeyboardInterrupt:
        return 130
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        world.close()
    for what in wrong:
        print(what)
    print(f"{len(names)} controls, {len(wrong)} failures")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
