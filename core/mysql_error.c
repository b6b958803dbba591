/* Sources: MySQL 8.0 "Server Error Message Reference" and "Client Error Message Reference", MariaDB "MariaDB
 * Error Code Reference". 1000-1999, 3000-5999: servers; 2000-2999: client library. Numbers that mean "your SQL is
 * wrong" are left out on purpose: they are mistakes in the program, INTERNAL. */
#include "core/mysql_error.h"
#include "core/cleanup.h"
#include <stddef.h>

enum { LOST = 1 };

static const struct row {
    unsigned number;
    enum error_code code;
    unsigned flags;
    const char *advice;
} rows[] = {
    {1020, ERROR_OVERLOADED, 0, NULL},  /* ER_CHECKREAD: MariaDB, row changed since the snapshot */
    {1021, ERROR_UNAVAILABLE, 0, "free disk space on the server"}, /* ER_DISK_FULL */
    {1022, ERROR_CONFLICT, 0, NULL},    /* ER_DUP_KEY */
    {1037, ERROR_OVERLOADED, 0, NULL},  /* ER_OUTOFMEMORY */
    {1038, ERROR_OVERLOADED, 0, NULL},  /* ER_OUT_OF_SORTMEMORY */
    {1040, ERROR_UNAVAILABLE, LOST, "raise max_connections"}, /* ER_CON_COUNT_ERROR */
    {1041, ERROR_UNAVAILABLE, LOST, NULL}, /* ER_OUT_OF_RESOURCES */
    {1042, ERROR_UNAVAILABLE, LOST, NULL}, /* ER_BAD_HOST_ERROR */
    {1043, ERROR_UNAVAILABLE, LOST, NULL}, /* ER_HANDSHAKE_ERROR */
    {1044, ERROR_UNAVAILABLE, 0, "grant the user of [mysql] the database"}, /* ER_DBACCESS_DENIED_ERROR */
    {1045, ERROR_UNAVAILABLE, LOST, "check [mysql] user and password"}, /* ER_ACCESS_DENIED_ERROR */
    {1047, ERROR_UNAVAILABLE, 0, NULL}, /* ER_UNKNOWN_COM_ERROR: Galera node not ready */
    {1048, ERROR_INVALID, 0, NULL},     /* ER_BAD_NULL_ERROR */
    {1049, ERROR_UNAVAILABLE, LOST, "create the database of [mysql]"}, /* ER_BAD_DB_ERROR */
    {1053, ERROR_UNAVAILABLE, LOST, NULL}, /* ER_SERVER_SHUTDOWN */
    {1062, ERROR_CONFLICT, 0, NULL},    /* ER_DUP_ENTRY */
    {1079, ERROR_UNAVAILABLE, LOST, NULL}, /* ER_SHUTDOWN_COMPLETE */
    {1080, ERROR_UNAVAILABLE, LOST, NULL}, /* ER_FORCING_CLOSE */
    {1114, ERROR_UNAVAILABLE, 0, "free disk space on the server"}, /* ER_RECORD_FILE_FULL */
    {1129, ERROR_UNAVAILABLE, LOST, "run FLUSH HOSTS on the server"}, /* ER_HOST_IS_BLOCKED */
    {1130, ERROR_UNAVAILABLE, LOST, "grant the user of [mysql] this host"}, /* ER_HOST_NOT_PRIVILEGED */
    {1142, ERROR_UNAVAILABLE, 0, "grant the user of [mysql] this table"}, /* ER_TABLEACCESS_DENIED_ERROR */
    {1146, ERROR_UNAVAILABLE, 0, "write-api makes the tables at its start"}, /* ER_NO_SUCH_TABLE */
    {1152, ERROR_UNAVAILABLE, LOST, NULL}, /* ER_ABORTING_CONNECTION */
    {1153, ERROR_INVALID, LOST, NULL},     /* ER_NET_PACKET_TOO_LARGE: the server hangs up after it */
    {1158, ERROR_UNAVAILABLE, LOST, NULL}, /* ER_NET_READ_ERROR */
    {1159, ERROR_UNAVAILABLE, LOST, NULL}, /* ER_NET_READ_INTERRUPTED */
    {1160, ERROR_UNAVAILABLE, LOST, NULL}, /* ER_NET_ERROR_ON_WRITE */
    {1161, ERROR_UNAVAILABLE, LOST, NULL}, /* ER_NET_WRITE_INTERRUPTED */
    {1180, ERROR_UNAVAILABLE, 0, NULL}, /* ER_ERROR_DURING_COMMIT */
    {1184, ERROR_UNAVAILABLE, LOST, NULL}, /* ER_NEW_ABORTING_CONNECTION */
    {1203, ERROR_UNAVAILABLE, LOST, "raise max_user_connections"}, /* ER_TOO_MANY_USER_CONNECTIONS */
    {1205, ERROR_OVERLOADED, 0, NULL},  /* ER_LOCK_WAIT_TIMEOUT */
    {1206, ERROR_OVERLOADED, 0, NULL},  /* ER_LOCK_TABLE_FULL */
    {1213, ERROR_OVERLOADED, 0, NULL},  /* ER_LOCK_DEADLOCK */
    {1226, ERROR_UNAVAILABLE, LOST, NULL}, /* ER_USER_LIMIT_REACHED */
    {1227, ERROR_UNAVAILABLE, 0, "grant the user of [mysql] this privilege"}, /* ER_SPECIFIC_ACCESS_DENIED_ERROR */
    {1264, ERROR_INVALID, 0, NULL},     /* ER_WARN_DATA_OUT_OF_RANGE */
    {1265, ERROR_INVALID, 0, NULL},     /* WARN_DATA_TRUNCATED */
    {1290, ERROR_UNAVAILABLE, 0, "the server is read-only: it may be a replica or in failover"},
    {1292, ERROR_INVALID, 0, NULL},     /* ER_TRUNCATED_WRONG_VALUE */
    {1300, ERROR_INVALID, 0, NULL},     /* ER_INVALID_CHARACTER_STRING */
    {1317, ERROR_UNAVAILABLE, 0, NULL}, /* ER_QUERY_INTERRUPTED */
    {1364, ERROR_INVALID, 0, NULL},     /* ER_NO_DEFAULT_FOR_FIELD */
    {1365, ERROR_INVALID, 0, NULL},     /* ER_DIVISION_BY_ZERO */
    {1366, ERROR_INVALID, 0, NULL},     /* ER_TRUNCATED_WRONG_VALUE_FOR_FIELD */
    {1406, ERROR_INVALID, 0, NULL},     /* ER_DATA_TOO_LONG */
    {1419, ERROR_UNAVAILABLE, 0, "set log_bin_trust_function_creators=1 on the server"}, /* triggers and binlog */
    {1451, ERROR_INVALID, 0, NULL},     /* ER_ROW_IS_REFERENCED_2 */
    {1452, ERROR_INVALID, 0, NULL},     /* ER_NO_REFERENCED_ROW_2 */
    {1586, ERROR_CONFLICT, 0, NULL},    /* ER_DUP_ENTRY_WITH_KEY_NAME */
    {1644, ERROR_INVALID, 0, NULL},     /* ER_SIGNAL_EXCEPTION: SIGNAL '45000' of a trigger */
    {1690, ERROR_INVALID, 0, NULL},     /* ER_DATA_OUT_OF_RANGE */
    {1698, ERROR_UNAVAILABLE, LOST, "check [mysql] user and password"}, /* ER_ACCESS_DENIED_NO_PASSWORD_ERROR */
    {1792, ERROR_UNAVAILABLE, 0, NULL}, /* ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION */
    {1836, ERROR_UNAVAILABLE, 0, "the server is read-only: it may be a replica or in failover"},
    {1927, ERROR_UNAVAILABLE, LOST, NULL}, /* ER_CONNECTION_KILLED (MariaDB) */
    {1969, ERROR_TIMEOUT, 0, NULL},     /* ER_STATEMENT_TIMEOUT (MariaDB) */
    {2002, ERROR_UNAVAILABLE, LOST, "check [mysql] host, port and socket"}, /* CR_CONNECTION_ERROR */
    {2003, ERROR_UNAVAILABLE, LOST, "check [mysql] host and port"}, /* CR_CONN_HOST_ERROR */
    {2004, ERROR_UNAVAILABLE, LOST, NULL}, /* CR_IPSOCK_ERROR */
    {2005, ERROR_UNAVAILABLE, LOST, "check [mysql] host"}, /* CR_UNKNOWN_HOST */
    {2006, ERROR_UNAVAILABLE, LOST, NULL}, /* CR_SERVER_GONE_ERROR */
    {2007, ERROR_UNAVAILABLE, LOST, NULL}, /* CR_VERSION_ERROR */
    {2008, ERROR_INTERNAL, LOST, NULL}, /* CR_OUT_OF_MEMORY */
    {2009, ERROR_UNAVAILABLE, LOST, NULL}, /* CR_WRONG_HOST_INFO */
    {2012, ERROR_UNAVAILABLE, LOST, NULL}, /* CR_SERVER_HANDSHAKE_ERR */
    {2013, ERROR_UNAVAILABLE, LOST, NULL}, /* CR_SERVER_LOST */
    {2014, ERROR_INTERNAL, LOST, NULL}, /* CR_COMMANDS_OUT_OF_SYNC */
    {2020, ERROR_INVALID, LOST, NULL},  /* CR_NET_PACKET_TOO_LARGE */
    {2026, ERROR_UNAVAILABLE, LOST, "check [mysql] tls and its files, and the server's certificate"}, /* CR_SSL_CONNECTION_ERROR */
    {2027, ERROR_UNAVAILABLE, LOST, NULL}, /* CR_MALFORMED_PACKET */
    {2055, ERROR_UNAVAILABLE, LOST, NULL}, /* CR_SERVER_LOST_EXTENDED */
    {2058, ERROR_UNAVAILABLE, LOST, NULL}, /* CR_ALREADY_CONNECTED: never reused here */
    {2059, ERROR_UNAVAILABLE, LOST, "install the client library's plugin for it"}, /* CR_AUTH_PLUGIN_CANNOT_LOAD */
    {2061, ERROR_UNAVAILABLE, LOST, "check [mysql] user and password"}, /* CR_AUTH_PLUGIN_ERR */
    {3024, ERROR_TIMEOUT, 0, NULL},     /* ER_QUERY_TIMEOUT (MySQL max_execution_time) */
    {3140, ERROR_INVALID, 0, NULL},     /* ER_INVALID_JSON_TEXT */
    {3159, ERROR_UNAVAILABLE, LOST, "the server wants TLS: set [mysql] tls or ca_file"}, /* ER_SECURE_TRANSPORT_REQUIRED */
    {3572, ERROR_OVERLOADED, 0, NULL},  /* ER_LOCK_NOWAIT */
    {3819, ERROR_INVALID, 0, NULL},     /* ER_CHECK_CONSTRAINT_VIOLATED (MySQL) */
    {4025, ERROR_INVALID, 0, NULL},     /* ER_CONSTRAINT_FAILED (MariaDB) */
    {4031, ERROR_UNAVAILABLE, LOST, NULL}, /* ER_CLIENT_INTERACTION_TIMEOUT (MySQL) */
};

static const struct row *find(unsigned number) {
    size_t low = 0, high = ARRAY_LEN(rows);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rows[middle].number == number)
            return &rows[middle];
        if (rows[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

enum error_code mysql_error_code(unsigned number) {
    const struct row *row = find(number);
    return row ? row->code : ERROR_INTERNAL;
}

bool mysql_error_is_lost(unsigned number) {
    const struct row *row = find(number);
    return row && (row->flags & LOST);
}

const char *mysql_error_advice(unsigned number) {
    const struct row *row = find(number);
    return row ? row->advice : NULL;
}
