//! Queries that mention the document as if the searcher were looking at it.

mod words;

use embtune_text::normalised;

use crate::text::has_word;

use words::{LANGUAGES, Words};

/// The determiner before a noun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Determiner {
    /// `the given`, `the above`: the reader must be looking at it.
    Given,
    /// `this`.
    This,
    /// `the`.
    The,
    /// `in the` as one word, such as German `im`.
    InThe,
    None,
}

/// Whether a query refers to "this document" or the like, in English, German, French, Spanish, Italian, Portuguese,
/// Dutch or Polish.
///
/// Some phrases always do: "according to the passage", "in this document", "what does the author say". Others do so
/// only if the document is not about such things itself. If it is about texts, "does the text need a title" asks about
/// one of those; and in a collection of agreements, a searcher may well ask about "this agreement".
pub(super) fn refers_to_document(query: &str, text: &str) -> bool {
    let query = normalised(query);
    let query = split(&query);
    let text = normalised(text);
    let text = split(&text);
    LANGUAGES.iter().any(|words| {
        (0..query.len()).any(|at| {
            let media = words.media.split('|').find(|forms| has_word(forms, query[at]));
            let works = words.works.split('|').find(|forms| has_word(forms, query[at]));
            media.is_some_and(|forms| {
                always_refers(words, &query, at) || may_refer(words, &query, at) && !is_about(words, &text, forms, true)
            }) || works.is_some_and(|forms| may_refer(words, &query, at) && !is_about(words, &text, forms, false))
        })
    })
}

fn split(text: &str) -> Vec<&str> {
    text.split([' ', '\'', '’']).filter(|word| !word.is_empty()).collect()
}

/// The determiner before the noun at `at`, and the words before that.
fn determiner<'a>(words: &Words, query: &'a [&'a str], at: usize) -> (Determiner, &'a [&'a str]) {
    let Some((last, before)) = query[..at].split_last() else { return (Determiner::None, &[]) };
    let kinds = [
        (words.given, Determiner::Given),
        (words.this, Determiner::This),
        (words.the, Determiner::The),
        (words.in_the, Determiner::InThe),
    ];
    match kinds.iter().find(|(list, _)| has_word(list, last)) {
        Some((_, kind)) => (*kind, before),
        None => (Determiner::None, &query[..at]),
    }
}

/// Whether the noun at `at`, a medium, can only be the document itself.
fn always_refers(words: &Words, query: &[&str], at: usize) -> bool {
    let (determiner, before) = determiner(words, query, at);
    let is_in = before.last().is_some_and(|last| has_word(words.within, last));
    let is_source = words.sources.split('|').any(|source| ends_with(before, source));
    let says = |word: Option<&&str>| word.is_some_and(|word| has_word(words.says, word));
    let is_subject = says(query.get(at + 1)) || says(query.get(at + 2));
    // "Was sagt der Text", "mentioned in the text", "im Text erwähnt".
    let is_inverted = words.is_inverted && says(before.last());
    let is_place = (is_in && says(before.get(before.len().wrapping_sub(2))))
        || determiner == Determiner::InThe && says(before.last());
    match determiner {
        Determiner::Given => true,
        Determiner::None => is_source && words.has_bare_sources,
        Determiner::This if is_in => true,
        _ => is_source || is_subject || is_inverted || is_place,
    }
}

/// Whether the noun at `at` may be the document, or something else.
fn may_refer(words: &Words, query: &[&str], at: usize) -> bool {
    let (determiner, before) = determiner(words, query, at);
    let is_in = before.last().is_some_and(|last| has_word(words.within, last) || has_word(words.does, last));
    match determiner {
        Determiner::Given | Determiner::This | Determiner::InThe => true,
        Determiner::The => is_in,
        Determiner::None => is_in && words.the.is_empty(),
    }
}

/// Whether a text is about what the noun denotes. If that is a medium, "this document" does not count, because the text
/// then mentions itself.
fn is_about(words: &Words, text: &[&str], forms: &str, is_medium: bool) -> bool {
    let is_itself = |at: usize| matches!(determiner(words, text, at).0, Determiner::This | Determiner::Given);
    (0..text.len()).any(|at| has_word(forms, text[at]) && !(is_medium && is_itself(at)))
}

/// Whether the words end with those of `last`.
fn ends_with(words: &[&str], last: &str) -> bool {
    let mut words = words.iter().rev();
    last.rsplit(' ').all(|wanted| words.next() == Some(&wanted))
}

#[cfg(test)]
mod tests {
    use super::refers_to_document;

    const LEASE: &str = "The tenant pays the rent on the first day of each month.";
    const AGREEMENT: &str =
        "This Agreement is governed by the law of Delaware. Agreements of its kind end with notice.";
    const BILINGUAL: &str =
        "This Agreement is made in English and German. The German text of the Agreement prevails before a court.";
    const FILES: &str = "A document is stored in a vault. To change the text of a document, open the documents folder. This \
        page describes how; the author of a file signs it.";

    #[test]
    fn references_to_the_document_are_found() {
        let queries = "What does this document say about leases?|Which term does THIS AGREEMENT have?|\
            main point of the given passage|What is a lease according to the text?|\
            according to the passage, when is the rent due|Based on this article, who pays?|\
            What does the author recommend?|what does the author say in the text|\
            In this document's opinion, who pays?|Which dates are mentioned in the text?|\
            Does the text require a deposit?|when is the rent due in the document|Was regelt dieses Dokument?|\
            Kündigungsfrist laut Text|Welche Fristen werden im Text erwähnt?|Was sagt der Autor zur Miete?|\
            Que dit ce document sur le loyer ?|Selon l'auteur, qui paie ?|loyer mentionné dans le texte|\
            ¿Qué dice este texto?|según el documento, cuándo se paga|Cosa dice quest'articolo sull'affitto?|\
            Secondo il testo, chi paga?|O que diz este documento sobre a renda?|\
            prazo mencionado neste documento|Wat staat er in dit document over de huur?|\
            Wanneer betaalt de huurder volgens de tekst?|Co mówi ten dokument o czynszu?|czynsz w tym dokumencie";
        for query in queries.split('|') {
            assert!(refers_to_document(query, LEASE), "{query}");
        }
        let queries = "How do I align text in a table?|termination of the lease agreement by Acme|\
            document retention period|who is the author of Hamlet|Was steht in Artikel 5 der Verfassung?|\
            does the tenant need consent|";
        for query in queries.split('|') {
            assert!(!refers_to_document(query, LEASE), "{query}");
        }
    }

    #[test]
    fn a_document_may_be_about_documents() {
        for (text, queries) in [
            (AGREEMENT, "Which law governs this agreement?|how to terminate this agreement"),
            (
                FILES,
                "Does the text need a title?|who signs this document|where is the document stored|\
                how do I change a word in the document|did the author sign the file|\
                find a word in the text",
            ),
            (BILINGUAL, "Does the agreement need the text in two languages?|Which law governs this agreement?"),
            ("Der Vertrag endet mit der Kündigung.", "Wann endet dieser Vertrag?|Kündigung in diesem Vertrag"),
            (
                "Ein Dokument wird im Archiv abgelegt, der Text bleibt.",
                "Wo wird dieses Dokument abgelegt?|Wörter im Text suchen",
            ),
            ("Le contrat prend fin après un préavis.", "Quand ce contrat prend-il fin ?"),
            (
                "Un texto se edita en la ventana; el contrato se firma.",
                "cómo buscar palabras en el texto|quién firma este contrato",
            ),
        ] {
            for query in queries.split('|') {
                assert!(!refers_to_document(query, text), "{query}");
            }
        }
        for (text, query) in [
            (FILES, "In this document, who signs?"),
            (FILES, "What does the text say about the vault?"),
            (FILES, "where are files stored according to the document"),
            (FILES, "what is described in the document"),
            ("This document sets out the rules. In this document, MUST is a word.", "Who wrote this document?"),
            ("Dieses Dokument regelt die Miete.", "Was regelt dieses Dokument?"),
            (BILINGUAL, "What is the law according to the text?"),
            (BILINGUAL, "In this document, which law governs?"),
        ] {
            assert!(refers_to_document(query, text), "{query}");
        }
    }
}
