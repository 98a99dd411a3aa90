//! How libtorch's threads wait for each other.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Starts the program anew with threads that sleep while they wait, unless the user has chosen how they do.
///
/// libgomp lets them spin, and where another process has a core, the spinning takes the time of the thread that is
/// waited for: training ran at a fourth of its speed beside a compiler, and as fast as before alone. libgomp reads
/// the setting when it is loaded, before `main`, so only a new start can change it. If that fails, the training is
/// merely slower.
pub(crate) fn prefer_sleep() {
    if env::var_os("OMP_WAIT_POLICY").is_some() || env::var_os("GOMP_SPINCOUNT").is_some() {
        return;
    }
    let mut arguments = env::args_os();
    if let (Ok(program), Some(name)) = (env::current_exe(), arguments.next()) {
        let _ = Command::new(program).arg0(name).args(arguments).env("OMP_WAIT_POLICY", "passive").exec();
    }
}
