package com.readside.nori;

import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.ko.KoreanNumberFilter;
import org.elasticsearch.plugin.NamedComponent;
import org.elasticsearch.plugin.analysis.TokenFilterFactory;

/** Korean numerals to digits: 십만이천오백 becomes 102500. Needs discard_punctuation false. */
@NamedComponent("nori_number")
public class NoriNumberFilter implements TokenFilterFactory {
    @Override
    public TokenStream create(TokenStream input) {
        return new KoreanNumberFilter(input);
    }
}
