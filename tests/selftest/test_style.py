"""The rules of tests/style find what they are for: each gets a planted violation, and a clean tree has none."""
import importlib.machinery
import importlib.util
import os

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def load_style():
    loader = importlib.machinery.SourceFileLoader("style", os.path.join(ROOT, "tests", "style"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("style", loader))
    loader.exec_module(module)
    return module


style = load_style()
LONG_BODY = "    f();\n" * 80

# rule, file, text, whether it breaks the rule
CASES = [
    ("layers", "projector/a.c", '#include "query-api/b.h"\n', True),
    ("layers", "core/a.c", '#include "projector/b.h"\n', True),
    ("layers", "projector/a.c", '#include "core/b.h"\n#include "projector/c.h"\n', False),
    ("layers", "projector/a.c", '/* #include "query-api/b.h" */\n', False),
    ("header_homes", "projector/a.c", "#include <curl/curl.h>\n", True),
    ("header_homes", "core/buf.c", "#include <yajl/yajl_gen.h>\n", True),
    ("header_homes", "core/mongo.c", "#include <mongoc/mongoc.h>\n", True),
    ("header_homes", "core/json_sax.c", "#include <yajl/yajl_parse.h>\n", False),
    ("header_homes", "core/mysql.h", "#include <mysql.h>\n", False),
    ("pure_modules", "projector/compose/compose.c", '#include "core/mysql.h"\n', True),
    ("pure_modules", "query-api/search/search_query.c", "#include <sys/socket.h>\n", True),
    ("pure_modules", "core/hangul.c", '#include "core/loop.h"\n', True),
    ("pure_modules", "projector/compose/bulk.c", '#include "core/buf.h"\n', False),
    ("pure_modules", "projector/engine/lane.c", '#include "core/loop.h"\n', False),
    ("file_length", "core/a.c", "int x;\n" * 601, True),
    ("file_length", "core/a.c", "int x;\n" * 600, False),
    ("function_length", "core/a.c", "void f(void) {\n" + LONG_BODY + "}\n", True),
    ("function_length", "core/a.c", "void f(int a,\n       int b) {\n" + LONG_BODY + "}\n", True),
    ("function_length", "core/a.c", "void f(void)\n{\n" + LONG_BODY + "}\n", True),
    ("function_length", "core/a.c", "void f(void) {\n" + LONG_BODY[9 * 2:] + "}\n", False),
    ("python_function_length", "tests/a.py", "def f():\n" + "    pass\n" * 80, True),
    ("python_function_length", "tests/a.py", "def f(:\n", True),
    ("python_function_length", "tests/a.py", "def f():\n" + "    pass\n" * 79, False),
    ("banned_functions", "core/a.c", "int f(void) { return atoi(s); }\n", True),
    ("banned_functions", "tests/unit/a.c", "void f(void) { strcpy (a, b); }\n", True),
    ("banned_functions", "core/a.c", 'void f(void) { g("strcpy(a)"); snprintf(a, 1, "x"); my_strcpy(a); /* gets( */ }\n', False),
    ("literal_formats", "core/a.c", "void f(void) { printf(text); }\n", True),
    ("literal_formats", "core/a.c", "void f(void) { error_set(e, ERROR_INVALID, message, 1); }\n", True),
    ("literal_formats", "core/a.c", 'void f(void) { snprintf(a, sizeof(a), "%d,(" , g(1, 2)); }\n', False),
    ("literal_formats", "core/a.c", 'void f(void) { buf_printf(b, n ? "%d" : "-%d", 1); }\n', False),
    ("literal_formats", "core/a.h", "bool buf_printf(struct buf *b, const char *format, ...);\n", False),
    ("readmes", "core/a.c", "", True),
    ("no_machine", "deploy/a.sh", "cd " + "/ho" + "me/someone/project\n", True),
    ("no_machine", "core/README.md", "see https://" + "pypi" + ".org/x\n", True),
    ("no_machine", "core/README.md", "see ${HOME}/x and /var/lib\n", False),
    ("finished", "core/a.c", "/* " + "TO" + "DO: later */\n", True),
    ("finished", "core/a.c", "/* all done */\n", False),
    ("scripts", "deploy/a.sh", "if then\n", True),
    ("scripts", "mappings/a.json", "{,}\n", True),
    ("scripts", "mappings/a.json", "{}\n", False),
]


@pytest.mark.parametrize("rule,name,text,breaks", CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_rule(tmp_path, rule, name, text, breaks):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    found = style.check(str(tmp_path))[rule]
    assert bool(found) == breaks, found
    if breaks:
        assert found[0][0] == (name if rule != "readmes" else "core")


def test_a_header_behind_a_header_is_found(tmp_path):
    for name, text in (("projector/compose/bulk.h", '#include "projector/mid.h"\n'), ("projector/mid.h", '#include "core/es.h"\n')):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = style.check(str(tmp_path))["pure_modules"]
    assert len(found) == 1 and "core/es.h" in found[0][2]


def test_every_rule_has_a_planted_violation():
    planted = {rule for rule, _, _, breaks in CASES if breaks}
    assert planted == {rule.__name__.removeprefix("rule_") for rule in style.RULES}
