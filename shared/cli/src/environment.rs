//! Settings of libraries that only the environment has.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// A setting of a library.
#[derive(Debug, Clone, Copy)]
pub struct EnvironmentSetting {
    /// Names under which the user may have chosen it, which is then left alone; the first one is set otherwise.
    pub names: &'static [&'static str],
    /// What is set.
    pub value: &'static str,
}

/// ONNX Runtime 1.30 notes each session under `~/.cache/Microsoft` and in `/tmp`, for its maker, unless this variable is
/// there before the library is loaded; its own switch comes too late for that.
pub(crate) const ONNX_RUNTIME: [EnvironmentSetting; 1] =
    [EnvironmentSetting { names: &["ORT_DISABLE_TELEMETRY"], value: "1" }];

/// Starts the program again, as the same process, unless these settings are there: a change from inside would come too
/// late for libraries that look when they are loaded, and is not safe beside their threads. Where that cannot be done,
/// the program goes on without them.
pub(crate) fn start_with<'s>(settings: impl Iterator<Item = &'s EnvironmentSetting>) {
    let missing = missing(settings, |name| env::var_os(name).is_some());
    let mut arguments = env::args_os();
    if missing.is_empty() {
        return;
    }
    if let (Ok(program), Some(name)) = (env::current_exe(), arguments.next()) {
        let _ = Command::new(program).arg0(name).args(arguments).envs(missing).exec();
    }
}

/// Names and values that are to be set.
fn missing<'s>(
    settings: impl Iterator<Item = &'s EnvironmentSetting>,
    is_set: impl Fn(&str) -> bool,
) -> Vec<(&'static str, &'static str)> {
    let missing = settings.filter(|setting| !setting.names.iter().any(|name| is_set(name)));
    missing.filter_map(|setting| Some((*setting.names.first()?, setting.value))).collect()
}

#[cfg(test)]
mod tests {
    use super::{EnvironmentSetting, missing};

    #[test]
    fn what_the_user_has_chosen_is_left_alone() {
        let settings =
            [EnvironmentSetting { names: &["A", "B"], value: "1" }, EnvironmentSetting { names: &["C"], value: "2" }];
        assert_eq!(missing(settings.iter(), |_| false), [("A", "1"), ("C", "2")]);
        assert_eq!(missing(settings.iter(), |name| name == "B"), [("C", "2")]);
        assert!(missing(settings.iter(), |_| true).is_empty());
    }
}
