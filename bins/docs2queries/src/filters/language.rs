//! Queries that are not in the wanted language.

use std::collections::HashSet;

use embtune_text::{Language, detect_language, normalised};

use crate::text::words;

/// A query with fewer letters in words that the document does not have can be in any language: names, codes, terms.
const MIN_LETTERS: usize = 12;
/// A character that stands for a syllable or a word counts as this many letters.
const LETTERS_PER_SIGN: usize = 3;
/// A text that consists of fewer Han characters, and has no other signs, may be Japanese or Chinese.
const MIN_HAN: usize = 40;

/// Whether a query is certainly not in the language that was `requested`, or, if none was, in the document's.
///
/// Words that a query shares with its document prove nothing, because a Chinese manual contains English terms. Neither
/// do Han characters alone distinguish Chinese from Japanese or Korean, whatever a detector says.
pub(super) fn is_in_other_language(query: &str, requested: Option<Language>, text: &str) -> bool {
    let of_text = detect_language(text).filter(|_| han_only(text).is_none_or(|count| count >= MIN_HAN));
    let Some(wanted) = requested.or(of_text) else { return false };
    if wanted.may_be_han_only() && han_only(query).is_some() {
        return false;
    }
    let is_other = detect_language(query).is_some_and(|found| found != wanted);
    if !is_other && wanted.may_have_script_of(query) {
        return false;
    }
    // If a language other than the document's was requested, shared words do not excuse a query.
    requested.is_some_and(|requested| Some(requested) != of_text) || letters_beyond(query, text) >= MIN_LETTERS
}

/// The number of letters in words of the query that the text does not have.
fn letters_beyond(query: &str, text: &str) -> usize {
    let text = normalised(text);
    let known: HashSet<&str> = words(&text).collect();
    let query = normalised(query);
    words(&query).filter(|word| !known.contains(word)).flat_map(str::chars).map(weight).sum()
}

fn weight(c: char) -> usize {
    match c {
        _ if !c.is_alphabetic() => 0,
        _ if is_han(c) || is_kana(c) || is_hangul(c) => LETTERS_PER_SIGN,
        _ => 1,
    }
}

/// The number of Han characters in a text that has some, and no character that tells which language uses them.
fn han_only(text: &str) -> Option<usize> {
    let count = text.chars().filter(|c| is_han(*c)).count();
    (count > 0 && !text.chars().any(|c| is_kana(c) || is_hangul(c))).then_some(count)
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}' | '々')
}

fn is_kana(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{ff66}'..='\u{ff9d}')
}

fn is_hangul(c: char) -> bool {
    matches!(c, '\u{ac00}'..='\u{d7af}' | '\u{1100}'..='\u{11ff}' | '\u{3131}'..='\u{318e}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const JAPANESE: &str =
        "借主は毎月末日までに翌月分の賃料を支払わなければならない。GPUクラウドの利用料は別に定める。";
    const CHINESE: &str = "承租人应当在每月一日之前支付租金，不得扣除任何费用。出租人负责在收到通知后两周内修理房屋的屋顶和外墙。Transformer 模型另行约定。";
    const KOREAN: &str = "임차인은 매월 말일까지 다음 달의 임대료(賃貸料)를 지급하여야 한다. 임대인은 지붕을 수리한다.";
    const GERMAN: &str = "Der Mieter muss die Miete am ersten Tag eines jeden Monats ohne Abzug zahlen. Das Self-Service Portal ist offen.";
    const ENGLISH: &str = "The tenant shall pay the rent on the first day of each month without any deduction.";

    #[test]
    fn queries_that_may_be_in_the_language_are_kept() {
        for (text, queries) in [
            (
                JAPANESE,
                "賃貸借契約 予告期間|契約終了通知義務|賃料 支払期限 毎月末日|貸主 書面通知 三か月前|GPU クラウド 料金|GPU cloud|雨漏修繕義務|いつまでに賃料を払いますか|\
                RFC 2119",
            ),
            (CHINESE, "租金支付期限|租金幾時要交|Transformer 模型|Transformer|屋頂 維修 責任|PyTorch 2.1"),
            (KOREAN, "賃貸借契約|임대료 지급 기한|賃貸料 支給期限"),
            (GERMAN, "Self-Service Portal|Miete Fälligkeit|Self-Service Portal login|α β γ|BGB § 535"),
            (ENGLISH, "rent due|α-helix|force majeure|Kündigungsfrist|東京|tenant rent first month deduction"),
            ("賃貸借契約 予告期間", "予告期間はいつまでですか"),
        ] {
            for query in queries.split('|') {
                assert!(!is_in_other_language(query, None, text), "{query}");
            }
        }
    }

    #[test]
    fn queries_that_are_certainly_in_another_language_are_found() {
        for (text, query) in [
            (JAPANESE, "When does the tenant have to pay the rent for the next month?"),
            (JAPANESE, "임차인은 언제 임대료를 지급해야 합니까"),
            (CHINESE, "賃料はいつまでに支払わなければなりませんか"),
            (CHINESE, "When does the tenant have to pay the rent for the house?"),
            (KOREAN, "賃料はいつまでに支払わなければなりませんか"),
            (GERMAN, "When does the tenant have to pay the rent for the house to the landlord?"),
            (GERMAN, "承租人什么时候支付租金"),
            (ENGLISH, "Wann muss der Mieter die Miete für das Haus an den Vermieter bezahlen?"),
            (ENGLISH, "Когда арендатор обязан вносить арендную плату за следующий месяц, если это праздник?"),
        ] {
            assert!(is_in_other_language(query, None, text), "{query}");
        }
        let requested = |code| Language::named(code);
        assert!(is_in_other_language(
            "The tenant shall pay the rent on the first day of each month",
            requested("de"),
            ENGLISH
        ));
        assert!(!is_in_other_language("契約終了通知義務", requested("ja"), ENGLISH));
        assert!(!is_in_other_language("Wann muss der Mieter die Miete bezahlen?", requested("de"), ENGLISH));
    }
}
