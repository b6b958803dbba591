# shellcheck shell=bash
# Which port each server has. Chosen by `up` and remembered in SERVERS/ports as "KEY PORT" lines
# (KEY: NAME, or NAME.aux for a server's second port), so that every later command on the same
# --var finds the stack. From strongest to weakest:
#   the port of a server that is running, --port-base or --free-ports, READSIDE_<NAME>_PORT
#   (READSIDE_<NAME>_AUX_PORT), the remembered port, the default.

PORT_BASE=''
FREE_PORTS=''
declare -A PORT=()

load_ports() {
    local key port
    PORT=()
    [ -r "$SERVERS/ports" ] || return 0
    while read -r key port; do
        if [ -n "$port" ]; then PORT[$key]=$port; fi
    done <"$SERVERS/ports"
}

save_ports() {
    local key
    for key in "${!PORT[@]}"; do
        printf '%s %s\n' "$key" "${PORT[$key]}"
    done | sort >"$SERVERS/ports.new"
    mv -f -- "$SERVERS/ports.new" "$SERVERS/ports"
}

port_variable() { # KEY
    local name=${1%.aux} kind=''
    if [ "$1" != "$name" ]; then kind=_AUX; fi
    printf 'READSIDE_%s%s_PORT' "${name^^}" "$kind"
}

# Port that applies to a server that is not set up yet, or is set up and stopped.
wanted_port() { # NAME
    local variable
    variable=$(port_variable "$1")
    printf '%s' "${!variable:-${PORT[$1]:-$(fact "$1" port)}}"
}

is_port() { [[ $1 =~ ^[1-9][0-9]{3,4}$ ]] && [ "$1" -ge 1024 ] && [ "$1" -le 65535 ]; }

# Inodes of the sockets that listen on a port; state 0A is LISTEN. tcp6 is not everywhere.
listening_inodes() {
    { cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || true; } |
        awk -v want="$(printf '%04X' "$1")" '
            $4 == "0A" { n = split($2, a, ":"); if (a[n] == want) print $10 }'
}

port_taken() {
    [ -n "$(listening_inodes "$1")" ]
}

# "by pid 12 (mongod, user x)", as far as we may know.
port_holder() {
    local inodes inode path pid
    inodes=$(listening_inodes "$1")
    for inode in $inodes; do
        for path in /proc/[0-9]*/fd/*; do
            if [ "$(readlink "$path" 2>/dev/null)" = "socket:[$inode]" ]; then
                pid=${path#/proc/}
                pid=${pid%%/*}
                printf 'by pid %s (%s, user %s)' "$pid" "$(cat "/proc/$pid/comm")" \
                    "$(stat -c %U "/proc/$pid")"
                return 0
            fi
        done
    done
    printf 'by a process of another user'
}

# A free port below the ephemeral range. A reservation lives ten minutes, longer than any start,
# so that two stacks that choose at the same moment choose differently.
pick_free_port() {
    local port now ledger=$CACHE/locks/ports
    now=$(date +%s)
    (
        flock 9
        touch -- "$ledger"
        awk -v now="$now" '$2 > now - 600' "$ledger" >"$ledger.new"
        while :; do
            port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
            if ! port_taken "$port" && ! grep -q "^$port " "$ledger.new"; then break; fi
        done
        printf '%s %s\n' "$port" "$now" >>"$ledger.new"
        mv -f -- "$ledger.new" "$ledger"
        printf '%s' "$port"
    ) 9>"$CACHE/locks/ports.lock"
}

server_index() {
    local i
    for i in "${!ALL_SERVERS[@]}"; do
        if [ "${ALL_SERVERS[$i]}" = "$1" ]; then printf '%s' "$i"; fi
    done
}

# Decides the ports of the servers named, which are not running. Prints every conflict before it
# fails, so that one run tells all.
choose_ports() {
    local name failed=''
    local -A seen=()
    for name in "$@"; do
        choose_main_port "$name"
        if [ -n "$(fact "$name" aux_port)" ]; then choose_aux_port "$name"; fi
    done
    for name in "$@"; do
        check_port "$name" "$name" || failed=1
        if [ -n "$(fact "$name" aux_port)" ]; then check_port "$name.aux" "$name" || failed=1; fi
    done
    [ -z "$failed" ]
}

choose_main_port() {
    local name=$1 variable
    variable=$(port_variable "$name")
    if [ -n "$PORT_BASE" ]; then
        PORT[$name]=$((PORT_BASE + $(server_index "$name")))
    elif [ -n "$FREE_PORTS" ]; then
        if [ -z "${PORT[$name]:-}" ] || port_taken "${PORT[$name]}"; then
            PORT[$name]=$(pick_free_port)
        fi
    else
        PORT[$name]=${!variable:-${PORT[$name]:-$(fact "$name" port)}}
    fi
}

# Nobody outside uses these, so a taken one is simply replaced unless it was asked for.
choose_aux_port() {
    local name=$1 key=$1.aux variable
    variable=$(port_variable "$key")
    if [ -n "$PORT_BASE" ]; then
        PORT[$key]=$((PORT_BASE + 10 + $(server_index "$name")))
    elif [ -n "${!variable:-}" ]; then
        PORT[$key]=${!variable}
    else
        if [ -n "$FREE_PORTS" ] && [ -z "${PORT[$key]:-}" ]; then
            PORT[$key]=$(pick_free_port)
        fi
        if [ -z "${PORT[$key]:-}" ] && is_port "${PORT[$name]}"; then
            PORT[$key]=$((PORT[$name] + $(fact "$name" aux_port) - $(fact "$name" port)))
        fi
        if ! is_port "${PORT[$key]:-x}" || port_taken "${PORT[$key]}"; then
            PORT[$key]=$(pick_free_port)
        fi
    fi
}

check_port() { # KEY NAME; uses the caller's table `seen`
    local key=$1 name=$2 port=${PORT[$1]} hint
    hint="choose another with $(port_variable "$key")=N, --port-base N or --free-ports"
    if ! is_port "$port"; then
        note "'$port' is no port for $key: 1024 to 65535; $hint"
    elif [ -n "${seen[$port]:-}" ]; then
        note "port $port is meant for both ${seen[$port]} and $key; $hint"
    elif port_taken "$port"; then
        note "port $port for $key is taken $(port_holder "$port"); $hint"
    else
        seen[$port]=$key
        return 0
    fi
    return 1
}
