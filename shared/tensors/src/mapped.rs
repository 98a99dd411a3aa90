//! Mapped files, and what becomes of them while they are mapped.
//!
//! A file is mapped, not read, so another program can change it under the reader's hands. What lies beyond its new end
//! cannot be read any more: the system sends SIGBUS, which by default ends the process without a word. Every map is
//! known here, to [`check_unchanged`], which looks at the files, and to the signal's handler, which names the file.

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

/// Maps that the handler can name at once.
const MOST_NAMED: usize = 4096;

/// What the handler looks for: addresses, and the line to write, which the map itself keeps. The end is 0 when the slot
/// is free.
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

/// The files that are mapped now, in the order in which they were. Whoever changes a slot holds it, too.
static OPEN: Mutex<BTreeMap<u64, Seen>> = Mutex::new(BTreeMap::new());

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Makes the line of an error message.
type Lines = Box<dyn Fn(&str) -> String + Send + Sync>;

static LINES: OnceLock<Lines> = OnceLock::new();

/// The line for a map that has no slot, or is another library's.
static NAMELESS: OnceLock<String> = OnceLock::new();

fn open_maps() -> MutexGuard<'static, BTreeMap<u64, Seen>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file as it was when it was mapped.
struct Seen {
    path: PathBuf,
    place: (u64, u64),
    length: u64,
    modified: (i64, i64),
}

impl Seen {
    fn new(path: &Path, found: &Metadata) -> Self {
        Self {
            path: path.to_owned(),
            place: (found.dev(), found.ino()),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }

    /// How the file has changed. One that was removed, or replaced by another, has not: the map is still that of the old
    /// one.
    fn change(&self) -> Option<String> {
        let now = Self::new(&self.path, &fs::metadata(&self.path).ok()?);
        let (before, after) = (self.length, now.length);
        match self.place == now.place {
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

    /// Maps an open file. Whether it has changed since is looked up by its path, which is empty when it has none.
    pub(crate) fn of_file(file: &File, path: &Path, name: &str) -> Result<Self, TensorsError> {
        let found = file.metadata().map_err(|error| TensorsError::io(name, error))?;
        // SAFETY: the map is read-only, and what is read from it is checked where it is used. A file that another process
        // truncates ends this one; see `on_bus_error`.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(file) }.map_err(|error| TensorsError::io(name, error))?;
        let line = LINES.get().map(|lines| lines(&lost(name))).unwrap_or_default();
        Ok(Self::register(map, Seen::new(path, &found), line.into_boxed_str()))
    }

    fn register(map: Mmap, seen: Seen, line: Box<str>) -> Self {
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

/// Refuses results that were made from files that have changed while they were mapped: they are of neither the old nor the
/// new content.
///
/// # Errors
/// The first file that is mapped now and has another size or time of modification than when it was.
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

/// Lets the program say which file it was when a mapped file cannot be read any more, and end with 2. `lines` makes the
/// line of an error message; to be called before any file is mapped.
#[allow(unsafe_code)]
pub fn report_truncated_files(lines: impl Fn(&str) -> String + Send + Sync + 'static) {
    let nameless = lines(&lost("a file"));
    if LINES.set(Box::new(lines)).is_err() || NAMELESS.set(nameless).is_err() {
        return;
    }
    // SAFETY: the structure is plain data, whose zeros are an empty mask and no flags. The handler has the signature that
    // SA_SIGINFO asks for, and does only what a handler may do. Where it cannot be installed, nothing has changed.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_bus_error as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut());
    }
}

/// Writes the line of the map that was read, and ends the process.
///
/// No other signal has a handler in embtune, because a handler's frame may be written into memory that a library's kernel
/// uses in the way of a stack. Here that does no harm: the thread never goes on.
#[allow(unsafe_code)]
extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    /// `BUS_ADRERR` of sigaction(2): there is no such address, behind the end of a file.
    const NO_SUCH_ADDRESS: libc::c_int = 2;
    static IS_ENDING: AtomicBool = AtomicBool::new(false);
    // SAFETY: the system gives a valid `info` to a handler with SA_SIGINFO. The lines are strings that live as long as
    // their maps, and the map of this address is alive, because it is being read. write, signal, pause and _exit may be
    // called in a handler; nothing is allocated and no lock is taken.
    unsafe {
        let (code, address) = ((*info).si_code, (*info).si_addr() as usize);
        if code != NO_SUCH_ADDRESS {
            // Memory that is broken, say. The thread does again what it did, and the signal ends the process.
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
        let (line, bytes) = match (of_map, NAMELESS.get()) {
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
    fn a_file_that_changes_is_named_and_one_that_is_replaced_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors");
        fs::write(&path, "before").unwrap();
        let seen = || Seen::new(&path, &fs::metadata(&path).unwrap());
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
    fn maps_are_known_while_they_are_open() {
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
