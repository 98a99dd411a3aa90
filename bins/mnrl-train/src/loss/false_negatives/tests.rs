//! Examples by hand, and the comparison with a rule that looks at every pair of rows.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const DIRECTIONS: [Direction; 4] =
    [Direction::QueryToDocument, Direction::DocumentToQuery, Direction::QueryToQuery, Direction::DocumentToDocument];

fn row(text: u64, document: u64, group: u64) -> Hashes {
    Hashes { text, document, group }
}

/// The entries of a direction, as row and column.
fn entries(found: &FalseNegatives, direction: Direction, pairs: usize, columns: usize) -> Vec<(usize, usize)> {
    let mut marks = vec![false; pairs * columns];
    let any = found.mark(direction, 0..pairs, columns, &mut marks);
    assert_eq!(any, marks.contains(&true));
    (0..marks.len()).filter(|at| marks[*at]).map(|at| (at / columns, at % columns)).collect()
}

#[test]
fn rows_that_share_nothing_are_negatives() {
    let anchors = [row(1, 0, 0), row(2, 0, 0)];
    // Equal numbers of different kinds do not match, and 0 is not a hash.
    let documents = [row(3, 4, 0), row(5, 3, 4), row(6, 5, 3)];
    let found = FalseNegatives::find(&anchors, &documents);
    assert_eq!(found.count, 0);
    for direction in DIRECTIONS {
        assert_eq!(entries(&found, direction, 2, 3), [], "{direction:?}");
    }
}

#[test]
fn queries_with_one_document_are_not_negatives_of_each_other() {
    let anchors = [row(1, 0, 0), row(2, 0, 0), row(3, 0, 0)];
    for documents in [
        [row(4, 0, 0), row(5, 0, 0), row(4, 0, 0)],
        [row(4, 7, 0), row(5, 0, 0), row(6, 7, 0)],
        [row(4, 0, 7), row(5, 0, 0), row(6, 0, 7)],
    ] {
        let found = FalseNegatives::find(&anchors, &documents);
        for direction in DIRECTIONS {
            assert_eq!(entries(&found, direction, 3, 3), [(0, 2), (2, 0)], "{direction:?}");
        }
        assert_eq!(found.count, 2);
    }
}

/// Pairs 0 and 2 have the same query; document 4 is a copy of the positive of pair 2, document 3 a negative of pair 0.
#[test]
fn every_positive_of_a_query_is_a_positive_in_each_of_its_pairs() {
    let anchors = [row(1, 0, 0), row(2, 0, 0), row(1, 0, 0)];
    let documents = [row(4, 0, 0), row(5, 0, 0), row(6, 0, 0), row(7, 0, 0), row(6, 0, 0)];
    let found = FalseNegatives::find(&anchors, &documents);
    let of_documents = [(0, 2), (0, 4), (2, 0), (2, 4)];
    assert_eq!(entries(&found, Direction::QueryToDocument, 3, 5), of_documents);
    assert_eq!(entries(&found, Direction::DocumentToDocument, 3, 5), of_documents);
    for direction in [Direction::DocumentToQuery, Direction::QueryToQuery] {
        assert_eq!(entries(&found, direction, 3, 3), [(0, 2), (2, 0)], "{direction:?}");
    }
}

/// The query of pair 1 is the document of pair 0, as in data of duplicate questions.
#[test]
fn a_text_on_both_sides_is_one_row() {
    let anchors = [row(1, 0, 0), row(2, 0, 0)];
    let documents = [row(2, 0, 0), row(3, 0, 0)];
    let found = FalseNegatives::find(&anchors, &documents);
    assert_eq!(entries(&found, Direction::QueryToDocument, 2, 2), [(1, 0)]);
    assert_eq!(entries(&found, Direction::DocumentToQuery, 2, 2), [(0, 1)]);
    assert_eq!(entries(&found, Direction::QueryToQuery, 2, 2), [(0, 1), (1, 0)]);
    assert_eq!(entries(&found, Direction::DocumentToDocument, 2, 2), [(0, 1), (1, 0)]);
}

type Key = (u8, u64);

fn keys(hashes: &Hashes) -> HashSet<Key> {
    let keys = [(0, hashes.text), (1, hashes.document), (2, hashes.group)];
    keys.into_iter().filter(|(_, hash)| *hash != 0).collect()
}

/// The rules, literally, for one entry.
fn matches(anchors: &[Hashes], documents: &[Hashes], direction: Direction, row: usize, column: usize) -> bool {
    let same = |a: usize, b: usize| a == b || (anchors[a].text != 0 && anchors[a].text == anchors[b].text);
    let belonging = |pair: usize| -> HashSet<Key> {
        let pairs = (0..anchors.len()).filter(|other| same(pair, *other));
        let text = Hashes { text: anchors[pair].text, ..Hashes::default() };
        pairs.flat_map(|pair| keys(&documents[pair])).chain(keys(&text)).collect()
    };
    let answers = |pair: usize, document: usize| {
        (document < anchors.len() && same(pair, document)) || !belonging(pair).is_disjoint(&keys(&documents[document]))
    };
    let queries_match = |a: usize, b: usize| same(a, b) || !belonging(a).is_disjoint(&belonging(b));
    row != column
        && match direction {
            Direction::QueryToDocument => answers(row, column),
            Direction::DocumentToQuery => answers(column, row),
            Direction::QueryToQuery => queries_match(row, column),
            Direction::DocumentToDocument => {
                answers(row, column) || (column < anchors.len() && queries_match(row, column))
            }
        }
}

fn hashes() -> impl Strategy<Value = Hashes> {
    (0..6_u64, 0..6_u64, 0..6_u64).prop_map(|(text, document, group)| row(text, document, group))
}

proptest! {
    #[test]
    fn the_index_finds_what_a_comparison_of_all_rows_finds(
        rows in prop::collection::vec((hashes(), hashes()), 1..7),
        negatives in prop::collection::vec(hashes(), 0..5),
        at in any::<prop::sample::Index>(),
    ) {
        let (anchors, mut documents): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        documents.extend(negatives);
        let found = FalseNegatives::find(&anchors, &documents);
        for direction in DIRECTIONS {
            let to_documents = matches!(direction, Direction::QueryToDocument | Direction::DocumentToDocument);
            let columns = if to_documents { documents.len() } else { anchors.len() };
            let from = at.index(anchors.len());
            let mut marks = vec![false; (anchors.len() - from) * columns];
            found.mark(direction, from..anchors.len(), columns, &mut marks);
            for (place, mark) in marks.iter().enumerate() {
                let (row, column) = (from + place / columns, place % columns);
                let expected = matches(&anchors, &documents, direction, row, column);
                prop_assert_eq!(*mark, expected, "{:?} {} {}", direction, row, column);
            }
        }
        let all = entries(&found, Direction::QueryToDocument, anchors.len(), documents.len());
        prop_assert_eq!(found.count, all.len() as u64);
        for (pair, document) in (0..anchors.len()).flat_map(|pair| (anchors.len()..documents.len()).map(move |document| (pair, document))) {
            prop_assert_eq!(found.contains(pair, document), all.contains(&(pair, document)));
        }
    }
}
