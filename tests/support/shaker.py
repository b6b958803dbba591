"""tests/shaken: tests/run beside two of the machine's worst neighbours.

Each processor has a burner, and again and again a thread or a whole process, of the programs, the servers or the tests, chosen at
random, is given what a burner leaves (SCHED_IDLE): next to nothing, for up to 1.2 seconds. That is what a busy machine does, and
unlike a signal nobody can see it."""
import os
import random
import signal
import subprocess
import sys
import threading
import time

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
PAUSES = (0.05, 0.1, 0.3, 0.6, 1.2)
AT_A_TIME, EVERY = 3, 0.03
BURN = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"

USAGE = """tests/shaken [--seed N] [OPTION OR PART OF tests/run…]

Runs `tests/run e2e`, or what is named, while random threads of the programs, the servers and the tests stand still for up to 1.2
seconds at a time, and all of them share the processors with who burns them. What a test takes for granted without seeing to it
shows itself. It takes twice as long as tests/run. Exit status and last line: those of tests/run."""


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def processes_of(folder, leave):
    """The processes that name the folder in their command line, as all do that a run in it starts, and what they start in turn."""
    stats = {int(pid): read(f"/proc/{pid}/stat").rpartition(")")[2].split() for pid in os.listdir("/proc") if pid.isdigit()}
    parents = {pid: int(stat[1]) for pid, stat in stats.items() if stat and pid not in leave}
    found = {pid for pid in parents if folder + "/" in read(f"/proc/{pid}/cmdline")}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def threads_of(pid):
    try:
        return [int(thread) for thread in os.listdir(f"/proc/{pid}/task")]
    except OSError:  # it has ended
        return []


def is_slowed(thread):
    try:
        return os.sched_getscheduler(thread) == os.SCHED_IDLE
    except OSError:  # it has ended
        return False


def give(threads, policy):
    for thread in threads:
        try:
            os.sched_setscheduler(thread, policy, os.sched_param(0))
        except OSError:  # it has ended, or is somebody else's
            pass


class Shaker(threading.Thread):
    """Shakes until the end of the block."""

    def __init__(self, folder, seed):
        super().__init__(daemon=True)
        self.folder, self.rng, self.over, self.still = folder, random.Random(seed), threading.Event(), []

    def __enter__(self):
        cores = sorted(os.sched_getaffinity(0))
        self.burners = [subprocess.Popen([sys.executable, "-c", BURN], preexec_fn=lambda core=core: os.sched_setaffinity(0, {core}))
                        for core in cores]
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        for burner in self.burners:
            burner.kill()
            burner.wait()

    def _processes(self):
        return processes_of(self.folder, {os.getpid(), *(burner.pid for burner in self.burners)})

    def _release(self, now):
        """Whose time is over, and what they have started meanwhile: it begins as who starts it is."""
        if self.still and all(until > now for until, _ in self.still):
            return
        self.still = [one for one in self.still if one[0] > now]
        stay = {thread for _, threads in self.still for thread in threads}
        give([thread for pid in self._processes() for thread in threads_of(pid) if thread not in stay and is_slowed(thread)], os.SCHED_OTHER)

    def run(self):
        while not self.over.wait(EVERY):
            self._release(time.monotonic())
            found = self._processes() if len(self.still) < AT_A_TIME else []
            threads = threads_of(self.rng.choice(found)) if found else []
            if not threads:
                continue
            if self.rng.random() < 0.5:
                threads = [self.rng.choice(threads)]
            give(threads, os.SCHED_IDLE)
            self.still.append((time.monotonic() + self.rng.choice(PAUSES), threads))
        self._release(float("inf"))


def main(arguments):
    if arguments[:1] in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    seed = random.randrange(10**6)
    if arguments[:1] == ["--seed"]:
        if len(arguments) < 2 or not arguments[1].isdigit():
            print("tests/shaken: --seed needs a number", file=sys.stderr)
            return 2
        seed, arguments = int(arguments[1]), arguments[2:]
    if all(argument.startswith("-") for argument in arguments[:1]):
        arguments = ["e2e", *arguments]
    print(f"tests/shaken: seed {seed}", flush=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # tests/run has it too, and ends
    with subprocess.Popen([os.path.join(PROJECT, "tests", "run"), *arguments],
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as tests, Shaker(PROJECT, seed):
        signal.signal(signal.SIGTERM, lambda *_: tests.terminate())
        return tests.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
