//! Tests of the journal.

use std::fs;

use serde_json::json;

use super::*;
use crate::llm::budget::{Tokens, Usd};

const COST: Cost = Cost { input: 3, output: Some(2), usd: None };

fn key(name: &str) -> Key {
    Key::of(&name.into())
}

/// A journal whose usable replies are JSON lists.
fn open(path: &Path) -> anyhow::Result<Journal> {
    Journal::open(path, Box::new(|reply| reply.text().is_ok_and(|text| text.starts_with('['))))
}

fn wait<T>(future: impl Future<Output = anyhow::Result<T>>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future).unwrap()
}

fn put(journal: &Journal, name: &str, reply: &Value) {
    wait(journal.asked(key(name), COST));
    wait(journal.put(key(name), "d", COST, reply));
}

/// A completion with this text.
fn completion(text: &str) -> Value {
    json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})
}

/// A completion with one query.
fn answer(query: &str) -> Value {
    completion(&json!([query]).to_string())
}

/// The reply to a request, usable or not.
fn body(journal: &Journal, name: &str) -> Option<Value> {
    journal.get(key(name)).unwrap().map(|reply| reply.body)
}

fn put_batch(journal: &Journal, file: &str, state: &BatchState) {
    wait(journal.put_batch(file, state));
}

fn with_two_replies() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let journal = open(&path).unwrap();
    assert_eq!(body(&journal, "a"), None);
    put(&journal, "a", &answer("one"));
    put(&journal, "b", &answer("two"));
    (directory, path)
}

#[test]
fn replies_are_found_again() {
    let (_directory, path) = with_two_replies();
    let journal = open(&path).unwrap();
    assert_eq!(body(&journal, "a"), Some(answer("one")));
    assert_eq!(body(&journal, "b"), Some(answer("two")));
    assert_eq!(body(&journal, "c"), None);
    assert!(journal.has(key("b")) && !journal.has(key("c")));
    let price = Price::new(1.0, 2.0);
    let spent = Spent { tokens: Tokens { input: 6, output: 4 }, usd: Usd::new(14e-6) };
    assert_eq!(journal.paid(Some(price)), spent);
    assert_eq!(journal.unanswered(Some(price), 9), (Spent::default(), 0));
}

#[test]
fn requests_without_a_reply_stay_open_for_ever() {
    let (_directory, path) = with_two_replies();
    let journal = open(&path).unwrap();
    wait(journal.asked(key("c"), COST));
    wait(journal.asked(key("d"), COST.without_limit()));
    drop(journal);
    // The run is killed. The next one sends the request again, which is refused once and then answered: that of the
    // first run stays open.
    let journal = open(&path).unwrap();
    wait(journal.asked(key("c"), COST));
    journal.cost_nothing(key("c"));
    put(&journal, "c", &answer("three"));
    // A reply from a batch answers no request that was sent by itself.
    wait(journal.put_batch_reply(key("d"), "batch 1", COST, &answer("four")));
    drop(journal);
    let journal = open(&path).unwrap();
    assert_eq!(journal.paid(None).tokens, Tokens { input: 12, output: 8 });
    let lost = Spent { tokens: Tokens { input: 6, output: 2 + 9 }, usd: Usd::default() };
    assert_eq!(journal.unanswered(None, 9), (lost, 2));
}

#[test]
fn journals_of_the_first_versions_are_read() {
    let (_directory, path) = with_two_replies();
    let line = json!({"key": key("e").text(), "id": "d", "reply": answer("five")});
    fs::write(&path, format!("{line}\n")).unwrap();
    let journal = open(&path).unwrap();
    assert_eq!(body(&journal, "e"), Some(answer("five")));
    assert_eq!(journal.paid(None), Spent::default());
}

#[test]
fn a_torn_end_is_repaired_wherever_it_is_torn() {
    let (_directory, path) = with_two_replies();
    let whole = fs::read(&path).unwrap();
    let ends: Vec<usize> = (1..=whole.len()).filter(|end| whole[end - 1] == b'\n').collect();
    // Each reply has three lines: asked, reply, answered.
    let (first, asked, reply) = (ends[2], ends[3], ends[4]);
    for length in first..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let journal = open(&path).unwrap();
        assert_eq!(body(&journal, "a"), Some(answer("one")));
        // A line that lacks only its line feed is a complete line.
        assert_eq!(journal.has(key("b")), length >= reply - 1, "{length}");
        let open = u64::from(length >= asked - 1) - u64::from(length >= whole.len() - 1);
        assert_eq!(journal.unanswered(None, 0).1, open, "{length}");
        drop(journal);
        let kept = fs::read(&path).unwrap();
        assert!(whole.starts_with(&kept) && (kept.is_empty() || kept.ends_with(b"\n")), "{length}");
    }
}

#[test]
fn batches_are_open_until_they_are_collected() {
    let (_directory, path) = with_two_replies();
    let journal = open(&path).unwrap();
    put_batch(&journal, "file-1", &BatchState::Uploaded(COST));
    put_batch(&journal, "file-2", &BatchState::Uploaded(COST));
    put_batch(&journal, "file-1", &BatchState::Created("batch-1".into()));
    put_batch(&journal, "file-2", &BatchState::Collected);
    let open_batches = [("file-1".into(), BatchState::Created("batch-1".into()))];
    assert_eq!(journal.open_batches(), open_batches);
    drop(journal);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], b"{\"batch\":\"file-3\",\"sta"].concat()).unwrap();
    assert_eq!(open(&path).unwrap().open_batches(), open_batches);
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn a_lost_batch_counts_as_the_most_that_it_can_have_cost() {
    let (_directory, path) = with_two_replies();
    let journal = open(&path).unwrap();
    put_batch(&journal, "file-1", &BatchState::Uploaded(COST));
    put_batch(&journal, "file-1", &BatchState::Created("batch-1".into()));
    drop(journal);
    let journal = open(&path).unwrap();
    assert_eq!((journal.most_of_batch("file-1"), journal.most_of_batch("file-2")), (COST, Cost::NOTHING));
    put_batch(&journal, "file-1", &BatchState::Lost(COST));
    drop(journal);
    let journal = open(&path).unwrap();
    assert_eq!(journal.open_batches(), []);
    assert_eq!(journal.paid(None).tokens, Tokens { input: 9, output: 6 });
}

#[test]
fn a_request_with_a_useless_reply_is_sent_once_more() {
    let (_directory, path) = with_two_replies();
    let useless = [json!({"choices": []}), completion("I would rather not.")];
    let found =
        |journal: &Journal| journal.get(key("c")).unwrap().map(|reply| (reply.body, reply.tries, reply.is_settled));
    let journal = open(&path).unwrap();
    put(&journal, "c", &useless[0]);
    assert_eq!(found(&journal), Some((useless[0].clone(), 1, true)), "not within the same run");
    drop(journal);
    let journal = open(&path).unwrap();
    assert_eq!(found(&journal), Some((useless[0].clone(), 1, false)));
    assert_eq!((journal.has(key("c")), journal.tries(key("c")), journal.tries(key("a"))), (false, 1, 0));
    put(&journal, "c", &useless[1]);
    drop(journal);
    let journal = open(&path).unwrap();
    assert_eq!(found(&journal), Some((useless[1].clone(), 2, true)), "and not for ever after");
    assert_eq!(journal.paid(None).tokens, Tokens { input: 12, output: 8 }, "all of it was paid");
    // A usable reply counts before any number of useless ones, whenever it comes.
    put(&journal, "c", &answer("three"));
    put(&journal, "c", &useless[0]);
    assert_eq!(found(&journal), Some((answer("three"), 0, true)));
}

#[test]
fn a_transient_error_does_not_count_as_a_try() {
    let (_directory, path) = with_two_replies();
    let error = json!({"choices": [{"error": {"code": 502}}], "usage": {}});
    for _ in 0..3 {
        let journal = open(&path).unwrap();
        assert_eq!((journal.has(key("c")), journal.tries(key("c")), body(&journal, "c")), (false, 0, None));
        put(&journal, "c", &error);
        let holds = |source: &str, reply: &Value| journal.holds(key("c"), source, reply).unwrap();
        assert!(holds("d", &error) && !holds("d", &json!({})) && !holds("batch 2", &error));
    }
    assert_eq!(open(&path).unwrap().paid(None).tokens, Tokens { input: 15, output: 10 });
}

#[test]
fn a_journal_with_broken_characters_is_read() {
    let (_directory, path) = with_two_replies();
    let line = json!({"key": key("e").text(), "id": "d", "reply": answer("half HERE")}).to_string();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], line.replace("HERE", r"\ud83d").as_bytes(), b"\n"].concat()).unwrap();
    let journal = open(&path).unwrap();
    assert!(journal.has(key("e")) && journal.has(key("a")));
    assert_eq!(body(&journal, "e"), Some(answer("half \u{fffd}")));
}

#[test]
fn other_files_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other");
    for text in ["{\"_id\": \"d\", \"text\": \"t\"}\n", "a line without an end", "{\"key\":\"x\"}\n", "\n"] {
        fs::write(&path, text).unwrap();
        let error = open(&path).err().unwrap().to_string();
        assert!(error.contains("other:1: not a journal line"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    assert!(open(Path::new("/dev/null")).err().unwrap().to_string().contains("regular file"));
    assert!(open(directory.path()).is_err());
}

#[test]
fn one_process_at_a_time() {
    let (_directory, path) = with_two_replies();
    let _journal = open(&path).unwrap();
    assert!(open(&path).err().unwrap().to_string().contains("in use"));
}
