"""deploy/stack as these tests found it: what is up stays as it is, and no server runs as root."""
import os
import subprocess

import pytest

STACK = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))), "deploy", "stack")


def stack_command(*arguments):
    if not os.environ.get("READSIDE_TEST_VAR"):
        pytest.skip("the servers are not those of tests/run")
    return subprocess.run([STACK, *arguments, "--var", os.environ["READSIDE_TEST_VAR"]], capture_output=True, text=True, timeout=60, check=False)


def running():
    """{server: pid}"""
    rows = [line.split() for line in stack_command("status").stdout.splitlines()[1:]]
    return {row[0]: int(row[2]) for row in rows if row[1] == "up"}


def test_no_server_runs_as_root():
    pids = running()
    assert {"mongodb", "kafka"} < set(pids)
    assert all(os.stat(f"/proc/{pid}").st_uid != 0 for pid in pids.values()), pids


def test_up_again_starts_nothing():
    pids = running()
    done = stack_command("up", *pids)
    assert done.returncode == 0 and done.stdout.count("running on 127.0.0.1:") == len(pids), done.stdout + done.stderr
    assert running() == pids and stack_command("status", *pids).returncode == 0
