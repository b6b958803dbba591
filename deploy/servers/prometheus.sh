# shellcheck shell=bash
# Prometheus with the scrape configuration and rules of deploy/prometheus. Only its programs, taken out of the Debian
# package: the installed package would start a service of its own.

PROMETHEUS_HOME=prometheus-debian

server_facts prometheus port=9090 memory=150 download=150 cache="$PROMETHEUS_HOME" packages="curl"

prometheus_install() { cached "$PROMETHEUS_HOME" prometheus_build; }

prometheus_build() {
    cd -- "$1" || return
    if ! apt-get download prometheus && is_root; then
        apt-get -qq update
        apt-get download prometheus
    fi
    dpkg-deb -x prometheus_*.deb package
    mv package/usr/bin/prometheus package/usr/bin/promtool .
    rm -rf -- package prometheus_*.deb
    ./promtool --version
}

prometheus_start() {
    local dir=$SERVERS/prometheus
    prometheus_conf "$dir/conf"
    launch prometheus "$CACHE/$PROMETHEUS_HOME/prometheus" --config.file="$dir/conf/prometheus.yml" \
        --storage.tsdb.path="$dir/data" --storage.tsdb.retention.time="${READSIDE_PROMETHEUS_RETENTION:-15d}" \
        --web.listen-address="127.0.0.1:${PORT[prometheus]}" --web.enable-lifecycle
}

# The server's user may not reach the project, so it gets a copy. Ports are those of deploy/programs.
prometheus_conf() { # FOLDER
    mkdir -p -- "$1/rules" "$1/targets"
    cp -- "$DEPLOY/prometheus/prometheus.yml" "$1/"
    cp -- "$DEPLOY"/prometheus/rules/*.yml "$1/rules/"
    prometheus_target "$1" query-api "${READSIDE_QUERY_API_LISTEN:-127.0.0.1:8080}"
    prometheus_target "$1" write-api "${READSIDE_WRITE_API_LISTEN:-127.0.0.1:8081}"
    prometheus_target "$1" projector "${READSIDE_PROJECTOR_LISTEN:-127.0.0.1:8082}"
    if is_root; then chown -R "$SERVER_USER:" -- "$1"; fi
}

prometheus_target() { # FOLDER PROGRAM ADDRESS
    printf '[{"targets": ["%s"]}]\n' "$3" >"$1/targets/$2.json"
}

prometheus_ready() { http_get "http://127.0.0.1:${PORT[prometheus]}/-/ready" >/dev/null; }

prometheus_env() { say "READSIDE_PROMETHEUS_URL=http://127.0.0.1:$1"; }

prometheus_facts() {
    local version
    version=$("$CACHE/$PROMETHEUS_HOME/promtool" --version 2>/dev/null | awk 'NR == 1 { print $3 }') || true
    say "Prometheus ${version%%+*}"
}
