#include "price.h"

#include "rng.h"

static uint32_t integer_sqrt(uint64_t n) {
    uint64_t root = 0;
    for (uint64_t bit = 1ULL << 31; bit > 0; bit >>= 1)
        if ((root | bit) * (root | bit) <= n)
            root |= bit;
    return (uint32_t)root;
}

static void fill_between(uint32_t *points, uint32_t from, uint32_t to) {
    uint32_t middle = (from + to) / 2;
    if (middle == from)
        return;
    points[middle] = integer_sqrt((uint64_t)points[from] * points[to]);
    fill_between(points, from, middle);
    fill_between(points, middle, to);
}

void price_prepare(struct leaf *leaf) {
    const uint32_t last = PRICE_POINTS - 1;
    leaf->price[0] = leaf->price_low;
    leaf->price[last / 2] = leaf->price_middle;
    leaf->price[last] = leaf->price_high;
    fill_between(leaf->price, 0, last / 2);
    fill_between(leaf->price, last / 2, last);
}

uint64_t price_draw(const struct leaf *leaf, uint64_t random, uint64_t factor) {
    /* The sum of four even draws is near enough to a normal one; the table makes it log-normal. */
    uint64_t sum = (random & 0xffff) + ((random >> 16) & 0xffff) + ((random >> 32) & 0xffff) + (random >> 48);
    uint64_t at = sum * (PRICE_POINTS - 1); /* in units of 1/2^18 of a step */
    uint64_t step = at >> 18, rest = at & 0x3ffff;
    uint64_t low = leaf->price[step], high = leaf->price[step + 1];
    return (low + (((high - low) * rest) >> 18)) * factor / FACTOR_ONE;
}

static uint64_t to_step(uint64_t won, uint64_t step) {
    return (won + step / 2) / step * step;
}

static uint64_t shop_price(uint64_t won, uint64_t random) {
    uint32_t dice = rng_below(random, 100);
    if (won < 3000)
        return dice < 50 ? to_step(won, 100) : to_step(won, 500) - (dice < 80 ? 10 : 0);
    if (won < 10000)
        return dice < 60 ? to_step(won, 1000) - 100 : to_step(won, dice < 80 ? 500 : 100);
    if (won < 100000)
        return dice < 55 ? to_step(won, 1000) - 100 : dice < 90 ? to_step(won, 1000) : to_step(won, 500);
    if (won < 1000000)
        return dice < 50 ? to_step(won, 10000) - 1000 : dice < 65 ? to_step(won, 1000) - 100 : to_step(won, 1000);
    return dice < 60 ? to_step(won, 10000) : dice < 90 ? to_step(won, 100000) - 10000 : to_step(won, 1000);
}

uint32_t price_round(const struct leaf *leaf, uint64_t won, uint64_t random) {
    uint64_t low = leaf->price_low, high = leaf->price_high;
    /* Outside the bounds: somewhere in the nearest tenth, so that no price piles up at a bound. */
    if (won < low)
        won = low + low / 10 * rng_below_low(random, 100) / 100;
    if (won > high)
        won = high - high / 10 * rng_below_low(random, 100) / 100;
    uint64_t price = shop_price(won, random);
    return (uint32_t)(price < low ? low : price > high ? high : price);
}
