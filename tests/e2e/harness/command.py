"""Commands of the projector, run beside the programs of a test."""
import fcntl
import json
import os
import signal
import subprocess
import termios
import threading

from .process import REPORT, _die_with_parent
from .wait import patience


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

    def at_terminal(self, *arguments, columns=120):
        return AtTerminal([self.binary, *arguments], self.environment, columns)


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
            self.out, self.err = self.process.communicate(timeout=patience(deadline))
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


class AtTerminal:
    """A command whose input and output are a terminal: `shown` grows, press() types."""

    def __init__(self, words, environment, columns):
        self.keyboard, screen = os.openpty()
        termios.tcsetwinsize(screen, (40, columns))

        def own_terminal():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            _die_with_parent()

        self.process = subprocess.Popen(words, env=environment, stdin=screen, stdout=screen, stderr=screen, start_new_session=True,
                                        preexec_fn=own_terminal)
        os.close(screen)
        self.shown = ""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            try:
                self.shown += os.read(self.keyboard, 65536).decode()
            except OSError:  # the other end is closed
                return

    def press(self, keys):
        os.write(self.keyboard, keys.encode())

    def finish(self, expect=0, deadline=120):
        try:
            self.process.wait(patience(deadline))
        finally:
            self.process.kill()
            self.reader.join(10)
            os.close(self.keyboard)
        assert not REPORT.search(self.shown), self.shown[-6000:]
        assert self.process.returncode == expect, f"{self.process.args} ended with {self.process.returncode}, not {expect}:\n{self.shown}"
