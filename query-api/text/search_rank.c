#include "query-api/text/search_rank.h"
#include <string.h>

/* The step of the logarithmic scale (projector/compose/product_signals.h) at which a signal counts in full: 4 log2(1 + 4095). */
static const double full_step = 48;

/* New for a week, then less each day; nothing after half a year. By the day, not by the moment: the pages of a walk are asked
 * for one after the other, and a score that falls meanwhile would put products behind it once more. Without the filter a product
 * of unknown age would count as one of today. */
static const char recency[] =
    "{\"filter\":{\"exists\":{\"field\":\"created_at\"}},"
    "\"linear\":{\"created_at\":{\"origin\":\"now/d\",\"offset\":\"7d\",\"scale\":\"90d\",\"decay\":0.5}},\"weight\":";

static bool is_off(const struct search_signal_weights *weights) {
    return weights->sales == 0 && weights->popularity == 0 && weights->recency == 0;
}

double search_rank_most(const struct search_signal_weights *weights) {
    return 1 + (double)(weights->sales + weights->popularity + weights->recency) / 100;
}

void search_rank_begin(struct json_write *w, const struct search_signal_weights *weights) {
    if (is_off(weights))
        return;
    json_write_open(w, SLICE("{\"function_score\":{\"query\":"), "{{");
}

static void write_signal(struct json_write *w, const char *field, int64_t weight) {
    if (weight == 0)
        return;
    json_write_open(w, SLICE("{\"field_value_factor\":{\"field\":"), "{{");
    json_write_str(w, field);
    json_write_key(w, "factor");
    json_write_double(w, (double)weight / 100 / full_step);
    json_write_close(w, SLICE(",\"missing\":0}}"), 2);
}

void search_rank_end(struct json_write *w, const struct search_signal_weights *weights) {
    if (is_off(weights))
        return;
    json_write_open(w, SLICE("\"functions\":[{\"weight\":1}"), "[");
    write_signal(w, "sales", weights->sales);
    write_signal(w, "popularity", weights->popularity);
    if (weights->recency) {
        json_write_open(w, (struct slice){recency, sizeof(recency) - 1}, "{");
        json_write_double(w, (double)weights->recency / 100);
        json_write_close(w, SLICE("}"), 1);
    }
    json_write_close(w, SLICE("],\"score_mode\":\"sum\",\"max_boost\":"), 1);
    json_write_double(w, search_rank_most(weights));
    json_write_close(w, SLICE("}}"), 2);
}
