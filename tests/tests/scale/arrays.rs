//! Job arrays, as Slurm's `--array` starts them: each task takes its share of one input.

use embtune_tensors::Embeddings;
use embtune_tests::Folder;

use crate::corpus::{EMBED, assert_whole, start};

/// Runs the script as every task of an array of this size, two at a time, in no order.
fn run_array(folder: &Folder, tasks: usize, script: &str) {
    let set = |task: usize| format!("SLURM_ARRAY_TASK_ID={task} SLURM_ARRAY_TASK_COUNT={tasks}");
    let runs: Vec<_> =
        (0..tasks).rev().map(|task| folder.shell(&format!("export {}\n{script}", set(task))).start()).collect();
    for run in runs {
        let _ = run.end().with_code(0);
    }
}

/// What a task runs; Slurm counts from 0 here, and `--shard` from 1.
fn task(output: &str) -> String {
    let shard = "--shard $((SLURM_ARRAY_TASK_ID + 1))/$SLURM_ARRAY_TASK_COUNT";
    format!("{EMBED} -q {shard} --resume records.jsonl -o part-$SLURM_ARRAY_TASK_ID.{output}")
}

#[test]
fn tasks_give_the_vectors_of_the_whole() {
    let folder = start();
    run_array(&folder, 3, &task("jsonl"));
    let pasted = folder.shell("paste -d '\\n' part-0.jsonl part-1.jsonl part-2.jsonl | sed '/^$/d'").stdout();
    assert_whole(&folder, &pasted);
}

#[test]
fn files_of_vectors_together_have_those_of_the_whole() {
    let folder = start();
    run_array(&folder, 3, &task("safetensors"));
    folder.run(&format!("{EMBED} -q records.jsonl -o whole.safetensors")).done();
    let open = |name: &str| Embeddings::open(&folder.path(name)).unwrap();
    let whole = open("whole.safetensors");
    let parts = [0, 1, 2].map(|task| open(&format!("part-{task}.safetensors")));
    assert_eq!(parts.iter().map(Embeddings::len).sum::<usize>(), whole.len());
    for row in 0..whole.len() {
        let (part, place) = (&parts[row % 3], row / 3);
        assert_eq!(part.id(place), whole.id(row));
        assert_eq!(vector(part, place), vector(&whole, row), "{}", whole.id(row));
    }
}

#[test]
fn files_of_vectors_are_searched_as_the_whole() {
    let folder = start();
    run_array(&folder, 3, &task("safetensors"));
    folder.run(&format!("{EMBED} -q records.jsonl -o whole.safetensors")).done();
    let queries = EMBED.replace("document", "query");
    folder.run(&format!("{queries} -q records.jsonl -o q.safetensors")).done();
    // A sentence belongs to its document.
    let judgment = |id: &str| id.split_once('.').map(|(document, _)| format!("{id}\t{document}\t1\n"));
    let whole = Embeddings::open(&folder.path("whole.safetensors")).unwrap();
    folder.write("qrels.tsv", whole.ids().filter_map(judgment).collect::<String>());
    let systems = "whole=q.safetensors,whole.safetensors parts=q.safetensors,part-*.safetensors";
    folder.run(&format!("ir-eval -q --device cpu --qrels qrels.tsv --run {{}}.run {systems}")).done();
    // The last column is the system's name.
    let run = |name: &str| -> String { folder.read(&format!("{name}.run")).replace(&format!(" {name}\n"), "\n") };
    assert!(run("parts") == run("whole") && run("whole").lines().count() > 1000);
}

/// A vector's bits.
fn vector(file: &Embeddings, row: usize) -> Vec<u32> {
    file.rows_f32(row..row + 1).iter().map(|element| element.to_bits()).collect()
}
