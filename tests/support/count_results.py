#!/usr/bin/env python3
"""Counts the tests in a JUnit report and prints "passed failed skipped".

A ctest report has one entry per program: a cmocka program counts as its cases, anything else as one. A program that
failed without a failed case (it crashed, or a sanitizer spoke) is one failure more, and so is one that has none at all.
"""
import re
import sys
import xml.etree.ElementTree as ElementTree

CASE = re.compile(r"^\[ +(OK|FAILED|SKIPPED|ERROR) +\] +(\w+)$", re.MULTILINE)
RAN = re.compile(r"^\[=+\] (?:\w+: )?(\d+) test\(s\) run\.", re.MULTILINE)


def cmocka_cases(output):
    """{case: OK|FAILED|SKIPPED}; a failed case is named twice, and so counted once."""
    found = {}
    for verdict, name in CASE.findall(output):
        if verdict != "ERROR" and found.get(name) != "FAILED":
            found[name] = verdict
    return found


def count_ctest(case):
    output = case.findtext("system-out") or ""
    status = case.get("status")
    cases = cmocka_cases(output)
    if status in ("notrun", "disabled") or case.find("skipped") is not None:
        return 0, 0, 1
    program_failed = status == "fail" or case.find("failure") is not None
    if not cases:
        return (0, 1, 0) if program_failed else (1, 0, 0)
    verdicts = list(cases.values())
    passed, failed, skipped = (verdicts.count(v) for v in ("OK", "FAILED", "SKIPPED"))
    if program_failed and failed == 0:
        failed = 1
    if not program_failed and sum(map(int, RAN.findall(output))) > passed + failed + skipped:
        failed += 1  # cmocka says it ran more than we can see: count that as a failure rather than guess
    return passed, failed, skipped


def count_pytest(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return 0, 1, 0
    return (0, 0, 1) if case.find("skipped") is not None else (1, 0, 0)


def count(path):
    root = ElementTree.parse(path).getroot()
    totals = [0, 0, 0]
    for case in root.iter("testcase"):
        counted = count_ctest(case) if case.get("status") else count_pytest(case)
        totals = [a + b for a, b in zip(totals, counted)]
    return totals


def main():
    try:
        print(*count(sys.argv[1]))
    except (OSError, ElementTree.ParseError) as e:
        sys.exit(f"{sys.argv[1]}: {e}")


if __name__ == "__main__":
    main()
