//! Engines that divide the input: GNU parallel, job arrays, Hadoop Streaming and Spark.

use embtune_tensors::Embeddings;
use embtune_tests::{Folder, Ran, programs, workspace};
use serde_json::Value;

use crate::{EMBED, assert_whole, start};

/// Runs a script in which `parallel` is GNU parallel.
#[track_caller]
pub(crate) fn run_parallel(folder: &Folder, script: &str) -> Ran {
    let version = folder.run("bash -c").arg("parallel --version || true").ran();
    assert!(
        version.stdout().starts_with("GNU parallel"),
        "GNU parallel is missing: install it (on Debian: apt-get install parallel)\n{version}"
    );
    // GNU parallel warns if there is no HOME.
    folder.shell(&format!("export HOME=${{HOME:-$PWD}}\n{script}")).ran()
}

#[test]
fn blocks_give_the_vectors_of_the_whole() {
    let folder = start();
    for blocks in ["--pipe -N 7", "--pipe --block 3k", "--pipepart -a records.jsonl --block 5k"] {
        let ran = run_parallel(&folder, &format!("parallel {blocks} -k -j 2 {EMBED} -q < records.jsonl")).with_code(0);
        assert_whole(&folder, &ran.stdout());
        assert_eq!(ran.stderr(), "", "{ran}");
    }
}

#[test]
fn a_bad_record_is_named_and_counted() {
    let folder = start();
    let records = folder.read("records.jsonl");
    let bad: String = records.lines().take(19).chain(["nonsense"]).map(|line| format!("{line}\n")).collect();
    folder.write("records.jsonl", bad);
    // GNU parallel's exit code is the number of failed jobs; the others have written their records.
    let whole: String = folder.read("whole.jsonl").lines().take(19).map(|line| format!("{line}\n")).collect();
    for (flags, kept) in [("", 15), ("--on-error skip", 19)] {
        let ran =
            run_parallel(&folder, &format!("parallel --pipe -N 5 -k {EMBED} -q {flags} < records.jsonl")).with_code(1);
        let expected: Vec<&str> = whole.lines().take(kept).collect();
        assert_eq!(ran.stdout().lines().collect::<Vec<_>>(), expected, "{ran}");
        assert_eq!(ran.stderr().contains("embed: <stdin>:5: not JSON"), flags.is_empty(), "{ran}");
    }
    // The first failure can end all jobs, with its exit code; output that waits for its turn is not shown then.
    let ran = run_parallel(&folder, &format!("parallel --halt now,fail=1 --pipe -N 5 -k {EMBED} -q < records.jsonl"));
    let _ = ran.with_code(2).saying("parallel: This job failed:");
}

#[test]
fn shards_that_several_processes_wrote_train_the_same_weights() {
    const TRAIN: &str =
        "mnrl-train -q --device cpu --threads 1 --model BASE --epochs 1 --warmup-steps 2 --batch-size 16";
    let folder = start();
    folder.run("docs2queries --generator extractive -n 3 corpus.jsonl -o pairs.jsonl").done();
    folder.run("pairs2shards -q --model BASE pairs.jsonl -o whole.safetensors").done();
    folder.run(&format!("{TRAIN} --out WHOLE whole.safetensors")).done();
    let parts = "mkdir shards; parallel --pipe -N 50 pairs2shards -q --model BASE -o shards/train-{#}.safetensors < pairs.jsonl";
    let _ = run_parallel(&folder, parts).with_code(0);
    assert!(folder.path("shards/train-3.safetensors").exists(), "{:?}", folder.listing());
    folder.run(&format!("{TRAIN} --out PARTS shards")).done();
    assert!(folder.bytes("PARTS/model.safetensors") == folder.bytes("WHOLE/model.safetensors"), "weights differ");
}

#[test]
fn extractive_queries_of_parts_differ_from_those_of_the_whole() {
    // The extractive generator weighs terms by the whole corpus. Its page says that it cannot be divided, as this
    // shows.
    let folder = start();
    let whole = folder.run("docs2queries -q --generator extractive -n 3 corpus.jsonl").stdout();
    let parts = "parallel --pipe -N 10 -k docs2queries -q --generator extractive -n 3 < corpus.jsonl";
    let parts = run_parallel(&folder, parts).with_code(0).stdout();
    let documents = |lines: &str| -> Vec<String> {
        let id = |line| serde_json::from_str::<Value>(line).unwrap()["positive_id"].as_str().unwrap().to_owned();
        lines.lines().map(id).collect()
    };
    assert_eq!(documents(&parts), documents(&whole));
    assert_ne!(parts, whole);
}

/// Runs the script as every task of an array of this size, all at once and in reverse order.
fn run_array(folder: &Folder, tasks: usize, script: &str) {
    let set = |task: usize| format!("SLURM_ARRAY_TASK_ID={task} SLURM_ARRAY_TASK_COUNT={tasks}");
    let runs: Vec<_> =
        (0..tasks).rev().map(|task| folder.shell(&format!("export {}\n{script}", set(task))).start()).collect();
    for run in runs {
        let _ = run.end().with_code(0);
    }
}

/// The command of a task; Slurm counts from 0 here, and `--shard` from 1.
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

/// The bits of a vector.
fn vector(file: &Embeddings, row: usize) -> Vec<u32> {
    file.rows_f32(row..row + 1).iter().map(|element| element.to_bits()).collect()
}

#[test]
fn mappers_give_the_vectors_of_the_whole() {
    let folder = start();
    // Splits consist of whole lines, some are empty, and the last line of a file may lack its end.
    let records = folder.read("records.jsonl");
    let lines: Vec<&str> = records.trim_end().split_inclusive('\n').collect();
    let (first, rest) = lines.split_at(lines.len() / 3);
    let mut vectors = String::new();
    for split in [first.concat(), String::new(), rest.concat()] {
        // A mapper has other variables than a shell, and does not need any of them.
        let mapper = format!("env -i mapreduce_task_partition=1 $(command -v embed) {}", &EMBED["embed ".len()..]);
        vectors += &folder.shell(&format!("exec {mapper} -q")).stdin(split).stdout();
    }
    assert_whole(&folder, &vectors);
}

/// Without a reducer, Hadoop Streaming appends a tab to a line that has none: a key without a value.
#[test]
fn keys_without_a_value_are_read() {
    let folder = start();
    let tabbed = folder.read("records.jsonl").replace('\n', "\t\n");
    assert_whole(&folder, &folder.run(&format!("{EMBED} -q")).stdin(tabbed).stdout());
    // A mapper's output is the next one's input.
    let once = folder.read("whole.jsonl").replace('\n', "\t\n");
    assert_whole(&folder, &folder.run(&format!("{EMBED} -q")).stdin(once).stdout());
}

/// The beginning of a script that runs Spark on this machine only.
pub(crate) fn spark_environment(folder: &Folder) -> String {
    let spark = workspace().join(".deps/spark");
    assert!(spark.join("ready").exists(), "Spark is missing: `make check-spark` installs it and runs this test");
    let java = folder.run("bash -c").arg("java -version").ran();
    assert_eq!(java.code, 0, "java is missing: install a Java runtime, 17 or newer\n{java}");
    let python = spark.join("bin/python");
    format!(
        "export SPARK_LOCAL_IP=127.0.0.1 PYSPARK_PYTHON={0} PYSPARK_DRIVER_PYTHON={0} SPARK_HOME=$PWD/spark
         home=$($PYSPARK_PYTHON -c 'import pyspark; print(*pyspark.__path__)')
         mkdir $SPARK_HOME && ln -s $home/bin $home/jars $SPARK_HOME # executors write beside them
        ",
        python.display()
    )
}

/// Pipes `records.jsonl` through embed, in eight partitions, into the folder `vectors`.
fn spark(folder: &Folder, flags: &str) -> Ran {
    let script = workspace().join("tests/tests/scale/spark.py");
    // Executors run in other folders with an empty environment, so the program and the model are given by absolute
    // paths.
    let embed = EMBED.replace("embed ", &format!("{} ", programs().join("embed").display()));
    let embed = embed.replace("BASE", &folder.path("BASE").display().to_string());
    let command = format!("{} records.jsonl vectors 8 {embed} -q {flags}", script.display());
    folder.shell(&format!("{} $PYSPARK_PYTHON {command}", spark_environment(folder))).ran()
}

/// The messages of the executors' processes.
fn messages(folder: &Folder) -> String {
    let files =
        folder.listing().into_iter().filter(|name| name.starts_with("spark/work/") && name.ends_with("/stderr"));
    files.map(|name| folder.read(&name)).collect()
}

#[test]
#[ignore = "needs Spark (500 MB) and java: make check-spark"]
fn spark_s_executors_give_the_vectors_of_the_whole() {
    let folder = start();
    let ran = spark(&folder, "").with_code(0);
    let parts = folder.listing().into_iter().filter(|name| name.starts_with("vectors/part-"));
    let parts: Vec<String> = parts.map(|name| folder.read(&name)).collect();
    assert!(parts.len() >= 8, "{ran}");
    assert_whole(&folder, &parts.concat());
    // Both executors have worked in a folder each; there is one more if an executor was requested at the very end.
    let executors = |name: &String| name.ends_with('/') && name.matches('/').count() == 4;
    let folders = folder.listing().into_iter().filter(|name| name.starts_with("spark/work/") && executors(name));
    assert!(folders.count() >= 2, "{ran}");
}

#[test]
#[ignore = "needs Spark (500 MB) and java: make check-spark"]
fn a_bad_record_fails_the_spark_job_and_is_named() {
    let folder = start();
    let records = folder.read("records.jsonl");
    folder.write("records.jsonl", records + "nonsense\n");
    let _ = spark(&folder, "").with_code(1).saying("exited with error code 2");
    assert!(messages(&folder).contains(": not JSON"), "{}", messages(&folder));
}
