"""tests/support/count_results.py counts what ctest and pytest report, failures first of all."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "support"))
import count_results  # noqa: E402

PASSED = "[==========] Running 2 test(s).\n[ RUN      ] a\n[       OK ] a\n[ RUN      ] b\n[       OK ] b\n[==========] 2 test(s) run.\n"
FAILED = ("[ RUN      ] a\n[       OK ] a\n[ RUN      ] b\n[  ERROR   ] --- boom\n[  FAILED  ] b\n[==========] 2 test(s) run.\n"
          "[  FAILED  ] 1 test(s), listed below:\n[  FAILED  ] b\n")
CRASHED = "[ RUN      ] a\n[       OK ] a\n[ RUN      ] b\n"

CASES = [
    (f'<testcase name="t" status="run"><system-out>{PASSED}</system-out></testcase>', [2, 0, 0]),
    (f'<testcase name="t" status="fail"><failure/><system-out>{FAILED}</system-out></testcase>', [1, 1, 0]),
    (f'<testcase name="t" status="fail"><failure/><system-out>{CRASHED}</system-out></testcase>', [1, 1, 0]),
    (f'<testcase name="t" status="fail"><failure/><system-out>{PASSED}leak!</system-out></testcase>', [2, 1, 0]),
    ('<testcase name="fuzz" status="run"><system-out>312 inputs</system-out></testcase>', [1, 0, 0]),
    ('<testcase name="fuzz" status="fail"><failure/><system-out></system-out></testcase>', [0, 1, 0]),
    ('<testcase name="gone" status="notrun"><skipped/></testcase>', [0, 0, 1]),
    ('<testcase name="t" status="run"><system-out>[       OK ] a\n[==========] 3 test(s) run.\n</system-out></testcase>', [1, 1, 0]),
    ('<testcase name="py" classname="test_x" time="1"/>', [1, 0, 0]),
    ('<testcase name="py" classname="test_x"><failure message="x"/></testcase>', [0, 1, 0]),
    ('<testcase name="py" classname="test_x"><error message="x"/></testcase>', [0, 1, 0]),
    ('<testcase name="py" classname="test_x"><skipped message="x"/></testcase>', [0, 0, 1]),
]


@pytest.mark.parametrize("xml,expected", CASES)
def test_one_program(tmp_path, xml, expected):
    report = tmp_path / "report.xml"
    report.write_text(f"<testsuite>{xml}</testsuite>")
    assert count_results.count(str(report)) == expected


def test_all_together(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text("<testsuites><testsuite>" + "".join(xml for xml, _ in CASES) + "</testsuite></testsuites>")
    assert count_results.count(str(report)) == [sum(column) for column in zip(*(expected for _, expected in CASES))]
