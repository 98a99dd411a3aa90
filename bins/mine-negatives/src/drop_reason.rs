//! Why a document is not a negative.

/// Why a document is not a negative. The output names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DropReason {
    Positive,
    Group,
    HeldOut,
    Excluded,
    Blank,
    SameText,
    NearDuplicate,
    AbsoluteMargin,
    RelativeMargin,
    MaxScore,
    MinScore,
    RangeMin,
}

impl DropReason {
    /// All reasons, in the order of the summary.
    pub(crate) const ALL: [Self; 12] = [
        Self::Positive,
        Self::Group,
        Self::HeldOut,
        Self::Excluded,
        Self::Blank,
        Self::SameText,
        Self::NearDuplicate,
        Self::AbsoluteMargin,
        Self::RelativeMargin,
        Self::MaxScore,
        Self::MinScore,
        Self::RangeMin,
    ];

    /// The reason in the output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Group => "group",
            Self::HeldOut => "held_out",
            Self::Excluded => "excluded",
            Self::Blank => "blank",
            Self::SameText => "same_text",
            Self::NearDuplicate => "near_duplicate",
            Self::AbsoluteMargin => "absolute_margin",
            Self::RelativeMargin => "relative_margin",
            Self::MaxScore => "max_score",
            Self::MinScore => "min_score",
            Self::RangeMin => "range_min",
        }
    }

    /// The reason in the summary, after the number of documents.
    pub(crate) fn description(self, count: u64) -> &'static str {
        match self {
            Self::Positive if count == 1 => "positive",
            Self::Positive => "positives",
            Self::Group => "of a positive's group",
            Self::HeldOut => "held out",
            Self::Excluded => "by --exclude-documents",
            Self::Blank => "blank",
            Self::SameText => "with a text seen before",
            Self::NearDuplicate if count == 1 => "near-duplicate of a positive",
            Self::NearDuplicate => "near-duplicates of a positive",
            Self::AbsoluteMargin => "by --absolute-margin",
            Self::RelativeMargin => "by --relative-margin",
            Self::MaxScore => "by --max-score",
            Self::MinScore => "by --min-score",
            Self::RangeMin => "by --range-min",
        }
    }

    /// Whether sentence-transformers has this rule, too. Documents that our own rules drop do not count towards the
    /// range that it searches.
    pub(crate) fn is_of_sentence_transformers(self) -> bool {
        match self {
            Self::Positive
            | Self::AbsoluteMargin
            | Self::RelativeMargin
            | Self::MaxScore
            | Self::MinScore
            | Self::RangeMin => true,
            Self::Group | Self::HeldOut | Self::Excluded | Self::Blank | Self::SameText | Self::NearDuplicate => false,
        }
    }
}
