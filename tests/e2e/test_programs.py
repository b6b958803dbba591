"""What all three programs have in common: the command line, health, metrics, logs."""
import json
import os
import re
import subprocess

import pytest
import requests

PROGRAMS = ["write-api", "projector", "query-api"]


def run(name, *arguments, **environment):
    made = {k: v for k, v in os.environ.items() if k.endswith("_BIN_DIR") or not k.startswith("READSIDE_")}
    return subprocess.run([os.path.join(os.environ["READSIDE_BIN_DIR"], name), *arguments], capture_output=True, text=True, timeout=30,
                          env={**made, **environment}, check=False)


@pytest.mark.parametrize("name", PROGRAMS)
def test_command_line(name, tmp_path):
    version = run(name, "--version")
    assert version.returncode == 0 and re.match(rf"{name} \d+\.\d+\.\d+\n", version.stdout) and version.stderr == ""
    printed = run(name, "--print-config", f"--{name}.listen=127.0.0.1:4711")
    assert printed.returncode == 0 and f"[{name}]" in printed.stdout and "listen = 127.0.0.1:4711" in printed.stdout
    shown = run(name, "--help").stdout
    keys = re.findall(r"^;? ?([a-z_]+) =", printed.stdout, re.MULTILINE)
    assert len(keys) > 30 and [k for k in keys if k not in shown] == []

    config = tmp_path / "readside.ini"
    config.write_text(printed.stdout, "utf-8")
    checked = run(name, "--config", str(config), "--check-config")
    assert (checked.returncode, checked.stdout) == (0, "configuration ok\n"), checked.stderr
    assert run(name, "--config", str(config), "--print-config").stdout == printed.stdout
    config.write_text("[core]\n\nlog_level = loud\n", "utf-8")
    for refused, said in ((run(name, "--config", str(config), "--check-config"), "readside.ini:3"), (run(name, f"--{name}.wat=1", "--check-config"), "wat"),
                          (run(name, f"--{name}.listen=localhost:80", "--check-config"), '"localhost" is no IP address'),
                          (run(name, "--check-config", READSIDE_ELASTICSEARCH_URL="es1:9200"), '"es1:9200" is no http:// or https:// address'),
                          (run(name, "--check-config", READSIDE_MONGO_URI="db1:27017"), "[mongo] uri is no connection string"),
                          (run(name, "--check-config", READSIDE_MONGO_PASSWORD="of-nobody"), "[mongo] password without a user"),
                          (run(name, "--check-config", READSIDE_CORE_LOG_FORMAT="xml"), "READSIDE_CORE_LOG_FORMAT")):
        assert refused.returncode == 2 and said in refused.stderr and refused.stdout == "", refused
        assert "of-nobody" not in refused.stderr


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_health_and_logs(program, form):
    for name in PROGRAMS:
        one = program(name, {"core.log_format": form, "core.log_level": "debug"}).start()
        assert requests.get(one.url + "/healthz", timeout=5).status_code == 200
        ready = requests.get(one.url + "/readyz", timeout=5).json()
        assert ready["conditions"] and all(c["ready"] for c in ready["conditions"])
        metrics = requests.get(one.url + "/metrics", timeout=5)
        assert metrics.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert re.search(rf'^readside_http_requests_total{{.*server="{name}".*}} \d+$', metrics.text, re.MULTILINE)
        one.stop()
        lines = one.log().splitlines()[1:]
        assert len(lines) > 3
        for line in lines:
            if form == "json":
                said = json.loads(line)
                assert {"ts", "level", "event"} <= set(said), line
            else:
                assert re.match(r"ts=\S+ level=(debug|info|warn|error) program=\S+ event=\S+( \w+=(\"([^\"\\]|\\.)*\"|\S*))*$", line), line
