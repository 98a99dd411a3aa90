//! Queries that speak of the document as if the searcher had it before them.

use embtune_text::normalised;

/// Words for "this", and words for what is searched, in one language: each with each makes a phrase.
struct Phrases {
    pointers: &'static [&'static str],
    nouns: &'static [&'static str],
}

const PHRASES: [Phrases; 10] = [
    Phrases {
        pointers: &["this", "these", "the given", "the provided", "the above", "the following"],
        nouns: &[
            "document",
            "documents",
            "text",
            "texts",
            "passage",
            "article",
            "section",
            "paragraph",
            "excerpt",
            "page",
            "chapter",
            "snippet",
            "agreement",
            "contract",
            "report",
            "paper",
            "study",
            "letter",
        ],
    },
    Phrases {
        pointers: &["according to the", "in the", "does the", "did the", "from the", "by the"],
        nouns: &["document", "text", "passage", "excerpt", "snippet", "author", "above"],
    },
    Phrases {
        pointers: &["dieses", "diesem", "dieser", "diesen", "des vorliegenden", "im vorliegenden", "im obigen"],
        nouns: &[
            "dokument",
            "dokuments",
            "text",
            "textes",
            "texts",
            "abschnitt",
            "abschnitts",
            "artikel",
            "artikels",
            "vertrag",
            "vertrags",
            "auszug",
            "dokumentes",
            "bericht",
        ],
    },
    Phrases { pointers: &["laut", "laut dem", "im", "gemäß dem"], nouns: &["text", "dokument", "auszug", "autor"] },
    Phrases {
        pointers: &["ce", "cet", "cette", "du présent", "selon le", "dans le", "selon l", "d'après le"],
        nouns: &["document", "texte", "article", "passage", "extrait", "auteur"],
    },
    Phrases {
        pointers: &["este", "esta", "según el", "en el", "del presente"],
        nouns: &["documento", "texto", "artículo", "pasaje", "fragmento", "autor"],
    },
    Phrases {
        pointers: &["questo", "quest'", "secondo il", "nel", "presente"],
        nouns: &["documento", "testo", "articolo", "brano", "estratto"],
    },
    Phrases {
        pointers: &["este", "neste", "deste", "segundo o", "no"],
        nouns: &["documento", "texto", "artigo", "trecho", "excerto"],
    },
    Phrases {
        pointers: &["dit", "deze", "volgens de", "volgens het", "in de"],
        nouns: &["document", "tekst", "artikel", "passage"],
    },
    Phrases {
        pointers: &["ten", "tym", "tego", "w"],
        nouns: &["dokument", "dokumencie", "dokumentu", "tekst", "tekście", "tekstu"],
    },
];

/// Whether a query refers to "this document" or the like, in English, German, French, Spanish, Italian, Portuguese,
/// Dutch or Polish.
pub(super) fn refers_to_itself(query: &str) -> bool {
    let query = normalised(query);
    let words: Vec<&str> = query.split(' ').map(|word| word.trim_end_matches("'s")).collect();
    PHRASES.iter().any(|phrases| {
        words.iter().enumerate().any(|(at, word)| {
            phrases.nouns.contains(word) && phrases.pointers.iter().any(|pointer| ends_with(&words[..at], pointer))
        })
    })
}

/// Whether the words end in these, which stand in one string.
fn ends_with(words: &[&str], last: &str) -> bool {
    let mut words = words.iter().rev();
    last.rsplit(' ').all(|wanted| words.next() == Some(&wanted))
}

#[cfg(test)]
mod tests {
    use super::refers_to_itself;

    #[test]
    fn searchers_have_no_document() {
        for query in [
            "What does this document say about leases?",
            "Which term does THIS AGREEMENT have?",
            "main point of the given passage",
            "What is a lease according to the text?",
            "What does the author recommend?",
            "Was regelt dieses Dokument?",
            "Kündigungsfrist laut Text",
            "Que dit ce document sur le loyer ?",
            "¿Qué dice este texto?",
            "In this document's opinion, who pays?",
        ] {
            assert!(refers_to_itself(query), "{query}");
        }
        for query in [
            "How do I align text in a table?",
            "termination of the lease agreement by Acme",
            "document retention period",
            "who is the author of Hamlet",
            "Was steht in Artikel 5 der Verfassung?",
            "",
        ] {
            assert!(!refers_to_itself(query), "{query}");
        }
    }
}
