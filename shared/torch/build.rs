//! Compiles the C++ shim against the libtorch that tch links, and passes on where that library is at run time.

use std::env;
use std::path::{Path, PathBuf};

const SOURCES: [&str; 13] = [
    "add_norm",
    "attention",
    "communicator",
    "dropout",
    "feed_forward",
    "gated_feed_forward",
    "linear",
    "multiply",
    "nccl",
    "parameters",
    "reducer",
    "state",
    "varlen",
];

/// The compiler may reorder sums into vectors: the order is fixed then, so every run gives the same bits.
const VECTOR_FLAGS: [&str; 4] = ["-fno-math-errno", "-fno-trapping-math", "-fassociative-math", "-fno-signed-zeros"];

/// An error of either sanitizer ends the program; stack traces have names and lines.
const SANITIZER_FLAGS: [&str; 5] =
    ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-O1", "-g1"];

fn main() {
    println!("cargo:rerun-if-changed=csrc");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let lib = env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys sets it to the folder of libtorch");
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
    // The OpenMP runtime that libtorch loads too: without it at::parallel_for would be a plain loop.
    println!("cargo:rustc-link-lib=gomp");
    // The folder that is linked against holds symbolic links; the other libraries are beside the real file.
    let real = PathBuf::from(&lib).join("libtorch_cpu.so").canonicalize().expect("libtorch_cpu.so (run `make deps`)");
    let rpath = real.parent().expect("a file has a folder").display().to_string();
    println!("cargo:rustc-link-arg=-Wl,-rpath,{rpath}"); // this crate's tests
    println!("cargo:rpath={rpath}"); // DEP_EMBTUNE_TORCH_RPATH, for the program that links this crate
    println!("cargo:rustc-env=EMBTUNE_TORCH_LIB={rpath}");
}
