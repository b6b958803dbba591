"""Commands of the projector, run beside the programs of a test."""
import json
import os
import signal
import subprocess

from .process import REPORT, _die_with_parent


class Commands:
    """commands("jobs", "list") -> a finished process with .code, .out, .err and .events (of --json)."""

    def __init__(self, corner, settings=None):
        self.environment = {**os.environ, **corner.environment}
        for key, value in (settings or {}).items():
            self.environment["READSIDE_" + key.replace(".", "_").replace("-", "_").upper()] = str(value)
        self.binary = os.path.join(os.environ["READSIDE_BIN_DIR"], "projector")

    def start(self, *arguments):
        return Running(subprocess.Popen([self.binary, *arguments], env=self.environment, stdin=subprocess.DEVNULL, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_die_with_parent))

    def __call__(self, *arguments, expect=0, deadline=120):
        return self.start(*arguments).finish(expect, deadline)


class Running:
    def __init__(self, process):
        self.process = process
        self.code, self.out, self.err = None, "", ""

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def kill(self):
        self.process.kill()
        self.out, self.err = self.process.communicate()

    def finish(self, expect=0, deadline=120):
        try:
            self.out, self.err = self.process.communicate(timeout=deadline)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.process.args} took over {deadline} s:\n{self.out}\n{self.err}") from None
        self.code = self.process.returncode
        assert not REPORT.search(self.err), self.err[-6000:]
        assert expect is None or self.code == expect, \
            f"{' '.join(self.process.args)} ended with {self.code}, not {expect}:\n{self.out}\n{self.err}"
        return self

    @property
    def events(self):
        return [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]

    @property
    def result(self):
        return next(e for e in reversed(self.events) if e["event"] == "result")
