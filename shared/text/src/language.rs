//! The language of a text.

use std::fmt::{self, Display, Formatter};

use whatlang::{Detector, Lang, Script, detect_script};

/// Codes of ISO 639-1, and common names, for those of ISO 639-3.
const SHORT_CODES: [(&str, &str); 73] = [
    ("af", "afr"),
    ("ak", "aka"),
    ("am", "amh"),
    ("ar", "ara"),
    ("az", "aze"),
    ("be", "bel"),
    ("bg", "bul"),
    ("bn", "ben"),
    ("ca", "cat"),
    ("chinese", "cmn"),
    ("cs", "ces"),
    ("cy", "cym"),
    ("da", "dan"),
    ("de", "deu"),
    ("el", "ell"),
    ("en", "eng"),
    ("eo", "epo"),
    ("es", "spa"),
    ("et", "est"),
    ("fa", "pes"),
    ("fi", "fin"),
    ("fr", "fra"),
    ("gu", "guj"),
    ("he", "heb"),
    ("hi", "hin"),
    ("hr", "hrv"),
    ("hu", "hun"),
    ("hy", "hye"),
    ("id", "ind"),
    ("it", "ita"),
    ("ja", "jpn"),
    ("jv", "jav"),
    ("ka", "kat"),
    ("km", "khm"),
    ("kn", "kan"),
    ("ko", "kor"),
    ("la", "lat"),
    ("lt", "lit"),
    ("lv", "lav"),
    ("mk", "mkd"),
    ("ml", "mal"),
    ("mr", "mar"),
    ("my", "mya"),
    ("nb", "nob"),
    ("ne", "nep"),
    ("nl", "nld"),
    ("no", "nob"),
    ("norwegian", "nob"),
    ("or", "ori"),
    ("pa", "pan"),
    ("pl", "pol"),
    ("pt", "por"),
    ("ro", "ron"),
    ("ru", "rus"),
    ("si", "sin"),
    ("sk", "slk"),
    ("sl", "slv"),
    ("sn", "sna"),
    ("sr", "srp"),
    ("sv", "swe"),
    ("ta", "tam"),
    ("te", "tel"),
    ("th", "tha"),
    ("tk", "tuk"),
    ("tl", "tgl"),
    ("tr", "tur"),
    ("uk", "ukr"),
    ("ur", "urd"),
    ("uz", "uzb"),
    ("vi", "vie"),
    ("yi", "yid"),
    ("zh", "cmn"),
    ("zu", "zul"),
];

/// A language, shown by its ISO 639-3 code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Language(Lang);

impl Language {
    /// The language of a code of ISO 639-3 (`deu`) or 639-1 (`de`), or of an English name (`German`), whatever the case.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.trim().to_lowercase();
        let code = SHORT_CODES.iter().find(|(short, _)| *short == name).map_or(name.as_str(), |(_, code)| code);
        let of_name = || Lang::all().iter().copied().find(|lang| lang.eng_name().to_lowercase() == name);
        Lang::from_code(code).or_else(of_name).map(Self)
    }

    /// Whether a text of it may consist of Han characters alone, which then do not tell which of these languages it is.
    pub fn may_be_han_alone(self) -> bool {
        matches!(self.0, Lang::Cmn | Lang::Jpn | Lang::Kor)
    }

    /// Whether most letters of a text are of a script that it is written in, or Latin, as names and terms are everywhere.
    pub fn may_have_script_of(self, text: &str) -> bool {
        detect_script(text).is_none_or(|script| match script {
            Script::Latin => true,
            Script::Mandarin => self.may_be_han_alone(),
            script => script.langs().contains(&self.0),
        })
    }

    /// Its name in English, such as `German`.
    pub fn name(self) -> &'static str {
        self.0.eng_name()
    }
}

impl Display for Language {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code())
    }
}

/// The language of a text, when it is long and plain enough to tell: names, codes and keywords are of none.
pub fn detect_language(text: &str) -> Option<Language> {
    Detector::new().detect(text).filter(whatlang::Info::is_reliable).map(|info| Language(info.lang()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_has_many_names() {
        for name in ["de", "DEU", "German", " german "] {
            assert_eq!(Language::named(name).unwrap().to_string(), "deu", "{name}");
        }
        assert!(SHORT_CODES.iter().all(|(name, code)| Language::named(name).unwrap().to_string() == *code));
        assert_eq!(Language::named("zh").unwrap().name(), "Mandarin");
        assert_eq!((Language::named("xx"), Language::named("")), (None, None));
    }

    #[test]
    fn scripts_tell_what_a_text_is_not() {
        let named = |code| Language::named(code).unwrap();
        assert!(!named("en").may_have_script_of("Когда платить?") && named("ru").may_have_script_of("Когда платить?"));
        assert!(
            ["ja", "zh", "ko"]
                .iter()
                .all(|code| named(code).may_have_script_of("契約終了") && named(code).may_be_han_alone())
        );
        assert!(!named("de").may_have_script_of("契約終了") && !named("de").may_be_han_alone());
        assert!(
            ["ja", "ru", "de"]
                .iter()
                .all(|code| ["RFC 2119", ""].iter().all(|text| named(code).may_have_script_of(text)))
        );
    }

    #[test]
    fn plain_texts_have_a_language() {
        for (code, text) in [
            ("eng", "The tenant has to pay the rent on the first day of each month, unless it is a holiday."),
            ("deu", "Der Mieter muss die Miete am ersten Tag eines jeden Monats zahlen, außer an Feiertagen."),
            ("fra", "Le locataire doit payer le loyer le premier jour de chaque mois, sauf les jours fériés."),
            ("rus", "Арендатор обязан вносить арендную плату в первый день каждого месяца."),
            ("jpn", "賃借人は毎月一日に家賃を支払わなければならない。"),
        ] {
            assert_eq!(detect_language(text).map(|found| found.to_string()).as_deref(), Some(code));
        }
        for none in ["", "E0308", "42 % of 17", "..."] {
            assert_eq!(detect_language(none), None, "{none}");
        }
    }
}
