package com.readside.nori;

import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.ko.KoreanAnalyzer;
import org.elasticsearch.plugin.Inject;
import org.elasticsearch.plugin.NamedComponent;
import org.elasticsearch.plugin.analysis.AnalyzerFactory;

@NamedComponent("nori")
public class NoriAnalyzer implements AnalyzerFactory {
    private final NoriSettings settings;

    @Inject
    public NoriAnalyzer(NoriSettings settings) {
        this.settings = settings;
    }

    @Override
    public Analyzer create() {
        return new KoreanAnalyzer(
                NoriParts.userDictionary(settings.userDictionaryRules()),
                NoriParts.decompoundMode(settings.decompoundMode()),
                NoriParts.stopTags(null),
                false);
    }
}
