//! What a family is made to.

use std::time::Duration;

use panelboard_core::Settings;
use panelboard_core::catalog::KeyRule;

/// Keys a family tells apart unless said otherwise.
pub const MAX_KEYS: usize = 10_000;

/// For how long a key is not called before its breaker may be evicted, unless said otherwise.
pub const IDLE: Duration = Duration::from_secs(600);

/// How many keys a family keeps and for how long, on what settings, and whether its parent opens
/// with them.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::registry::FamilyOptions;
/// use panelboard::{Registry, Settings};
///
/// let strict = Settings::builder().failure_threshold(3).build()?;
/// let patient = Settings::builder().failure_threshold(20).build()?;
/// let options = FamilyOptions::new()
///     .max_keys(50_000)
///     .idle(Duration::from_secs(3_600))
///     .settings(strict)
///     .rule("*/o1*", patient);
/// let tenants = Registry::new().keyed_with("tenants", options);
/// assert_eq!(tenants.breaker(&["acme", "gpt-4o"]).settings(), strict);
/// assert_eq!(tenants.breaker(&["acme", "o1-pro"]).settings(), patient);
/// # Ok::<(), panelboard::SettingsError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct FamilyOptions {
    pub(super) max_keys: usize,
    pub(super) idle: Duration,
    pub(super) roll_up: bool,
    pub(super) settings: Option<Settings>,
    pub(super) rules: Vec<KeyRule>,
}

impl FamilyOptions {
    /// 10,000 keys, evicted when they have been idle for 10 minutes, under a parent that opens with
    /// them.
    pub fn new() -> FamilyOptions {
        let rules = Vec::new();
        FamilyOptions { max_keys: MAX_KEYS, idle: IDLE, roll_up: true, settings: None, rules }
    }

    /// How many keys have a breaker of their own at most. Default: 10,000.
    pub fn max_keys(mut self, max_keys: usize) -> FamilyOptions {
        self.max_keys = max_keys;
        self
    }

    /// For how long a key is not looked up before its breaker may be evicted, if that is clean and
    /// nobody holds it. Default: 10 minutes.
    pub fn idle(mut self, idle: Duration) -> FamilyOptions {
        self.idle = idle;
        self
    }

    /// Whether the parent opens when more than half of the busy keys are open. Default: yes.
    pub fn roll_up(mut self, roll_up: bool) -> FamilyOptions {
        self.roll_up = roll_up;
        self
    }

    /// The settings of parent and keys, for a circuit that configuration does not name. Default:
    /// those of the configuration's defaults.
    pub fn settings(mut self, settings: Settings) -> FamilyOptions {
        self.settings = Some(settings);
        self
    }

    /// Other settings for keys that match, their parts joined by `/` as they are: `*` stands for any
    /// text, `?` for any one character. The first rule that matches counts, and those of the
    /// configuration come first.
    pub fn rule(mut self, pattern: impl Into<String>, settings: Settings) -> FamilyOptions {
        self.rules.push(KeyRule { pattern: pattern.into(), settings });
        self
    }
}

impl Default for FamilyOptions {
    fn default() -> FamilyOptions {
        FamilyOptions::new()
    }
}
