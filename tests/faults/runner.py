"""tests/faults/run: a run of the fault suite. README.md of tests/ has the words for it."""
import argparse
import collections
import os
import random
import signal
import sys
import threading
import time
import traceback

import check
import faults_history  # noqa: F401 (registers its kinds)
import faults_search  # noqa: F401
import schedule
from faults import KINDS
from servers import PROJECT
from world import PROJECTORS, Ended, World
from writers import Writer

QUIET_SECONDS, EQUAL_SECONDS = 240, 60
FEWEST_A_MINUTE = 12 / 5  # faults: a run with fewer has shown nothing
ALL_KINDS_MINUTES = 5  # so long a run has time for each kind at least once
LAST_FAULT_SECONDS = 4  # before the writers end: a fault without traffic has no effect


class Events:
    """What happens, on standard output and in a file, with seconds since the writers began."""

    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (for the whole run)
        self.began = time.monotonic()

    def __call__(self, text):
        line = f"{time.monotonic() - self.began:8.1f}  {text}"
        print(line, flush=True)
        self.file.write(line + "\n")
        self.file.flush()


class Track(threading.Thread):
    """Carries out the faults of one track in turn. It lives until the run ends: the programs that it started end with it."""

    def __init__(self, name, specs, run):
        super().__init__(name=f"faults-{name}", daemon=True)
        self.specs, self.run_, self.finished = specs, run, threading.Event()

    def run(self):
        try:
            for spec in self.specs:
                self.run_.carry_out(spec)
        except Ended:
            pass
        finally:
            self.finished.set()
            self.run_.world.ending.wait()


class Run:
    def __init__(self, plan, world, log):
        self.plan, self.world, self.log = plan, world, log
        self.counts, self.left_out = collections.Counter(), collections.Counter()
        self.failures, self.writers = [], []
        self.locks = collections.defaultdict(threading.Lock)
        self.began = 0.0

    def fail(self, what):
        self.failures.append(what)
        self.log(f"FAILED: {what}")

    # ---- faults ------------------------------------------------------------------------------------------------------

    def carry_out(self, spec):
        fault = KINDS[spec["kind"]](self.world, spec)
        late = time.monotonic() - self.began - spec["at"]
        self.world.pause(max(0.0, -late))
        if reason := fault.possible():
            self.left_out[fault.kind, reason] += 1
            return
        needs = sorted(fault.needs())
        for name in needs:
            while not self.locks[name].acquire(timeout=0.2):
                self.world.pause(0)
        try:
            if time.monotonic() - self.began > max(self.plan["minutes"] * 60 - LAST_FAULT_SECONDS, spec["at"] + 1):
                self.left_out[fault.kind, "the time was over"] += 1
                return
            self._phases(fault)
        finally:
            for name in needs:
                self.locks[name].release()

    def _phases(self, fault):
        phase = "inject"
        try:
            fault.inject()
            self.log(f"{fault.label}, {fault.seconds:.1f} s")
            began = time.monotonic()
            phase = "take effect"
            fault.bite()
            self.world.pause(max(0.0, fault.seconds - (time.monotonic() - began)))
            self.counts[fault.kind] += 1
            phase = "heal"
            fault.heal()
            fault.healed()
            self.log(f"    {fault.label}: mended")
        except Ended:
            raise
        except Exception as e:
            self.fail(f"{fault.label} could not {phase}: {type(e).__name__}: {e}")
            self.log(traceback.format_exc())
            self._heal_anyway(fault)

    def _heal_anyway(self, fault):
        try:
            fault.heal()
        except Exception as e:  # the comparison at the end shows what is left of it
            self.fail(f"{fault.label} could not heal: {type(e).__name__}: {e}")

    # ---- the run -----------------------------------------------------------------------------------------------------

    def start_programs(self):
        programs = self.world.programs
        programs["write-api"].start()
        self.world.fill(self.plan["seed"])
        programs[PROJECTORS[0]].start()
        programs[PROJECTORS[1]].start(wait="alive")
        for name in self.world.writing[2:]:
            programs[name].start(wait="alive")
        programs["query-api"].start()
        self.world.checker.assert_equal(120, at_least=1000)
        self.world.limit_nested()

    def storm(self):
        """Writers and faults, until both are through."""
        self.log.began = self.began = time.monotonic()
        by_writer = collections.defaultdict(list)
        for op in self.plan["operations"]:
            by_writer[op["writer"]].append(op)
        self.writers = [Writer(name, ops, self.world, self.began) for name, ops in by_writer.items()]
        tracks = [Track(name, [f for f in self.plan["faults"] if f["track"] == name], self)
                  for name in sorted({f["track"] for f in self.plan["faults"]})]
        for thread in [*self.writers, *tracks]:
            thread.start()
        for track in tracks:
            while not track.finished.wait(0.5):
                pass
        for writer in self.writers:
            while writer.is_alive():
                writer.join(0.5)
            if writer.error:
                self.fail(f"{writer.name}: {type(writer.error).__name__}: {writer.error}")

    @property
    def needs_all_kinds(self):
        return self.plan["minutes"] >= ALL_KINDS_MINUTES

    def say_what_is_impossible(self):
        """At the beginning, so that nobody waits in vain."""
        for kind, spec in {fault["kind"]: fault for fault in self.plan["faults"]}.items():
            if reason := KINDS[kind](self.world, spec).possible():
                self.log(f"{kind} is impossible here ({reason}) and left out" +
                         (f": this run will fail; --without {kind} does without it" if self.needs_all_kinds else ""))

    def look_for_all_kinds(self):
        """What a schedule has, a long run must have shown."""
        planned = collections.Counter(fault["kind"] for fault in self.plan["faults"])
        for kind in sorted(planned.keys() - self.counts.keys()) if self.needs_all_kinds else ():
            reasons = sorted(reason for of, reason in self.left_out if of == kind)
            self.fail(f"{kind} was planned {planned[kind]} times and never carried out ({'; '.join(reasons) or 'it failed'})")

    def look_for_enough(self):
        self.look_for_all_kinds()
        fewest = min(int(FEWEST_A_MINUTE * self.plan["minutes"]), len(self.plan["faults"]))
        if (carried_out := sum(self.counts.values())) < fewest:
            self.fail(f"{carried_out} faults in {self.plan['minutes']:g} minutes, {fewest} are the least")

    def compare(self):
        """How many documents differ."""
        self.log("writers and faults are through; waiting until all is quiet")
        try:
            check.quiesce(self.world, QUIET_SECONDS)
        except AssertionError as e:
            self.fail(str(e))
        lines = check.differences(self.world, EQUAL_SECONDS if not self.failures else 5)
        if lines:
            self.log("differences:\n" + check.show(lines))
        else:
            self.log(f"{len(self.world.checker.expected())} products are in the index as they should be")
        return len(lines)

    def stop_programs(self):
        for name, program in self.world.programs.items():
            try:
                program.stop()
            except Exception as e:
                self.fail(f"{name}: {e}")

    def summary(self, differing):
        for writer in self.writers:
            self.log(f"{writer.name}: {writer.done} of {len(writer.operations)} operations, {writer.tries} tries, "
                     f"{writer.refused} refused, {writer.given_up} given up")
        self.log("faults: " + (", ".join(f"{kind} {n}" for kind, n in sorted(self.counts.items())) or "none"))
        for (kind, reason), n in sorted(self.left_out.items()):
            self.log(f"left out: {n} × {kind}: {reason}")
        operations = sum(writer.done for writer in self.writers)
        if self.failures or differing:
            without = "".join(f" --without {kind}" for kind in self.plan["without"])
            print(f"FAILED with seed {self.plan['seed']}; again: tests/faults/run --seed {self.plan['seed']} --minutes "
                  f"{self.plan['minutes']:g}{' --kafka' if self.plan['kafka'] else ''}{without}; logs and schedule: {self.world.folder}")
            for what in self.failures:
                print(f"  {what[:1000]}")
        print(f"{sum(self.counts.values())} faults, {operations} operations, {differing} differences", flush=True)
        return 1 if self.failures or differing else 0


def arguments():
    parser = argparse.ArgumentParser(prog="tests/faults/run", description="Random faults against live writers, then a comparison "
                                     "of every document. The last line: F faults, O operations, D differences. "
                                     f"A run of {ALL_KINDS_MINUTES} minutes or more fails if a kind of fault that its schedule has "
                                     "was never carried out.")
    parser.add_argument("--seed", type=int, help="the schedule follows from it alone; a random one is printed")
    parser.add_argument("--minutes", type=float, default=5, help="how long writers and faults go on (5)")
    parser.add_argument("--schedule", metavar="FILE", help="what an earlier run has recorded, instead of seed and minutes")
    parser.add_argument("--kafka", action="store_true", help="two relays, a topic of marks and two consumers (and more faults)")
    parser.add_argument("--without", action="append", default=[], metavar="KIND", choices=sorted(KINDS), help="leave faults of this "
                        "kind out of the schedule, may be given more than once: " + ", ".join(sorted(KINDS)))
    parser.add_argument("--rate", type=float, default=1.0, help="so many times as many operations (1)")
    parser.add_argument("--var", default=os.path.join(PROJECT, "var", "faults"), help="servers, logs, schedules (var/faults)")
    parser.add_argument("--bin", default=os.path.join(PROJECT, "build", "dev", "bin"), help="the programs (build/dev/bin)")
    return parser.parse_args()


def interrupted(number, frame):
    raise KeyboardInterrupt


def main():
    options = arguments()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    plan = schedule.load(options.schedule) if options.schedule else schedule.make(seed, options.minutes, options.rate,
                                                                                            options.kafka)
    plan = schedule.leave_out(plan, options.without)
    folder = os.path.join(os.path.abspath(options.var), "runs", f"{time.strftime('%Y%m%d-%H%M%S')}-seed-{plan['seed']}")
    os.makedirs(folder)
    schedule.save(plan, os.path.join(folder, "schedule.ndjson"))
    log = Events(os.path.join(folder, "events.log"))
    log(f"seed {plan['seed']}, {plan['minutes']:g} minutes: {len(plan['faults'])} faults, {len(plan['operations'])} operations; "
        f"{folder}")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    world = World(folder, os.path.abspath(options.var), os.path.abspath(options.bin), log,
                  plan["kafka"])
    run, code = Run(plan, world, log), 1
    try:
        world.open_servers()
        world.open_shop(f"faults_{plan['seed']}")
        run.say_what_is_impossible()
        run.start_programs()
        run.storm()
        run.look_for_enough()
        differing = run.compare()
        run.stop_programs()
        code = run.summary(differing)
    except KeyboardInterrupt:
        code = 130
        print("interrupted, stopping what was started", file=sys.stderr)
    except Exception:
        traceback.print_exc()
        print(f"FAILED with seed {plan['seed']}; logs and schedule: {folder}")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        world.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
