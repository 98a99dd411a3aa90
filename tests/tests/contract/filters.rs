//! The table of the filters, and a folder in which each can do its main job.

use embtune_tests::{Folder, Run};

/// The kind of records that a filter reads from stdin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    Documents,
    Pairs,
    Judgments,
    Shard,
    Nothing,
}

/// A filter, doing its main job in [`workbench`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filter {
    pub(crate) name: &'static str,
    /// The command line; input comes from stdin.
    pub(crate) line: &'static str,
    pub(crate) input: Input,
    /// Headings of the flags in --help.
    pub(crate) headings: &'static [&'static str],
    /// A flag that names an output.
    pub(crate) output: &'static str,
    /// Files of the workbench that it maps: damaged ones must be refused.
    pub(crate) mapped: &'static [&'static str],
}

pub(crate) const ALL: [Filter; 7] = [
    Filter {
        name: "docs2queries",
        line: "docs2queries --generator extractive",
        input: Input::Documents,
        headings: &["Input", "Output", "Queries", "Prompt", "Language model", "Cost", "Batches", "Logging"],
        output: "-o out",
        mapped: &[],
    },
    Filter {
        name: "mine-negatives",
        line: "mine-negatives --device cpu --queries q --corpus c --texts corpus.jsonl",
        input: Input::Pairs,
        headings: &["Input", "Output", "Choice", "Held-out split", "Round-trip filter", "Search", "Compute", "Logging"],
        output: "-o out",
        mapped: &["q", "c"],
    },
    Filter {
        name: "pairs2shards",
        line: "pairs2shards --model BASE",
        input: Input::Pairs,
        headings: &[
            "Model",
            "Input",
            "Guide model",
            "Output",
            "Choice",
            "Held-out split",
            "Describing",
            "Compute",
            "Logging",
        ],
        output: "-o out",
        mapped: &[], // of the weights, it needs only that they are there
    },
    Filter {
        name: "mnrl-train",
        line: "mnrl-train --device cpu --model BASE --out TUNED --epochs 1 --batch-size 2 --threads 1",
        input: Input::Shard,
        headings: &["Model", "Files", "Training", "Loss", "Optimizer", "Compute", "Logging"],
        output: "",
        mapped: &["BASE/model.safetensors", "train.safetensors"],
    },
    Filter {
        name: "st2onnx",
        line: "st2onnx BASE",
        input: Input::Nothing,
        headings: &["Arguments", "Logging"],
        output: "",
        mapped: &["BASE/model.safetensors"],
    },
    Filter {
        name: "embed",
        line: "embed --device cpu --model BASE --role document",
        input: Input::Documents,
        headings: &["Model", "Input", "Long texts", "Output", "Verification", "Compute", "Logging"],
        output: "-o out",
        mapped: &["BASE/model.safetensors"],
    },
    Filter {
        name: "ir-eval",
        line: "ir-eval --device cpu --qrels - s=q,c",
        input: Input::Judgments,
        headings: &["Input", "Metrics", "Search", "Gates", "Output", "Compute", "Logging"],
        output: "-o out",
        mapped: &["q", "c"],
    },
];

/// Three good records of each kind.
pub(crate) const DOCUMENTS: &str = r#"{"_id":"d1","title":"Ballast","text":"River sand is the only ballast. It is sieved twice before noon."}
{"_id":"d2","title":"Hail","text":"The crew spreads the felt roof. Every seam is brushed with soap."}
{"_id":"d3","title":"Mice","text":"Mice love gullskin because it smells. One cat for six cells is the rule."}
"#;
pub(crate) const PAIRS: &str = r#"{"anchor":"which sand","positive":"River sand","anchor_id":"q1","positive_id":"d1"}
{"anchor":"what hail does","positive":"Felt roofs","anchor_id":"q2","positive_id":"d2"}
{"anchor":"how many cats","positive":"One for six","anchor_id":"q3","positive_id":"d3"}
"#;
pub(crate) const JUDGMENTS: &str = "q1\td1\t1\nq2\td2\t1\nq3\td3\t1\n";

/// A folder with all files in the command lines of [`ALL`].
pub(crate) fn workbench() -> Folder {
    let folder = Folder::new();
    folder.copy_fixture("parity/tiny-bert", "BASE");
    folder.write("corpus.jsonl", DOCUMENTS);
    folder.write_vectors("q", "query", &[("q1", &[1.0, 0.1]), ("q2", &[0.1, 1.0]), ("q3", &[1.0, 1.0])]);
    folder.write_vectors("c", "document", &[("d1", &[1.0, 0.0]), ("d2", &[0.0, 1.0]), ("d3", &[1.0, 0.9])]);
    folder.run("pairs2shards --model BASE -o train.safetensors").stdin(PAIRS).stdout();
    folder
}

impl Filter {
    /// The command line with more flags; its stdin is empty.
    pub(crate) fn empty(&self, folder: &Folder, flags: &str) -> Run {
        folder.run(&format!("{} {flags}", self.line))
    }

    /// The command line with more flags and good input.
    pub(crate) fn run(&self, folder: &Folder, flags: &str) -> Run {
        self.empty(folder, flags).stdin(self.good_input(folder))
    }

    /// Good input.
    pub(crate) fn good_input(&self, folder: &Folder) -> Vec<u8> {
        match self.input {
            Input::Documents => DOCUMENTS.into(),
            Input::Pairs => PAIRS.into(),
            Input::Judgments => JUDGMENTS.into(),
            Input::Shard => folder.bytes("train.safetensors"),
            Input::Nothing => Vec::new(),
        }
    }
}

/// The filters that read this from stdin.
pub(crate) fn reading(input: Input) -> Vec<Filter> {
    some(ALL.into_iter().filter(|filter| filter.input == input))
}

/// The filters that read anything from stdin.
pub(crate) fn reading_anything() -> Vec<Filter> {
    some(ALL.into_iter().filter(|filter| filter.input != Input::Nothing))
}

/// The filters that read JSON Lines.
pub(crate) fn of_records() -> Vec<Filter> {
    [reading(Input::Documents), reading(Input::Pairs)].concat()
}

/// The filters that open a model directory.
pub(crate) fn of_models() -> Vec<Filter> {
    some(ALL.into_iter().filter(|filter| filter.line.contains("BASE")))
}

/// The filters with a flag that names an output.
pub(crate) fn with_output() -> Vec<Filter> {
    some(ALL.into_iter().filter(|filter| !filter.output.is_empty()))
}

/// Filters of the table. There must be some, because a test over none would pass without testing anything.
fn some(filters: impl Iterator<Item = Filter>) -> Vec<Filter> {
    let filters: Vec<_> = filters.collect();
    assert!(!filters.is_empty());
    filters
}
