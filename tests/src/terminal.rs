//! A terminal.

use std::fs::File;
use std::io::Read as _;
use std::thread;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::{Ran, Run};

impl Run {
    /// Runs to the end with stdout on a terminal, and says what that was given.
    ///
    /// # Panics
    /// When it was not UTF-8.
    pub fn on_terminal(self) -> (Ran, String) {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let inner = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let reading = thread::spawn(move || {
            let (mut terminal, mut seen, mut bytes) = (File::from(terminal), Vec::new(), [0; 4096]);
            // The end of the last process that has it is an error here.
            while let Ok(read @ 1..) = terminal.read(&mut bytes) {
                seen.extend_from_slice(&bytes[..read]);
            }
            String::from_utf8(seen).unwrap()
        });
        let ran = self.to(inner).ran();
        (ran, reading.join().unwrap())
    }
}
