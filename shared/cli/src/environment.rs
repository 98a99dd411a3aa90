//! Settings that libraries read only from the environment.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// A setting of a library.
#[derive(Debug, Clone, Copy)]
pub struct EnvironmentSetting {
    /// Variables with which the user may have set it, which is then respected; otherwise the first one is set.
    pub names: &'static [&'static str],
    /// Its value.
    pub value: &'static str,
}

/// ONNX Runtime 1.30 records each session under `~/.cache/Microsoft` and in `/tmp` for its telemetry, unless this
/// variable is set before the library is loaded; its API can only disable it later.
pub(crate) const ONNX_RUNTIME: [EnvironmentSetting; 1] =
    [EnvironmentSetting { names: &["ORT_DISABLE_TELEMETRY"], value: "1" }];

/// Executes the program again, as the same process, unless these settings are present: a change from inside would come
/// too late for libraries that read them when they are loaded, and would not be safe with their threads. If the program
/// cannot be executed again, it continues without the settings.
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

/// Names and values to set.
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
    fn settings_of_the_user_are_respected() {
        let settings =
            [EnvironmentSetting { names: &["A", "B"], value: "1" }, EnvironmentSetting { names: &["C"], value: "2" }];
        assert_eq!(missing(settings.iter(), |_| false), [("A", "1"), ("C", "2")]);
        assert_eq!(missing(settings.iter(), |name| name == "B"), [("C", "2")]);
        assert!(missing(settings.iter(), |_| true).is_empty());
    }
}
