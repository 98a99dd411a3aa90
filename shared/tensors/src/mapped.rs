//! Mapped files, and their modification while they are mapped.
//!
//! A file is mapped and not copied, so another program can modify it while it is read. If it is truncated, reading
//! beyond its new end raises SIGBUS, which by default ends the process without a message. All maps are registered here,
//! for [`check_unchanged`], which checks the files, and for the handler of the signal, which names the file.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::ops::Deref;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use memmap2::Mmap;

use crate::{TensorsError, open_regular};

/// Maps that the handler can name at the same time.
const MOST_NAMED: usize = 4096;

/// The addresses of a map, and the line that the handler writes, which the map owns. The end is 0 if the slot is free.
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    line: AtomicPtr<u8>,
    line_bytes: AtomicUsize,
}

static SLOTS: [Slot; MOST_NAMED] = [const {
    Slot {
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        line: AtomicPtr::new(ptr::null_mut()),
        line_bytes: AtomicUsize::new(0),
    }
}; MOST_NAMED];

/// The files that are mapped now, in the order of mapping. Its lock also protects changes of the slots.
static OPEN: Mutex<BTreeMap<u64, Snapshot>> = Mutex::new(BTreeMap::new());

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Formats an error message as a line.
type FormatLine = Box<dyn Fn(&str) -> String + Send + Sync>;

static FORMAT_LINE: OnceLock<FormatLine> = OnceLock::new();

/// The line for a map without a slot, or of another library.
static UNNAMED_LINE: OnceLock<String> = OnceLock::new();

fn open_maps() -> MutexGuard<'static, BTreeMap<u64, Snapshot>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The state of a file when it was mapped.
struct Snapshot {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    length: u64,
    modified: (i64, i64),
}

impl Snapshot {
    fn new(path: &Path, found: &Metadata) -> Self {
        Self {
            path: path.to_owned(),
            identity: (found.dev(), found.ino()),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }

    /// How the file has been modified. A file that was removed or replaced has not: the map still has the old file.
    fn change(&self) -> Option<String> {
        let now = Self::new(&self.path, &fs::metadata(&self.path).ok()?);
        let (before, after) = (self.length, now.length);
        match self.identity == now.identity {
            true if before != after => {
                Some(format!("was changed while it was being read: it had {before} bytes and has {after} now"))
            }
            true if self.modified != now.modified => Some("was changed while it was being read".into()),
            _ => None,
        }
    }
}

/// The bytes of a mapped file.
pub(crate) struct Mapped {
    map: Mmap,
    number: u64,
    slot: Option<usize>,
    _line: Box<str>,
}

impl Mapped {
    /// Maps a regular file; `name` is for messages.
    pub(crate) fn open(path: &Path, name: &str) -> Result<Self, TensorsError> {
        let file = open_regular(path).map_err(|error| TensorsError::io(name, error))?;
        Self::of_file(&file, path, name)
    }

    /// Maps an open file. Later modifications are detected through its path, which is empty if the file has none.
    pub(crate) fn of_file(file: &File, path: &Path, name: &str) -> Result<Self, TensorsError> {
        let found = file.metadata().map_err(|error| TensorsError::io(name, error))?;
        // SAFETY: the map is read-only, and its content is checked where it is used. If another process truncates the
        // file, this process ends; see `on_bus_error`.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(file) }.map_err(|error| TensorsError::io(name, error))?;
        let line = FORMAT_LINE.get().map(|format| format(&lost(name))).unwrap_or_default();
        Ok(Self::register(map, Snapshot::new(path, &found), line.into_boxed_str()))
    }

    fn register(map: Mmap, seen: Snapshot, line: Box<str>) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut open = open_maps();
        let is_named = !line.is_empty() && !map.is_empty();
        let is_free = |slot: &Slot| slot.end.load(Ordering::Relaxed) == 0;
        let slot = if is_named { SLOTS.iter().position(is_free) } else { None };
        if let Some(slot) = slot {
            let start = map.as_ptr() as usize;
            SLOTS[slot].line.store(line.as_ptr().cast_mut(), Ordering::Relaxed);
            SLOTS[slot].line_bytes.store(line.len(), Ordering::Relaxed);
            SLOTS[slot].start.store(start, Ordering::Relaxed);
            SLOTS[slot].end.store(start + map.len(), Ordering::Release);
        }
        open.insert(number, seen);
        Self { map, number, slot, _line: line }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let mut open = open_maps();
        if let Some(slot) = self.slot {
            SLOTS[slot].end.store(0, Ordering::Release);
        }
        open.remove(&self.number);
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

/// Refuses results from files that were modified while they were mapped: they belong neither to the old nor to the new
/// content.
///
/// # Errors
/// The first file that is mapped now and whose size or time of modification has changed.
pub fn check_unchanged() -> Result<(), TensorsError> {
    let open = open_maps();
    let mut changes = open.values().filter_map(|seen| Some((seen, seen.change()?)));
    match changes.next() {
        None => Ok(()),
        Some((seen, change)) => Err(TensorsError::content(&seen.path.display().to_string(), change)),
    }
}

fn lost(name: &str) -> String {
    format!("{name}: was cut short while it was being read, or its disk has failed")
}

/// Makes the program name the file when a mapped file can no longer be read, and end with exit code 2. `format_line`
/// formats an error message. It must be called before any file is mapped.
#[allow(unsafe_code)]
pub fn report_truncated_files(format_line: impl Fn(&str) -> String + Send + Sync + 'static) {
    let unnamed_line = format_line(&lost("a file"));
    if FORMAT_LINE.set(Box::new(format_line)).is_err() || UNNAMED_LINE.set(unnamed_line).is_err() {
        return;
    }
    // SAFETY: the structure is plain data, whose zeros are an empty mask and no flags. The handler has the signature
    // that SA_SIGINFO requires, and does only what a handler may do. If it cannot be installed, nothing changes.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_bus_error as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut());
    }
}

/// Writes the line of the map that was read, and ends the process.
///
/// No other signal has a handler in embtune, because a handler's frame may be written into memory of a library whose
/// kernel has moved the stack pointer. Here that does no harm, because the thread never continues.
#[allow(unsafe_code)]
extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    /// `BUS_ADRERR` of sigaction(2): the address is beyond the end of the file.
    const NO_SUCH_ADDRESS: libc::c_int = 2;
    static IS_ENDING: AtomicBool = AtomicBool::new(false);
    // SAFETY: the system passes a valid `info` to a handler with SA_SIGINFO. A line lives as long as its map, and the
    // map of this address is alive, because it is being read. write, signal, pause and _exit are async-signal-safe;
    // nothing is allocated and no lock is taken.
    unsafe {
        let (code, address) = ((*info).si_code, (*info).si_addr() as usize);
        if code != NO_SUCH_ADDRESS {
            // For example defective memory. The thread repeats the access, and the signal ends the process.
            libc::signal(signal, libc::SIG_DFL);
            return;
        }
        while IS_ENDING.swap(true, Ordering::AcqRel) {
            libc::pause();
        }
        let of_map = SLOTS.iter().find(|slot| {
            let end = slot.end.load(Ordering::Acquire);
            (slot.start.load(Ordering::Relaxed)..end).contains(&address)
        });
        let (line, bytes) = match (of_map, UNNAMED_LINE.get()) {
            (Some(slot), _) => {
                (slot.line.load(Ordering::Relaxed).cast_const(), slot.line_bytes.load(Ordering::Relaxed))
            }
            (None, line) => line.map_or((ptr::null(), 0), |line| (line.as_ptr(), line.len())),
        };
        libc::write(libc::STDERR_FILENO, line.cast(), bytes);
        libc::_exit(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modified_files_are_reported_and_replaced_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors");
        fs::write(&path, "before").unwrap();
        let seen = || Snapshot::new(&path, &fs::metadata(&path).unwrap());
        let before = seen();
        assert_eq!(before.change(), None);
        fs::write(folder.path().join("other"), "another").unwrap();
        fs::rename(folder.path().join("other"), &path).unwrap();
        assert_eq!(before.change(), None, "replaced");
        let before = seen();
        File::options().append(true).open(&path).unwrap().set_len(2).unwrap();
        assert!(before.change().unwrap().ends_with("it had 7 bytes and has 2 now"));
        let before = seen();
        File::options().write(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(before.change().unwrap(), "was changed while it was being read");
        fs::remove_file(&path).unwrap();
        assert_eq!(before.change(), None, "removed");
    }

    #[test]
    fn maps_are_registered_while_they_are_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors");
        fs::write(&path, "before").unwrap();
        let is_known = || open_maps().values().any(|seen| seen.path == path);
        let map = Mapped::open(&path, "vectors").unwrap();
        assert!(is_known() && *map == *b"before");
        drop(map);
        assert!(!is_known());
    }
}
