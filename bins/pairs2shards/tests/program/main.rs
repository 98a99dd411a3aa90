//! The real program, from its flags to its shards. What all filters have in common is tested in tests/tests/contract.

mod cleaning;
mod describe;
mod fuzz;
mod guide;
mod holdout;
mod model;
mod page;
mod prompts;
mod rows;
mod scores;

use embtune_tensors::Shard;
use embtune_tests::Folder;

/// A folder with a model `BASE`.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.copy_fixture("parity/tiny-bert", "BASE");
    folder
}

/// The shard of these pairs, made with these flags.
fn shard(folder: &Folder, flags: &str, pairs: &str) -> Shard {
    folder.run(&format!("pairs2shards --model BASE -o s.safetensors {flags}")).stdin(pairs).done();
    Shard::open(&folder.path("s.safetensors")).unwrap()
}
