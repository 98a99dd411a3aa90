//! A corpus that several processes share: with a language model, a document's pairs do not depend on the others.

use crate::server::{Server, ok};
use crate::support::{client, corpus, run};

#[test]
fn parts_give_the_pairs_of_the_whole() {
    let server = Server::start(ok);
    // Without a number of queries, it would follow from the size of the corpus.
    let pairs = |input: &str| {
        let ran = run(&mut client(&server, &["-n", "2"]), input);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout
    };
    let whole = corpus(12);
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let parts: String = lines.chunks(5).map(|part| pairs(&part.concat())).collect();
    assert_eq!(parts, pairs(&whole));
    assert_eq!(parts.lines().count(), 24);
}
