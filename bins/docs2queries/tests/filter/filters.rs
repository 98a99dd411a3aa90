//! Queries that are no good.

use serde_json::json;

use crate::server::{Answer, Server, completion};
use crate::support::{client, run};

const TEXT: &str = "The tenant shall pay the rent on the first day of each month without any deduction. The landlord \
    repairs the roof and the outer walls of the house within two weeks of a notice.";

/// Two documents, and what the model writes of each.
fn ran(args: &[&str]) -> crate::support::Ran {
    let server = Server::start(|_| {
        let queries = json!({"queries": [
            "When does the tenant have to pay for the house?",
            " ... ",
            "When does the tenant have to pay for the houses?",
            "The tenant shall pay the rent on the first day of each month",
            "What does this document say about the rent?",
            "Wann muss der Mieter die Miete für das Haus an den Vermieter bezahlen?",
            "rent due",
        ]});
        Answer::Http(200, "", completion(&queries.to_string()))
    });
    let input =
        format!("{}\n{}\n", json!({"_id": "a", "text": TEXT}), json!({"_id": "b", "text": format!("{TEXT} B.")}));
    run(&mut client(&server, &[&["-n", "10"], args].concat()), input)
}

#[test]
fn bad_queries_are_dropped_and_counted() {
    let ran = ran(&["-v"]);
    assert_eq!((ran.code, ran.ids()), (Some(0), vec!["a-q1".into(), "a-q2".into()]), "{ran:?}");
    assert!(
        ran.stderr.contains(
            "queries dropped: 2 empty, 4 duplicate, 2 copied from the document, 2 about \"this document\", \
             2 in another language\n"
        ),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("document a: dropped, in another language: Wann muss"), "{ran:?}");
    assert!(ran.stderr.contains("documents: 2, pairs: 2"), "{ran:?}");
}

#[test]
fn what_is_dropped_can_be_chosen() {
    assert_eq!(ran(&["--drop=none"]).ids().len(), 14);
    let ran = ran(&["--drop=copied,empty"]);
    assert_eq!(ran.ids().len(), 10);
    assert!(ran.stderr.contains("queries dropped: 2 empty, 2 copied from the document\n"), "{ran:?}");
}

#[test]
fn the_language_that_was_asked_for_counts() {
    let ran = ran(&["--language", "de", "--drop=language"]);
    let anchors: Vec<_> = ran.pairs().iter().map(|pair| pair["anchor"].as_str().unwrap().to_owned()).collect();
    assert!(anchors.iter().any(|anchor| anchor.starts_with("Wann")), "{anchors:?}");
    assert!(anchors.iter().any(|anchor| anchor == "rent due"), "too short to tell: {anchors:?}");
    assert!(!anchors.iter().any(|anchor| anchor.starts_with("The tenant shall")), "{anchors:?}");
}
