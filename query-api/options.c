#include "query-api/query_api.h"
#include <stddef.h>

#define FIELD(name) offsetof(struct query_conf, name)

const struct option query_option_table[] = {
    {"query-api", "listen", OPTION_STRING, "127.0.0.1:8080", 0, 0, NULL,
     "Address and port to listen on; port 0 takes a free one.", FIELD(listen), false},
    {"query-api", "port_file", OPTION_STRING, "", 0, 0, NULL,
     "File that receives the port once requests are accepted; empty: none.", FIELD(port_file), false},
    {"query-api", "loops", OPTION_INT, "0", 0, 256, NULL, "Event loops, one thread each; 0: one per core.",
     FIELD(loops), false},
    {"query-api", "index", OPTION_STRING, "products", 0, 0, NULL,
     "Alias of the product index, as the projector maintains it.", FIELD(index), false},
    {"query-api", "categories_index", OPTION_STRING, "categories", 0, 0, NULL,
     "Index of the categories, as the projector maintains it.", FIELD(categories_index), false},
    {"query-api", "overrides_index", OPTION_STRING, "search-overrides", 0, 0, NULL,
     "Index of synonyms, stop words and rules; made if it is missing.", FIELD(overrides_index), false},
    {"query-api", "overrides_poll", OPTION_DURATION, "1s", 50000, 3600000000, NULL,
     "How often synonyms, stop words and rules are looked at for a change.", FIELD(overrides_poll_usec), false},
    {"query-api", "admin_key", OPTION_SECRET, "", 0, 0, NULL,
     "Key for /admin, sent as Authorization: Bearer KEY; empty: /admin is refused.", FIELD(admin_key), false},
    {"query-api", "search_timeout", OPTION_DURATION, "3s", 10000, 60000000, NULL,
     "Longest wait for Elasticsearch's answer to one search.", FIELD(search_timeout_usec), false},
    {"query-api", "categories_poll", OPTION_DURATION, "1s", 50000, 3600000000, NULL,
     "How often the snapshot of the categories asks for a newer revision.", FIELD(categories_poll_usec), false},
    {"query-api", "connections_max", OPTION_INT, "4000", 1, 1000000, NULL, "Most client connections per loop.",
     FIELD(connections_max), false},
    {"query-api", "upstream_connections", OPTION_INT, "32", 1, 10000, NULL,
     "Most searches that one loop has under way at Elasticsearch at a time.", FIELD(upstream_connections), false},
    {"query-api", "upstream_queue", OPTION_INT, "256", 0, 100000, NULL,
     "Searches that wait for a connection beyond those; more are answered 503 at once.", FIELD(upstream_queue), false},
    {"query-api", "body_max", OPTION_BYTES, "64k", 1024, 16777216, NULL, "Largest request body.", FIELD(body_max_bytes),
     false},
    {"query-api", "header_max", OPTION_BYTES, "16k", 2048, 1048576, NULL, "Largest request line and headers together.",
     FIELD(header_max_bytes), false},
    {"query-api", "read_timeout", OPTION_DURATION, "10s", 10000, 600000000, NULL,
     "A request must have arrived completely within this time.", FIELD(read_timeout_usec), false},
    {"query-api", "idle_timeout", OPTION_DURATION, "60s", 10000, 3600000000, NULL,
     "A kept-alive connection without a request is closed after this time.", FIELD(idle_timeout_usec), false},
};
const size_t query_option_count = sizeof(query_option_table) / sizeof(query_option_table[0]);
