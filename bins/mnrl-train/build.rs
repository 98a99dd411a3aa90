//! The program finds libtorch where it was linked from, wherever it is run.

fn main() {
    let folder = std::env::var("DEP_EMBTUNE_TORCH_RPATH").expect("embtune-torch says where libtorch is");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
}
