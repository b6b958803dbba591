"""Servers of a test's own, for what must not be done to the ones that all tests share: kill, restart, configure."""
import os
import shutil
import subprocess
import tempfile

from .stack import Stack

DEPLOY_STACK = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "..", "deploy", "stack")


class OwnStack(Stack):
    """The named servers are its own (deploy/stack on free ports); the others are the shared ones.

    environment: what the clients of these servers need, to be given to programs too. `options` are those of
    deploy/stack, such as READSIDE_MONGODB_OPLOG_MB."""

    def __init__(self, *servers, **options):
        self.servers = servers
        self.folder = tempfile.mkdtemp(prefix="readside-servers-", dir="/tmp")
        os.chmod(self.folder, 0o755)  # as root the servers run as another user
        self.options = {"READSIDE_ES_HEAP": "512m", **options}
        try:
            self.run("up", "--free-ports", *servers)
            self.environment = self._addresses()
        except BaseException:
            self.remove()
            raise
        super().__init__({**os.environ, **self.environment})

    def run(self, command, *arguments):
        done = subprocess.run([DEPLOY_STACK, command, "--var", self.folder, *arguments], capture_output=True, text=True,
                              env={**os.environ, **self.options}, timeout=280, check=False)
        assert done.returncode == 0, f"deploy/stack {command} {arguments}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def _addresses(self):
        wanted = {"mongodb": "READSIDE_MONGO_URI", "mysql": "READSIDE_MYSQL_PORT", "elasticsearch": "READSIDE_ELASTICSEARCH_URL"}
        quoted = self.run("env", *self.servers)
        shown = subprocess.run(["bash", "-c", f"{quoted}\nenv -0"], capture_output=True, check=True).stdout.decode()
        every = dict(line.split("=", 1) for line in shown.split("\0") if "=" in line)
        return {wanted[s]: every[wanted[s]] for s in self.servers}

    def restart(self, server):
        self.run("down", server)
        self.run("up", server)

    def close(self):
        super().close()
        self.remove()

    def remove(self):
        try:
            self.run("reset")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
