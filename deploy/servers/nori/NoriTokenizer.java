package com.readside.nori;

import org.apache.lucene.analysis.Tokenizer;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.ko.KoreanTokenizer;
import org.apache.lucene.analysis.ko.KoreanTokenizer.DecompoundMode;
import org.apache.lucene.analysis.ko.dict.UserDictionary;
import org.elasticsearch.plugin.Inject;
import org.elasticsearch.plugin.NamedComponent;
import org.elasticsearch.plugin.analysis.TokenizerFactory;

@NamedComponent("nori_tokenizer")
public class NoriTokenizer implements TokenizerFactory {
    private final UserDictionary dictionary;
    private final DecompoundMode mode;
    private final boolean discardPunctuation;

    @Inject
    public NoriTokenizer(NoriSettings settings) {
        dictionary = NoriParts.userDictionary(settings.userDictionaryRules());
        mode = NoriParts.decompoundMode(settings.decompoundMode());
        discardPunctuation = settings.discardPunctuation();
    }

    @Override
    public Tokenizer create() {
        return new KoreanTokenizer(
                TokenStream.DEFAULT_TOKEN_ATTRIBUTE_FACTORY, dictionary, mode, false, discardPunctuation);
    }
}
