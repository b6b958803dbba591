"""Everything that a run consists of: servers, links, gates, the programs, and what the sources hold at the start."""
import glob
import os
import random
import signal
import threading
import time
import urllib.parse

import content
import pymongo
import requests
from gate import Gate
from harness.checker import Checker
from harness.process import Program
from harness.stack import Corner, Stack
from harness.wait import eventually
from servers import ALL_NAMES, NAMES, Servers, process_state
from toxiproxy import Toxiproxy

PROJECTORS = ("projector-0", "projector-1")
CONSUMERS = ("consumer-0", "consumer-1")
METRIC = "readside_projector_"
# Short times, so that minutes hold many takeovers and recoveries. Continuous verification would repair what the rest of
# the projector must not lose, so it is off.
SETTINGS = {
    "projector": {"projector.lease_ttl": "3s", "projector.lease_renew": "600ms", "projector.bulk_timeout": "10s",
                  "projector.retry_max": "1s", "projector.document_max_bytes": "256k", "projector.verify_rate": "0"},
    "write-api": {}, "query-api": {},
}


class Ended(Exception):
    """The run is told to end."""


class World:
    """With `kafka`, the two projectors are relays, and two consumers write what they put into the topic."""

    def __init__(self, folder, var, bin_dir, log, kafka=False):
        self.folder, self.bin_dir, self.log = folder, bin_dir, log
        self.projector_bin_dir = bin_dir
        self.ending = threading.Event()
        self.writing = (*PROJECTORS, *CONSUMERS) if kafka else PROJECTORS
        self.kafka = kafka
        self.servers = Servers(var, log, ALL_NAMES if kafka else NAMES)
        self.programs, self.links, self.gates, self.clocks = {}, {}, {}, {}
        self.stack = self.corner = self.toxiproxy = self.checker = None
        self.left_out = {}

    # ---- beginning and end -----------------------------------------------------------------------------------

    def open_servers(self):
        self.servers.up()
        os.environ.update(self.servers.environment(), READSIDE_BIN_DIR=self.bin_dir)
        self.toxiproxy = Toxiproxy(self.folder)
        self.stack = Stack()

    def open_shop(self, label, proxied=True):
        """Databases and indexes of their own, links and programs (not started)."""
        self.corner = Corner(self.stack, label)
        self.checker = Checker(self.corner)
        mongo = urllib.parse.urlsplit(os.environ["READSIDE_MONGO_URI"])
        search = urllib.parse.urlsplit(self.stack.es_url)
        targets = {"mongodb": (mongo.hostname, mongo.port),
                   "mysql": (os.environ["READSIDE_MYSQL_HOST"], os.environ["READSIDE_MYSQL_PORT"])}
        for name in self.writing:
            self.gates[name] = Gate(search.hostname, search.port)
        for name in (*self.writing, "write-api"):
            for server, (host, port) in targets.items():
                self._link(name, server, host, port, proxied)
            if name in self.writing:
                self._link(name, "elasticsearch", "127.0.0.1", self.gates[name].port, proxied)
        for name in ("write-api", *self.writing, "query-api"):
            self.programs[name] = self._program(name)

    def _link(self, program, server, host, port, proxied):
        if proxied:
            self.links[program, server] = self.toxiproxy.link(f"{self.corner.name}-{program}-{server}", server, host, port)
        else:
            self.links[program, server] = type("Direct", (), {"port": port})

    def _program(self, name):
        folder = os.path.join(self.folder, f"{self.corner.name}-{name}")
        os.makedirs(folder)
        kind = "projector" if name in self.writing else name
        settings = dict(SETTINGS[kind])
        if kind != "query-api":
            settings.update({"mongo.uri": f"mongodb://127.0.0.1:{self.links[name, 'mongodb'].port}/?directConnection=true",
                             "mongo.server_selection": "3s", "mongo.timeout": "5s", "mysql.timeout": "5s",
                             "mysql.host": "127.0.0.1", "mysql.port": self.links[name, "mysql"].port})
        if kind == "projector":
            settings["elasticsearch.url"] = f"http://127.0.0.1:{self.links[name, 'elasticsearch'].port}"
        if self.kafka:
            settings.update({"kafka.marks_topic": f"{self.corner.name}.marks", "kafka.marks_group": f"{self.corner.name}.group",
                             "kafka.marks_partitions": "4", "kafka.session_timeout": "6s"} if kind == "projector" else {})
        self.clocks[name] = os.path.join(folder, "clock")
        self.set_clock(name, 0)
        return Program(kind, folder, {**self.corner.environment, **self._faketime(name)}, settings,
                       bin_dir=self.projector_bin_dir if kind == "projector" else self.bin_dir, arguments=self._arguments(name))

    def _arguments(self, name):
        """None: as its program is run usually."""
        if name in CONSUMERS:
            return ["run", "--from", "kafka"]
        return ["relay"] if self.kafka and name in PROJECTORS else None

    def _faketime(self, name):
        """Our programs' wall clock, read from a file once a second; the monotonic clock stays true."""
        library = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        if not library:
            return {}
        return {"LD_PRELOAD": library[0], "FAKETIME_TIMESTAMP_FILE": self.clocks[name], "FAKETIME_CACHE_DURATION": "1",
                "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}

    def set_clock(self, name, seconds):
        with open(self.clocks[name] + ".new", "w", encoding="ascii") as f:
            f.write(f"{seconds:+d}\n")
        os.replace(self.clocks[name] + ".new", self.clocks[name])

    def close_shop(self):
        for program in self.programs.values():
            if program.process is not None:
                self.signal_program(program, signal.SIGCONT)
            program.kill()
        for gate in self.gates.values():
            gate.close()
        self.programs, self.links, self.gates = {}, {}, {}

    def close(self):
        self.ending.set()
        self.close_shop()
        if self.toxiproxy:
            self.toxiproxy.close()
        if self.stack:
            self.stack.close()
        self.servers.down()

    # ---- what the sources hold at the start ------------------------------------------------------------------

    def fill(self, seed):
        rng = random.Random(f"{seed}/fill")
        for row in content.category_rows():
            self.corner.sql("INSERT INTO categories (id, parent_id, level, path, name) VALUES (%s, %s, %s, %s, %s)", *row)
        self.corner.products.insert_many([content.stored_product(i, 0) for i in content.first_ids()])
        skus = [s for i in content.first_ids() for s in content.skus_of(i) if rng.random() < 0.5]
        values = ", ".join(f"('{sku}', {rng.choice((0, 3, 20))})" for sku in skus)
        self.corner.sql("INSERT INTO stock (sku, available) VALUES " + values)

    def limit_nested(self):
        """So that a small document can be one that Elasticsearch refuses."""
        self.stack.es("PUT", f"/{self.corner.index}/_settings", {"index.mapping.nested_objects.limit": content.NESTED_MAX})

    # ---- waiting ---------------------------------------------------------------------------------------------

    def pause(self, seconds):
        """Returns early, by raising, when the run ends."""
        if self.ending.wait(seconds):
            raise Ended

    def eventually(self, check, deadline, what, pause=0.1):
        def checked():
            if self.ending.is_set():
                raise Ended
            return check()

        return eventually(checked, deadline, what, pause)

    # ---- roles -----------------------------------------------------------------------------------------------

    def owner(self, deadline=15):
        """Name of the projector that owns the lease; the first if none does within the deadline."""
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            for name in PROJECTORS:
                if self.owns(name):
                    return name
            self.pause(0.1)
        return PROJECTORS[0]

    def owns(self, name):
        program = self.programs[name]
        if program.process is None or not program.port or process_state(program.process.pid) in (None, "T", "Z"):
            return False
        try:
            return program.metric(METRIC + "lease_owner") == 1
        except requests.RequestException:
            return False

    def named(self, role):
        """The programs that a role of the schedule means at this moment."""
        if role == "projectors":
            return list(PROJECTORS)
        if role in ("consumers", "consumer"):
            return list(CONSUMERS if role == "consumers" else CONSUMERS[:1])
        if role in ("owner", "standby"):
            owner = self.owner()
            return [owner if role == "owner" else next(p for p in PROJECTORS if p != owner)]
        return [role]

    # ---- programs --------------------------------------------------------------------------------------------

    @staticmethod
    def signal_program(program, number):
        try:
            program.process.send_signal(number)
        except ProcessLookupError:
            pass  # gone already

    def start(self, name):
        if not self.ending.is_set():
            self.programs[name].start(wait="port", deadline=120)

    def assert_programs_run(self):
        for name, program in self.programs.items():
            code = program.process.poll() if program.process else "not started"
            assert code is None, f"{name} is not running ({code}); the end of its log:\n{program.log_tail(15)}"

    def projector_state(self, collection="projector_state"):
        return self.stack.mongo[self.corner.name][collection].with_options(
            read_concern=pymongo.read_concern.ReadConcern("majority"))
