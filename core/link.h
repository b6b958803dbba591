/* link.h - what the links to MongoDB, MySQL, Elasticsearch and Kafka have in common: TLS and how it is configured.
 * The words of the option tables stand here, so that one option means the same in every section. Pure. */
#pragma once
#include "core/conf.h"

/* In the order of LINK_VERIFY_VALUES; a struct of zeros checks everything. */
enum link_verify {
    LINK_VERIFY_FULL, /* the certificate's issuer, its dates and the host's name */
    LINK_VERIFY_CA,   /* issuer and dates, whatever name it has */
    LINK_VERIFY_NONE, /* nothing: encrypted, but with whom? */
};
#define LINK_VERIFY_VALUES "full|ca|none"

struct link_tls {
    bool on;         /* speak TLS; also implied by ca_file and cert_file, see link_wants_tls */
    char *ca_file;   /* empty: the system's */
    char *cert_file; /* client certificate, if the server asks for one */
    char *key_file;  /* empty: the key stands in cert_file */
    char *key_password;
    int verify; /* enum link_verify */
};

#define LINK_HELP_TLS "Speak TLS; a ca_file or cert_file implies it"
#define LINK_HELP_CA "Certificates (PEM) that the server's is checked against; empty: the system's"
#define LINK_HELP_CERT "Client certificate (PEM), if the server asks for one"
#define LINK_HELP_KEY "Private key (PEM) of cert_file; empty: it stands in that file"
#define LINK_HELP_KEY_PASSWORD "Password of the private key"
#define LINK_HELP_VERIFY "What of the server's certificate is checked: all, all but the host's name, nothing"

bool link_wants_tls(const struct link_tls *tls);
/* INVALID for what can never work: a key without a certificate, or files and no TLS. section names the options. */
bool link_check(const struct link_tls *tls, const char *section, struct error *reterr);
/* True if the file can be read and holds a PEM block whose label ends with `label` ("CERTIFICATE", "PRIVATE KEY").
 * Otherwise INVALID that says why, without the file's name. */
bool link_check_pem(const char *path, const char *label, struct error *reterr);
