//! The registry of a process.

use std::fmt;
use std::sync::OnceLock;

use super::Registry;

static GLOBAL: OnceLock<Registry> = OnceLock::new();

/// The process has a registry already.
#[derive(Clone)]
pub struct AlreadyInstalled {
    /// The one that was to be installed.
    pub registry: Registry,
}

impl Registry {
    /// The registry of the process: the one that was [installed](Self::install), or one in which
    /// every circuit runs on the default settings, made now.
    ///
    /// It is what the attribute `guarded` and the old names of `compat` use. A library takes
    /// a registry as an argument instead, and leaves this one to the program.
    ///
    /// # Examples
    /// ```
    /// use panelboard::Registry;
    ///
    /// Registry::install(Registry::new())?;
    /// let users = Registry::global().breaker("users");
    /// assert_eq!(users.name().as_str(), "users");
    /// assert!(Registry::install(Registry::new()).is_err(), "there is one");
    /// # Ok::<(), panelboard::registry::AlreadyInstalled>(())
    /// ```
    pub fn global() -> &'static Registry {
        GLOBAL.get_or_init(Registry::new)
    }

    /// Makes this the registry of the process. To be done once, before anything is guarded: at the
    /// start of `main`.
    ///
    /// # Errors
    /// When there is one already, be it because something has asked for it. It stays.
    pub fn install(registry: Registry) -> Result<(), AlreadyInstalled> {
        GLOBAL.set(registry).map_err(|registry| AlreadyInstalled { registry })
    }
}

// ===== impl AlreadyInstalled =====

impl fmt::Debug for AlreadyInstalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlreadyInstalled").finish_non_exhaustive()
    }
}

impl fmt::Display for AlreadyInstalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the process has a registry already; install one before anything is guarded")
    }
}

impl std::error::Error for AlreadyInstalled {}
