//! A system that lacks something, or fails.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::{Folder, Run};

impl Folder {
    /// A command line whose programs call these functions, C, in the place of those of the C library.
    ///
    /// # Panics
    /// When they cannot be compiled.
    pub fn run_with(&self, functions: &str, line: &str) -> Run {
        const HEAD: &str = "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <errno.h>\n#include <fcntl.h>\n\
                            #include <stdio.h>\n#include <string.h>\n#include <sys/stat.h>\n#include <unistd.h>\n";
        let place = tempfile::tempdir().unwrap();
        let source = place.path().join("shim.c");
        std::fs::write(&source, format!("{HEAD}{functions}\n")).unwrap();
        let library = self.path(".shim.so");
        let mut compiler = Command::new("cc");
        let output = compiler.args(["-shared", "-fPIC", "-Wall", "-o"]).args([&library, &source]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.run(&format!("env LD_PRELOAD={} {line}", library.display()))
    }

    /// A script for sh that may mount file systems; no other process sees them, and they are gone when it ends. Where the
    /// system does not allow it, the test is noted as skipped and there is no run.
    pub fn mounting(&self, script: &str) -> Option<Run> {
        static WAY: OnceLock<Option<&str>> = OnceLock::new();
        let way = WAY.get_or_init(|| {
            ["unshare --mount", "unshare --mount --map-root-user"].into_iter().find(|way| {
                let mut words = way.split(' ');
                let mut command = Command::new(words.next().unwrap_or_default());
                command.args(words).args(["mount", "-t", "tmpfs", "none", "/mnt"]);
                command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
            })
        });
        if way.is_none() {
            crate::skip("needs the right to mount: unshare --mount");
        }
        way.map(|way| self.run(&format!("{way} sh -euc")).arg(script))
    }
}
