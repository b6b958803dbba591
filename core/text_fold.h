/* text_fold.h - one way to write what people write in several: full-width and half-width forms, decomposed Korean,
 * unit signs, curly quotes, invisible characters. Pure. Thread: any.
 *
 * ＬＧ　ｇｒａｍ -> LG gram, ㎏ -> kg, ″ -> ", half-width jamo, conjoining jamo (NFD) and letters that were written one by one
 * (ㄴㅗㅌㅡ) -> syllables; initials (ㄴㅌㅂ), begun syllables (노ㅌ) and single vowels stay letters.
 * Blanks of every kind become one space each; nothing is trimmed; case stays. */
#pragma once
#include "core/buf.h"

/* text is valid UTF-8. False only if out failed. */
bool text_fold_append(struct buf *out, struct slice text);
