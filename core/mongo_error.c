/* Sources: MongoDB's src/mongo/base/error_codes.yml (numbers and the categories RetriableError, NetworkError,
 * NotPrimaryError, ShutdownError, Interruption), the drivers' specifications "Retryable Reads" and "Change Streams",
 * and mongoc-error.h of libmongoc. What is missing here is a mistake in the program: INTERNAL. */
#include "core/mongo_error.h"
#include "core/cleanup.h"
#include "core/mongo.h"

struct row {
    uint32_t number;
    enum error_code code;
    const char *advice;
};

static const char no_primary[] = "the replica set has no primary now";
static const char credentials[] = "check [mongo] user and password, and authSource in its uri";

static const struct row server_rows[] = {
    {2, ERROR_INVALID, NULL},        /* BadValue */
    {6, ERROR_UNAVAILABLE, NULL},    /* HostUnreachable */
    {7, ERROR_UNAVAILABLE, NULL},    /* HostNotFound */
    {9, ERROR_INVALID, NULL},        /* FailedToParse */
    {11, ERROR_UNAVAILABLE, credentials}, /* UserNotFound */
    {13, ERROR_UNAVAILABLE, "check [mongo] user; it needs readWrite on the database"}, /* Unauthorized */
    {14, ERROR_INVALID, NULL},       /* TypeMismatch */
    {15, ERROR_INVALID, NULL},       /* Overflow */
    {18, ERROR_UNAVAILABLE, credentials}, /* AuthenticationFailed */
    {24, ERROR_OVERLOADED, NULL},    /* LockTimeout */
    {26, ERROR_NOT_FOUND, NULL},     /* NamespaceNotFound */
    {27, ERROR_NOT_FOUND, NULL},     /* IndexNotFound */
    {43, ERROR_UNAVAILABLE, NULL},   /* CursorNotFound */
    {46, ERROR_OVERLOADED, NULL},    /* LockBusy */
    {48, ERROR_CONFLICT, NULL},      /* NamespaceExists */
    {50, ERROR_TIMEOUT, NULL},       /* MaxTimeMSExpired */
    {63, ERROR_UNAVAILABLE, NULL},   /* StaleShardVersion */
    {64, ERROR_TIMEOUT, "the write may be stored, but not yet on a majority"}, /* WriteConcernFailed */
    {68, ERROR_CONFLICT, NULL},      /* IndexAlreadyExists */
    {76, ERROR_UNAVAILABLE, "start the server with --replSet"}, /* NoReplicationEnabled */
    {85, ERROR_CONFLICT, NULL},      /* IndexOptionsConflict */
    {86, ERROR_CONFLICT, NULL},      /* IndexKeySpecsConflict */
    {89, ERROR_UNAVAILABLE, NULL},   /* NetworkTimeout */
    {91, ERROR_UNAVAILABLE, NULL},   /* ShutdownInProgress */
    {100, ERROR_UNAVAILABLE, "fewer members are up than a majority"}, /* UnsatisfiableWriteConcern */
    {112, ERROR_OVERLOADED, NULL},   /* WriteConflict: the caller repeats its transaction */
    {121, ERROR_INVALID, NULL},      /* DocumentValidationFailure */
    {123, ERROR_UNAVAILABLE, "start the server with --replSet"}, /* NotAReplicaSet */
    {133, ERROR_UNAVAILABLE, no_primary}, /* FailedToSatisfyReadPreference */
    {134, ERROR_UNAVAILABLE, NULL},  /* ReadConcernMajorityNotAvailableYet */
    {136, ERROR_HISTORY_LOST, NULL}, /* CappedPositionLost */
    {146, ERROR_OVERLOADED, NULL},   /* ExceededMemoryLimit */
    {150, ERROR_UNAVAILABLE, NULL},  /* StaleEpoch */
    {175, ERROR_UNAVAILABLE, NULL},  /* QueryPlanKilled */
    {189, ERROR_UNAVAILABLE, no_primary}, /* PrimarySteppedDown */
    {202, ERROR_OVERLOADED, NULL},   /* NetworkInterfaceExceededTimeLimit */
    {234, ERROR_UNAVAILABLE, NULL},  /* RetryChangeStream */
    {237, ERROR_UNAVAILABLE, NULL},  /* CursorKilled */
    {251, ERROR_UNAVAILABLE, NULL},  /* NoSuchTransaction: aborted meanwhile, the caller repeats it */
    {260, ERROR_HISTORY_LOST, NULL}, /* InvalidResumeToken */
    {262, ERROR_TIMEOUT, NULL},      /* ExceededTimeLimit */
    {280, ERROR_HISTORY_LOST, NULL}, /* ChangeStreamFatalError */
    {286, ERROR_HISTORY_LOST, "the oplog is shorter than our absence; make it larger"}, /* ChangeStreamHistoryLost */
    {290, ERROR_TIMEOUT, NULL},      /* TransactionExceededLifetimeLimitSeconds */
    {9001, ERROR_UNAVAILABLE, NULL}, /* SocketException */
    {10107, ERROR_UNAVAILABLE, no_primary}, /* NotWritablePrimary */
    {10334, ERROR_INVALID, NULL},    /* BSONObjectTooLarge */
    {11000, ERROR_CONFLICT, NULL},   /* DuplicateKey */
    {11001, ERROR_CONFLICT, NULL},   /* DuplicateKey of old servers, at an update */
    {11600, ERROR_UNAVAILABLE, NULL}, /* InterruptedAtShutdown */
    {11601, ERROR_UNAVAILABLE, NULL}, /* Interrupted */
    {11602, ERROR_UNAVAILABLE, no_primary}, /* InterruptedDueToReplStateChange */
    {12582, ERROR_CONFLICT, NULL},   /* DuplicateKey of mongos */
    {13388, ERROR_UNAVAILABLE, NULL}, /* StaleConfig */
    {13435, ERROR_UNAVAILABLE, no_primary}, /* NotPrimaryNoSecondaryOk */
    {13436, ERROR_UNAVAILABLE, no_primary}, /* NotPrimaryOrSecondary */
    {14031, ERROR_UNAVAILABLE, "free disk space on the server"}, /* OutOfDiskSpace */
    {17280, ERROR_INVALID, NULL},    /* KeyTooLong */
    {40573, ERROR_UNAVAILABLE, "start the server with --replSet"}, /* change stream without a replica set */
};

/* The driver's own domains: a row with number 0 stands for all codes of the domain. */
static const struct {
    uint32_t domain;
    struct row row;
} driver_rows[] = {
    {MONGOC_ERROR_SERVER_SELECTION, {0, ERROR_UNAVAILABLE, NULL}},
    {MONGOC_ERROR_STREAM, {0, ERROR_UNAVAILABLE, NULL}},
    {MONGOC_ERROR_PROTOCOL, {0, ERROR_UNAVAILABLE, NULL}}, /* among them: the server speaks too old a version */
    {MONGOC_ERROR_SASL, {0, ERROR_UNAVAILABLE, credentials}},
    {MONGOC_ERROR_SCRAM, {0, ERROR_UNAVAILABLE, credentials}},
    {MONGOC_ERROR_CLIENT, {MONGOC_ERROR_CLIENT_AUTHENTICATE, ERROR_UNAVAILABLE, credentials}},
    {MONGOC_ERROR_CLIENT, {MONGOC_ERROR_CLIENT_TOO_BIG, ERROR_INVALID, NULL}},
    {MONGOC_ERROR_CLIENT, {MONGOC_ERROR_CLIENT_NOT_READY, ERROR_UNAVAILABLE, NULL}},
    {MONGOC_ERROR_BSON, {0, ERROR_INVALID, NULL}}, /* a document over the server's maxBsonObjectSize */
    {MONGOC_ERROR_CURSOR, {MONGOC_ERROR_CHANGE_STREAM_NO_RESUME_TOKEN, ERROR_HISTORY_LOST, NULL}},
};

static const struct row *find_server(uint32_t number) {
    size_t low = 0, high = ARRAY_LEN(server_rows);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (server_rows[middle].number == number)
            return &server_rows[middle];
        if (server_rows[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static const struct row *find(uint32_t domain, uint32_t code) {
    if (domain == MONGOC_ERROR_SERVER || domain == MONGOC_ERROR_WRITE_CONCERN)
        return find_server(code);
    for (size_t i = 0; i < ARRAY_LEN(driver_rows); i++) {
        if (driver_rows[i].domain == domain && (driver_rows[i].row.number == 0 || driver_rows[i].row.number == code))
            return &driver_rows[i].row;
    }
    return NULL;
}

enum error_code mongo_error_code(uint32_t domain, uint32_t code) {
    const struct row *row = find(domain, code);
    return row ? row->code : ERROR_INTERNAL;
}

const char *mongo_error_advice(uint32_t domain, uint32_t code) {
    const struct row *row = find(domain, code);
    return row ? row->advice : NULL;
}
