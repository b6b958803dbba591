#include "query-api/search/search_again.h"
#include "query-api/text/search_spelling.h"
#include <string.h>

int64_t search_again_found(const struct json *answer) {
    int64_t total = SEARCH_FEW;
    json_int64(json_path(answer, "hits.total.value"), &total);
    return total;
}

/* A code was meant, and found. Not every page shows it: then the second request counts it. */
static bool shows_code(const struct json *answer) {
    const struct json *hits = json_path(answer, "hits.hits");
    double score;
    return json_is(hits, JSON_ARRAY) && hits->child && json_double(json_get(hits->child, "_score"), &score) &&
           score >= LAYER_CODE_IN_NAME && score < LAYER_PIN;
}

bool search_again(const struct search_text_context *context, struct search_text *text, const struct json *answer) {
    int64_t total = search_again_found(answer);
    if (total >= SEARCH_FEW || (total > 0 && shows_code(answer)))
        return false;
    /* What a second request adds to the groups is none of the first one's. */
    struct search_text *first = arena_zalloc(context->arena, sizeof(*first));
    struct search_group *groups = arena_alloc(context->arena, (text->group_count + 1) * sizeof(*groups));
    if (!first || !groups)
        return false;
    if (text->group_count)
        memcpy(groups, text->groups, text->group_count * sizeof(*groups));
    *first = *text;
    first->groups = groups;
    bool other = total > 0 ? search_text_relax(text)
                           : search_text_repair(context, text, search_spelling_read(context->arena, first, answer));
    if (other)
        text->first = first;
    else
        *text = *first;
    return other;
}

/* Of what the first request finds without filters on any page. Nothing was found under filters: it is not repaired then,
 * and few are shown with some of the words. */
enum search_again_verdict search_again_judge(struct search_text *text, const struct json *second) {
    const struct search_text *first = text->first;
    int64_t count = 0, codes = 0;
    json_int64(json_path(second, "aggregations.strict.n.doc_count"), &count);
    json_int64(json_path(second, "aggregations.strict.n.code.doc_count"), &codes);
    bool few = second && count < SEARCH_FEW && codes == 0;
    if (few && (count == 0 || !text->again) && search_again_found(second) > 0)
        return SEARCH_AGAIN_SECOND;
    bool repaired = text->again;
    *text = *first;
    if (!few || !repaired || count == 0 || !search_text_relax(text))
        return SEARCH_AGAIN_FIRST;
    text->first = first;
    return SEARCH_AGAIN_THIRD;
}
