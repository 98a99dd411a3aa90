//! Replies as models write them, according to public reports.

use crate::parse::{ParsedQueries, queries};

/// Asserts which queries are found if five were asked for.
fn assert_all(replies: &[(&str, &[&str])]) {
    for (reply, expected) in replies {
        assert_eq!(queries(reply, 5, false).queries, *expected, "{reply}");
    }
}

#[test]
fn keys_count_before_order() {
    assert_all(&[
        (r#"{"queries": ["what is  a lease?", "oil royalty"]}"#, &["what is a lease?", "oil royalty"]),
        (r#"{"keywords": ["lease", "rent"], "queries": ["a", "b"]}"#, &["a", "b"]),
        (r#"{"questions": ["draft"], "queries": ["a", "b"]}"#, &["a", "b"]),
        (
            r#"["lease", "rent"] are the topics.
{"queries": ["a", "b"]}"#,
            &["a", "b"],
        ),
        (
            r#"{"queries": ["a", "b"]}

Topics: ["lease", "rent"]"#,
            &["a", "b"],
        ),
        (r#"{"queries": [{"kind": "easy", "query": "a"}, {"kind": "hard", "query": "b"}]}"#, &["a", "b"]),
        (
            r#"{"queries": [{"answer": "a long answer to it", "question": "a"}, {"answer": "x", "question": "b"}]}"#,
            &["a", "b"],
        ),
        (r#"[{"id": 1, "query": "a", "relevance": "high"}, {"id": 2, "query": "b", "relevance": "low"}]"#, &["a", "b"]),
        (r#"{"output": {"search_queries": [{"searchQuery": "a"}, {"searchQuery": "b"}]}}"#, &["a", "b"]),
        (r#"{"query_type": "question", "query": "a", "query_id": "q1"}"#, &["a"]),
        (r#"{"query1": "a", "query2": "b"}"#, &["a", "b"]),
        (r#"{"query": "a", "keywords": "lease, rent"}"#, &["a"]),
        (r#"{"query": "a", "query": "b"}"#, &["a", "b"]),
        (r#"{"1": "a", "2": "b"}"#, &["a", "b"]),
        (r#"{"Q1": "a", "Q2": "b"}"#, &["a", "b"]),
        (r#"{"queries": {"question": ["a"], "keyword": ["b", "c"]}}"#, &["a", "b", "c"]),
        (r#"{"question": "a", "keyword": "b", "claim": "c"}"#, &["a", "b", "c"]),
        (r#"[{"question": "a"}, {"keyword": "b"}, {"claim": "c"}]"#, &["a", "b", "c"]),
        (r#"{"questions": ["a"], "keywords": ["b"], "claims": ["c"]}"#, &["a"]),
        (r#"{"question": ["a"], "keyword": ["b"], "claim": ["c"]}"#, &["a", "b", "c"]),
        (r#"{"reasoning": ["x"], "result": {"question": ["a", "b"], "keyword": "c"}}"#, &["a", "b", "c"]),
        (r#"{"question": ["a"], "topics": ["x"]}"#, &["a"]),
        (r#"{"queries": [{"question": ["a"]}, {"keyword": ["b"]}]}"#, &["a", "b"]),
        (r#"[{"question": "a", "keywords": ["x", "y"]}, {"question": "b", "keywords": ["z"]}]"#, &["a", "b"]),
        (r#"[{"style": "question", "queries": ["a", "b"]}, {"style": "keyword", "queries": ["c"]}]"#, &["a", "b", "c"]),
        (r#"{"reasoning": ["step one", "step two"], "anfragen": ["a", "b"]}"#, &["a", "b"]),
        (r#"{"queries": {"query": "a"}}"#, &["a"]),
        (r#"{"queries": "a"}"#, &["a"]),
        (r#"{"queries": "1. a\n2. b"}"#, &["a", "b"]),
        (r#"{"queries": [["a", "b"], ["c"]]}"#, &["a", "b", "c"]),
        (r#"{"queries": [["a", "question"], ["b", "keyword"]]}"#, &["a", "b"]),
        (r#"{"queries": [{"what is a?": "question"}, {"b and c": "keyword"}]}"#, &["what is a?", "b and c"]),
        (r#"{"queries": {"what is a?": "question", "b and c": "keyword"}}"#, &["what is a?", "b and c"]),
        (r#"{"queries": ["a", {"note": "x"}, "b"]}"#, &["a", "b"]),
        (r#"{"queries": ["1. a", "2. b"]}"#, &["a", "b"]),
        (r#"{"queries": ["Question: a", "Keyword: b"]}"#, &["a", "b"]),
        (r#"{"queries": ["Question: a", "in re: b"]}"#, &["Question: a", "in re: b"]),
        (r#"{"queries": ["2. a", "1. b"]}"#, &["2. a", "1. b"]),
    ]);
}

#[test]
fn the_last_complete_answer() {
    assert_all(&[
        (
            "```json\n{\"queries\": [\"x\"]}\n```\nLet me refine them.\n```json\n{\"queries\": [\"a\", \"b\"]}\n```",
            &["a", "b"],
        ),
        ("{\"queries\": [\"a\", \"b\"]}\n\nWait, one more:\n{\"queries\": [\"c\", \"d is not comp", &["a", "b"]),
        ("{\"queries\": [\"a\", \"b\"]} {\"queries\": [\"a\", \"b\"]}", &["a", "b"]),
        ("{\"queries\": []}\n{\"queries\": [\"a\", \"b\"]}", &["a", "b"]),
        ("{\"queries\": [\"...\", \"...\"]}\n{\"queries\": [\"a\", \"b\"]}", &["a", "b"]),
        ("{\"queries\": [\"a\", \"b\"]}\n\nThe form was {\"queries\": [\"query 1\", \"query 2\"]}", &["a", "b"]),
        ("{\"queries\": [\"a\"]}\n{\"queries\": [\"b\", \"c\"]}", &["a", "b", "c"]),
        ("{\"queries\": [\"x\", \"y\", \"z\"]}\n{\"queries\": [\"a\", \"b\", \"c\"]}", &["a", "b", "c"]),
    ]);
}

#[test]
fn json_lines() {
    assert_all(&[
        ("{\"query\": \"a\"}\n{\"query\": \"b\"}\n{\"query\": \"c\"}", &["a", "b", "c"]),
        ("{\"query\": \"a\"}, {\"query\": \"b\"}", &["a", "b"]),
        ("```json\n{\"query\": \"a\"}\n```\n```json\n{\"query\": \"b\"}\n```", &["a", "b"]),
        ("**Query 1**\n```json\n{\"query\": \"a\"}\n```\n**Query 2**\n```json\n{\"query\": \"b\"}\n```", &["a", "b"]),
        ("- {\"query\": \"a\"}\n- {\"query\": \"b\"}", &["a", "b"]),
        ("[\"a\"]\n[\"b\"]", &["a", "b"]),
    ]);
}

#[test]
fn encoded_twice() {
    assert_all(&[
        (r#"{"queries": "[\"a\", \"b\"]"}"#, &["a", "b"]),
        (r#"{"queries": "['a', 'it is b']"}"#, &["a", "it is b"]),
        (r#"{"queries": ["[\"a\", \"b\"]"]}"#, &["a", "b"]),
        (r#""{\"queries\": [\"a\", \"b\"]}""#, &["a", "b"]),
        (r#"{\"queries\": [\"a\", \"b\"]}"#, &["a", "b"]),
        (r#"{"name": "queries", "arguments": "{\"queries\": [\"a\", \"b\"]}"}"#, &["a", "b"]),
        (
            "<tool_call>\n{\"name\": \"queries\", \"arguments\": {\"queries\": [\"a\", \"b\"]}}\n</tool_call>",
            &["a", "b"],
        ),
        (r#"["{\"query\": \"a\"}", "{\"query\": \"b\"}"]"#, &["a", "b"]),
        (r#"{"queries": ["[\"a\"] in Python", "[E0308]"]}"#, &["[\"a\"] in Python", "[E0308]"]),
    ]);
}

#[test]
fn an_echo_of_the_schema_is_not_an_answer() {
    assert_all(&[
        (
            r#"{"type": "object", "properties": {"queries": {"type": "array", "items": {"type": "string"}}}, "required": ["queries"]}"#,
            &[],
        ),
        (
            r#"{"name": "queries", "strict": true, "schema": {"type": "object", "properties": {"queries": {"type": "array", "items": {"type": "string"}}}, "required": ["queries"], "additionalProperties": false}}"#,
            &[],
        ),
        (r#"{"queries": ["...", "..."]}"#, &[]),
        (r#"{"queries": ["string"]}"#, &[]),
        (
            r#"{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "queries": ["a", "b"]}"#,
            &["a", "b"],
        ),
        (r#"{"type": "object", "properties": {"queries": ["a", "b"]}}"#, &["a", "b"]),
        (r#"{"properties": {"queries": {"type": "array", "items": ["a", "b"]}}}"#, &["a", "b"]),
        ("<document>\n1. The rent\n2. The notice\n</document>\n\n1. a\n2. b", &["a", "b"]),
        (
            "{\"queries\": [\"a\", \"b\"]}\n\n<document>\nAnother one\n</document>\n{\"queries\": [\"x\", \"y\"]}\n<document>\nx",
            &["a", "b"],
        ),
        ("The document is:\n<document>\n1. The rent\n</document>\n\n1. a\n2. b", &["a", "b"]),
    ]);
}

#[test]
fn broken_json() {
    assert_all(&[
        (
            r#"{"queries": ["what does "notice" mean in a lease", "landlord notice"]}"#,
            &["what does \"notice\" mean in a lease", "landlord notice"],
        ),
        (
            r#"{"queries": [{"query": "what does "notice" mean", "type": "x"}, {"query": "b", "type": "y"}]}"#,
            &["what does \"notice\" mean", "b"],
        ),
        (r#"{"queries": ["regex \d+ for C:\Users", "it\'s"]}"#, &["regex \\d+ for C:\\Users", "it's"]),
        (r#"{'queries': ['a', "it's", 'the tenants' rent']}"#, &["a", "it's", "the tenants' rent"]),
        ("{“queries”: [“a”, “b”]}", &["a", "b"]),
        ("{\"queries\"：[\"a\"，\"b\"]}", &["a", "b"]),
        ("{\"queries\": [\"a\", \"b\",]}", &["a", "b"]),
        ("{\"queries\": [\"a\" \"b\"\n\"c\"]}", &["a", "b", "c"]),
        ("{queries: [\"a\", \"b\"]}", &["a", "b"]),
        ("{queries: [what is a lease?, notice period]}", &["what is a lease?", "notice period"]),
        ("{\"queries\": [\"a\nb\", \"c\"]}", &["a b", "c"]),
        ("{\"queries\": [\"a\", \"b\"]", &["a", "b"]),
        ("{\"queries\": [\"a\", \"b\"}", &["a", "b"]),
        ("\"queries\": [\"a\", \"b\"]", &["a", "b"]),
        ("queries = [\n    \"a\",  # the first\n    \"b\",\n]", &["a", "b"]),
        ("{\"queries\": [\"a\", None, 3, \"b\", ...]}", &["a", "b"]),
        ("{\"queries\": (\"a\", \"b\")}", &["a", "b"]),
        ("{\"queries\": {\"a\", \"b\"}}", &["a", "b"]),
        ("{{\"queries\": [\"a\", \"b\"]}}", &["a", "b"]),
        ("{\"queries\": [\"a\", // \"one\"\n\"b\" /* two */]}", &["a", "b"]),
        (r#"{"queries": ["lone \ud800 half", "b"]}"#, &["lone \u{fffd} half", "b"]),
        (r#"\boxed{["a", "b"]}"#, &["a", "b"]),
    ]);
}

#[test]
fn lost_queries_are_counted() {
    let found = |reply: &str, is_cut: bool| {
        let ParsedQueries { queries, cut_off, surplus } = queries(reply, 2, is_cut);
        (queries.join("|"), cut_off, surplus)
    };
    for (reply, is_cut, expected) in [
        (r#"{"queries": ["a \"quoted\" one", "b", "c is not comp"#, true, ("a \"quoted\" one|b", 1, 0)),
        ("```json\n{\"queries\": [\"a\", ", true, ("a", 0, 0)),
        (r#"{"queries": [{"query": "a"}, {"query": "b is cu"#, true, ("a", 1, 0)),
        (r#"{"queries": [{"query": "a", "why": "it is cu"#, true, ("a", 0, 0)),
        (r#"[{"query": "a"}, {"query": "b is cu"#, true, ("a", 1, 0)),
        ("1. a\n2. b is cu", true, ("a", 1, 0)),
        ("1. a\n2. b", false, ("a|b", 0, 0)),
        ("1. a\n2. b\n3. c", false, ("a|b", 0, 1)),
        (r#"{"queries": ["a", "b", "c", "d"]}"#, false, ("a|b", 0, 2)),
        (r#"["a", null, "", "b", "...", "c"]"#, false, ("a||b|...", 0, 1)),
        (r#"{"queries": ["not comp"#, true, ("", 0, 0)),
        ("what is a lease\nhow long is the no", true, ("what is a lease", 1, 0)),
    ] {
        let (text, cut_off, surplus) = expected;
        assert_eq!(found(reply, is_cut), (text.to_owned(), cut_off, surplus), "{reply}");
    }
}

#[test]
fn lists_of_lines() {
    assert_all(&[
        (
            "how long is the notice period\n1.5 months notice is enough\nwhen does a lease end",
            &["how long is the notice period", "1.5 months notice is enough", "when does a lease end"],
        ),
        ("Sure!\n1. What is [E0308]?\n2) \"mismatched types\"\n\nBye.", &["What is [E0308]?", "\"mismatched types\""]),
        (
            "1. What is [E0308]?\n2. \"mismatched types\" in vec![\"a\"]\n\nBye.",
            &["What is [E0308]?", "\"mismatched types\" in vec![\"a\"]"],
        ),
        (
            "1. how to write [\"a\", \"b\"] in JSON\n2. parse {\"query\": \"x\"} in Rust",
            &["how to write [\"a\", \"b\"] in JSON", "parse {\"query\": \"x\"} in Rust"],
        ),
        ("- a\n* **b**\n• c\n-- d", &["a", "b", "c"]),
        (
            "Here are three queries:\n\n**Questions**\n1. *a*\n2. *b*\n\n**Keywords**\n3. *c*\n\nI hope this helps!",
            &["a", "b", "c"],
        ),
        ("**Query 1:**\n\"a\"\n\n**Query 2:**\n\"b\"", &["a", "b"]),
        ("Q1: a\nA1: because\n\nQ2: b\nA2: because", &["a", "b"]),
        ("Anfrage 1: a\nAnfrage 2: b", &["a", "b"]),
        ("以下是查询：\n1、a\n2、b\n\n希望这些有帮助。", &["a", "b"]),
        ("queries:\n  - query: a\n    type: question\n  - query: b\n    type: keyword", &["a", "b"]),
        ("queries:\n- \"a\"\n- \"b\"", &["a", "b"]),
        ("queries:\n  - style: question\n    query: \"a\"\n  - style: keyword\n    query: \"b\"", &["a", "b"]),
        ("- style: question\n  query: \"a\"\n- style: keyword\n  query: b c", &["a", "b c"]),
        ("- id: 1\n  type: question\n  text: a\n- id: 2\n  type: keyword\n  text: b", &["a", "b"]),
        ("1. **Style:** question\n   **Query:** a\n2. **Style:** keyword\n   **Query:** b", &["a", "b"]),
        ("(1) a (2 months)\n(2) b", &["a (2 months)", "b"]),
        ("Here is the list:\n\na\n\nb\n\nLet me know if you need more.", &["a", "b"]),
        ("<queries>\n<query>a &amp; b</query>\n<query>c</query>\n</queries>", &["a & b", "c"]),
        ("| Query | Type |\n|---|---|\n| a | question |\n| b | keyword |", &["a", "b"]),
        ("- **a** – asks for x\n- **b** – asks for y", &["a", "b"]),
        ("Question: a\nAnswer: x\nQuestion: b\nAnswer: y", &["a", "b"]),
        ("i. a\nii. b", &["a", "b"]),
        ("**1. Question**\na\n\n**2. Keyword**\nb", &["a", "b"]),
        ("1. **Question**\n   a\n2. **Keyword**\n   b", &["a", "b"]),
        ("**Question:** a\n**Keyword:** b", &["a", "b"]),
        ("✅ a\n✅ b", &["a", "b"]),
        ("1️⃣ a\n2️⃣ b", &["a", "b"]),
        ("1\\. a\n2\\. b", &["a", "b"]),
        ("[1]: a\n[2]: b", &["a", "b"]),
        ("\"a\", \"b\"", &["a", "b"]),
        ("queries:\n  - \"a\"\n  - 'it is b'", &["a", "it is b"]),
        ("query,type\n\"a, b\",question\nc,keyword", &["a, b", "c"]),
    ]);
}

#[test]
fn drafts_before_the_final_list() {
    assert_all(&[
        ("Draft queries:\n- x\n- y\n- z\n\nFinal queries:\n- a\n- b", &["a", "b"]),
        ("Initial ideas:\n1. x\n2. y\n\nFinal list:\n1. a\n2. b", &["a", "b"]),
        ("## Draft queries\n- x\n- y\n\n## Queries\n- a\n- b", &["a", "b"]),
        ("**Drafts**\n1. x\n2. y\n\n**Final 2 queries**\n\nQuestions:\n- a\n\nKeywords:\n- b", &["a", "b"]),
        ("Drafts:\nx\ny\n\nHere are the final queries:\na\nb", &["a", "b"]),
        ("草稿：\n1. x\n\n最终查询：\n1. a\n2. b", &["a", "b"]),
        ("Questions:\n- a\n- b\nKeywords:\n- c", &["a", "b", "c"]),
        ("Questions:\n- a\n\nFinal exam questions:\n- b", &["a", "b"]),
        ("Queries:\n- a\n- b\n\nThese are the final queries:", &["a", "b"]),
    ]);
}

#[test]
fn thoughts() {
    assert_all(&[
        ("<think>\n{\"queries\": [\"no\"]} or not?\n</think>\n\n{\"queries\": [\"a\"]}", &["a"]),
        ("the opening tag was in the template</think>{\"queries\": [\"a\"]}", &["a"]),
        ("<think>1. it goes on and on [\"no\"]", &[]),
        ("<think>\n\n</think>\n\n1. a\n2. b", &["a", "b"]),
        ("[THINK]1. no[/THINK]1. a\n2. b", &["a", "b"]),
        (
            "<|channel|>analysis<|message|>For example: [\"no\"].<|end|><|start|>assistant<|channel|>final<|message|>{\"queries\": [\"a\"]}",
            &["a"],
        ),
        ("<|channel|>analysis<|message|>[\"no\"]", &[]),
        ("<|channel|>commentary to=queries <|constrain|>json<|message|>{\"queries\": [\"a\"]}<|call|>", &["a"]),
        ("analysisWe need [\"no\"] JSON.assistantfinal{\"queries\": [\"a\"]}", &["a"]),
        (
            "Thinking Process:\n\n1.  **Analyze:**\n    *   Text: a lease.\n2.  **Draft:**\n    *   no\n    *   {\"queries\": [\"no\"]}\n3.  **Refine:** too",
            &[],
        ),
        (
            "Thinking Process:\n\n1.  **Analyze:**\n    *   Text: a lease.\n2.  **Draft:**\n    *   no\n\n{\"queries\": [\"a\"]}",
            &["a"],
        ),
        ("Here is my thought process:\n1. no\n\nHere is my response:\n1. a\n2. b", &["a", "b"]),
        ("{\"queries\": [\"what does </think> mean\", \"b\"]}", &["what does </think> mean", "b"]),
        ("```json\n{\"queries\": [\"what does <|im_end|> mean\", \"b\"]}\n```", &["what does <|im_end|> mean", "b"]),
        (
            "{\"queries\": [\"a\", \"b\"]}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n{\"queries\": [\"x\"]}",
            &["a", "b"],
        ),
    ]);
}

#[test]
fn headings_above_bare_lines() {
    assert_all(&[
        ("### Question\na\n\n### Keyword\nb", &["a", "b"]),
        ("### Question\n\na\n\n### Keyword\n\nb\n\nLet me know if you need more.", &["a", "b"]),
        ("**Question:**\na\n\n**Keyword:**\nb", &["a", "b"]),
        ("**Question**\na\n\n**Claim**\nA lease is a contract.", &["a", "A lease is a contract."]),
        ("Here they are:\n\n## Questions\na\nb\n\n## Claims\nc", &["a", "b", "c"]),
        ("Question\na\n\nKeyword\nb", &["a", "b"]),
        ("*Question*\na\n\n*Keyword*\nb", &["a", "b"]),
        ("# Queries\n\na\nb", &["a", "b"]),
        ("# a b\n# c d", &["# a b", "# c d"]),
    ]);
}

#[test]
fn marks_of_other_kinds() {
    assert_all(&[
        ("> what is a lease\n>\n> notice period", &["what is a lease", "notice period"]),
        ("Here are two:\n\n> a\n> b", &["a", "b"]),
        ("> 5 years\nnotice period", &["> 5 years", "notice period"]),
        ("1. a 2. b 3. c", &["a", "b", "c"]),
        ("Here they are: none\n1) a 2) b 3) c", &["a", "b", "c"]),
        ("1. compare 2. and 3. floor\n2. b", &["compare 2. and 3. floor", "b"]),
        ("1. rent of the 2. floor", &["rent of the 2. floor"]),
        ("1/3 a\n2/3 b\n3/3 c", &["a", "b", "c"]),
        ("1) a; 2) b; 3) c", &["a", "b", "c"]),
        ("(1) a (2) b (3) c", &["a", "b", "c"]),
        ("Q1: a Q2: b Q3: c", &["a", "b", "c"]),
        ("[1/2] a\n[2/2] b", &["a", "b"]),
        ("1. a【1】\n2. b【2】", &["a", "b"]),
        ("1/2 cup of sugar\nhalf a cup", &["1/2 cup of sugar", "half a cup"]),
        ("1. a? [1]\n2. b [1]", &["a?", "b"]),
        (r#"{"queries": ["a? [1]", "b [12]"]}"#, &["a?", "b"]),
        (r#"{"queries": ["a [1]", "array x[1]"]}"#, &["a [1]", "array x[1]"]),
        (r#"{"queries": ["a\u0000b", "\u001b[1mc", "\u0007d\ufeff"]}"#, &["a b", "[1mc", "d"]),
        ("١. a\n٢. b", &["a", "b"]),
        ("۱- a\n۲- b", &["a", "b"]),
        ("๑) a\n๒) b", &["a", "b"]),
    ]);
}

#[test]
fn invented_turns_are_ignored() {
    assert_all(&[
        ("{\"queries\": [\"a\"]}\n\nUser: Passage: foo\nAssistant: {\"queries\": [\"x\"]}", &["a"]),
        ("1. a\n2. b\n\n### Human:\nPassage: foo\n\n### Assistant:\n1. x\n2. y", &["a", "b"]),
        ("a\nb\n\n**User:** more\n\nx\ny", &["a", "b"]),
        ("{\"queries\": [\"a\"]}\nuser\nfoo\nassistant\n{\"queries\": [\"x\"]}", &["a"]),
        ("Query: a\nUser: novice\nQuery: b\nUser: expert", &["a", "b"]),
        ("1. a\r\n2. b\r\n\r\nUser: more\r\n3. x\r\n", &["a", "b"]),
        ("User: Passage: foo\nAssistant: {\"queries\": [\"a\", \"b\"]}", &["a", "b"]),
        ("1. what is a user: a person?\n2. User: who is it", &["what is a user: a person?", "User: who is it"]),
    ]);
}

#[test]
fn prose_and_nothing_have_no_query() {
    let texts = "¦I cannot do that.¦null¦{}¦[]¦{\"queries\": []}¦[1, 2]¦[[[[[[¦{\"a\": 1}¦\
        {\"error\": \"I cannot do that\"}¦{\"queries\": [¦\
        I'm sorry, but I can't write queries for this document.\nPlease give me another one.¦\
        {\"queries\": null}¦I can't assist with that request.\n\nWould you like something else?¦\
        {\"queries\": [\"\", \"...\"]}¦As of [1] and [2], see {x}.¦```json\n```¦queries";
    for text in texts.split('¦') {
        assert!(queries(text, 5, false).queries.is_empty(), "{text}");
    }
    assert_eq!(queries("{\"queries\": [\"\", \" \\n\", \"...\", \"a\"]}", 5, false).queries, ["", "", "...", "a"]);
}
