//! Properties: any queries, in any of these formats, are found again.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};

use crate::parse::{ParsedQueries, queries};
use crate::text::one_line;

/// Pieces of queries, separated by `¦`.
const PIECES: &str = "lease¦what is¦notice period¦größe¦Kündigung¦是什么¦賃貸借契約¦ありますか¦임대차¦аренда¦الإيجار¦😀¦👩‍🔬¦\"notice\"¦\"¦\
    it's¦'a'¦“x”¦`code`¦\\d+¦C:\\temp\\new¦\\¦{x}¦{\"a\": 1}¦}¦{¦[E0308]¦vec![\"a\"]¦]¦[¦1.5¦2024:¦3)¦\
    a,b,¦key: value¦http://a.b/c?d=e#f¦// comment¦# hash¦?¦!¦...¦a|b¦<b>¦$5 & 3 %";
/// Pieces that may begin a line without looking like a mark.
const FIRST: [&str; 9] =
    ["lease", "what is", "größe", "是什么", "1.5 months", "2024 budget", "E0308", "{x} in", "how (and when)"];
/// Pieces that may end a line without looking like decoration.
const LAST: [&str; 7] = ["lease?", "mean", "是什么", "of 1.5", "\"notice\" is", "in C++", "x]"];

fn pieces() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(PIECES.split('¦').collect::<Vec<_>>())
}

fn query() -> impl Strategy<Value = String> {
    let piece = prop_oneof![8 => pieces().prop_map(str::to_owned), 1 => "\\PC{1,9}"];
    let pieces = proptest::collection::vec(piece, 1..7);
    let glued =
        (pieces, any::<bool>()).prop_map(|(pieces, is_glued)| one_line(&pieces.join(if is_glued { "" } else { " " })));
    glued.prop_filter("a query says something", |query| {
        query.contains(char::is_alphanumeric) && !query.starts_with("\\\"")
    })
}

/// A query that can be a line by itself.
fn line() -> impl Strategy<Value = String> {
    let ends = (proptest::sample::select(&FIRST[..]), proptest::sample::select(&LAST[..]));
    (ends, query())
        .prop_map(|((first, last), query)| format!("{first} {query} {last}"))
        .prop_filter("emphasis and fences are not text there", |query| !query.contains("**") && !query.contains("```"))
}

fn list(of: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(of, 1..6)
}

/// Formats of the value that contains the queries.
fn values(queries: &[String]) -> Vec<String> {
    let list = json!(queries);
    let objects = |make: &dyn Fn(&String) -> Value| Value::Array(queries.iter().map(make).collect());
    let mut values: Vec<Value> = vec![
        json!({"queries": list}),
        json!({"language": "en", "thoughts": ["no", "neither"], "queries": list}),
        json!({"result": {"data": [{"queries": list}]}}),
        json!({"search_queries": list}),
        json!({"Questions": list, "count": 3}),
        json!({"fragen": list}),
        json!({"queries": objects(&|query| json!({"query": query}))}),
        json!({"queries": objects(&|query| json!({"id": 1, "style": "question of a long kind", "query": query, "answer": "no"}))}),
        json!({"queries": objects(&|query| json!({"type": "keyword", "text": query}))}),
        objects(&|query| json!({"difficulty": "easy", "question": query})),
        json!({"type": "object", "properties": {"queries": {"type": "array", "items": list}}}),
        json!({"name": "queries", "arguments": {"queries": list}}),
        json!({"name": "queries", "arguments": json!({"queries": list}).to_string()}),
        json!({"queries": list.to_string()}),
        Value::Object((1..).zip(queries).map(|(number, query)| (format!("query{number}"), json!(query))).collect()),
        json!({"queries": Value::Object((1..).zip(queries).map(|(number, query)| (number.to_string(), json!(query))).collect())}),
    ];
    if queries.len() > 1 {
        values.push(list.clone());
    }
    let mut texts: Vec<String> = values.iter().map(Value::to_string).collect();
    texts.extend(values.iter().map(|value| serde_json::to_string_pretty(value).unwrap()));
    texts.push(json!(texts[0]).to_string());
    let lines: Vec<String> = queries.iter().map(|query| json!({"query": query}).to_string()).collect();
    texts.push(lines.join("\n"));
    texts.push(lines.iter().map(|line| format!("```json\n{line}\n```\n\n")).collect());
    texts.push((1..).zip(&lines).map(|(number, line)| format!("{number}. {line}\n")).collect());
    texts.push(format!("{},],}}", texts[0].strip_suffix("]}").unwrap()));
    texts
}

/// Formats of the reply around the value.
fn replies(value: &str, earlier: &str) -> Vec<String> {
    let draft = "{\"queries\": [\"draft a\", \"draft b\", \"draft c\"]}";
    vec![
        value.to_owned(),
        format!("\n\n  {value}\n"),
        format!("```json\n{value}\n```"),
        format!(
            "Here are the queries [1], as {{asked}}:\n\n```\n{value}\n```\n\nI hope that these [\"help\"]! Let me know."
        ),
        format!("<think>\nI could write {draft} or\n1. draft a\n2. draft b\n</think>\n\n{value}"),
        format!("It could be {draft}.</think>{value}"),
        format!("[THINK]{draft}[/THINK]{value}"),
        format!("<thinking>{draft}</thinking>\n<answer>\n{value}\n</answer>"),
        format!(
            "<|channel|>analysis<|message|>{draft}<|end|><|start|>assistant<|channel|>final<|message|>{value}<|return|>"
        ),
        format!("analysisWe may write {draft}. Done.assistantfinal{value}"),
        format!("Thinking Process:\n\n1. **Analyze:** a lease\n2. **Draft:** {draft}\n\n{value}"),
        format!("A draft:\n\n```json\n{earlier}\n```\n\nThe second is vague. Better:\n\n```json\n{value}\n```"),
        format!(
            "{{\"type\": \"object\", \"properties\": {{\"queries\": {{\"type\": \"array\", \"items\": {{\"type\": \"string\"}}}}}}, \"required\": [\"queries\"]}}\n\n{value}"
        ),
        format!("{value}<|im_end|>\n<|im_start|>user\n{draft}"),
        format!("<document>\n{draft}\n</document>\n\n{value}"),
    ]
}

/// Formats of lists.
fn lists(queries: &[String]) -> Vec<String> {
    let each = |make: &dyn Fn(usize, &str) -> String| -> String {
        (1..).zip(queries).map(|(number, query)| make(number, query) + "\n").collect()
    };
    vec![
        each(&|number, query| format!("{number}. {query}")),
        each(&|number, query| format!("{number}) {query}\n")),
        each(&|number, query| format!("({number}) {query}")),
        each(&|number, query| format!("{number}、{query}")),
        each(&|number, query| format!("{number}． {query}")),
        each(&|number, query| format!("{}{query}", char::from_u32(0x245f + number as u32).unwrap())),
        each(&|number, query| format!("Q{number}: {query}")),
        each(&|number, query| format!("**Query {number}:** {query}")),
        each(&|number, query| format!("### Query {number}\n{query}\n")),
        each(&|number, query| format!("**{number}.** {query}")),
        each(&|number, query| format!("{number}. **{query}**")),
        each(&|number, query| format!("{number}. **Question:** {query}")),
        each(&|number, query| format!("{number}. {query}\n   - Type: question\n   - Why: it asks for \"x\"")),
        each(&|_, query| format!("- {query}")),
        each(&|_, query| format!("* {query}")),
        each(&|_, query| format!("•   {query}")),
        each(&|_, query| format!("<query>{}</query>", query.replace('&', "&amp;").replace('<', "&lt;"))),
        format!(
            "| # | Query | Type |\n|---|---|---|\n{}",
            each(&|number, query| format!("| {number} | {} | claim |", query.replace('|', "\\|")))
        ),
    ]
}

fn around_lists(list: &str) -> Vec<String> {
    vec![
        list.to_owned(),
        format!("Here are the queries:\n\n{list}\nLet me know if you need more!"),
        format!("<think>\n1. draft a\n2. draft b\n</think>\n{list}"),
        format!("```\n{list}```"),
        format!("**Queries:**\n{list}\n\n**Note:** they cover all of it."),
    ]
}

fn assert_found(reply: &str, expected: &[String]) -> Result<(), TestCaseError> {
    let found = queries(reply, expected.len(), false);
    prop_assert_eq!(found, ParsedQueries { queries: expected.to_vec(), cut_off: 0, surplus: 0 }, "{}", reply);
    Ok(())
}

/// The same queries in every run, so that no test fails by chance. `PROPTEST_CASES=10000` tries more of them.
fn config() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(15), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn values_in_all_formats(expected in list(query())) {
        let earlier = ["draft a", "draft b", "draft c", "draft d", "draft e"].map(str::to_owned);
        for (value, earlier) in values(&expected).iter().zip(values(&earlier[..expected.len()])) {
            for reply in replies(value, &earlier) {
                assert_found(&reply, &expected)?;
            }
        }
    }

    #[test]
    fn lists_in_all_formats(expected in list(line())) {
        for list in lists(&expected) {
            for reply in around_lists(&list) {
                assert_found(&reply, &expected)?;
            }
        }
    }

    #[test]
    fn a_cut_loses_no_more_than_the_last_query(expected in list(query()), share in 0.0..1.0) {
        let reply = json!({"queries": expected}).to_string();
        let cut = &reply[..reply.floor_char_boundary((reply.len() as f64 * share) as usize)];
        let found = queries(cut, 10, true);
        prop_assert!(expected.starts_with(&found.queries), "{}: {:?}", cut, found);
        prop_assert!(found.cut_off <= 1);
        let complete = expected.iter().scan(String::from("{\"queries\":["), |text, query| {
            text.push_str(&json!(query).to_string());
            let is_there = cut.starts_with(text.as_str());
            text.push(',');
            Some(is_there)
        });
        prop_assert_eq!(complete.filter(|is_there| *is_there).count(), found.queries.len(), "{}", cut);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,300}", mark in pieces()) {
        queries(&text, 3, false);
        queries(&text.replace('a', mark), 3, true);
    }
}

#[test]
fn hostile_replies_end() {
    let pieces = "[¦{\"a\":¦<think>¦</think>¦[\"¦\"¦\n\"¦{\"queries\": [\"¦[\"x \"a\", ¦assistant¦1. ¦\
        1. a 2. b 3. c\n¦# :\n¦Draft queries:\n¦final:\n¦User:\n¦> \n¦- id: 1\n  query: a\n¦```\n¦|-|\n¦\
        \\\"¦[\"[\\\"";
    for piece in pieces.split('¦') {
        queries(&piece.repeat(20_000), 3, false);
    }
}
