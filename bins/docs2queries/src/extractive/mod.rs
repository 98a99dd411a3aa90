//! The generator `extractive`: a document's title, its sentences and its rarest terms are its queries.

mod sentences;
mod terms;

use std::collections::HashMap;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::documents::SourceDocument;
use crate::pairs::Query;
use crate::text::{fold, one_line};

use sentences::{count_words, paragraphs, sentences};
use terms::{Terms, count_distinct};

/// One sentence in this many stays in its document. It is ORQA's rate for the inverse cloze task
/// (<https://arxiv.org/abs/1906.00300>, section 4), which teaches a model to match words as well as meaning.
const KEPT_ONE_IN: u64 = 10;
/// A document must keep at least this many words.
const MIN_WORDS_LEFT: usize = 10;
/// The factor by which each sentence weighs less than the one before, because the first ones say what a text is about.
const WEIGHT_OF_NEXT: f64 = 0.85;
/// The number of terms in a keyword query.
const KEYWORDS: std::ops::RangeInclusive<usize> = 3..=6;

/// The statistics of all documents, which their queries depend on.
#[derive(Debug)]
pub(crate) struct CorpusStatistics {
    terms: Terms,
    /// The number of documents with a title or a sentence, by its hash.
    candidates: HashMap<u64, u32>,
}

impl CorpusStatistics {
    pub(crate) fn new(documents: &[SourceDocument]) -> Self {
        let mut corpus = Self { terms: Terms::default(), candidates: HashMap::new() };
        for document in documents {
            corpus.terms.add(prose(document));
            let sentences = sentences(&document.text).into_iter().map(|range| &document.text[range]);
            count_distinct(sentences.chain(document.title.as_deref()).map(key), &mut corpus.candidates);
        }
        corpus
    }

    /// At most `max_queries` queries for a document: its title, key sentences in their order, keywords.
    pub(crate) fn queries(&self, document: &SourceDocument, max_queries: usize, seed: u64) -> Vec<Query> {
        let title = self.title_query(document);
        let keywords = self.keyword_query(document);
        let room = max_queries.saturating_sub(usize::from(title.is_some()));
        let room = if room > 1 && keywords.is_some() { room - 1 } else { room };
        title.into_iter().chain(self.sentence_queries(document, room, seed)).chain(keywords).take(max_queries).collect()
    }

    fn title_query(&self, document: &SourceDocument) -> Option<Query> {
        let title = document.title.as_deref().filter(|title| self.is_of_one_document(title))?;
        Some(Query { query: one_line(title), positive: document.text.clone() })
    }

    fn sentence_queries(&self, document: &SourceDocument, max_queries: usize, seed: u64) -> Vec<Query> {
        let text = document.text.as_str();
        let mut weighed: Vec<_> = sentences(text)
            .into_iter()
            .enumerate()
            .map(|(place, range)| {
                (self.terms.mean_idf(&text[range.clone()]) * WEIGHT_OF_NEXT.powi(place as i32), range)
            })
            .filter(|(_, range)| self.is_of_one_document(&text[range.clone()]))
            .collect();
        // The sort is stable, so that equals stay in the document's order.
        weighed.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        weighed.truncate(max_queries);
        weighed.sort_by_key(|(_, range)| range.start);
        weighed
            .into_iter()
            .map(|(_, range)| {
                let sentence = &text[range.clone()];
                // The draw depends on the sentence only, not on other documents.
                let draw = xxh3_64_with_seed(format!("{}\0{sentence}", document.id).as_bytes(), seed);
                let left = without(text, &range);
                let keeps = draw.is_multiple_of(KEPT_ONE_IN) || count_words(&left) < MIN_WORDS_LEFT;
                let positive = document.with_title(if keeps { text } else { &left });
                Query { query: one_line(sentence), positive }
            })
            .collect()
    }

    fn keyword_query(&self, document: &SourceDocument) -> Option<Query> {
        let mut keywords = self.terms.rarest(prose(document), *KEYWORDS.end());
        if keywords.len() < *KEYWORDS.start() {
            // The document is all code or tables.
            keywords = self.terms.rarest(std::iter::once(document.text.as_str()), *KEYWORDS.end());
        }
        (keywords.len() >= *KEYWORDS.start())
            .then(|| Query { query: keywords.join(" "), positive: document.with_title(&document.text) })
    }

    /// Whether no other document has the same title or sentence. If one has, the query would have several answers, of
    /// which only one counts.
    fn is_of_one_document(&self, candidate: &str) -> bool {
        self.candidates.get(&key(candidate)).is_none_or(|&count| count < 2)
    }
}

/// The title and the paragraphs of a document, without code.
fn prose(document: &SourceDocument) -> impl Iterator<Item = &str> {
    let paragraphs = paragraphs(&document.text).into_iter().map(|range| &document.text[range]);
    document.title.as_deref().into_iter().chain(paragraphs)
}

/// The text without a part of it; the larger of the gaps around that part is left.
fn without(text: &str, part: &std::ops::Range<usize>) -> String {
    let (before, after) = (&text[..part.start], &text[part.end..]);
    let (left, right) = (before.trim_end(), after.trim_start());
    let gaps = [&before[left.len()..], &after[..after.len() - right.len()]];
    match (left, right) {
        ("", rest) | (rest, "") => rest.to_owned(),
        _ => format!("{left}{}{right}", if gaps[0].len() >= gaps[1].len() { gaps[0] } else { gaps[1] }),
    }
}

fn key(candidate: &str) -> u64 {
    xxh3_64(fold(candidate).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: &str = "The lease covers oil and gas in the county. The company pays a royalty on every barrel. \
        It ends when production stops for ninety days. Notices go to the office in Houston. \
        The parties agreed to arbitration of every dispute.";
    const WILL: &str = "The will leaves the house to the eldest daughter of the testator. Notices go to the office in \
        Houston. Two witnesses signed it in the presence of a notary.";

    fn corpus() -> (CorpusStatistics, Vec<SourceDocument>) {
        let documents = vec![
            SourceDocument::example("lease", Some("Oil lease"), LEASE),
            SourceDocument::example("will", None, WILL),
            SourceDocument::example("code", None, "```\nlet answer = compute(question);\n```"),
        ];
        (CorpusStatistics::new(&documents), documents)
    }

    #[test]
    fn title_sentences_and_keywords_in_this_order() {
        let (corpus, documents) = corpus();
        let queries = corpus.queries(&documents[0], 5, 42);
        assert_eq!(queries.len(), 5);
        assert_eq!(queries[0], Query { query: "Oil lease".into(), positive: LEASE.into() });
        for sentence in &queries[1..4] {
            assert!(LEASE.contains(&sentence.query));
            assert!(sentence.positive.starts_with("Oil lease "));
        }
        assert_eq!(queries[4].positive, format!("Oil lease {LEASE}"));
        assert!((3..=6).contains(&queries[4].query.split(' ').count()));
        assert_eq!(corpus.queries(&documents[0], 1, 42), queries[..1]);
        assert_eq!(corpus.queries(&documents[2], 5, 42)[0].query, "let answer compute question");
    }

    #[test]
    fn sentences_that_documents_share_are_not_queries() {
        let (corpus, documents) = corpus();
        for (document, other_sentence) in documents.iter().zip(["The lease covers", "The will leaves"]) {
            let queries = corpus.queries(document, 9, 42);
            let has = |start: &str| queries.iter().any(|query| query.query.starts_with(start));
            assert!(has(other_sentence) && !has("Notices"), "{queries:?}");
        }
    }

    #[test]
    fn nine_sentences_in_ten_are_left_out() {
        let filler = "These ten words stand here so that enough is left over.";
        let documents: Vec<SourceDocument> = (0..2000)
            .map(|n| SourceDocument::example(&n.to_string(), None, &format!("Sentence number {n} is here. {filler}")))
            .collect();
        let corpus = CorpusStatistics::new(&documents);
        let pairs: Vec<Query> = documents.iter().flat_map(|document| corpus.queries(document, 1, 42)).collect();
        assert_eq!(pairs.len(), 2000);
        let kept = pairs.iter().filter(|pair| pair.positive.contains(&pair.query)).count();
        assert!((150..250).contains(&kept), "{kept} of 2000");
        let other: Vec<Query> = documents.iter().flat_map(|document| corpus.queries(document, 1, 43)).collect();
        assert_ne!(pairs, other, "the seed decides");
    }

    #[test]
    fn a_short_document_stays_whole() {
        let text = "Only this sentence is here. And these five words too.";
        let documents = [SourceDocument::example("a", None, text)];
        let queries = CorpusStatistics::new(&documents).queries(&documents[0], 5, 42);
        assert!(queries.len() >= 2);
        assert!(queries.iter().all(|query| query.positive == text));
    }

    #[test]
    fn the_larger_gap_is_left() {
        assert_eq!(without("One.  Two. Three.", &(6..10)), "One.  Three.");
        assert_eq!(without("One.\n\nTwo. Three.", &(6..10)), "One.\n\nThree.");
        assert_eq!(without("One. Two.", &(0..4)), "Two.");
        assert_eq!(without("One. Two.\n", &(5..9)), "One.");
    }
}
