#include "query-api/text/search_spelling.h"

enum { TEXT_MAX_BYTES = 4096 };

static bool may_ask(const struct search_text *text) {
    return text && text->typo && !text->initials && !text->again && text->words.count > 0;
}

void search_spelling_write(struct json_write *w, const struct search_text *text) {
    static const char how[] = "{\"field\":\"words\",\"analyzer\":\"words_search\",\"suggest_mode\":\"missing\",\"size\":1,"
                              "\"min_word_length\":3,\"prefix_length\":1,\"max_edits\":2}";
    struct buf keys = BUF_INIT(TEXT_MAX_BYTES);
    if (!may_ask(text))
        return;
    for (size_t i = 0; i < text->words.count; i++) {
        if (i)
            buf_append_char(&keys, ' ');
        buf_append(&keys, text->words.items[i].key.data, text->words.items[i].key.len);
    }
    if (buf_ok(&keys)) {
        json_write_open(w, SLICE("\"suggest\":{\"spelling\":{\"text\":"), "{{");
        json_write_string(w, keys.data, keys.len);
        json_write_key(w, "term");
        json_write_raw(w, how, sizeof(how) - 1);
        json_write_close(w, SLICE("}}"), 2);
    }
    buf_done(&keys);
}

struct slice search_spelling_read(struct arena *arena, const struct search_text *text, const struct json *answer) {
    const struct json *entries = json_path(answer, "suggest.spelling");
    struct slice none = {"", 0};
    struct buf out = BUF_INIT(TEXT_MAX_BYTES);
    bool changed = false;
    size_t i = 0;
    if (!may_ask(text) || !json_is(entries, JSON_ARRAY) || entries->count != text->words.count)
        return none;
    for (const struct json *entry = entries->child; entry; entry = entry->next, i++) {
        const struct json *options = json_get(entry, "options");
        const struct json *best = json_is(options, JSON_ARRAY) && options->child ? json_get(options->child, "text") : NULL;
        bool fine = json_is(best, JSON_STRING) && best->text.len > 0;
        struct slice word = fine ? best->text : text->words.items[i].text;
        changed = changed || fine;
        if (i)
            buf_append_char(&out, ' ');
        buf_append(&out, word.data, word.len);
    }
    const char *copy = changed && buf_ok(&out) ? arena_strndup(arena, out.data, out.len) : NULL;
    struct slice result = copy ? (struct slice){copy, out.len} : none;
    buf_done(&out);
    return result;
}
