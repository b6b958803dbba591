package com.readside.nori;

import java.util.List;
import org.elasticsearch.plugin.settings.AnalysisSettings;
import org.elasticsearch.plugin.settings.ListSetting;

/** Parts of speech to drop, such as "E" (endings) or "J" (particles). */
@AnalysisSettings
public interface StopTagSettings {
    @ListSetting(path = "stoptags")
    List<String> stopTags();
}
