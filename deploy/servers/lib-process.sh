# shellcheck shell=bash
# Starting and stopping servers by process id.
#
# A pid file holds "PID START SESSION BOOT". A pid alone says nothing after the number was used
# again; pid + start time + boot id names one process for ever. Each server gets a session of its
# own, so the processes it forks are found by session, and no terminal signal reaches them.

# require_ours PATH…: ends with an explanation if one is there that we may not write to.
require_ours() {
    local path
    for path; do
        [ ! -e "$path" ] || [ -w "$path" ] ||
            die "$path belongs to $(stat -c %U -- "$path"): run this as that user, or use --var DIR"
    done
}

# Fields of /proc/PID/stat after the command name, which may itself hold spaces and brackets.
proc_stat() {
    local text
    text=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    printf '%s' "${text##*) }"
}

# Start time in clock ticks since boot; fails for a process that is gone or a zombie.
proc_start_time() {
    local text fields
    text=$(proc_stat "$1") || return 1
    read -ra fields <<<"$text"
    [ "${fields[0]}" != Z ] && [ "${fields[0]}" != X ] && printf '%s' "${fields[19]}"
}

write_pid() { # NAME PID SESSION
    local start
    start=$(proc_start_time "$2") || return 1
    printf '%s %s %s %s\n' "$2" "$start" "$3" "$(cat /proc/sys/kernel/random/boot_id)" \
        >"$SERVERS/$1/pid.new"
    mv -f -- "$SERVERS/$1/pid.new" "$SERVERS/$1/pid"
}

# Sets PID and SESSION; fails if the server that the pid file names is not running.
server_alive() {
    local start boot
    PID='' SESSION=''
    [ -r "$SERVERS/$1/pid" ] || return 1
    read -r PID start SESSION boot <"$SERVERS/$1/pid" || return 1
    [ "$boot" = "$(cat /proc/sys/kernel/random/boot_id)" ] || return 1
    [ "$(proc_start_time "$PID")" = "$start" ]
}

# Process ids in a session or a process group, zombies left out. cat goes on when a process ends
# between the listing and the reading; awk would give up.
session_members() { list_processes 4 "$1"; }
group_members() { list_processes 3 "$1"; }

list_processes() { # FIELD VALUE
    { cat /proc/[0-9]*/stat 2>/dev/null || true; } | awk -v field="$1" -v value="$2" '
        { pid = $1; sub(/^.*\) /, ""); split($0, f, " ") }
        f[field] == value && f[1] != "Z" && f[1] != "X" { print pid }'
}

# Ends a process group of ours: SIGTERM, and SIGKILL after three seconds.
end_group() {
    local members deadline=$((SECONDS + 3))
    kill -TERM -- "-$1" 2>/dev/null || true
    while members=$(group_members "$1") && [ -n "$members" ]; do
        if [ "$SECONDS" -ge "$deadline" ]; then kill -KILL -- "-$1" 2>/dev/null || true; fi
        sleep 0.05
    done
}

close_inherited_fds() {
    local path fd
    for path in "/proc/$BASHPID/fd/"*; do
        fd=${path##*/}
        if [ "$fd" -gt 2 ]; then eval "exec $fd>&-"; fi
    done
}

# launch NAME [KEY=value…] COMMAND…: starts COMMAND as the server's user, detached: own session,
# no inherited descriptors or environment, output to console.log. The pid file is written before
# a TERM is acted upon, so an interrupted `up` always knows what it has to stop.
launch() {
    local name=$1 dir=$SERVERS/$1 pid interrupted=''
    shift
    trap 'interrupted=1' TERM INT HUP
    (
        trap - TERM INT HUP
        close_inherited_fds
        if [ -s "$dir/console.log" ]; then mv -f -- "$dir/console.log" "$dir/console.log.1"; fi
        exec </dev/null >"$dir/console.log" 2>&1
        cd -- "$dir/tmp" || exit
        raise_file_limit
        umask 027
        local user=()
        if is_root; then
            user=(setpriv --reuid="$SERVER_USER" --regid="$SERVER_USER" --init-groups)
        fi
        exec setsid env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$dir/tmp" TMPDIR="$dir/tmp" \
            LANG=C.UTF-8 "${user[@]}" env "$@"
    ) &
    pid=$!
    write_pid "$name" "$pid" "$pid" || true
    trap - TERM INT HUP
    if [ -n "$interrupted" ]; then exit 143; fi
}

# Servers want many files; a hard limit of a billion, usual in containers, makes some of them
# walk through a billion descriptors.
raise_file_limit() {
    local hard
    hard=$(ulimit -Hn)
    if [ "$hard" = unlimited ] || [ "$hard" -gt 65536 ]; then hard=65536; fi
    ulimit -n "$hard" 2>/dev/null || true
}

# stop_process NAME: SIGTERM to the main process, then to what is left of its session, SIGKILL
# when the deadline has passed.
stop_process() {
    local name=$1 seconds=${READSIDE_STOP_SECONDS:-30} deadline members asked=''
    if ! server_alive "$name"; then
        rm -f -- "$SERVERS/$name/pid"
        return 0
    fi
    if ! kill -TERM "$PID" 2>/dev/null && server_alive "$name"; then
        note "$name: pid $PID belongs to another user, not stopped"
        return 1
    fi
    deadline=$((SECONDS + seconds))
    while members=$(session_members "$SESSION") && [ -n "$members" ]; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            note "$name: still there after $seconds s, killed"
            # shellcheck disable=SC2086  # a list of numbers
            kill -KILL $members 2>/dev/null || true
        elif [ -z "$asked" ] && ! server_alive "$name"; then
            asked=1
            # shellcheck disable=SC2086
            kill -TERM $members 2>/dev/null || true
        fi
        sleep 0.1
    done
    rm -f -- "$SERVERS/$name/pid"
}

server_stop() {
    if declare -F "$1_stop" >/dev/null; then "$1_stop"; else stop_process "$1"; fi
}

# wait_ready NAME: until NAME_ready or the deadline; a server that ends meanwhile is an error at
# once, with its last words.
wait_ready() {
    local name=$1 seconds=${READSIDE_START_SECONDS:-180} deadline
    deadline=$((SECONDS + seconds))
    until "$1_ready" 2>"$SERVERS/$name/ready.err"; do
        if ! server_alive "$name"; then
            last_words "$name"
            progress "$name" "failed: ended while it started, see $SERVERS/$name/console.log"
            return 1
        fi
        if [ "$SECONDS" -ge "$deadline" ]; then
            last_words "$name"
            cat "$SERVERS/$name/ready.err" >>"$SERVERS/$name/failure"
            progress "$name" "failed: not ready after $seconds s (READSIDE_START_SECONDS)," \
                "see $SERVERS/$name/console.log"
            return 1
        fi
        sleep 0.2
    done
    rm -f -- "$SERVERS/$name/ready.err"
}

# What the server said about its end, for the last lines of `up`: those that name an error, and
# the very last.
last_words() {
    awk '/ERROR|FATAL|Caused by|Exception/ { said[++n] = $0 }
        { last3 = last2; last2 = last1; last1 = $0 }
        END { for (i = (n > 6 ? n - 5 : 1); i <= n; i++) print said[i]
              if (n == 0) { print last3; print last2; print last1 } }' \
        "$SERVERS/$1/console.log" 2>/dev/null | cut -c 1-300 >"$SERVERS/$1/failure" || true
}

# progress NAME TEXT…: what the server is doing now, shown by `up`.
progress() {
    local name=$1
    shift
    printf '%s\n' "$*" >"$SERVERS/$name/progress.$BASHPID"
    mv -f -- "$SERVERS/$name/progress.$BASHPID" "$SERVERS/$name/progress"
}

# Resident memory of a whole session in MiB.
session_memory_mib() {
    local pid total=0 pages
    for pid in $(session_members "$1"); do
        read -r _ pages _ <"/proc/$pid/statm" 2>/dev/null || continue
        total=$((total + pages))
    done
    printf '%s' $((total * $(getconf PAGESIZE) / 1048576))
}
