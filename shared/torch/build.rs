//! Compiles the C++ shim against the libtorch that tch links, and says where that library is at run time.

use std::env;
use std::path::{Path, PathBuf};

const SOURCES: [&str; 12] = [
    "add_norm",
    "attention",
    "dropout",
    "feed_forward",
    "group",
    "linear",
    "multiply",
    "nccl",
    "overlap",
    "parameters",
    "state",
    "varlen",
];

/// Sums may be reordered into vectors, when the file is compiled: the same bits on every run.
const VECTOR_FLAGS: [&str; 4] = ["-fno-math-errno", "-fno-trapping-math", "-fassociative-math", "-fno-signed-zeros"];

/// An error of either kind ends the program. Less is optimised away, and stacks have names and lines.
const SANITIZER_FLAGS: [&str; 5] =
    ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-O1", "-g1"];

fn main() {
    println!("cargo:rerun-if-changed=csrc");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let lib = env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch is");
    let include = Path::new(&lib).with_file_name("include");
    let mut build = cc::Build::new();
    if env::var_os("CARGO_FEATURE_SANITIZE").is_some() {
        build.flags(SANITIZER_FLAGS);
        println!("cargo:rustc-link-lib=asan");
        println!("cargo:rustc-link-lib=ubsan");
    }
    build
        .cpp(true)
        .std("c++17")
        .opt_level(3)
        .flag("-fopenmp")
        .flags(VECTOR_FLAGS)
        .warnings(false) // libtorch's own headers warn
        .include("csrc/gloo_headers")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .files(SOURCES.map(|name| format!("csrc/{name}.cpp")))
        .compile("embtune_torch");
    // The one that libtorch has loaded: without it at::parallel_for is a plain loop.
    println!("cargo:rustc-link-lib=gomp");
    // The folder that is linked against holds links; the libraries beside the real file are found from there.
    let real = PathBuf::from(&lib).join("libtorch_cpu.so").canonicalize().expect("libtorch_cpu.so (run `make deps`)");
    let rpath = real.parent().expect("a file has a folder").display().to_string();
    println!("cargo:rustc-link-arg=-Wl,-rpath,{rpath}"); // this crate's tests
    println!("cargo:rpath={rpath}"); // DEP_EMBTUNE_TORCH_RPATH of the program that uses it
    println!("cargo:rustc-env=EMBTUNE_TORCH_LIB={rpath}");
}
