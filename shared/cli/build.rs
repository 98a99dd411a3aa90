//! Compiles the code that has to run before Rust's own runtime.

fn main() {
    println!("cargo:rerun-if-changed=csrc");
    // Nothing refers to it, so the linker must be told to take it.
    cc::Build::new().file("csrc/closed.c").cargo_metadata(false).compile("embtune_closed");
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    println!("cargo:rustc-link-search=native={out}");
    println!("cargo:rustc-link-lib=static:+whole-archive,-bundle=embtune_closed");
}
