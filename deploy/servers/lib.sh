# shellcheck shell=bash
# Common ground of deploy/stack and deploy/servers/*.sh: names, paths, messages, the user that
# servers run as. Sources its parts: lib-process.sh, lib-ports.sh, lib-cache.sh,
# lib-secure.sh.
#
# A server is one file NAME.sh here that calls `server_facts` and defines
#   NAME_install   fetch what is needed into the cache (safe to repeat, run in parallel)
#   NAME_start     launch the process, through `launch`
# (these two run under `set -e`: call nothing from them in a condition that must stop at an error)
#   NAME_ready     return 0 once the server answers; called again and again until then
#   NAME_env       print KEY=value lines, what a client needs to connect; KEY alone is to be unset
#   NAME_facts     print one line: product and version
#   NAME_stop      only if SIGTERM to the main process is not the right way

DEPLOY=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
PROJECT=$(dirname -- "$DEPLOY")

# The order gives each server its place above --port-base.
ALL_SERVERS=(mongodb mysql elasticsearch kafka opensearch mariadb prometheus)
# shellcheck disable=SC2034  # read by deploy/stack
DEFAULT_SERVERS=(mongodb mysql elasticsearch kafka)

declare -A SERVER_FACT=()

# server_facts NAME KEY=VALUE…, with the keys
#   port       that clients use
#   aux_port   optional second port, for the server itself (transport, controller)
#   packages   Debian packages, "a|b" takes either
#   memory     MiB that it takes when it has settled, for the check before start
#   download   MiB of free disk that installing takes for a moment
#   cache      folder in the cache that is there once it is installed
server_facts() {
    local name=$1 fact
    shift
    for fact in "$@"; do SERVER_FACT[$name.${fact%%=*}]=${fact#*=}; done
}

fact() { printf '%s' "${SERVER_FACT[$1.$2]:-}"; } # NAME KEY

# What everything from Maven needs; javac for the parts that are built here.
# shellcheck disable=SC2034  # read by the servers' files
JAVA_PACKAGES="openjdk-17-jdk-headless|openjdk-21-jdk-headless maven ca-certificates"

SERVER_USER=readside
SERVER_USER_HOME=/var/lib/readside

say()  { printf '%s\n' "$*"; }
note() { printf 'stack: %s\n' "$*" >&2; }
die()  { note "$*"; exit 1; }

is_root() { [ "$(id -u)" = 0 ]; }

now_ms() { local t=${EPOCHREALTIME/[.,]/}; printf '%s' "${t%???}"; }

is_server() {
    local name
    for name in "${ALL_SERVERS[@]}"; do [ "$name" = "$1" ] && return 0; done
    return 1
}

# Runs a command as the user that owns the servers' data: ourselves, or `readside` if we are root.
as_server() {
    if is_root; then
        setpriv --reuid="$SERVER_USER" --regid="$SERVER_USER" --init-groups "$@"
    else
        "$@"
    fi
}

# Sets VAR, SERVERS (where the servers' folders are, links resolved) and CACHE. Creates nothing.
setup_paths() {
    VAR=$(realpath -m -- "${1:-${READSIDE_VAR:-$PROJECT/var}}")
    SERVERS=$(readlink -m -- "$VAR/servers")
    if [ -n "${READSIDE_CACHE:-}" ]; then
        CACHE=$(realpath -m -- "$READSIDE_CACHE")
    elif is_root; then
        CACHE=/var/cache/readside
    else
        CACHE=${HOME:?HOME is not set, set READSIDE_CACHE}/.cache/readside
    fi
}

make_folder() {
    mkdir -p -- "$1" 2>/dev/null && [ -w "$1" ] && return 0
    die "cannot write to $1 as $(id -un): choose another folder with $2"
}

ensure_server_user() {
    is_root || return 0
    getent passwd "$SERVER_USER" >/dev/null && return 0
    useradd --system --user-group --home-dir "$SERVER_USER_HOME" --create-home \
            --shell /usr/sbin/nologin "$SERVER_USER" 2>/dev/null ||
        getent passwd "$SERVER_USER" >/dev/null ||
        die "cannot create the system user $SERVER_USER, which the servers run as"
}

# Creates VAR, SERVERS and CACHE. As root the servers run as another user; where that user
# cannot reach a folder (a clone below a 0700 home), the servers' folders go below its own home,
# and VAR/servers is a link to them. The name is made from VAR, so a lost link is found again.
setup_folders() {
    umask 022
    ensure_server_user
    make_folder "$VAR" "--var DIR or READSIDE_VAR"
    if is_root && ! as_server test -x "$VAR" && [ ! -L "$VAR/servers" ]; then
        local home
        home=$SERVER_USER_HOME/stacks/$(printf '%s' "$VAR" | cksum | tr ' ' '-')
        if [ -e "$VAR/servers" ]; then
            die "user $SERVER_USER cannot reach $VAR/servers any more (a folder above it was closed)"
        fi
        ln -s -- "$home" "$VAR/servers"
        note "user $SERVER_USER cannot reach $VAR: server data is in $home"
    fi
    SERVERS=$(readlink -m -- "$VAR/servers")
    make_folder "$SERVERS" "--var DIR or READSIDE_VAR"
    make_folder "$CACHE" "READSIDE_CACHE"
    if is_root && ! as_server test -x "$CACHE"; then
        note "user $SERVER_USER cannot reach $CACHE: using /var/cache/readside"
        CACHE=/var/cache/readside
        make_folder "$CACHE" "READSIDE_CACHE"
    fi
    mkdir -p -- "$CACHE/locks"
}

# Folders of one server. Only these four belong to the server's user: the pid and console files
# beside them are written by the caller, possibly root, and must not be the server's to replace.
make_server_folders() {
    local dir=$SERVERS/$1 sub
    for sub in data conf log tmp; do
        mkdir -p -- "$dir/$sub"
        if is_root; then chown "$SERVER_USER:$SERVER_USER" -- "$dir/$sub"; fi
        chmod 750 -- "$dir/$sub"
    done
}

# write_conf NAME FILE <text: a file in the server's conf folder, readable by its user.
write_conf() {
    local file=$SERVERS/$1/conf/$2
    mkdir -p -- "$(dirname -- "$file")"
    rm -f -- "$file"
    cat >"$file"
}

# What the Java virtual machines of servers are given besides, one option a line.
java_options() {
    local options
    read -ra options <<<"${READSIDE_JAVA_OPTIONS:-}"
    if [ "${#options[@]}" -gt 0 ]; then printf '%s\n' "${options[@]}"; fi
}

# Home of a JDK 17 or newer.
java_home() {
    local home version
    for home in "${READSIDE_JAVA_HOME:-}" /usr/lib/jvm/java-{17,21}-openjdk-* "${JAVA_HOME:-}" \
                "$(dirname -- "$(dirname -- "$(readlink -f "$(command -v javac || echo /x/x)")")")"; do
        if [ -z "$home" ] || ! [ -x "$home/bin/java" ] || ! [ -x "$home/bin/javac" ]; then continue; fi
        version=$("$home/bin/javac" -version 2>&1)
        version=${version#javac }
        if [ "${version%%.*}" -ge 17 ] 2>/dev/null; then
            printf '%s' "$home"
            return 0
        fi
    done
    note "no JDK 17 or newer found: install openjdk-17-jdk-headless or set READSIDE_JAVA_HOME"
    return 1
}

# Answer of an HTTP GET on loopback, without the caller's proxy settings.
http_get() { curl -fsS --noproxy '*' --max-time 5 "$1"; }

# True if something accepts connections on 127.0.0.1:$1.
tcp_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# shellcheck source=deploy/servers/lib-process.sh
source "$DEPLOY/servers/lib-process.sh"
# shellcheck source=deploy/servers/lib-ports.sh
source "$DEPLOY/servers/lib-ports.sh"
# shellcheck source=deploy/servers/lib-cache.sh
source "$DEPLOY/servers/lib-cache.sh"
# shellcheck source=deploy/servers/lib-secure.sh
source "$DEPLOY/servers/lib-secure.sh"
for server_name in "${ALL_SERVERS[@]}"; do
    # shellcheck source=/dev/null
    if [ -r "$DEPLOY/servers/$server_name.sh" ]; then source "$DEPLOY/servers/$server_name.sh"; fi
done
unset server_name
