# shellcheck shell=bash
# A stack with TLS and passwords on every link (deploy/stack up --secure). What is needed for that is made once, in
# SERVERS/secure; that the folder is there makes the stack a secure one from then on.
#
#   ca.pem                     authority of this stack; clients check servers against it
#   server.pem server-key.pem  of all servers, for localhost and 127.0.0.1; server-both.pem holds both
#   client.pem client-key.pem  for clients that show a certificate; client-both.pem holds both
#   NAME.password              of the user `readside` at that server
#   mongodb.key                what the members of the replica set know each other by
#
# Passwords travel by files and pipes: a command line can be read by every user of the machine.

# Servers that come from packages without what security needs stay as they are.
SECURABLE=(mongodb mysql elasticsearch kafka mariadb)

secure_folder() { printf '%s/secure' "$SERVERS"; }
is_secure() { [ -d "$(secure_folder)" ]; }
secure_file() { printf '%s/secure/%s' "$SERVERS" "$1"; }
secret_of() { cat -- "$SERVERS/secure/$1.password"; } # NAME

# Makes the folder, complete or not at all.
make_secure() {
    local dir name
    is_secure && return 0
    command -v openssl >/dev/null || die "--secure needs openssl: apt-get install openssl"
    for name in "${SECURABLE[@]}"; do
        if [ -d "$SERVERS/$name/data" ]; then
            die "$name has data without passwords in $SERVERS: deploy/stack reset first, or use --var DIR"
        fi
    done
    dir=$SERVERS/secure.new
    rm -rf -- "$dir"
    mkdir -- "$dir"
    (umask 077 && fill_secure "$dir") >"$SERVERS/secure.log" 2>&1 || die "no certificates: see $SERVERS/secure.log"
    hand_over_secure "$dir"
    mv -T -- "$dir" "$(secure_folder)"
    rm -f -- "$SERVERS/secure.log"
}

fill_secure() { # FOLDER
    local dir=$1 name
    set -e
    openssl req -x509 -newkey rsa:2048 -nodes -sha256 -days 3650 -subj "/O=Readside stack/CN=Readside stack CA" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
        -keyout "$dir/ca-key.pem" -out "$dir/ca.pem"
    issue_certificate "$dir" server "/O=Readside stack/CN=localhost"
    issue_certificate "$dir" client "/O=Readside stack/OU=clients/CN=readside"
    for name in "${SECURABLE[@]}"; do openssl rand -hex 16 >"$dir/$name.password"; done
    openssl rand -base64 96 >"$dir/mongodb.key"
}

issue_certificate() { # FOLDER NAME SUBJECT
    local dir=$1 name=$2
    openssl req -newkey rsa:2048 -nodes -sha256 -subj "$3" -keyout "$dir/$name-key.pem" -out "$dir/$name.csr"
    openssl x509 -req -sha256 -days 3650 -in "$dir/$name.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca-key.pem" \
        -CAcreateserial -out "$dir/$name.pem" -extfile <(
        printf 'basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n')
    cat -- "$dir/$name.pem" "$dir/$name-key.pem" >"$dir/$name-both.pem"
    rm -f -- "$dir/$name.csr"
}

# The servers' user reads what the servers need, everybody the authority, the rest is the caller's.
hand_over_secure() { # FOLDER
    local dir=$1 file
    chmod 755 -- "$dir"
    chmod 644 -- "$dir"/{ca,server,client}.pem
    for file in server-key.pem server-both.pem mongodb.key; do
        if is_root; then chown "$SERVER_USER:$SERVER_USER" -- "$dir/$file"; fi
        chmod 400 -- "$dir/$file"
    done
}

# What a client's environment needs besides the address: user, password and authority.
secure_env() { # PREFIX NAME [USER]
    say "$1_USER=${3:-readside}"
    say "$1_PASSWORD" # unset: it would stand beside the file
    say "$1_PASSWORD_FILE=$(secure_file "$2.password")"
    say "$1_CA_FILE=$(secure_file ca.pem)"
}
