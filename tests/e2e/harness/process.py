"""One of the three programs as a process of a test."""
import ctypes
import glob
import os
import re
import shutil
import signal
import subprocess
import time

import requests

from .wait import eventually

REPORT = re.compile(r"ERROR: (Address|Leak|Thread|Memory)Sanitizer|WARNING: ThreadSanitizer|runtime error: |definitely lost: [1-9]")
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _die_with_parent():
    """Nothing that a test starts outlives pytest, even if that is killed."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end_process(process):
    """Of a server from elsewhere: asked to end, and killed if it does not."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Program:
    """Starts NAME from READSIDE_BIN_DIR with a free port, keeps its log, and on stop() expects a clean end.

    environment: besides that of the tests; None takes a variable away.
    settings: {"section.key": value}, given as READSIDE_<SECTION>_<KEY>, so that they win over the stack's.
    """

    def __init__(self, name, folder, environment, settings=None, bin_dir=None, wrapper=(), arguments=None):
        self.name, self.folder = name, folder
        self.binary = os.path.join(bin_dir or os.environ["READSIDE_BIN_DIR"], name)
        self.environment, self.settings = environment, dict(settings or {})
        self.wrapper, self.arguments = list(wrapper), arguments
        self.log_path = os.path.join(folder, f"{name}.log")
        self.port_path = os.path.join(folder, f"{name}.port")
        self.process, self.port, self.starts, self.stopping = None, None, 0, False

    def __repr__(self):
        return f"<{self.name} pid {self.process.pid if self.process else None} port {self.port}>"

    # ---- life ------------------------------------------------------------------------------------------------

    def _environment(self):
        made = dict(os.environ)
        made.update(self.environment)
        settings = {f"{self.name}.listen": "127.0.0.1:0", f"{self.name}.port_file": self.port_path, **self.settings}
        for key, value in settings.items():
            made["READSIDE_" + re.sub(r"[.-]", "_", key).upper()] = None if value is None else str(value)
        return {name: value for name, value in made.items() if value is not None}

    def start(self, wait="ready", deadline=90.0):
        """wait: "ready" (/readyz), "alive" (/healthz), "port" (it listens) or None."""
        assert self.process is None, f"{self.name} runs already"
        if os.path.exists(self.port_path):
            os.unlink(self.port_path)
        arguments = self.arguments if self.arguments is not None else (["run"] if self.name == "projector" else [])
        self.starts += 1
        with open(self.log_path, "ab") as log:
            log.write(f"--- start {self.starts}\n".encode())
            log.flush()
            self.process = subprocess.Popen([*self.wrapper, self.binary, *arguments], env=self._environment(), cwd=self.folder,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent)
        if wait:
            self.port = eventually(self._read_port, deadline, f"{self.name} listens")
        if wait in ("ready", "alive"):
            self.wait_for("/readyz" if wait == "ready" else "/healthz", deadline)
        return self

    def _read_port(self):
        self.assert_runs()
        try:
            with open(self.port_path, encoding="ascii") as f:
                return int(f.read().strip() or 0)
        except FileNotFoundError:
            return 0

    def wait_for(self, path, deadline=60.0):
        def answers():
            self.assert_runs()
            reply = requests.get(self.url + path, timeout=5)
            assert reply.status_code == 200, f"{path} says {reply.status_code}: {reply.text[:300]}"
            return True

        eventually(answers, deadline, f"{self.name}{path}")

    def assert_runs(self):
        if self.process is None or self.process.poll() is None:
            return
        code = self.process.returncode
        raise ProgramEnded(f"{self.name} ended with {code}; the end of its log:\n{self.log_tail()}")

    def terminate(self):
        """SIGTERM if it runs; stop() then waits for its end."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.stopping = True

    def stop(self, deadline=60.0, expect=0):
        """SIGTERM; expects this exit code and no word of a sanitizer."""
        if self.process is None:
            return
        if not self.stopping:
            self.assert_runs()
            self.process.send_signal(signal.SIGTERM)
        self.stopping = False
        try:
            code = self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            stacks = self.stacks()
            self.kill()
            raise AssertionError(f"{self.name} did not stop within {deadline} s of SIGTERM:\n{stacks}\n{self.log_tail()}") from None
        self.process = None
        assert code == expect, f"{self.name} stopped with {code}, not {expect}:\n{self.log_tail()}"
        self.assert_no_report()

    def stacks(self):
        """Where each thread is, written to the log too; empty without gdb."""
        if not shutil.which("gdb"):
            return ""
        command = ["gdb", "-p", str(self.process.pid), "-batch", "-ex", "set pagination off", "-ex", "thread apply all bt 12"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
        with open(self.log_path, "a", encoding="utf-8") as f:
            f.write(said)
        return said

    def kill(self):
        """SIGKILL, and gone when this returns."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def put_to_sleep(self):
        """SIGSTOP, and every thread stands still when this returns: what runs on a processor does so a moment longer."""
        self.process.send_signal(signal.SIGSTOP)
        eventually(self._stands_still, 30, f"{self.name} stands still", pause=0.001)

    def wake(self):
        self.process.send_signal(signal.SIGCONT)

    def _stands_still(self):
        self.assert_runs()
        states = []
        for stat in glob.glob(f"/proc/{self.process.pid}/task/*/stat"):
            with open(stat, encoding="ascii", errors="replace") as f:
                states.append(f.read().rpartition(")")[2].split()[0])
        return states and set(states) <= {"T", "t"}

    def restart(self, **how):
        self.stop()
        return self.start(**how)

    # ---- looking ---------------------------------------------------------------------------------------------

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def log_tail(self, lines=40):
        return "\n".join(self.log().splitlines()[-lines:])

    def assert_no_report(self):
        found = REPORT.search(self.log())
        assert not found, f"{self.name}:\n{self.log()[found.start():][:6000]}"

    def metric(self, name, labels=""):
        """The value of a metric, or None."""
        text = requests.get(self.url + "/metrics", timeout=60).text
        wanted = name + (f"{{{labels}}}" if labels else "")
        for line in text.splitlines():
            if line.startswith(wanted + " "):
                return float(line.rsplit(" ", 1)[1])
        return None

    def metrics(self, name):
        """The values of a metric under all its labels."""
        text = requests.get(self.url + "/metrics", timeout=60).text
        return [float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith((name + " ", name + "{"))]

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))

    def assert_memory_settles(self, storm, tries=4):
        """One of the later storms needs no more than the one before it: what is lost is lost every time, while how much is held at
        once depends on how threads take turns."""
        storm()
        sizes = [self.rss_kib()]
        for _ in range(tries):
            storm()
            sizes.append(self.rss_kib())
            if sizes[-1] < sizes[-2] + 3000:
                return
        raise AssertionError(f"memory in KiB after each: {sizes}")

    def uptime(self):
        return time.time() - os.stat(f"/proc/{self.process.pid}").st_ctime


class ProgramEnded(Exception):
    """Not an AssertionError: waiting on does not help."""
