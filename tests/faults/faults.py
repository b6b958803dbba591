"""The kinds of faults. Each knows how to inject itself, how to show that it really took effect, and how to heal.

To add one: a class with `kind` here or in faults_search.py / faults_history.py, a line in a deck of schedule.py.
"""
import email.utils
import os
import signal
import time

import requests
from harness.wait import eventually
from schedule import CUT_BYTES
from servers import ALL_NAMES as SERVERS
from servers import process_state

KINDS = {}
MYSQL_PING_BYTES = 5


def register(cls):
    KINDS[cls.kind] = cls
    return cls


class Fault:
    """inject, hold for `seconds`, bite (raises if it had no effect), heal, healed. heal may be called at any time and more
    than once; healed waits until what was broken works again."""

    kind = ""
    BITE_SECONDS = 30  # how much longer than planned a fault may last until it has an effect

    def __init__(self, world, spec):
        self.world, self.args, self.seconds = world, spec["args"], spec["seconds"]

    @property
    def label(self):
        shown = [str(self.args[k]) for k in ("target", "how", "program", "server", "status") if k in self.args]
        return " ".join([self.kind, *shown])

    def needs(self):
        """What no other fault may touch at the same time."""
        return set()

    def possible(self):
        """None, or why this machine cannot do it."""
        return None

    def inject(self):
        raise NotImplementedError

    def bite(self):
        raise NotImplementedError

    def heal(self):
        pass

    def healed(self):
        pass


# ---- processes -----------------------------------------------------------------------------------------------------


class ProcessFault(Fault):
    """A server of the stack, or programs by role: owner, standby, projectors, write-api, query-api."""

    def __init__(self, world, spec):
        super().__init__(world, spec)
        self.target, self.victims, self.pids = self.args["target"], [], []

    def needs(self):
        return {{"owner": "projectors", "standby": "projectors", "consumer": "consumers"}.get(self.target, self.target)}

    def choose(self):
        """Program faults only when the program is up: one that is just starting has nothing to lose yet."""
        self.victims = self.world.named(self.target)
        for name in self.victims:
            assert self.world.programs[name].process is not None, f"{name} does not run"

    @property
    def is_server(self):
        return self.target in SERVERS


@register
class Kill(ProcessFault):
    """SIGKILL, and started again after a while."""

    kind = "kill"

    def inject(self):
        if self.is_server:
            self.pids = self.world.servers.kill(self.target)
            return
        self.choose()
        self.pids = [self.world.programs[name].process.pid for name in self.victims]
        for name in self.victims:
            self.world.programs[name].kill()

    def bite(self):
        for pid in self.pids:
            assert process_state(pid) in (None, "Z", "X"), f"pid {pid} is still there"
        assert self.pids

    def heal(self):
        if self.is_server:
            if not self.world.servers.pids(self.target):
                self.world.servers.start(self.target)
            return
        for name in self.victims:
            if self.world.programs[name].process is None:
                self.world.start(name)


@register
class Term(Kill):
    """SIGTERM: it drains and exits with 0."""

    kind = "term"

    def inject(self):
        self.choose()
        self.pids = [self.world.programs[name].process.pid for name in self.victims]
        for name in self.victims:
            self.world.programs[name].stop(60)


@register
class Stop(ProcessFault):
    """SIGSTOP, and SIGCONT after a while: a pause that its owner does not notice."""

    kind = "stop"

    def inject(self):
        if self.is_server:
            self.pids = self.world.servers.pids(self.target)
        else:
            self.choose()
            self.pids = [self.world.programs[name].process.pid for name in self.victims]
        self._signal(signal.SIGSTOP)

    def bite(self):
        assert self.pids, f"{self.target} does not run"
        for pid in self.pids:
            eventually(lambda p=pid: process_state(p) in ("T", "t"), 20, f"pid {pid} stands still")

    def heal(self):
        self._signal(signal.SIGCONT)

    def healed(self):
        for pid in self.pids:
            eventually(lambda p=pid: process_state(p) not in ("T", "t"), 20, f"pid {pid} goes on")

    def _signal(self, number):
        for pid in self.pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass  # ended; bite says so


# ---- connections ---------------------------------------------------------------------------------------------------


class LinkFault(Fault):
    """A program's connections to one server. Whether it works is seen with a client of our own through the same link."""

    PROBE_ROUNDS = 1

    def __init__(self, world, spec):
        super().__init__(world, spec)
        self.link, self.broken = None, False

    def needs(self):
        return {self.args["server"]}

    def inject(self):
        name = self.world.named(self.args["program"])[0]
        self.link = self.world.links[name, self.args["server"]]
        self.link.probe()
        self.broken = True
        self.spoil()

    def spoil(self):
        raise NotImplementedError

    def bite(self):
        try:
            self.link.probe(self.PROBE_ROUNDS)
        except (OSError, requests.RequestException):
            return
        raise AssertionError(f"a request through {self.link.name} was answered")

    def heal(self):
        if self.broken:
            self.mend()
            self.broken = False

    def mend(self):
        self.link.clear()

    def healed(self):
        self.world.eventually(lambda: self.link.probe() or True, 30, f"{self.link.name} works again")


@register
class CutBefore(LinkFault):
    """The connection breaks when a request begins, and the server sees nothing of it."""

    kind = "cut-before"

    def spoil(self):
        self.link.toxic("limit_data", "upstream", bytes=0)


@register
class CutWithin(LinkFault):
    """The connection breaks after some bytes of requests."""

    kind = "cut-within"
    PROBE_ROUNDS = CUT_BYTES // MYSQL_PING_BYTES  # the smallest request of all probes

    def spoil(self):
        self.link.toxic("limit_data", "upstream", bytes=self.args["bytes"])


@register
class CutAfter(LinkFault):
    """The server gets and does what is asked, and the connection breaks before its answer."""

    kind = "cut-after"

    def spoil(self):
        self.link.toxic("limit_data", "downstream", bytes=0)


@register
class Refuse(LinkFault):
    """Connections break, new ones are refused."""

    kind = "refuse"

    def spoil(self):
        self.link.refuse(True)

    def mend(self):
        self.link.refuse(False)


@register
class Latency(LinkFault):
    """Every answer comes later."""

    kind = "latency"

    def spoil(self):
        self.link.toxic("latency", "downstream", latency=self.args["ms"], jitter=self.args["ms"] // 4)

    def bite(self):
        began = time.monotonic()
        self.link.probe()
        took = (time.monotonic() - began) * 1000
        assert took >= self.args["ms"] * 0.7, f"an answer through {self.link.name} took only {took:.0f} ms"


# ---- clocks --------------------------------------------------------------------------------------------------------


@register
class ClockJump(Fault):
    """The wall clock of the owner, of the consumers and of both APIs jumps, and jumps back."""

    kind = "clock-jump"

    def __init__(self, world, spec):
        super().__init__(world, spec)
        self.victims = []

    def needs(self):
        return {"projectors", "consumers", "write-api", "query-api"}

    def possible(self):
        return None if "LD_PRELOAD" in self.world.programs["write-api"].environment else "libfaketime is not installed"

    def inject(self):
        consumers = self.world.named("consumers") if self.world.kafka else []
        self.victims = [*self.world.named("owner"), *consumers, "write-api", "query-api"]
        for name in self.victims:
            self.world.set_clock(name, self.args["seconds"])

    def bite(self):
        for name in self.victims:
            self.world.eventually(lambda n=name: abs(self._offset(n) - self.args["seconds"]) < 120, self.BITE_SECONDS,
                                  f"{name} sees a clock that is {self.args['seconds']} s off")

    def _offset(self, name):
        """The Date of an answer says what time it is for a program."""
        try:
            date = requests.get(self.world.programs[name].url + "/healthz", timeout=5).headers["Date"]
        except requests.RequestException as e:
            raise AssertionError(str(e)) from e
        return email.utils.parsedate_to_datetime(date).timestamp() - time.time()

    def heal(self):
        for name in self.victims:
            self.world.set_clock(name, 0)

    def healed(self):
        for name in self.victims:
            self.world.eventually(lambda n=name: abs(self._offset(n)) < 120, 30, f"{name} sees the true time again")
