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

    up_options = ("--free-ports",)

    def __init__(self, *servers, **options):
        self.servers = servers
        self.folder = tempfile.mkdtemp(prefix="readside-servers-", dir="/tmp")
        os.chmod(self.folder, 0o755)  # as root the servers run as another user
        self.options = {"READSIDE_ES_HEAP": "512m", **options}
        try:
            self.run("up", *self.up_options, *servers)
            self.environment = self._addresses()
        except BaseException:
            self.remove()
            raise
        super().__init__({k: v for k, v in {**os.environ, **self.environment}.items() if v is not None})

    def run(self, command, *arguments):
        done = subprocess.run([DEPLOY_STACK, command, "--var", self.folder, *arguments], capture_output=True, text=True,
                              env={**os.environ, **self.options}, timeout=280, check=False)
        assert done.returncode == 0, f"deploy/stack {command} {arguments}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def _addresses(self):
        wanted = {"mongodb": "READSIDE_MONGO_URI", "mysql": "READSIDE_MYSQL_PORT", "elasticsearch": "READSIDE_ELASTICSEARCH_URL"}
        every = self._shown(*self.servers)
        return {wanted[s]: every[wanted[s]] for s in self.servers}

    def _shown(self, *servers):
        """The environment of a shell after deploy/stack env."""
        shown = subprocess.run(["bash", "-c", f"{self.run('env', *servers)}\nenv -0"], capture_output=True, check=True).stdout.decode()
        return dict(line.split("=", 1) for line in shown.split("\0") if "=" in line)

    def stop(self, server):
        self.run("down", server)

    def start(self, server):
        self.run("up", "--free-ports", server)  # on the ports that it had

    def restart(self, server):
        self.stop(server)
        self.start(server)

    def signal(self, server, number):
        """To the server's own process, such as SIGKILL or SIGSTOP."""
        with open(os.path.join(self.folder, "servers", server, "pid"), encoding="ascii") as f:
            os.kill(int(f.read().split()[0]), number)

    def close(self):
        super().close()
        self.remove()

    def remove(self):
        try:
            self.run("reset")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


class SecureStack(OwnStack):
    """Servers that want TLS and passwords. READSIDE_SECURE_VAR names the folder of one that is up already and stays."""

    up_options = ("--secure", "--free-ports")

    def __init__(self, *servers, **options):
        self.kept = os.environ.get("READSIDE_SECURE_VAR")
        super().__init__(*servers, **options)

    def run(self, command, *arguments):
        if self.kept:
            self.folder = self.kept
            arguments = [a for a in arguments if a not in self.up_options]
        return super().run(command, *arguments)

    def _addresses(self):
        shown = self._shown(*self.servers)
        mine = {name: value for name, value in shown.items() if name.startswith("READSIDE_") and value != os.environ.get(name)}
        return {**mine, **{name: None for name in os.environ if name.startswith("READSIDE_") and name not in shown}}

    def file(self, name):
        """Path of one of the stack's certificates, keys and passwords."""
        return os.path.join(self.folder, "servers", "secure", name)

    def remove(self):
        if not self.kept:
            super().remove()
