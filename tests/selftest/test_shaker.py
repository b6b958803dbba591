"""tests/support/shaker.py slows what runs in a folder, nothing else, and leaves all as it was."""
import os
import signal
import subprocess
import sys
import time

import pytest

SUPPORT = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "support")
sys.path.insert(0, SUPPORT)
import shaker  # noqa: E402

SLEEPER = "import threading, time\nfor _ in range(3): threading.Thread(target=time.sleep, args=(120,), daemon=True).start()\ntime.sleep(120)"


@pytest.fixture
def sleeper(tmp_path):
    """sleeper(name): a process of four threads that names a folder of that name."""
    started = []

    def start(name):
        process = subprocess.Popen([sys.executable, "-c", SLEEPER, str(tmp_path / name / "x")])
        started.append(process)
        while len(shaker.threads_of(process.pid)) < 4:
            time.sleep(0.01)
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.wait()


def policies(pid):
    return {os.sched_getscheduler(thread) for thread in shaker.threads_of(pid)}


def test_only_what_runs_in_the_folder_is_slowed_and_only_for_a_while(tmp_path, sleeper):
    mine, others, seen = sleeper("here"), sleeper("here-not"), set()
    with shaker.Shaker(str(tmp_path / "here"), seed=1) as one:
        end = time.monotonic() + 60
        while seen != {(os.SCHED_OTHER,), (os.SCHED_IDLE,), (os.SCHED_OTHER, os.SCHED_IDLE)} and time.monotonic() < end:
            seen.add(tuple(sorted(policies(mine))))
            assert policies(others) == {os.SCHED_OTHER}
            time.sleep(0.005)
        burners = one.burners
    assert (os.SCHED_OTHER, os.SCHED_IDLE) in seen and (os.SCHED_IDLE,) in seen, "single threads, and all of them"
    assert policies(mine) == {os.SCHED_OTHER} and len(burners) == len(os.sched_getaffinity(0))
    assert all(burner.poll() is not None for burner in burners)


def test_what_somebody_slowed_has_started_is_given_back_too(tmp_path):
    """A child begins as slow as its parent is just then, and need not name the folder itself."""
    starter = "import subprocess, sys\nsys.stdin.read(1)\nprint(subprocess.Popen(['sleep', '120']).pid, flush=True)\nsys.stdin.read(1)"
    with subprocess.Popen([sys.executable, "-c", starter, str(tmp_path / "x")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        child = None
        try:
            shaker.give(shaker.threads_of(parent.pid), os.SCHED_IDLE)
            parent.stdin.write("x")
            parent.stdin.flush()
            child = int(parent.stdout.readline())
            assert policies(child) == {os.SCHED_IDLE}
            with shaker.Shaker(str(tmp_path), seed=1) as one:
                end = time.monotonic() + 60
                while not one.still and time.monotonic() < end:
                    time.sleep(0.005)
            assert policies(parent.pid) == policies(child) == {os.SCHED_OTHER}
        finally:
            parent.kill()
            if child:
                os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("arguments", [["--seed"], ["--seed", "x"]])
def test_a_seed_is_a_number(arguments):
    assert shaker.main(arguments) == 2
