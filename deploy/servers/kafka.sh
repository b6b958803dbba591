# shellcheck shell=bash
# Kafka, one broker that is its own controller (KRaft). Maven brings the broker's jars with what
# they need; the shell scripts of the distribution are not among them, so Java is called directly.

KAFKA_VERSION=3.9.1
KAFKA_HOME=kafka-$KAFKA_VERSION

server_facts kafka port=9092 aux_port=9093 memory=700 download=250 cache="$KAFKA_HOME" \
    packages="$JAVA_PACKAGES"

kafka_install() { cached "$KAFKA_HOME" kafka_build; }

kafka_build() {
    maven_jars "$1" "org.apache.kafka:kafka_2.13:$KAFKA_VERSION" \
        org.slf4j:slf4j-reload4j:1.7.36
    test -f "$1/lib/kafka_2.13-$KAFKA_VERSION.jar"
}

kafka_start() {
    local dir=$SERVERS/kafka java options protocol=PLAINTEXT
    java=$(java_home)/bin/java
    if is_secure; then protocol=SASL_SSL; fi
    write_conf kafka server.properties <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${PORT[kafka.aux]}
listeners=$protocol://127.0.0.1:${PORT[kafka]},CONTROLLER://127.0.0.1:${PORT[kafka.aux]}
advertised.listeners=$protocol://127.0.0.1:${PORT[kafka]}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
$(kafka_security)
controller.listener.names=CONTROLLER
log.dirs=$dir/data
num.partitions=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
# A broker that was killed is let in again when the session of its former self has ended.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
END
    if is_root; then chown "$SERVER_USER" "$dir/conf/server.properties"; fi
    chmod 600 "$dir/conf/server.properties"
    write_conf kafka log4j.properties <<END
log4j.rootLogger=INFO, stdout
log4j.appender.stdout=org.apache.log4j.ConsoleAppender
log4j.appender.stdout.layout=org.apache.log4j.PatternLayout
log4j.appender.stdout.layout.ConversionPattern=%d %p %m (%c{1})%n
END
    if [ ! -f "$dir/data/meta.properties" ]; then kafka_format "$java"; fi
    mapfile -t options < <(java_options)
    launch kafka "$java" -Xms256m "-Xmx${READSIDE_KAFKA_HEAP:-512m}" -XX:+UseG1GC \
        -XX:+ExitOnOutOfMemoryError "${options[@]}" -Djava.io.tmpdir="$dir/tmp" \
        -Dlog4j.configuration="file:$dir/conf/log4j.properties" \
        -cp "$CACHE/$KAFKA_HOME/lib/*" kafka.Kafka "$dir/conf/server.properties"
}

# The broker itself logs in by PLAIN, clients by PLAIN or SCRAM; both know the same password.
kafka_security() {
    local login=org.apache.kafka.common.security
    is_secure || return 0
    cat <<END
security.inter.broker.protocol=SASL_SSL
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
ssl.keystore.type=PEM
ssl.keystore.location=$(secure_file server-both.pem)
ssl.truststore.type=PEM
ssl.truststore.location=$(secure_file ca.pem)
ssl.client.auth=none
listener.name.sasl_ssl.plain.sasl.jaas.config=$login.plain.PlainLoginModule required \
  username="readside" password="$(secret_of kafka)" user_readside="$(secret_of kafka)";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=$login.scram.ScramLoginModule required;
END
}

# Formatting writes one small file, at the end.
kafka_format() { # JAVA
    local dir=$SERVERS/kafka id users=()
    progress kafka initialise
    # 16 random bytes in base64 for URLs, as StorageTool would make them.
    id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d =)
    # The tool takes it by its command line only: for the second that it runs.
    if is_secure; then users=(--add-scram "SCRAM-SHA-512=[name=readside,password=$(secret_of kafka)]"); fi
    (
        cd -- "$dir/tmp" || exit
        as_server env -i PATH=/usr/bin:/bin "$1" -Xmx128m \
            -Dlog4j.configuration="file:$dir/conf/log4j.properties" \
            -cp "$CACHE/$KAFKA_HOME/lib/*" kafka.tools.StorageTool format \
            --cluster-id "A${id:1}" --config "$dir/conf/server.properties" \
            ${users[@]+"${users[@]}"}
    ) </dev/null >"$dir/console.log" 2>&1
}

# The port is open before the broker may be asked; the log says when it may. Both, so that the
# word of an earlier run does not count.
kafka_ready() {
    tcp_open "${PORT[kafka]}" &&
        grep -q 'Kafka Server started' "$SERVERS/kafka/console.log"
}

kafka_env() {
    say "READSIDE_KAFKA_BROKERS=127.0.0.1:$1"
    if is_secure; then secure_env READSIDE_KAFKA kafka; fi
}

kafka_facts() { say "Apache Kafka $KAFKA_VERSION, KRaft"; }
