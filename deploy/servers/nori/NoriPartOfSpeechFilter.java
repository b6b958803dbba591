package com.readside.nori;

import java.util.Set;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.ko.KoreanPartOfSpeechStopFilter;
import org.apache.lucene.analysis.ko.POS;
import org.elasticsearch.plugin.Inject;
import org.elasticsearch.plugin.NamedComponent;
import org.elasticsearch.plugin.analysis.TokenFilterFactory;

@NamedComponent("nori_part_of_speech")
public class NoriPartOfSpeechFilter implements TokenFilterFactory {
    private final Set<POS.Tag> stopTags;

    @Inject
    public NoriPartOfSpeechFilter(StopTagSettings settings) {
        stopTags = NoriParts.stopTags(settings.stopTags());
    }

    @Override
    public TokenStream create(TokenStream input) {
        return new KoreanPartOfSpeechStopFilter(input, stopTags);
    }
}
