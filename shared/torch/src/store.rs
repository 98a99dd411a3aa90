//! torch.distributed's key-value store, through which the processes of a group find each other.
#![allow(unsafe_code)]

use std::ptr;
use std::time::Duration;

use tch::Tensor;

use crate::TorchError;
use crate::ffi::{
    Handle, Owned, RawStore, c_string, check, embtune_store_close, embtune_store_get, embtune_store_open,
    embtune_store_set, milliseconds,
};

/// Keys and values that all processes see: one process serves them, the others reach it over TCP (c10d's TCPStore).
pub struct Store(Owned<RawStore>);

// SAFETY: c10d's stores lock around each operation; any thread may call them.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Sync for Store {}

/// Where a store is.
#[derive(Debug, Clone, Copy)]
pub struct StoreAddress<'a> {
    /// Name or IP address of the host that serves the store.
    pub host: &'a str,
    /// The port on that host.
    pub port: u16,
    /// Whether this process serves the store.
    pub serves: bool,
    /// Prefix of every key, so that several groups can use one store one after the other.
    pub prefix: &'a str,
}

impl Store {
    /// Connects to a store, or serves it.
    ///
    /// # Errors
    /// The port is taken, or the host does not answer within `timeout`.
    pub fn open(address: StoreAddress<'_>, timeout: Duration) -> Result<Self, TorchError> {
        let (host, prefix) = (c_string(address.host)?, c_string(address.prefix)?);
        let (StoreAddress { port, serves, .. }, timeout) = (address, milliseconds(timeout));
        // SAFETY: both strings live for the call.
        let open =
            |out: *mut _| unsafe { embtune_store_open(host.as_ptr(), port, serves, prefix.as_ptr(), timeout, out) };
        Owned::make(open, embtune_store_close).map(Self)
    }

    /// Sets a key's value.
    ///
    /// # Errors
    /// The store is gone.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), TorchError> {
        let key = c_string(key)?;
        // SAFETY: key and value live for the call, which copies them.
        check(unsafe { embtune_store_set(self.raw(), key.as_ptr(), value.as_ptr(), value.len()) })
    }

    /// A key's value, or `None` if nobody has set it yet; does not wait for it.
    ///
    /// # Errors
    /// The store is gone.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, TorchError> {
        let key = c_string(key)?;
        let mut value: Handle = ptr::null_mut();
        // SAFETY: the key lives for the call, which puts a new tensor into `value` or leaves it alone.
        check(unsafe { embtune_store_get(self.raw(), key.as_ptr(), &mut value) })?;
        if value.is_null() {
            return Ok(None);
        }
        // SAFETY: a new tensor that nobody else owns.
        let bytes = unsafe { Tensor::from_ptr(value) };
        Ok(Some(Vec::<u8>::try_from(&bytes)?))
    }

    pub(crate) fn raw(&self) -> *mut RawStore {
        self.0.raw()
    }
}
