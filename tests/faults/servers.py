"""The servers of a run: a stack of its own, whose processes may be killed and stopped, and a disk that may be filled."""
import ctypes
import os
import shlex
import signal
import subprocess

from harness.wait import eventually

PROJECT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
NAMES = ("mongodb", "mysql", "elasticsearch")
ALL_NAMES = (*NAMES, "kafka")
SETTINGS = {"READSIDE_ES_HEAP": "512m", "READSIDE_MONGODB_OPLOG_MB": "64", "READSIDE_MONGODB_SYNC_SECONDS": "2", "READSIDE_MONGODB_CACHE_GB": "0.3",
            "READSIDE_KAFKA_HEAP": "256m", "READSIDE_STOP_SECONDS": "20", "READSIDE_START_SECONDS": "600"}
DISK_MIB = 512
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def process_state(pid):
    """R, S, T… of /proc/PID/stat; None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rsplit(") ", 1)[1][0]
    except OSError:
        return None


class Servers:
    def __init__(self, var, log, names=NAMES):
        self.var, self.log, self.names = var, log, names
        self.children = set()
        self.disk = None
        self.closing = False

    # ---- deploy/stack ----------------------------------------------------------------------------------------

    def _stack(self, *arguments, deadline=700, check=True):
        """A session of its own: Ctrl-C at a terminal is for the run, which then ends what it started."""
        environment = {**os.environ, **SETTINGS}
        command = [os.path.join(PROJECT, "deploy", "stack"), *arguments, "--var", self.var]
        child = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.children.add(child)
        try:
            output = child.communicate(timeout=deadline)[0]
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait(60)
            self.children.discard(child)
        if check and child.returncode != 0:
            raise RuntimeError(f"{shlex.join(command)} ended with {child.returncode}:\n{output[-3000:]}")
        return output

    def up(self):
        self.down()
        self._stack("reset", *ALL_NAMES)
        self._stack("up", "--free-ports", NAMES[0])  # makes the folders, perhaps elsewhere: where the servers' user reaches them
        self.mount_disk()
        self._stack("up", "--free-ports", *self.names)

    def start(self, name):
        if not self.closing:
            self._stack("up", name)

    def environment(self):
        """READSIDE_* of the servers, also of those that are not up."""
        made = {}
        for line in self._stack("env").splitlines():
            if line.startswith("export "):
                key, _, value = line[len("export "):].partition("=")
                made[key] = shlex.split(value)[0] if value else ""
        return made

    def down(self):
        """Everything, whatever state it is in."""
        self.closing = True
        for child in list(self.children):
            child.terminate()
        for child in list(self.children):
            try:
                child.wait(40)
            except subprocess.TimeoutExpired:
                child.kill()
        for name in ALL_NAMES:
            self.signal(name, signal.SIGCONT)
        self._stack("down", *ALL_NAMES, check=False)
        self.unmount_disk()
        self.closing = False

    # ---- processes -------------------------------------------------------------------------------------------

    def folder(self, name):
        return os.path.join(os.path.realpath(os.path.join(self.var, "servers")), name)

    def pids(self, name):
        """Every process of the server: those of its session. Empty if it is not running."""
        try:
            with open(os.path.join(self.folder(name), "pid"), encoding="ascii") as f:
                pid, start, session, boot = f.read().split()
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
                if f.read().strip() != boot:
                    return []
        except (OSError, ValueError):
            return []
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as f:
                        fields = f.read().rsplit(") ", 1)[1].split()
                except OSError:
                    continue
                if fields[3] == session and fields[0] not in "ZX":
                    found.append((int(entry), fields[19]))
        # A session id is the pid of its first process: the same number much later is another session.
        return [p for p, _ in found] if any(p == int(pid) and s == start for p, s in found) else []

    def signal(self, name, number):
        for pid in self.pids(name):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass  # gone already

    def kill(self, name):
        pids = self.pids(name)
        if not pids:
            raise AssertionError(f"{name} was not running, so it could not be killed")
        self.signal(name, signal.SIGKILL)
        eventually(lambda: all(process_state(p) in (None, "Z", "X") for p in pids), 20, f"{name} is gone")
        return pids

    # ---- a disk that can be full -----------------------------------------------------------------------------

    @property
    def disk_path(self):
        return os.path.join(self.folder("elasticsearch"), "data")

    def mount_disk(self):
        """A small tmpfs as Elasticsearch's data folder, if this user may mount one."""
        if os.geteuid() != 0:
            self.log("no full disk: only root may mount the small tmpfs for it")
            return
        os.makedirs(self.disk_path, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "readside-faults", self.disk_path],
                              capture_output=True, text=True, check=False)
        if done.returncode == 0:
            self.disk = self.disk_path
        else:
            self.log(f"no full disk: {done.stderr.strip()}")

    def unmount_disk(self):
        while os.path.ismount(self.disk_path):
            done = subprocess.run(["umount", self.disk_path], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"umount {self.disk_path}: {done.stderr.strip()}")
        self.disk = None
