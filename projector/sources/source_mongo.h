/* source_mongo.h - the change stream of `products` as marks.
 *
 * The stream is read by plain aggregate and getMore commands: one answer of the server is one segment, and its
 * post-batch resume token is the position, so that an idle stream advances too. Only _id, documentKey,
 * operationType, clusterTime, wallTime and ns are asked for, so a 16 MB product never makes a 16 MB event.
 *
 * When the position is lost (oplog truncated, token damaged, collection dropped or renamed), the full scan and the
 * position to go on from are stored in one transaction before any mark, and reading goes on there.
 * Thread: its own, from start to stop. */
#pragma once
#include "projector/engine/engine.h"

/* The position of a segment of the stream. */
struct stream_token {
    bson_t *token;
    int64_t generation;
};

struct source_mongo;
struct source_mongo *source_mongo_start(struct engine *engine, const struct engine_conf *conf, struct error *reterr);
void source_mongo_stop(struct source_mongo *source); /* joins; the window must have been stopped; NULL is fine */
/* Cluster time up to which the stream was read, and when the server last answered. Any thread. */
uint64_t source_mongo_position_time(const struct source_mongo *source);
usec_t source_mongo_progress_at(const struct source_mongo *source);
