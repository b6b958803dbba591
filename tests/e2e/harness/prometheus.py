"""A Prometheus of one test: the configuration of deploy/prometheus, scraping the test's programs every second."""
import json
import math
import os
import re
import shutil
import subprocess
import time

import requests

from .process import _die_with_parent, end_process
from .wait import eventually

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
DEPLOY = os.path.join(PROJECT, "deploy")


def programs():
    """The folder of prometheus and promtool; fetched if they are not there."""
    done = subprocess.run([os.path.join(DEPLOY, "prometheus", "programs")], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


class Prometheus:
    def __init__(self, folder, targets):
        """targets: {job: [address]}"""
        self.folder, self.binaries, self.port, self.process = str(folder), programs(), None, None
        self.started = None
        shutil.copytree(os.path.join(DEPLOY, "prometheus"), self.folder, dirs_exist_ok=True)
        self._edit("prometheus.yml", {r"_interval: \d+s": "_interval: 1s"})
        for job, addresses in targets.items():
            with open(os.path.join(self.folder, "targets", job + ".json"), "w", encoding="ascii") as f:
                json.dump([{"targets": addresses}], f)

    def _edit(self, name, replacements):
        path = os.path.join(self.folder, name)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for pattern, replacement in replacements.items():
            text, count = re.subn(pattern, replacement, text)
            assert count, f"{name} has no {pattern}"
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def start(self):
        with open(os.path.join(self.folder, "log"), "wb") as log:
            self.process = subprocess.Popen(
                [os.path.join(self.binaries, "prometheus"), f"--config.file={self.folder}/prometheus.yml",
                 f"--storage.tsdb.path={self.folder}/data", "--web.listen-address=127.0.0.1:0"],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent)
        self.started = time.time()
        eventually(self._ready, 30, "Prometheus is ready")
        return self

    def _ready(self):
        ended = self.process.poll() is not None
        with open(os.path.join(self.folder, "log"), encoding="utf-8") as f:
            log = f.read()
        if ended:
            raise RuntimeError(f"Prometheus ended: {log[-2000:]}")
        listens = re.search(r'msg="Listening on".* address=127\.0\.0\.1:(\d+)', log)
        if not listens:
            return False
        self.port = int(listens[1])
        return requests.get(self.url + "/-/ready", timeout=5).status_code == 200

    def stop(self):
        if self.process is not None:
            end_process(self.process)
            self.process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path, **parameters):
        """The data of an answer; an invalid query is an AssertionError with Prometheus's words."""
        reply = requests.get(self.url + path, params=parameters, timeout=30).json()
        assert reply["status"] == "success", f"{parameters}: {reply.get('error')}"
        return reply["data"]

    def series(self, query, start=None):
        """[(labels, [finite values])] from the start until now, a point a second; series without one are left out."""
        found = self.ask("/api/v1/query_range", query=query, start=start or self.started, end=time.time(), step=1)["result"]
        made = [(one["metric"], [v for _, text in one["values"] if math.isfinite(v := float(text))]) for one in found]
        return [(labels, values) for labels, values in made if values]

    def rules(self):
        """Every rule as /api/v1/rules has it."""
        return [rule for group in self.ask("/api/v1/rules")["groups"] for rule in group["rules"]]
