//! Every key there is: the declarations that everything else follows from.

mod check;
mod circuit;
mod fallback;
mod gateway;
mod policies;
mod probe;
mod root;
mod route;
mod sequential;
mod settings;
mod tls;
mod upstream;

pub(crate) use check::CheckKeys;
pub(crate) use circuit::CircuitKeys;
pub(crate) use fallback::FallbackKeys;
pub(crate) use gateway::{AdminKeys, GatewayKeys, TokenKeys};
pub(crate) use policies::{
    BudgetKeys, BulkheadKeys, By, CacheKeys, HedgeKeys, Kept, LimitKeys, OnOpen, RetryKeys,
};
pub(crate) use probe::ProbeKeys;
pub(crate) use root::{LATER, ROOT, RootKeys, SwitchKeys};
pub(crate) use route::RouteKeys;
pub(crate) use sequential::SequentialKeys;
pub(crate) use settings::{MODES, SettingsKeys};
pub(crate) use tls::{CertificateKeys, Http2Keys, ListenKeys, ListenTlsKeys, UpstreamTlsKeys};
pub(crate) use upstream::{SecretKeys, TokenLimitKeys, UpstreamKeys};

#[cfg(test)]
mod tests {
    use panelboard_core::Settings;

    use super::*;
    use crate::check::{Input, check};
    use crate::describe::{Keys, Presence, Table};

    #[test]
    fn declarations_are_sound() {
        let family = ROOT.family();
        for table in &family {
            let has = |name: &str| table.field(name).is_some();
            let fields: Vec<&str> = table.all_fields().map(|field| field.name).collect();
            for (i, name) in fields.iter().enumerate() {
                assert!(!fields[i + 1..].contains(name), "{name} twice in {}", table.id);
            }
            assert!(table.shorthand.is_none_or(has), "{}", table.id);
            assert!(table.all_exclusive().flatten().all(|name| has(name)), "{}", table.id);
            assert!(!table.later.iter().any(|name| has(name)), "built by now: {}", table.id);
            for old in table.all_old() {
                assert!(!has(old.name) || old.new == [old.name], "{} is a key", old.name);
            }
            for field in table.all_fields() {
                let doc = field.doc.trim();
                assert!(doc.ends_with('.') || doc.ends_with(':'), "{}: {doc}", field.name);
                assert!(!field.kind.accepts().ends_with('.'), "{}", field.name);
            }
        }
        let mut ids: Vec<&str> = family.iter().map(|table| table.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), family.len());
        assert!(!LATER.iter().any(|section| ROOT.field(section).is_some()), "built by now");
    }

    /// What the declarations say of the defaults is what the core does.
    #[test]
    fn declared_defaults_are_those_of_the_core() {
        let mut input = Input::new();
        let mut set = 0;
        let mut say = |table: &Table, path: &str| {
            for field in table.fields {
                if let Presence::Layered(text) = field.presence {
                    let key = format!("{path}.{}", field.name);
                    input = std::mem::take(&mut input).option(key, text);
                    set += 1;
                }
            }
        };
        say(SettingsKeys::TABLE, "defaults");
        let checked = check(input);
        let config = checked.config.expect("every default can be read");
        assert_eq!(*config.defaults(), Settings::default());
        assert_eq!(config.default_origins().iter().count(), set - 1, "`enabled` is no setting");

        let backoff = Input::new()
            .option("defaults.backoff.multiplier", "2")
            .option("defaults.backoff.max", "1m");
        assert_eq!(*check(backoff).config.unwrap().defaults(), Settings::default());
    }
}
