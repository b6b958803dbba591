/* search_pattern.h - Korean that is not there in full, as Lucene regular expressions over the index's words: a syllable
 * that is only begun is a contiguous range of Unicode, so nothing has to be indexed for it. All but search_pattern_holds are
 * false if the pattern is longer than the engine takes. Pure. Thread: any. */
#pragma once
#include "core/buf.h"

enum { SEARCH_PATTERN_MAX = 1000 }; /* characters: index.max_regex_length by default; the engine refuses longer ones */

/* ㄴㅌㅂ -> [나-닣][타-팋][바-빟]; blanks are left out. */
bool search_pattern_initials(struct buf *out, struct slice initials);

/* Words that begin with this one, whose last syllable may be begun only: 노트ㅂ -> 노트[바-빟].*, and if `halves`
 * 노틉 -> 노(틉|트[바-빟]).*, 노트 -> 노[트-틓].*. False, too, if the word does not end in Hangul. */
bool search_pattern_begun(struct buf *out, struct slice word, bool halves);

/* This word and those where one letter of one syllable is another, as a JSON array: 노트북, 노투북, 너트북, 노트붖... False, too, if
 * something in it is no syllable. Words and no pattern: of one that has so many letters to choose from the engine takes milliseconds
 * to make an automaton, while a word is looked up in a microsecond. */
bool search_pattern_near(struct buf *out, struct slice word);

/* Texts that hold this one, in capitals or not; at its end a syllable may be begun, and initials stand for syllables:
 * .*[lL][gG].* for lg. */
bool search_pattern_holds(struct buf *out, struct slice text);
/* How much of such a pattern the engine takes behind `before` characters and with .* behind it: all, or as many of its
 * characters as fit. What that finds is held against the whole pattern by search_pattern_matches. */
size_t search_pattern_cut(struct slice pattern, size_t before);
bool search_pattern_matches(struct slice pattern, struct slice text);
