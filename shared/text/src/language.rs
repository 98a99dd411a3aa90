//! The language of a text.

use std::fmt::{self, Display, Formatter};

use isolang::Language as Iso;
use whatlang::{Detector, Lang, Script, detect_script};

/// Codes and names of macrolanguages, with the individual language that whatlang detects instead.
const INDIVIDUAL: [(&str, &str); 7] = [
    ("chinese", "cmn"),
    ("zh", "cmn"),
    ("zho", "cmn"),
    ("fa", "pes"),
    ("fas", "pes"),
    ("no", "nob"),
    ("norwegian", "nob"),
];

/// A language, displayed as its ISO 639-3 code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Language(Lang);

impl Language {
    /// The language with this ISO 639-3 code (`deu`), ISO 639-1 code (`de`) or English name (`German`), in any case.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.trim().to_lowercase();
        let individual = INDIVIDUAL.iter().find(|(other, _)| *other == name).map(|(_, code)| *code);
        let code = individual.or_else(|| Iso::from_639_1(&name).map(|language| language.to_639_3()));
        let of_name = || Lang::all().iter().copied().find(|lang| lang.eng_name().to_lowercase() == name);
        Lang::from_code(code.unwrap_or(&name)).or_else(of_name).map(Self)
    }

    /// Whether a text in this language may consist of Han characters only, which do not tell these languages apart.
    pub fn may_be_han_only(self) -> bool {
        matches!(self.0, Lang::Cmn | Lang::Jpn | Lang::Kor)
    }

    /// Whether most letters of a text are in a script of this language, or in Latin, as names and terms may be in any
    /// language.
    pub fn may_have_script_of(self, text: &str) -> bool {
        detect_script(text).is_none_or(|script| match script {
            Script::Latin => true,
            Script::Mandarin => self.may_be_han_only(),
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

/// Detects the language of a text that is long and plain enough; names, codes and keywords have none.
pub fn detect_language(text: &str) -> Option<Language> {
    Detector::new().detect(text).filter(whatlang::Info::is_reliable).map(|info| Language(info.lang()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_have_codes_and_names() {
        for name in ["de", "DEU", "German", " german "] {
            assert_eq!(Language::named(name).unwrap().to_string(), "deu", "{name}");
        }
        assert!(INDIVIDUAL.iter().all(|(name, code)| Language::named(name).unwrap().to_string() == *code));
        assert_eq!(Language::named("zh").unwrap().name(), "Mandarin");
        // Every two-letter code leads to a language that can be detected.
        for lang in Lang::all() {
            let short = Iso::from_639_3(lang.code()).and_then(|language| language.to_639_1());
            if let Some(short) = short {
                assert_eq!(Language::named(short).unwrap().to_string(), lang.code());
            }
        }
        assert_eq!((Language::named("xx"), Language::named("")), (None, None));
    }

    #[test]
    fn scripts_exclude_languages() {
        let named = |code| Language::named(code).unwrap();
        assert!(!named("en").may_have_script_of("Когда платить?") && named("ru").may_have_script_of("Когда платить?"));
        assert!(
            ["ja", "zh", "ko"]
                .iter()
                .all(|code| named(code).may_have_script_of("契約終了") && named(code).may_be_han_only())
        );
        assert!(!named("de").may_have_script_of("契約終了") && !named("de").may_be_han_only());
        assert!(
            ["ja", "ru", "de"]
                .iter()
                .all(|code| ["RFC 2119", ""].iter().all(|text| named(code).may_have_script_of(text)))
        );
    }

    #[test]
    fn languages_of_plain_texts_are_detected() {
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
