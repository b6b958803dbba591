# shellcheck shell=bash
# MariaDB from Debian, for the tests against a second SQL server. Only the package with the
# server's programs: the full one would start a service of its own.

server_facts mariadb port=3307 memory=300 download=0 cache=. packages="mariadb-server-core mariadb-client-core"

mariadb_install() { :; }

mariadb_start() {
    local dir=$SERVERS/mariadb
    write_conf mariadb my.cnf <<END
[mysqld]
datadir = $dir/data/mariadb
bind_address = 127.0.0.1
port = ${PORT[mariadb]}
socket = mariadb.sock
pid_file = mariadb.pid
tmpdir = $dir/tmp
skip_name_resolve = ON
character_set_server = utf8mb4
default_time_zone = '+00:00'
log_bin = binlog
binlog_format = ROW
server_id = 1
log_bin_trust_function_creators = 1
expire_logs_days = 1
max_binlog_size = 64M
innodb_buffer_pool_size = ${READSIDE_MYSQL_BUFFER_POOL:-128M}
max_connections = 200
max_connect_errors = 1000000000
$(sql_tls_settings "")
END
    sql_account_statements BY mariadb | write_conf mariadb init.sql
    if is_root; then chown "$SERVER_USER" "$dir/conf/init.sql"; fi
    chmod 600 "$dir/conf/init.sql"
    if [ ! -d "$dir/data/mariadb" ]; then mariadb_initialize; fi
    launch mariadb /usr/sbin/mariadbd --defaults-file="$dir/conf/my.cnf" \
        --init-file="$dir/conf/init.sql"
}

mariadb_initialize() {
    local dir=$SERVERS/mariadb
    progress mariadb initialise
    as_server rm -rf -- "$dir/data/new"
    (
        cd -- "$dir/tmp" || exit
        as_server env -i PATH=/usr/bin:/bin:/usr/sbin mariadb-install-db --no-defaults \
            --datadir="$dir/data/new" --auth-root-authentication-method=normal \
            --skip-test-db --skip-name-resolve
    ) </dev/null >"$dir/console.log" 2>&1
    as_server mv -T -- "$dir/data/new" "$dir/data/mariadb"
}

mariadb_ready() { sql_greets "${PORT[mariadb]}"; }

mariadb_env() { sql_env READSIDE_MARIADB "$1" mariadb; }

# "1:10.11.19-0+deb12u1" without epoch and revision.
mariadb_facts() {
    local version
    version=$(dpkg-query -W -f '${Version}' mariadb-server-core 2>/dev/null || true)
    version=${version#*:}
    say "MariaDB ${version%%-*}"
}
