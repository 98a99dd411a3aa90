//! Comparing texts: normal form, similarity, near-duplicates, language.
//!
//! ```
//! use embtune_text::{NearDuplicates, jaccard, text_hash};
//!
//! assert_eq!(text_hash("What is a lease?"), text_hash(" what is a  LEASE"));
//! assert!(jaccard("the lease of the land ends", "the lease of the land ended") > 0.8);
//!
//! let mut seen = NearDuplicates::new(0.8, 1_000_000);
//! assert_eq!(seen.insert(1, "The tenant pays the rent on the first day of each month."), None);
//! assert_eq!(seen.insert(2, "the tenant pays the rent on the first day of each month"), Some(1));
//! assert_eq!(seen.insert(3, "The landlord repairs the roof and the walls of the house."), None);
//! ```
//!
//! All results depend on the texts only, and not on a seed, the clock or the order of a hash map.

mod language;
mod min_hash;
mod near_duplicates;
mod normal;
mod shingles;

pub use language::{Language, detect_language};
pub use min_hash::MinHash;
pub use near_duplicates::NearDuplicates;
pub use normal::{is_blank, normalised, text_hash};
pub use shingles::{Shingles, containment, jaccard};
