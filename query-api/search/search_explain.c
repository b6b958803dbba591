#include "query-api/search/search_explain.h"

static void write_flag(struct json_write *w, const char *name, bool value) {
    json_write_key(w, name);
    json_write_bool(w, value);
}

static void write_words(struct json_write *w, const struct search_text *text) {
    json_write_key(w, "words");
    json_write_array(w);
    for (size_t i = 0; i < text->words.count && i < SEARCH_WORDS_MAX; i++) {
        const struct search_word *word = &text->words.items[i];
        json_write_object(w);
        json_write_key(w, "text");
        json_write_slice(w, word->text);
        write_flag(w, "optional", word->optional);
        json_write_key(w, "same_as");
        json_write_array(w);
        for (size_t k = 0; k < word->spelling_count; k++)
            json_write_slice(w, word->spellings[k]);
        json_write_array_end(w);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

/* Synonyms: what may stand in the place of which words. */
static void write_alternatives(struct json_write *w, const struct search_text *text) {
    json_write_key(w, "alternatives");
    json_write_array(w);
    for (size_t i = 0; i < text->group_count; i++) {
        const struct search_group *group = &text->groups[i];
        for (size_t k = 0; k < group->alternative_count; k++) {
            json_write_object(w);
            json_write_key(w, "first_word");
            json_write_uint(w, group->first);
            json_write_key(w, "words");
            json_write_uint(w, group->count);
            json_write_key(w, "by");
            json_write_array(w);
            for (size_t n = 0; n < group->alternatives[k].count && n < SEARCH_WORDS_MAX; n++)
                json_write_slice(w, group->alternatives[k].items[n].text);
            json_write_array_end(w);
            json_write_object_end(w);
        }
    }
    json_write_array_end(w);
}

static void write_rules(struct json_write *w, const struct search_text *text) {
    json_write_key(w, "pinned");
    json_write_array(w);
    for (size_t i = 0; i < text->pin_count; i++)
        json_write_slice(w, text->pins[i]);
    json_write_array_end(w);
    json_write_key(w, "raised_or_lowered");
    json_write_array(w);
    for (size_t i = 0; i < text->effect_count; i++) {
        json_write_object(w);
        json_write_key(w, text->effects[i].field);
        json_write_slice(w, text->effects[i].value);
        json_write_key(w, "weight");
        json_write_double(w, text->effects[i].weight);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

void search_explain_write(struct json_write *w, const struct search_text *text) {
    if (!text) {
        json_write_null(w);
        return;
    }
    json_write_object(w);
    json_write_key(w, "text");
    json_write_slice(w, text->q);
    write_words(w, text);
    write_alternatives(w, text);
    json_write_key(w, "categories");
    json_write_array(w);
    for (size_t i = 0; i < text->category_count; i++)
        json_write_int(w, text->categories[i]);
    json_write_array_end(w);
    json_write_key(w, "other_layout");
    json_write_slice(w, text->flipped ? text->flipped->q : (struct slice){NULL, 0});
    json_write_key(w, "spelling");
    json_write_slice(w, text->spelled ? text->spelled->q : (struct slice){NULL, 0});
    write_flag(w, "initials", text->initials);
    write_flag(w, "begun_syllable", text->begun);
    write_flag(w, "some_words", text->some);
    write_flag(w, "as_a_whole", text->whole);
    write_flag(w, "typing_mistakes", text->typo);
    write_rules(w, text);
    json_write_object_end(w);
}
