#include "draw.h"

#include "price.h"
#include "rng.h"

/* One number for each thing that is drawn; a new one goes to the end, so that the others stay. */
enum purpose {
    DRAW_LEAF = 1,
    DRAW_BRAND,
    DRAW_SERIES,
    DRAW_TYPE,
    DRAW_PRICE,
    DRAW_ROUND,
    DRAW_VARY,
    DRAW_NAME,
    DRAW_TEXTS,
    DRAW_LEAD,
    DRAW_FEATURE,
    DRAW_CLOSER,
    DRAW_ALSO,
    DRAW_MODEL,
    DRAW_AXIS = 100,
    DRAW_VARIANT_PRICE = 200,
    DRAW_STOCK = 300,
};

enum { ABSENT_PERCENT = 12, CLEARANCE_PERCENT = 4 };

static uint64_t draw_for(const struct draw *draw, uint64_t purpose) {
    return rng_mix(draw->key ^ (purpose * 0xd1342543de82ef95ULL));
}

/* The first index whose running sum is above a random point. */
static uint32_t pick_by_sums(const uint32_t *sums, uint32_t count, uint64_t random) {
    uint32_t point = rng_below(random, sums[count - 1]), low = 0, high = count - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (sums[middle] > point)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Words at the front of a list come more often. */
static uint32_t pick_word(uint32_t count, uint64_t random) {
    uint32_t a = rng_below(random, count), b = rng_below_low(random, count);
    return (random & 1) && b < a ? b : a;
}

static bool is_said_of(const struct draw *d, struct str name) {
    return str_equal(d->brand->text[LANG_EN], name) || str_equal(d->type->text[LANG_EN], name) ||
           (d->series && str_equal(d->series->text[LANG_EN], name));
}

static void draw_identity(struct draw *d) {
    const struct leaf *leaf = d->leaf;
    uint32_t brand = pick_by_sums(leaf->brand_sums, leaf->kind->brands.count, draw_for(d, DRAW_BRAND));
    const struct leaf_brand *of_brand = &leaf->brands[brand];
    d->brand = (const struct word *)leaf->kind->brands.items + brand;
    d->gs1_prefix = of_brand->gs1_prefix;
    d->series = NULL;
    if (of_brand->series)
        d->series =
            (const struct word *)of_brand->series->items + pick_word(of_brand->series->count, draw_for(d, DRAW_SERIES));
    d->type = (const struct word *)leaf->types.items + pick_word(leaf->types.count, draw_for(d, DRAW_TYPE));
    d->model_length = 0;
    if (of_brand->pattern)
        d->model_length = codes_model(*of_brand->pattern, d->seed, d->number, d->model);
    for (uint32_t i = 0; i < leaf->attr_count; i++) {
        const struct attr *attr = &leaf->attrs[i];
        d->values[i] = &attr->values;
        const struct case_values *cases = attr->cases.items;
        for (uint32_t c = 0; c < attr->cases.count; c++)
            if (is_said_of(d, cases[c].of))
                d->values[i] = &cases[c].values;
    }
}

static bool is_none(const struct word *word) {
    return str_is(word->text[LANG_EN], "none");
}

/* "none" and "all" make no sense beside another value. */
static bool stands_alone(const struct word *word) {
    return is_none(word) || str_is(word->text[LANG_EN], "all");
}

static void draw_list(struct draw *d, uint32_t attr, uint64_t random) {
    const struct values *values = d->values[attr];
    uint32_t wanted = 1 + rng_below_low(random, MAX_LISTED), picks = 0;
    for (uint32_t i = 0; i < wanted; i++) {
        random = rng_mix(random);
        picks |= 1U << pick_word(values->count, random);
    }
    for (uint32_t i = 0; i < values->count; i++)
        if ((picks >> i & 1) && picks != 1U << i && stands_alone(&values->words[i]))
            picks &= ~(1U << i);
    d->list_picks[attr] = picks;
}

/* "none" and "pack of 1" are not worth saying. */
static bool goes_unsaid(const struct attr *attr, const struct word *word) {
    return is_none(word) || (attr->is_count && str_is(word->text[LANG_EN], "1"));
}

static void draw_attr(struct draw *d, uint32_t attr) {
    const struct values *values = d->values[attr];
    uint64_t random = rng_mix(d->key ^ d->leaf->attrs[attr].hash);
    if (!d->leaf->attrs[attr].required && rng_below_low(rng_mix(random), 100) < ABSENT_PERCENT)
        d->absent |= 1ULL << attr;
    switch (values->type) {
    case VALUE_TEXT:
    case VALUE_NUMBER:
        d->pick[attr] =
            values->type == VALUE_TEXT ? pick_word(values->count, random) : rng_below(random, values->count);
        if (goes_unsaid(&d->leaf->attrs[attr], &values->words[d->pick[attr]]))
            d->unsaid |= 1ULL << attr;
        break;
    case VALUE_RANGE:
        d->pick[attr] = rng_below(random, values->steps);
        break;
    case VALUE_BOOL:
        d->pick[attr] = rng_below(random, 100) < values->percent;
        break;
    case VALUE_LIST:
        draw_list(d, attr, random);
        break;
    case VALUE_NONE:
        d->absent |= 1ULL << attr;
        break;
    }
}

/* Fills chosen with the indexes of the words one axis takes; returns how many. */
static uint32_t draw_axis(const struct draw *d, uint32_t number, uint32_t most, uint32_t chosen[MAX_VARIANTS]) {
    const struct axis *axis = &d->leaf->axes[number];
    const struct values *values = d->values[axis->attr];
    uint64_t random = draw_for(d, DRAW_AXIS + number);
    uint32_t count = axis->min + rng_below(random, axis->max - axis->min + 1), found = 0;
    if (count > values->count)
        count = values->count;
    if (count > most)
        count = most;
    if (axis->run) {
        uint32_t from = rng_below_low(random, values->count - count + 1);
        for (; found < count; found++)
            chosen[found] = from + found;
        return found;
    }
    uint64_t mask = 0;
    for (uint32_t tries = 0; found < count && tries < 64; tries++) {
        random = rng_mix(random);
        uint64_t bit = 1ULL << pick_word(values->count, random);
        found += (mask & bit) == 0;
        mask |= bit;
    }
    found = 0;
    for (uint32_t i = 0; i < values->count; i++)
        if (mask >> i & 1)
            chosen[found++] = i;
    return found;
}

static void draw_variants(struct draw *d) {
    const struct leaf *leaf = d->leaf;
    uint32_t chosen[MAX_AXES][MAX_VARIANTS], counts[MAX_AXES] = {1, 1}, total = 1;
    d->variant_count = 0;
    if (leaf->axis_count == 0 || rng_below(draw_for(d, DRAW_VARY), 100) >= leaf->kind->vary_percent)
        return;
    for (uint32_t i = 0; i < leaf->axis_count; i++)
        if (d->absent >> leaf->axes[i].attr & 1)
            return;
    for (uint32_t i = 0; i < leaf->axis_count; i++) {
        counts[i] = draw_axis(d, i, MAX_VARIANTS / total, chosen[i]);
        total *= counts[i];
    }
    if (total < 2)
        return;
    for (uint32_t i = 0; i < leaf->axis_count; i++)
        d->varied |= 1ULL << leaf->axes[i].attr;
    for (uint32_t outer = 0; outer < counts[1]; outer++)
        for (uint32_t inner = 0; inner < counts[0]; inner++) {
            struct draw_variant *variant = &d->variants[d->variant_count++];
            variant->pick[0] = chosen[0][inner];
            variant->pick[1] = leaf->axis_count > 1 ? chosen[1][outer] : 0;
        }
}

static uint32_t attr_factor(const struct draw *d, uint32_t attr, uint32_t pick) {
    const struct values *values = d->values[attr];
    bool words = values->type == VALUE_TEXT || values->type == VALUE_NUMBER;
    return words ? values->words[pick].factor : FACTOR_ONE;
}

static void draw_variant_price(struct draw *d, uint32_t number) {
    struct draw_variant *variant = &d->variants[number];
    uint64_t factor = FACTOR_ONE;
    uint64_t random = draw_for(d, DRAW_VARIANT_PRICE + number);
    for (uint32_t i = 0; i < d->leaf->axis_count; i++)
        factor = factor * attr_factor(d, d->leaf->axes[i].attr, variant->pick[i]) / FACTOR_ONE;
    if (rng_below(random, 100) < CLEARANCE_PERCENT)
        factor = factor * 9 / 10;
    variant->price = d->price;
    if (factor != FACTOR_ONE)
        variant->price = price_round(d->leaf, d->price * factor / FACTOR_ONE, draw_for(d, DRAW_ROUND));
}

static void draw_prices(struct draw *d) {
    uint64_t factor = (uint64_t)d->brand->factor * d->type->factor / FACTOR_ONE;
    if (d->series)
        factor = factor * d->series->factor / FACTOR_ONE;
    for (uint32_t i = 0; i < d->leaf->attr_count; i++)
        if (!((d->absent | d->varied) >> i & 1))
            factor = factor * attr_factor(d, i, d->pick[i]) / FACTOR_ONE;
    d->price = price_round(d->leaf, price_draw(d->leaf, draw_for(d, DRAW_PRICE), factor), draw_for(d, DRAW_ROUND));
    for (uint32_t i = 0; i < d->variant_count; i++)
        draw_variant_price(d, i);
}

/* A phrase that speaks of nothing this product lacks, other than `not`; NULL if there is none. */
static const struct phrase *pick_phrase(const struct draw *d, const struct phrase *phrases, uint32_t count,
                                        uint64_t random, const struct phrase * not ) {
    uint32_t start = count > 0 ? rng_below(random, count) : 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct phrase *phrase = &phrases[(start + i) % count];
        if (phrase != not &&!(phrase->attrs & (d->varied | d->absent | d->unsaid)) &&
            (d->series || !phrase->needs_series))
            return phrase;
    }
    return NULL;
}

static void add_sentence(struct draw *d, const struct phrase *phrase) {
    if (phrase)
        d->sentences[d->sentence_count++] = phrase;
}

static void draw_texts(struct draw *d) {
    const struct leaf *leaf = d->leaf;
    uint64_t random = draw_for(d, DRAW_TEXTS);
    uint32_t length = rng_below(random, 100), last = rng_below_low(random, 100);
    d->name = &leaf->names[rng_below(draw_for(d, DRAW_NAME), leaf->name_count)];
    d->sentence_count = 0;
    add_sentence(d, pick_phrase(d, leaf->leads, leaf->lead_count, draw_for(d, DRAW_LEAD), NULL));
    if (length < 12)
        return;
    const struct phrase *feature = pick_phrase(d, leaf->features, leaf->feature_count, draw_for(d, DRAW_FEATURE), NULL);
    add_sentence(d, feature);
    if (length < 45)
        return;
    const struct phrase *other = NULL;
    if (last < 40)
        other = pick_phrase(d, leaf->features, leaf->feature_count, draw_for(d, DRAW_CLOSER), feature);
    if (!other)
        other = pick_phrase(d, leaf->closers, leaf->closer_count, draw_for(d, DRAW_CLOSER), NULL);
    add_sentence(d, other);
}

static void draw_categories(struct draw *d) {
    uint64_t random = draw_for(d, DRAW_ALSO);
    d->categories[0] = d->leaf->category_id;
    d->category_count = 1;
    if (d->leaf->also_count > 0 && rng_below_low(random, 100) < d->leaf->kind->also_percent)
        d->categories[d->category_count++] = d->leaf->also[rng_below(random, d->leaf->also_count)];
}

void draw_product(const struct model *model, uint64_t seed, uint32_t number, struct draw *ret) {
    ret->seed = seed;
    ret->number = number;
    ret->key = rng_mix(rng_mix(seed) ^ number);
    ret->absent = ret->unsaid = ret->varied = 0;
    uint32_t leaf = pick_by_sums(model->leaf_sums, model->leaves.count, draw_for(ret, DRAW_LEAF));
    ret->leaf = (const struct leaf *)model->leaves.items + leaf;
    draw_identity(ret);
    for (uint32_t i = 0; i < ret->leaf->attr_count; i++)
        draw_attr(ret, i);
    draw_variants(ret);
    draw_prices(ret);
    draw_texts(ret);
    draw_categories(ret);
}

uint32_t draw_stock(const struct draw *draw, uint32_t slot) {
    uint64_t random = draw_for(draw, DRAW_STOCK + slot);
    uint32_t dice = rng_below(random, 100);
    if (dice < 8)
        return 0;
    if (dice < 18)
        return 1 + rng_below_low(random, 5);
    random = rng_mix(random);
    return 6 + rng_below(random, 24) * rng_below_low(random, 20);
}
