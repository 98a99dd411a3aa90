//! Spark: `RDD.pipe` on a cluster of two executors on this machine.

use embtune_tests::{Folder, Ran, programs, workspace};

use crate::corpus::{EMBED, assert_whole, start};

/// What a script begins with that runs Spark on this machine alone.
pub(crate) fn environment(folder: &Folder) -> String {
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
    // Executors have folders of their own, and an empty environment: program and model are named by their whole path.
    let embed = EMBED.replace("embed ", &format!("{} ", programs().join("embed").display()));
    let embed = embed.replace("BASE", &folder.path("BASE").display().to_string());
    let command = format!("{} records.jsonl vectors 8 {embed} -q {flags}", script.display());
    folder.shell(&format!("{} $PYSPARK_PYTHON {command}", environment(folder))).ran()
}

/// What the executors' processes said.
fn messages(folder: &Folder) -> String {
    let files =
        folder.listing().into_iter().filter(|name| name.starts_with("spark/work/") && name.ends_with("/stderr"));
    files.map(|name| folder.read(&name)).collect()
}

#[test]
#[ignore = "needs Spark (500 MB) and java: make check-spark"]
fn executors_give_the_vectors_of_the_whole() {
    let folder = start();
    let ran = spark(&folder, "").with_code(0);
    let parts = folder.listing().into_iter().filter(|name| name.starts_with("vectors/part-"));
    let parts: Vec<String> = parts.map(|name| folder.read(&name)).collect();
    assert!(parts.len() >= 8, "{ran}");
    assert_whole(&folder, &parts.concat());
    // Both have worked: a folder each, and one more when an executor was asked for at the very end.
    let executors = |name: &String| name.ends_with('/') && name.matches('/').count() == 4;
    let folders = folder.listing().into_iter().filter(|name| name.starts_with("spark/work/") && executors(name));
    assert!(folders.count() >= 2, "{ran}");
}

#[test]
#[ignore = "needs Spark (500 MB) and java: make check-spark"]
fn a_bad_record_fails_the_job_and_is_named() {
    let folder = start();
    let records = folder.read("records.jsonl");
    folder.write("records.jsonl", records + "nonsense\n");
    let _ = spark(&folder, "").with_code(1).saying("exited with error code 2");
    assert!(messages(&folder).contains(": not JSON"), "{}", messages(&folder));
}
