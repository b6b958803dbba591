/* servers.h - is a server fit to work with? One try each; who waits decides when to ask again.
 * Thread: any, with sessions of its own. Every call may block for seconds. */
#pragma once
#include "core/es.h"
#include "core/mongo.h"
#include "core/mysql.h"

/* A primary of a replica set. */
bool servers_try_mongo(mongoc_client_t *client, struct error *reterr);
/* With the tables that the write-api's migrations make. */
bool servers_try_mysql(struct mysql_session *mysql, struct error *reterr);
bool servers_try_es(const struct es_conf *es, struct error *reterr);
