/* status.h - what GET /v1/status answers: one JSON object made of sections. Whoever owns a fact publishes its section
 * anew when it changes; a request only puts the last texts together, so that asking costs the pipe nothing and
 * answers whatever the servers do.
 *
 *   struct status_section s;
 *   struct json_write *w = status_begin(&s, "targets");      // any JSON value
 *   json_write_array(w); ... json_write_array_end(w);
 *   status_publish(&s);                                       // replaces the section of that name
 *
 * Names are the members of the answer; README.md lists them. A section that was not written to its end is dropped
 * and the one before stays. Thread: any; a status_section belongs to one. */
#pragma once
#include "core/json_write.h"

struct status_section {
    const char *name; /* static */
    struct buf text;
    struct json_write json;
};

struct json_write *status_begin(struct status_section *section, const char *name);
void status_publish(struct status_section *section);
/* The facts of a term end with it; those of the process stay. */
void status_remove(const char *name);
/* Writes every section as a member of the object that is open in w. */
void status_write(struct json_write *w);
void status_done(void); /* frees everything, at exit */

/* A member with a time as RFC 3339, null if there is none (0). */
void status_write_time(struct json_write *w, const char *key, int64_t wall_usec);
/* The section "instance": which process this is, and what it is at: starting, waiting, standby, preparing, owner,
 * stopping; of a group: joining, consumer. */
void status_publish_instance(const char *role, uint64_t epoch);
