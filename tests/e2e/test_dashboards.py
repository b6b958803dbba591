"""Every panel, recording rule and alert shows something: a real Prometheus scrapes the real programs under real traffic
and evaluates all of them. Alerts are held to the minute in tests/prometheus."""
import glob
import importlib.machinery
import importlib.util
import itertools
import json
import os
import random
import re
import subprocess
import threading

import pytest
import requests
from bson import Int64
from harness.kafka_topic import Topic
from harness.prometheus import DEPLOY, PROJECT, Prometheus, programs
from harness.promql import measured_sides
from harness.wait import eventually

VARIABLES = {"$instance": ".*", "$__rate_interval": "30s"}
KAFKA = re.compile(r"(?<!unless on \(instance\) )readside_projector_(kafka|relay|commit_to_topic)_")
DASHBOARDS = sorted(glob.glob(os.path.join(DEPLOY, "grafana", "dashboards", "*.json")))


class Traffic(threading.Thread):
    """Writes, reads, searches, mistakes, imports, fan-outs and a product that cannot be indexed, round and round."""

    def __init__(self, corner, write_api, query_api, seed):
        super().__init__(name="traffic", daemon=True)
        self.corner, self.write, self.query = corner, write_api.url, query_api.url
        self.rng, self.done, self.rounds, self.error = random.Random(seed), threading.Event(), 0, None

    def call(self, method, url, expect, **how):
        reply = requests.request(method, url, timeout=60, **how)
        assert reply.status_code in expect, f"{method} {url}: {reply.status_code} {reply.text[:300]}"
        return reply

    def prepare(self):
        made = self.call("POST", self.write + "/v1/categories", (201,), json={"name": {"ko": "노트북", "en": "Laptops"}})
        self.category = made.json()["id"]
        lines = [{"id": f"p{n}", "name": f"Laptop {n}", "brand": "Acme", "price": 1000 + n, "categories": [self.category]} for n in range(400)]
        self.import_lines("products", lines)
        self.corner.products.insert_one({"_id": "bad", "name": 17, "price": Int64(1)})

    def import_lines(self, what, lines):
        self.call("POST", f"{self.write}/v1/{what}:import", (200,), data="".join(json.dumps(line) + "\n" for line in lines),
                  headers={"Content-Type": "application/x-ndjson"})

    def one_round(self, number):
        one = f"p{self.rng.randrange(400)}"
        self.call("PATCH", f"{self.write}/v1/products/{one}", (200,), json={"price": self.rng.randrange(10**6)},
                  headers={"Content-Type": "application/merge-patch+json"})
        self.call("GET", f"{self.write}/v1/products/{one}", (200,))
        self.call("PUT", f"{self.write}/v1/stock/{one}", (200, 201), json={"available": self.rng.choice([0, 3, 90])})
        self.import_lines("stock", [{"sku": f"p{n}", "available": number % 2 * 50} for n in range(5)] + [{"sku": "", "available": -1}])
        self.call("GET", f"{self.query}/v1/search", (200, 503), params={"q": "laptop", "facets": "brand"})  # 503: late, on a busy machine
        self.call("GET", f"{self.query}/v1/products/{one}", (200, 404, 503))
        self.call("GET", f"{self.query}/v1/categories/tree", (200,))
        self.call("GET", f"{self.query}/v1/search", (400,), params={"size": "much"})
        self.call("GET", f"{self.write}/v1/products/nobody", (404,))
        if number % 4 == 0:
            self.call("PATCH", f"{self.write}/v1/categories/{self.category}", (200,), json={"name": {"ko": "노트북", "en": f"Laptops {number}"}},
                      headers={"Content-Type": "application/merge-patch+json"})

    def run(self):
        try:
            self.prepare()
            for number in itertools.count():
                self.one_round(number)
                self.rounds = number + 1
                if self.done.wait(0.1):
                    return
        except Exception as e:  # shown by check()
            self.error = e

    def check(self):
        if self.error:
            raise RuntimeError(f"the traffic ended: {self.error}") from self.error
        return self


@pytest.fixture
def scene(corner, program, tmp_path, rng):
    """(Prometheus, traffic, programs) after all that the panels show has happened."""
    write = program("write-api").start()
    projector = program("projector", {"projector.searchable_sample": "200ms"}).start()
    query = program("query-api").start()
    everyone = {"write-api": write, "projector": projector, "query-api": query}
    prometheus = Prometheus(tmp_path / "prometheus", {name: [f"127.0.0.1:{p.port}"] for name, p in everyone.items()})
    traffic = Traffic(corner, write, query, rng.random())
    try:
        prometheus.start()
        traffic.start()
        wait_for_scene(prometheus, traffic)
        yield prometheus, traffic, everyone
    finally:
        traffic.done.set()
        if traffic.ident:
            traffic.join(60)
        prometheus.stop()
    traffic.check()


def wait_for_scene(prometheus, traffic):
    """What takes its time: samples of both sources, a fan-out seen while it ran, the dead letter counted, rules evaluated twice."""
    def seen(query):
        return traffic.check() and prometheus.series(query)

    for query in ('min(rate(readside_projector_commit_to_searchable_seconds_count{source="stream"}[30s])) > 0',
                  'min(rate(readside_projector_commit_to_searchable_seconds_count{source="queue"}[30s])) > 0',
                  'readside_projector_job_documents{type="fanout", progress="expected"} > 0',
                  "readside_projector_dead_letters > 0",
                  "type:readside_job_seconds_left",
                  'job:readside_import_failed:ratio_rate5m > 0',
                  'job:readside_http_request_duration_seconds:p99_rate5m{job="query-api"} > 0'):
        eventually(lambda query=query: seen(query), 120, query, pause=0.5)


def substituted(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, f"an unknown variable in {expression}"
    return expression


def panel_queries():
    for path in DASHBOARDS:
        with open(path, encoding="utf-8") as f:
            board = json.load(f)
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield f"{board['title']} / {panel['title']} / {target['legendFormat']}", target


def missing_labels(legend, found):
    """Labels that a legend names and no series has."""
    return [name for name in re.findall(r"\{\{(\w+)\}\}", legend) if not any(name in labels for labels, _ in found)]


def problems_of(prometheus, where, expression, legend=""):
    """[] if the expression is valid and shows something since the traffic began."""
    try:
        found = prometheus.series(substituted(expression))
    except AssertionError as e:
        return [f"{where}: invalid: {e}"]
    if not found:
        return [f"{where}: nothing: {expression}"]
    return [f"{where}: the legend names {name}, which no series has" for name in missing_labels(legend, found)]


def everything_shows(prometheus, panels, kafka):
    """The panels' queries and the rules, each held to show something; many of them need two scrapes, or more."""
    rules = [r for r in prometheus.rules() if bool(KAFKA.search(r["query"])) == kafka]
    problems = []
    for where, target in panels:
        problems += problems_of(prometheus, where, target["expr"], target["legendFormat"] if target.get("format") != "heatmap" else "")
    for rule in rules:
        where = f"rule {rule['name']}"
        if rule["health"] != "ok":
            problems.append(f"{where}: {rule['health']}: {rule.get('lastError')}")
        if rule["type"] == "recording":
            problems += problems_of(prometheus, where, rule["query"]) + problems_of(prometheus, where + ", recorded", rule["name"])
        else:
            for side in measured_sides(rule["query"]):
                problems += problems_of(prometheus, where, side)
    assert not problems, f"{len(problems)} in {len(panels)} queries and {len(rules)} rules:\n" + "\n".join(problems)
    return rules


def test_every_panel_rule_and_alert_shows_something(scene):
    prometheus, _, everyone = scene
    panels = [p for p in panel_queries() if not KAFKA.search(p[1]["expr"])]
    rules = eventually(lambda: everything_shows(prometheus, panels, kafka=False), 60, "all of them", pause=1)
    assert len(panels) > 80 and len(rules) > 40, "are these all?"
    for wrong, legend in (("readside_projector_of_nobody_total", ""), ("rate(up", ""), ("up", "{{unheard_of}}")):
        assert problems_of(prometheus, "a panel", wrong, legend), wrong

    def all_are_up():  # whoever does not answer within a second is down for that one
        targets = prometheus.ask("/api/v1/targets")["activeTargets"]
        health = {t["labels"]["job"]: t["health"] for t in targets}
        assert health == dict.fromkeys(everyone, "up"), health
        return True

    eventually(all_are_up, 60, "the targets")

    def recorded_sources():
        return {labels["source"] for labels, _ in prometheus.series("source:readside_commit_to_searchable_seconds:p99_rate5m")}

    eventually(lambda: recorded_sources() >= {"stream", "queue"}, 60, "both sources, by the next evaluation of the rules", pause=1)


def test_what_is_about_kafka_shows_something(corner, program, tmp_path):
    """Relay and consumer instead of one projector; only what has no series without them."""
    topic, prometheus, made = Topic(corner), None, []
    try:
        program("write-api").start()
        relay = program("projector", topic.settings, arguments=["relay"]).start()
        consumer = program("projector", topic.settings, arguments=["run", "--from", "kafka"]).start()
        made += [consumer, relay]
        prometheus = Prometheus(tmp_path / "prometheus", {"projector": [f"127.0.0.1:{p.port}" for p in (relay, consumer)]}).start()
        corner.products.insert_many([{"_id": f"p{n}", "name": "x", "price": Int64(n), "currency": "KRW", "version": Int64(1)} for n in range(50)])

        def written():
            corner.products.update_one({"_id": "p1"}, {"$inc": {"price": 1, "version": 1}})
            return prometheus.series('rate(readside_projector_commit_to_topic_seconds_count{source="stream"}[30s]) > 0') and \
                prometheus.series("sum(readside_projector_kafka_partitions) > 0") and prometheus.series("readside_projector_kafka_lag_messages")

        eventually(written, 120, "marks go through the topic", pause=0.5)
        panels = [p for p in panel_queries() if KAFKA.search(p[1]["expr"])]
        rules = eventually(lambda: everything_shows(prometheus, panels, kafka=True), 60, "all of them", pause=1)
        assert len(panels) >= 9 and len(rules) == 3, "are these all?"
        eventually(lambda: prometheus.series("sum(instance:readside_source_owner)")[0][1][-1] == 1, 60,
                   "the relay owns the sources, and the consumer does not")
    finally:
        if prometheus:
            prometheus.stop()
        for one in made:
            one.stop()
        topic.close()


def test_the_table_of_metrics_is_true(scene):
    """deploy/prometheus/README.md lists what /metrics says, in the same words."""
    _, _, everyone = scene
    path = os.path.join(DEPLOY, "prometheus", "metrics-table")
    loader = importlib.machinery.SourceFileLoader("metrics_table", path)
    tool = importlib.util.module_from_spec(importlib.util.spec_from_loader("metrics_table", loader))
    loader.exec_module(tool)
    wanted = tool.table(tool.merge(tool.read(everyone[name].url) for name in ("write-api", "projector", "query-api")))
    readme = os.path.join(DEPLOY, "prometheus", "README.md")
    if os.environ.get("READSIDE_WRITE_METRICS_TABLE"):
        tool.write(readme, wanted)
    with open(readme, encoding="utf-8") as f:
        written = f.read().partition(tool.BEGIN)[2].partition(tool.END)[0]
    differences = sorted(set(wanted.splitlines()) ^ set(written.splitlines()))
    assert wanted == written, "the table is old; READSIDE_WRITE_METRICS_TABLE=1 makes this test write it:\n" + "\n".join(differences)


def test_the_dashboards_are_what_build_makes():
    done = subprocess.run([os.path.join(DEPLOY, "grafana", "build"), "--check"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_every_panel_has_a_unit_and_says_what_it_is():
    for path in DASHBOARDS:
        with open(path, encoding="utf-8") as f:
            board = json.load(f)
        assert board["uid"] == os.path.basename(path)[:-len(".json")] and board["description"]
        panels = [p for p in board["panels"] if p["type"] != "row"]
        assert len({p["id"] for p in board["panels"]}) == len(board["panels"])
        for panel in panels:
            assert panel["description"].endswith("."), f"{board['title']} / {panel['title']}: no description"
            assert panel["fieldConfig"]["defaults"]["unit"], f"{board['title']} / {panel['title']}: no unit"
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24, f"{board['title']} / {panel['title']}: beyond the edge"


def test_alerts_fire_when_they_should():
    """promtool's own tests, and that no alert is without one."""
    promtool = os.path.join(programs(), "promtool")
    path = os.path.join(PROJECT, "tests", "prometheus", "alerts.test.yml")
    for arguments in (["check", "config", os.path.join(DEPLOY, "prometheus", "prometheus.yml")], ["test", "rules", path]):
        done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False, timeout=250)
        assert done.returncode == 0, done.stdout + done.stderr
    with open(path, encoding="utf-8") as f:
        tested = set(re.findall(r'alertname="(\w+)"', f.read()))
    with open(os.path.join(DEPLOY, "prometheus", "rules", "alerts.yml"), encoding="utf-8") as f:
        text = f.read()
    names = set(re.findall(r"- alert: (\w+)", text))
    assert names and names == tested
    for words in ("summary", "description", "action"):
        assert len(re.findall(rf"^ +{words}: ", text, re.M)) == len(names), f"an alert has no {words}"
