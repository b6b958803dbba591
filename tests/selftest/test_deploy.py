"""The scripts of deploy/ as far as they need no servers: what they refuse and how, and that nothing outlives an interrupt."""
import fcntl
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEPLOY = os.path.join(PROJECT, "deploy")


def call(script, *arguments, folder=DEPLOY, **environment):
    made = {k: v for k, v in os.environ.items() if not k.startswith("READSIDE_")}
    done = subprocess.run([os.path.join(folder, script), *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                          env={**made, **environment})
    return done.returncode, done.stdout, done.stderr


def write_script(path, text):
    path.write_text("#!/bin/bash\n" + text, "utf-8")
    path.chmod(0o755)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


# ---- stack ---------------------------------------------------------------------------------------------------------

@pytest.fixture
def var():
    """Where also the servers' user can look."""
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def own_cache(var):
    return {"READSIDE_CACHE": os.path.join(var, "cache")}


def test_a_port_that_is_taken(var, own_cache):
    with socket.create_server(("127.0.0.1", 0)) as mine:
        port = str(mine.getsockname()[1])
        code, out, err = call("stack", "up", "--var", var, "mongodb", "mysql", READSIDE_MONGODB_PORT=port, READSIDE_MYSQL_PORT="80", **own_cache)
    assert code == 1 and out == ""
    assert re.search(rf"port {port} for mongodb is taken by pid {os.getpid()} \(.*--port-base", err), err
    assert "'80' is no port for mysql" in err  # all of it in one run
    assert not os.path.exists(os.path.join(var, "servers", "mongodb"))


def test_not_enough_memory(var, own_cache):
    code, _, err = call("stack", "up", "--var", var, "--free-ports", "elasticsearch", READSIDE_ES_HEAP="4000g", **own_cache)
    assert code == 1 and "not enough memory: 4096600 MiB needed (elasticsearch 4096600)" in err and "--force" in err


@pytest.mark.parametrize("arguments, said", [
    ([], "a command is missing"), (["fly"], "'fly'"), (["up", "down"], "two commands"), (["up", "oracle"], "'oracle'"), (["up", "--wat"], "--wat"),
    (["up", "--port-base", "80"], "--port-base 80"), (["up", "--free-ports", "--port-base", "5000"], "exclude each other"), (["up", "--var"], "--var")])
def test_wrong_usage_of_stack(arguments, said):
    code, out, err = call("stack", *arguments)
    assert code == 2 and out == "" and said in err and "--help" in err


def test_a_stack_that_never_was(var, own_cache):
    code, out, _ = call("stack", "status", "--var", var, **own_cache)
    assert code == 1 and [line.split()[:4:3] for line in out.splitlines()[1:]] == [
        ["mongodb", "27017"], ["mysql", "3306"], ["elasticsearch", "9200"], ["kafka", "9092"]]
    assert call("stack", "down", "--var", var, **own_cache)[0] == 0 and call("stack", "reset", "--var", var, **own_cache)[0] == 0
    code, out, _ = call("stack", "env", "--var", var, READSIDE_MYSQL_PORT="3310", **own_cache)
    assert code == 0 and "export READSIDE_MYSQL_PORT='3310'" in out and "READSIDE_ELASTICSEARCH_URL='http://127.0.0.1:9200'" in out


def test_packages_that_nobody_here_may_install(tmp_path):
    for name, text in (("id", "echo 1000"), ("sudo", "exit 1"), ("dpkg-query", "exit 1"), ("apt-get", "exit 9")):
        write_script(tmp_path / name, text + "\n")
    code, out, err = call("packages", "build", PATH=f"{tmp_path}:{os.environ['PATH']}", READSIDE_CACHE=str(tmp_path))
    assert code == 1 and out == "" and re.search(r"As root:\n.* apt-get install --no-install-recommends .*\bcmake\b.*libmongoc-dev", err), err


def test_packages_are_chosen_in_any_language(tmp_path):
    """apt-cache speaks the user's: of two choices the one that this release has is taken nevertheless."""
    asked = tmp_path / "asked"
    for name, text in (("id", "echo 1000"), ("sudo", '[ "$1" = -n ] && shift; exec "$@"'), ("dpkg-query", "exit 1"),
                       ("apt-get", f'echo "$@" >>{asked}'),
                       ("apt-cache", 'word=Candidate; [ "$LC_ALL" = C ] || word=후보\n'
                        'case $2 in openjdk-17-*) echo "  $word: (none)" ;; *) echo "  $word: 1.0" ;; esac')):
        write_script(tmp_path / name, text + "\n")
    code, _, err = call("packages", "kafka", PATH=f"{tmp_path}:{os.environ['PATH']}", READSIDE_CACHE=str(tmp_path), TMPDIR=str(tmp_path), LC_ALL="ko_KR.UTF-8")
    installed = asked.read_text("utf-8").split("install ")[-1].split()
    assert code == 0 and "openjdk-21-jdk-headless" in installed and "openjdk-17-jdk-headless" not in installed, (err, installed)


# ---- quickstart ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments, said", [
    (["--products", "999"], "1,000 to 1,000,000"), (["--products", "1000001"], "1,000 to 1,000,000"), (["--products", "many"], "1,000 to 1,000,000"),
    (["--products"], "--products"), (["--seed", "-1"], "--seed"), (["--reset"], "--stop"), (["--wat"], "--wat")])
def test_wrong_usage_of_quickstart(arguments, said):
    code, out, err = call("quickstart", *arguments)
    assert code == 1 and out == "" and said in err


class Rehearsal:
    """quickstart with stand-ins for all that it calls, which write down that they were called; one of them does not come to an
    end. The stand-in of cmake leaves all the rest to a child, as cmake does."""

    def __init__(self, folder, stuck):
        self.folder, self.calls, self.pids = folder, folder / "calls", folder / "pids"
        deploy = folder / "deploy"
        deploy.mkdir()
        shutil.copy(os.path.join(DEPLOY, "quickstart"), deploy)
        shutil.copytree(os.path.join(DEPLOY, "servers"), deploy / "servers")
        write_script(deploy / "packages", self.stand_in("packages", stuck))
        for name in ("stack", "programs"):
            write_script(deploy / name, f"[ $1 = up ] || {{ echo {name} $1 >>{self.calls}; exit 0; }}\n" + self.stand_in(name, stuck))
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        write_script(bin_folder / "cmake", f"sleep 600 &\necho $! >>{self.pids}\n: >{folder}/building\nwait\n")
        environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
        self.process = subprocess.Popen([deploy / "quickstart", "--var", folder / "var"], env=environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                                        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # which who runs the tests may ignore

    def stand_in(self, name, stuck):
        return f"echo $$ >>{self.pids}\n: >{self.folder}/{name}\n" + ("exec sleep 600\n" if name == stuck else "exit 0\n")

    def wait_for(self, name):
        deadline = time.monotonic() + 20
        while not (self.folder / name).exists():
            assert time.monotonic() < deadline and self.process.poll() is None, f"{name} was never begun"
            time.sleep(0.02)

    def left_over(self):
        pids = [int(line) for line in self.pids.read_text("ascii").split()]
        return [pid for pid in pids if is_alive(pid)]

    def end(self):
        self.process.kill()
        for pid in self.left_over():
            os.kill(pid, signal.SIGKILL)


def test_a_second_quickstart_leaves_the_first_alone(tmp_path):
    rehearsal = Rehearsal(tmp_path, "packages")
    try:
        rehearsal.wait_for("packages")
        code, _, err = call("quickstart", "--var", str(tmp_path / "var"), folder=str(tmp_path / "deploy"))
        assert code == 1 and "another deploy/quickstart is at work on" in err
        assert rehearsal.process.poll() is None and not rehearsal.calls.exists()  # nothing was stopped
    finally:
        rehearsal.end()


@pytest.mark.parametrize("stuck, begun", [("packages", ["packages"]), ("stack", ["stack", "building"]), ("none", ["stack", "building"])])
def test_an_interrupted_quickstart_leaves_nothing_running(tmp_path, stuck, begun):
    """Ctrl-C, which the terminal sends to all of the group: while packages are installed, and while building, beside servers that
    come up or are there already."""
    rehearsal = Rehearsal(tmp_path, stuck)
    try:
        for name in begun:
            rehearsal.wait_for(name)
        os.killpg(rehearsal.process.pid, signal.SIGINT)
        assert rehearsal.process.wait(30) == 130
        assert rehearsal.left_over() == []
        assert rehearsal.calls.read_text("ascii").split("\n")[:2] == ["programs down", "stack down"]
    finally:
        rehearsal.end()


# ---- programs ------------------------------------------------------------------------------------------------------

def test_programs_brought_up_twice_at_once_run_once(tmp_path):
    """The second `up` finds what the first has begun, and `down` ends all of it."""
    write_script(tmp_path / "write-api", f"echo $$ >>{tmp_path}/pids\nsleep 1\necho 9 >$READSIDE_WRITE_API_PORT_FILE\nexec sleep 600\n")
    common = ["--var", str(tmp_path / "var"), "--bin", str(tmp_path), "write-api"]
    environment = {**os.environ, "READSIDE_START_SECONDS": "3", "READSIDE_CACHE": str(tmp_path / "cache")}
    ups = [subprocess.Popen([os.path.join(DEPLOY, "programs"), "up", *common], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL) for _ in range(2)]
    try:
        assert [up.wait(60) for up in ups] == [1, 1]  # it never answers
    finally:
        down = call("programs", "down", *common)
    pids = (tmp_path / "pids").read_text("ascii").split()
    assert down[0] == 0 and len(pids) == 1 and not is_alive(pids[0]), (down, pids)


def test_down_does_not_wait_until_all_is_ready(tmp_path):
    write_script(tmp_path / "write-api", f": >{tmp_path}/begun\nexec sleep 600\n")
    common = ["--var", str(tmp_path / "var"), "--bin", str(tmp_path), "write-api"]
    up = subprocess.Popen([os.path.join(DEPLOY, "programs"), "up", *common], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, env={**os.environ, "READSIDE_START_SECONDS": "120", "READSIDE_CACHE": str(tmp_path / "cache")})
    try:
        deadline = time.monotonic() + 20
        while not (tmp_path / "begun").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        began = time.monotonic()
        code, _, err = call("programs", "down", *common)
        assert code == 0 and time.monotonic() - began < 30, err
        assert up.wait(30) == 1
    finally:
        up.kill()
        call("programs", "down", *common)


def test_programs_say_what_they_wait_for(tmp_path):
    (tmp_path / "programs").mkdir()
    with open(tmp_path / "programs" / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        down = subprocess.Popen([os.path.join(DEPLOY, "programs"), "down", "--var", tmp_path], stderr=subprocess.PIPE, text=True)
        assert select.select([down.stderr], [], [], 20)[0]
        assert down.stderr.readline() == f"programs: another deploy/programs is at work on {tmp_path}, waiting for it\n"
    assert down.wait(30) == 0 and down.stderr.read() == ""


def test_programs_are_told_where_servers_are_and_nothing_else(tmp_path):
    write_script(tmp_path / "query-api", f"env >{tmp_path}/env\n")
    code, _, _ = call("programs", "up", "--var", str(tmp_path / "var"), "--bin", str(tmp_path), "query-api", READSIDE_CACHE=str(tmp_path / "cache"))
    told = [line.split("=")[0] for line in (tmp_path / "env").read_text("utf-8").splitlines() if line.startswith("READSIDE_QUERY_API_")]
    assert code == 1 and told == ["READSIDE_QUERY_API_PORT_FILE"]


# ---- another user's files ------------------------------------------------------------------------------------------

@pytest.mark.skipif(os.getuid() != 0, reason="needs a second user")
@pytest.mark.parametrize("script, arguments, lock", [("quickstart", [], "quickstart.lock"), ("programs", ["up"], "programs/lock"),
                                                     ("programs", ["down"], "programs/lock"), ("stack", ["down"], "servers/lock")])
def test_what_root_has_made_is_named(var, script, arguments, lock):
    """A lock of root's in a folder that everybody may write to, and a folder of root's."""
    copy = os.path.join(var, "deploy")
    shutil.copytree(DEPLOY, copy)
    made = os.path.join(var, "var")
    folder = os.path.dirname(os.path.join(made, lock))
    os.makedirs(folder)
    os.chmod(folder, 0o777)
    with open(os.path.join(made, lock), "w", encoding="ascii"):
        pass
    for mode, path in ((0o777, os.path.join(made, lock)), (0o755, folder)):
        os.chmod(folder, mode)
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", os.path.join(copy, script), *arguments, "--var", made],
                              capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, env={**os.environ, "READSIDE_CACHE": made})
        assert (done.returncode, done.stderr) == (1, f"{script}: {path} belongs to root: run this as that user, or use --var DIR\n")
