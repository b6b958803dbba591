package com.readside.nori;

import java.io.IOException;
import java.io.StringReader;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.apache.lucene.analysis.ko.KoreanPartOfSpeechStopFilter;
import org.apache.lucene.analysis.ko.KoreanTokenizer.DecompoundMode;
import org.apache.lucene.analysis.ko.POS;
import org.apache.lucene.analysis.ko.dict.UserDictionary;

/** From setting values to what Lucene takes. Throws IllegalArgumentException, which becomes a 400. */
final class NoriParts {
    private NoriParts() {}

    static DecompoundMode decompoundMode(String name) {
        try {
            return DecompoundMode.valueOf(name.toUpperCase(Locale.ROOT));
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException(
                    "decompound_mode [" + name + "]: none, discard or mixed", e);
        }
    }

    /** Null, Lucene's word for no dictionary, if there are no rules. */
    static UserDictionary userDictionary(List<String> rules) {
        if (rules == null || rules.isEmpty()) {
            return null;
        }
        try {
            return UserDictionary.open(new StringReader(String.join("\n", rules)));
        } catch (IOException e) {
            throw new IllegalArgumentException("user_dictionary_rules: " + e.getMessage(), e);
        }
    }

    /** The plugin API gives an absent list as an empty one: both mean Lucene's default. */
    static Set<POS.Tag> stopTags(List<String> names) {
        if (names == null || names.isEmpty()) {
            return KoreanPartOfSpeechStopFilter.DEFAULT_STOP_TAGS;
        }
        Set<POS.Tag> tags = EnumSet.noneOf(POS.Tag.class);
        for (String name : names) {
            tags.add(POS.resolveTag(name));
        }
        return tags;
    }
}
