package com.readside.nori;

import java.util.List;
import org.elasticsearch.plugin.settings.AnalysisSettings;
import org.elasticsearch.plugin.settings.BooleanSetting;
import org.elasticsearch.plugin.settings.ListSetting;
import org.elasticsearch.plugin.settings.StringSetting;

/** Settings of the tokenizer and the analyzer, under the names of the official analysis-nori. */
@AnalysisSettings
public interface NoriSettings {
    /** What happens to a compound noun: none, discard (parts only) or mixed (both). */
    @StringSetting(path = "decompound_mode", defaultValue = "discard")
    String decompoundMode();

    @BooleanSetting(path = "discard_punctuation", defaultValue = true)
    boolean discardPunctuation();

    /** Words, one each: "세종시", or with its parts "세종시 세종 시". */
    @ListSetting(path = "user_dictionary_rules")
    List<String> userDictionaryRules();
}
