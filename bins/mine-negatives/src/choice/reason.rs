//! Why a document is no negative.

/// A reason; its name stands in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
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

impl Reason {
    /// All of them, in the order of the notice.
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

    /// How the output calls it.
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

    /// Whether sentence-transformers does not know it: such a document does not count as looked at.
    pub(crate) fn is_of_our_own(self) -> bool {
        matches!(
            self,
            Self::Group | Self::HeldOut | Self::Excluded | Self::Blank | Self::SameText | Self::NearDuplicate
        )
    }

    /// How the notice calls it, behind a number.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Positive => "positives",
            Self::Group => "of a positive's group",
            Self::HeldOut => "held out",
            Self::Excluded => "in --exclude-documents",
            Self::Blank => "blank",
            Self::SameText => "with a text that was there",
            Self::NearDuplicate => "near-duplicates of a positive",
            Self::AbsoluteMargin => "by --absolute-margin",
            Self::RelativeMargin => "by --relative-margin",
            Self::MaxScore => "by --max-score",
            Self::MinScore => "by --min-score",
            Self::RangeMin => "by --range-min",
        }
    }
}
