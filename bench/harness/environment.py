"""Servers, programs and data of one bench: its own stack on free ports below var/bench, release builds, and the
catalogue loaded once and used again."""
import http.client
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VAR = os.path.join(PROJECT, "var/bench")
BUILD = os.path.join(PROJECT, "build/release")


def say(text):
    print(text, file=sys.stderr, flush=True)


def until(condition, seconds, what, pause=0.05):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {seconds} s")
        time.sleep(pause)


class Connection:
    """One that is kept, for who asks all the time: a new one for each question would be most of what it costs the server."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=120)

    def ask(self, method, path, body):
        """(status, bytes)"""
        kind = "application/x-ndjson" if path.endswith("/_msearch") else "application/json"
        self.connection.request(method, path, body.encode() if body else None, {"Content-Type": kind} if body else {})
        reply = self.connection.getresponse()
        return reply.status, reply.read()

    def milliseconds(self, method, path, body):
        """How long the answer takes."""
        began = time.perf_counter()
        status, text = self.ask(method, path, body)
        took = (time.perf_counter() - began) * 1000
        if status != 200 or b'"error"' in text[:200]:
            raise RuntimeError(f"{path}: {status} {text[:300]!r}")
        return took

    def close(self):
        self.connection.close()


def call(url, method="GET", body=None, timeout=60, content_type="application/json"):
    """(status, bytes) of one request."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        path = parts.path + ("?" + parts.query if parts.query else "")
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        connection.request(method, path, body, {"Content-Type": content_type} if body is not None else {})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def get_json(url, method="GET", body=None, timeout=60):
    status, text = call(url, method, body, timeout)
    if status // 100 != 2:
        raise RuntimeError(f"{method} {url}: {status} {text[:300]!r}")
    return json.loads(text)


class Program:
    """One of our programs, started on a free port."""

    def __init__(self, env, name, settings=None, arguments=()):
        self.name = name
        self.folder = tempfile.mkdtemp(prefix=name + "-", dir=VAR)
        self.port_file = os.path.join(self.folder, "port")
        prefix = "READSIDE_" + name.upper().replace("-", "_")
        environment = {**os.environ, **env.servers, f"{prefix}_LISTEN": "127.0.0.1:0", f"{prefix}_PORT_FILE": self.port_file,
                       **(settings or {})}
        self.log = open(os.path.join(self.folder, "log"), "wb")
        self.begun = time.monotonic()
        self.process = subprocess.Popen([os.path.join(BUILD, "bin", name), *arguments], env=environment, cwd="/",
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            self.url = "http://127.0.0.1:" + until(self._port, 30, f"port of {name}", 0.005)
        except TimeoutError:
            self.kill()
            raise

    def _port(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}, see {self.log.name}")
        try:
            with open(self.port_file) as f:
                return f.read().strip()
        except FileNotFoundError:
            return None

    def wait_ready(self, seconds=60):
        def ready():
            try:
                return call(self.url + "/readyz", timeout=5)[0] == 200
            except OSError:
                return False
        until(ready, seconds, f"readiness of {self.name} (see {self.log.name})", 0.02)
        return self

    def metrics(self):
        """name{labels} -> value"""
        text = call(self.url + "/metrics", timeout=10)[1].decode()
        return {m[1]: float(m[2]) for m in re.finditer(r"^([^#\s]\S*(?:\{.*\})?) (\S+)$", text, re.M)}

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def thread_seconds(self):
        """CPU seconds by the name of the thread."""
        found = {}
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            folder = f"/proc/{self.process.pid}/task/{task}"
            with open(folder + "/comm") as name, open(folder + "/schedstat") as stat:
                name = name.read().strip()
                found[name] = found.get(name, 0.0) + int(stat.read().split()[0]) / 1e9
        return found

    def peak_mib(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmHWM:\s+(\d+)", f.read())[1]) / 1024

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
        self.log.close()


def cpu_seconds(group):
    """Of a process, or of all processes of its group, if it leads one."""
    spent = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(pid) == group or int(fields[2]) == group:
            spent += int(fields[11]) + int(fields[12])
    return spent / os.sysconf("SC_CLK_TCK")


class Environment:
    def __init__(self, args):
        self.args = args
        self.programs = []

    def __enter__(self):
        os.makedirs(VAR, exist_ok=True)
        self._build()
        try:
            self._stack("up", "--free-ports")
            text = self._stack("env", capture=True)
        except BaseException:
            self._stop_stack()
            raise
        self.servers = dict(m.groups() for m in re.finditer(r"^export (\w+)='(.*)'$", text, re.M))
        self.es = self.servers["READSIDE_ELASTICSEARCH_URL"]
        return self

    def __exit__(self, *_):
        for program in self.programs:
            program.stop()
        self._stop_stack()

    def _stop_stack(self):
        if not self.args.keep:
            self._stack("down")

    def _build(self):
        log = os.path.join(VAR, "build.log")
        with open(log, "wb") as f:
            for command in (["cmake", "-S", PROJECT, "--preset", "release"], ["cmake", "--build", BUILD]):
                if subprocess.run(command, cwd=PROJECT, stdout=f, stderr=f).returncode:
                    sys.exit(f"bench: the build failed, see {log}")

    def _stack(self, command, *options, capture=False):
        names = ["mongodb", "mysql", "elasticsearch"]
        process = subprocess.run([os.path.join(PROJECT, "deploy/stack"), command, "--var", VAR, *options, *names],
                                 stdout=subprocess.PIPE if capture else sys.stderr, text=True)
        if process.returncode:
            sys.exit(f"bench: deploy/stack {command} failed")
        return process.stdout

    def program(self, name, settings=None, arguments=()):
        program = Program(self, name, settings, arguments)
        self.programs.append(program)
        return program

    def projector(self, settings=None):
        return self.program("projector", {"READSIDE_PROJECTOR_MAPPING": mapping_file(self.args), **(settings or {})}, ["run"])

    def mongo(self):
        import pymongo
        return pymongo.MongoClient(self.servers["READSIDE_MONGO_URI"], w="majority")

    def load(self, write_api, products=None):
        """The catalogue in MongoDB and MySQL, through the write-api; once for a size and seed."""
        wanted = {"_id": "catalogue", "products": products or self.args.products, "seed": self.args.seed}
        client = self.mongo()
        if client.readside_bench.state.find_one({"_id": "catalogue"}) == wanted:
            return
        client.drop_database("readside")
        self.forget_projection()  # an index of the catalogue before this one would pass for one of this
        write_api.stop()
        write_api = self.program("write-api").wait_ready()
        say(f"loading {wanted['products']:,} products")
        command = [os.path.join(PROJECT, "deploy/load-catalogue"), "--url", write_api.url, "--products",
                   str(wanted["products"]), "--seed", str(wanted["seed"])]
        if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
            sys.exit("bench: loading the catalogue failed: " + shlex.join(command))
        client.readside_bench.state.replace_one({"_id": "catalogue"}, wanted, upsert=True)

    def forget_projection(self):
        """As if no projector had ever run: no indexes, no position, no queue."""
        for alias in ("products", "categories"):
            names = get_json(f"{self.es}/_cat/indices/{alias}*?format=json&h=index")
            for name in names:
                call(f"{self.es}/{name['index']}", "DELETE")
        database = self.mongo().readside
        for name in ("projector_state", "projector_jobs", "dead_letters"):
            database.drop_collection(name)

    def index(self, alias="products"):
        return next(iter(get_json(f"{self.es}/{alias}/_alias")))

    def load_and_project(self, seconds=3600):
        """The catalogue in the databases and in the index, and nothing at work on it."""
        self.load(self.program("write-api").wait_ready())
        if self.is_of_another_bench():
            self.forget_projection()
        projector = self.projector()
        say("projecting the catalogue")
        until(lambda: self.count() >= self.args.products, seconds, "end of the projection", 0.5)
        self.settle(projected=True)
        projector.stop()
        # what is measured is how an answer is made, and not how it is remembered
        get_json(f"{self.es}/products/_settings", "PUT", {"index.requests.cache.enable": False})

    def is_of_another_bench(self):
        """An index of other shards, or of another mapping."""
        status, text = call(f"{self.es}/products?filter_path=*.settings.index.number_of_shards,*.mappings.properties,*.mappings._meta.readside.projection")
        if status != 200:
            return False
        made = made_mapping(self.args)
        return next(iter(json.loads(text).values()), {}) != {
            "settings": {"index": {"number_of_shards": str(self.args.shards)}},
            "mappings": {"properties": as_told(made["mappings"]["properties"]), "_meta": {"readside": {"projection": made["projection"]}}}}

    def settle(self, projected=False):
        """Waits until nothing of what went before is still being merged: the last merges of 200,000 products take longer than they do.
        projected: everything is written, and a projector runs that will have it merged when it has noticed."""
        if projected:
            jobs = self.mongo().readside.projector_jobs
            until(lambda: not jobs.count_documents({"state": {"$in": ["running", "waiting"]}}), 60, "end of the jobs", 0.1)
        until(lambda: not get_json(f"{self.es}/_tasks?actions=*forcemerge*")["nodes"], 600, "end of the merge of what was filled", 0.2)
        call(f"{self.es}/_flush", "POST", timeout=120)
        path = f"{self.es}/_stats/merge?filter_path=_all.total.merges.current"
        until(lambda: get_json(path)["_all"]["total"]["merges"]["current"] == 0, 600, "end of the merges", 0.2)

    def count(self, index="products"):
        status, text = call(f"{self.es}/{index}/_count")
        return json.loads(text)["count"] if status == 200 else 0


def as_told(properties):
    """As Elasticsearch says it again: a field is copied to a list."""
    told = {}
    for name, field in properties.items():
        told[name] = dict(field)
        if "properties" in field:
            told[name]["properties"] = as_told(field["properties"])
        if isinstance(field.get("copy_to"), str):
            told[name]["copy_to"] = [field["copy_to"]]
    return told


def lean(properties):
    """The same fields, kept and not indexed."""
    for name, field in properties.items():
        if "properties" in field:
            properties[name] = {**field, "properties": lean(field["properties"])}
        elif field["type"] in ("keyword", "text"):
            properties[name] = {"type": "keyword", "index": False, "doc_values": False}
        else:
            field.pop("copy_to", None)
    return properties


def make_lean(made):
    """A mapping under which Elasticsearch keeps the same documents and does as little as it can: nothing is analysed, and next to
    nothing indexed. What is measured then is who writes and not who takes it."""
    made["settings"]["index"].pop("sort")
    made["settings"].pop("analysis")
    properties = made["mappings"]["properties"]
    for name in ("words", "values", "any"):
        del properties[name]
    made["mappings"]["properties"] = {**lean(properties), "id": {"type": "keyword"}}


def made_mapping(args):
    """What the projector makes its indexes by: its own mapping, or that with what the bench asks for."""
    with open(os.path.join(PROJECT, "mappings/products-v1.json"), encoding="utf-8") as f:
        made = json.load(f)
    made["settings"]["index"]["number_of_shards"] = args.shards
    if args.lean:
        make_lean(made)
    return made


def mapping_file(args):
    if not args.lean and args.shards == 1:
        return "auto"
    path = os.path.join(VAR, "mapping.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(made_mapping(args), f)
    return path


def ready(env, settings):
    query = env.program("query-api", settings).wait_ready()
    until(lambda: all(call(f"{query.url}/v1/categories/tree")[0] == 200 for _ in range(8)), 30, "categories on every loop")
    return query


def ask_each(url, requests):
    """Each request once, over one connection. What nginx says of its cache."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    said = set()
    for method, path, body in requests:
        connection.request(method, path, body.encode() if body else None, {"Content-Type": "application/json"} if body else {})
        reply = connection.getresponse()
        reply.read()
        if reply.status != 200:
            raise RuntimeError(f"{path}: {reply.status}")
        said.add(reply.headers.get("X-Cache"))
    connection.close()
    return said


def table(title, rows, header):
    widths = [max(len(str(r[i])) for r in [header, *rows]) for i in range(len(header))]
    print(f"\n{title}")
    for row in [header, *rows]:
        print("  " + "  ".join(str(v).ljust(w) if i == 0 else str(v).rjust(w) for i, (v, w) in enumerate(zip(row, widths))))
    print(flush=True)


def median(values):
    ordered = sorted(values)
    n = len(ordered)
    return ordered[n // 2] if n % 2 else (ordered[n // 2 - 1] + ordered[n // 2]) / 2


def percentile(values, p):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))]
