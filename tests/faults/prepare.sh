# shellcheck shell=bash
# What run and controls share: packages, the Python environment, programs built.

PROJECT=$(cd -- "$HERE/../.." && pwd -P)
PYTHON=${READSIDE_TEST_PYTHON:-}

prepare() {
    "$PROJECT/deploy/packages" build servers tests faults
    if [ -z "$PYTHON" ]; then PYTHON=$("$PROJECT/tests/support/venv"); fi
}

build() { # PRESET TARGET…
    local preset=$1
    shift
    (
        cd -- "$PROJECT"
        [ -f "build/$preset/build.ninja" ] || cmake --preset "$preset"
        cmake --build "build/$preset" --target "$@"
    ) >&2
}

exec_python() { # MODULE ARGUMENT…
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$HERE:$PROJECT/tests/e2e exec "${PYTHON:-python3}" "$HERE/$1" "${@:2}"
}
