//! `--html`: one page, opened in a real browser if one is installed.

use std::process::{Command, Stdio};

use embtune_tests::Folder;

/// Browsers that can render a page without a screen.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

const LINE: &str = "ir-eval -q --qrels qrels --queries queries --corpus corpus --training-log log --html page.html";

fn folder() -> Folder {
    let folder = Folder::new();
    let [mut qrels, mut base, mut tuned, mut queries, mut corpus, mut log] = [const { String::new() }; 6];
    for n in 0..12 {
        qrels += &format!("q{n}\td{n}\t1\n");
        base += &format!("q{n} Q0 x 1 0.9 t\nq{n} Q0 d{n} 2 0.8 t\n");
        tuned += &format!("q{n} Q0 d{n} 1 0.9 t\nq{n} Q0 x 2 {} t\n", if n == 3 { 0.95 } else { 0.8 });
        queries += &format!("{{\"_id\":\"q{n}\",\"text\":\"<script>alert({n})</script> & query {n}\"}}\n");
        corpus += &format!("{{\"_id\":\"d{n}\",\"text\":\"document \\\"{n}\\\" <b>\"}}\n");
        log += &format!("{{\"step\":{n},\"loss\":{}}}\n", 1.0 / f64::from(n + 1));
        log += &format!("{{\"step\":{n},\"ndcg@10\":{},\"best\":true}}\n", 0.5 + f64::from(n) / 100.0);
    }
    corpus += "{\"_id\":\"x\",\"text\":\"the one on top\"}\n";
    let files =
        [("qrels", qrels), ("base", base), ("tuned", tuned), ("queries", queries), ("corpus", corpus), ("log", log)];
    for (name, text) in files {
        folder.write(name, text);
    }
    folder
}

#[test]
fn the_page_needs_nothing_else_and_holds_everything() {
    let folder = folder();
    folder.run(&format!("{LINE} base=base tuned=tuned")).done();
    let page = folder.read("page.html");
    for foreign in ["http://", "https://", "src=", "@import", "url(", "<script"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    for expected in [
        "tuned is significantly better than base on ndcg@10",
        "&lt;script&gt;alert(3)&lt;&#x2f;script&gt; &amp; query 3",
        "Query by query",
        "Recall at k",
        "Loss over 11 steps",
        "ndcg@10 on the dev set",
        "the one on top",
        "12 queries, 12 evaluated",
        "prefers-color-scheme: dark",
        "@media print",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    // A second run gives the same bytes. Then a page of one system.
    folder.run(&format!("{LINE} base=base tuned=tuned")).done();
    assert!(folder.read("page.html") == page);
    folder.run(&format!("{LINE} base=base")).done();
    let alone = folder.read("page.html");
    assert!(!alone.contains("Query by query") && alone.contains("Best"), "nothing to compare with");
    folder.write("log", "{}\n");
    let refusal = folder.run(&format!("{LINE} base=base")).refusal();
    assert!(refusal.contains("log: no line has a step and a loss"), "{refusal}");
}

/// As a browser renders it, nothing is wider than the screen, on a desktop or on a phone.
#[test]
fn a_browser_shows_it_without_a_scroll_bar() {
    let starts = |name: &&&str| {
        let version = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    let Some(browser) = BROWSERS.iter().find(starts) else {
        return embtune_tests::skip(&format!("needs a browser: {}", BROWSERS.join(" or ")));
    };
    let folder = folder();
    folder.run(&format!("{LINE} base=base tuned=tuned")).done();
    // Frames of both widths, and a script that measures them.
    folder.write(
        "frames.html",
        "<!doctype html><title></title><body>
<iframe src=page.html style='width:1100px;height:900px'></iframe><iframe src=page.html style='width:390px;height:900px'></iframe>
<script>onload = () => { document.title = [...document.querySelectorAll('iframe')].map(frame => {
  const root = frame.contentDocument.documentElement;
  const bars = [...root.querySelectorAll('.lane i')].filter(bar => bar.getBoundingClientRect().width > 1).length;
  return [root.scrollWidth - root.clientWidth, root.querySelectorAll('svg').length, bars > 20].join(' ');
}).join('; '); };</script>",
    );
    let mut chromium = Command::new(browser);
    chromium.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--dump-dom"]);
    chromium.arg(format!("--user-data-dir={}", folder.path("profile").display()));
    let output = chromium.arg(format!("file://{}", folder.path("frames.html").display())).output().unwrap();
    let document = String::from_utf8_lossy(&output.stdout);
    // The charts are two curves, the differences, and two of the training.
    assert!(
        document.contains("<title>0 5 true; 0 5 true</title>"),
        "{document}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
