#include "core/price_steps.h"

#define FROM(from, ...) from,
const int64_t price_steps[PRICE_STEP_COUNT] = {PRICE_STEPS(FROM, FROM)};

unsigned price_step(int64_t price) {
    unsigned first = 0;
    for (unsigned count = PRICE_STEP_COUNT; count > 1; count -= count / 2)
        first += price >= price_steps[first + count / 2] ? count / 2 : 0;
    return first;
}
