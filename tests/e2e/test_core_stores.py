"""Runs e2e_core_stores: core's sessions for each store against the real server. One test here for each there."""
import os
import re
import subprocess

import pytest

# What stands in for another server, if the stack has it (deploy/stack up ... mariadb opensearch).
MARIADB = {f"READSIDE_MYSQL_{key}": os.environ.get(f"READSIDE_MARIADB_{key}", "") for key in ("HOST", "PORT", "USER", "PASSWORD")}
OPENSEARCH = {"READSIDE_ELASTICSEARCH_URL": os.environ.get("READSIDE_OPENSEARCH_URL", "")}
CASES = [("mysql", {}), ("mongo", {}), ("elasticsearch", {}), ("kafka", {})]
CASES += [("mysql", MARIADB)] if all(MARIADB.values()) else []
CASES += [("elasticsearch", OPENSEARCH)] if all(OPENSEARCH.values()) else []


@pytest.mark.parametrize("group,instead", CASES, ids=lambda v: v if isinstance(v, str) else "other" if v else "")
def test_sessions(stack, group, instead):
    binary = os.path.join(os.environ["READSIDE_BIN_DIR"], "e2e_core_stores")
    if group == "kafka" and b"__tsan_init" in open(binary, "rb").read():
        pytest.skip("librdkafka starts its threads with thrd_create, which gcc 12's ThreadSanitizer does not know: it crashes")
    done = subprocess.run([binary, group], capture_output=True, text=True, errors="replace", timeout=240,
                          env={**os.environ, **instead})
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-6000:]
    assert "SKIPPED" not in output and not re.search(r"Sanitizer|runtime error", output), output[-6000:]
    assert len(re.findall(r"^\[       OK \]", output, re.MULTILINE)) >= 4, output[-2000:]
