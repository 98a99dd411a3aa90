//! Precision at levels of recall.

/// Interpolated precision at recall 0, 0.1, … 1: the highest precision at any rank where recall is at least the level;
/// zeros when none is relevant. `ranks` are those of the relevant documents that were retrieved, from 1, rising; `relevant`
/// is R.
///
/// `max { P@i : recall@i >= level }` (trec_eval `iprec_at_recall`, m_iprec_at_recall.c; Manning, Raghavan and Schütze 2008,
/// "Introduction to Information Retrieval", chapter 8.4).
pub fn interpolated_precision(ranks: &[usize], relevant: usize) -> [f64; 11] {
    // Recall and precision are highest where a relevant document stands.
    let points: Vec<(usize, f64)> =
        (1..).zip(ranks).map(|(found, rank)| (found, found as f64 / *rank as f64)).collect();
    std::array::from_fn(|tenths| {
        // In whole numbers, so that 3 of 10 is 0.3.
        let reached = points.iter().filter(|(found, _)| 10 * found >= tenths * relevant);
        reached.map(|(_, precision)| *precision).fold(0.0, f64::max)
    })
}

#[cfg(test)]
mod tests {
    use super::interpolated_precision;

    #[test]
    fn the_best_precision_from_a_level_on_counts() {
        // Relevant at ranks 2 and 3 of 3 relevant: precision 1/2 and 2/3.
        let curve = interpolated_precision(&[2, 3], 3);
        assert_eq!(curve[..7], [2.0 / 3.0; 7]);
        assert_eq!(curve[7..], [0.0; 4]);
        assert_eq!(interpolated_precision(&[], 0), [0.0; 11]);
    }
}
