//! Settings as one would write them, key by key: to show them, and to tell which of them a preset
//! is responsible for.

use std::time::Duration;

use panelboard_core::{
    BaseRate, Jitter, Kind, Mode, Ratio, Sequential, SequentialSpec, Settings, SettingsBuilder,
    Throttle, WindowSpec,
};

use crate::sections::MODES;
use crate::text;

/// A setting that has an effective value.
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    pub(crate) text: fn(&Settings) -> String,
}

/// Every one of them, in the order of the reference.
pub(crate) const SETTINGS: [Setting; 25] = [
    Setting { key: "mode", text: |s| mode(s.mode()) },
    Setting { key: "failure_threshold", text: |s| or_off(s.failure_threshold()) },
    Setting { key: "failure_rate", text: |s| or_off(s.failure_rate().map(Ratio::as_f64)) },
    Setting { key: "failure_count", text: |s| or_off(s.failure_count()) },
    Setting { key: "min_calls", text: |s| s.min_calls().to_string() },
    Setting { key: "window", text: |s| window(s.window()) },
    Setting {
        key: "slow_call_duration",
        text: |s| or_off(s.slow_call_duration().map(text::duration)),
    },
    Setting { key: "slow_call_rate", text: |s| s.slow_call_rate().as_f64().to_string() },
    Setting { key: "sequential", text: |s| or_off(s.sequential().map(sequential)) },
    Setting { key: "adaptive", text: |s| s.adaptive().to_string() },
    Setting { key: "recovery_timeout", text: |s| text::duration(s.recovery_timeout()) },
    Setting { key: "backoff.multiplier", text: |s| factor(s.backoff().multiplier_millis()) },
    Setting { key: "backoff.max", text: |s| text::duration(s.backoff().max()) },
    Setting { key: "jitter", text: |s| jitter(s.jitter()) },
    Setting { key: "max_retry_after", text: |s| text::duration(s.max_retry_after()) },
    Setting { key: "half_open_max_calls", text: |s| s.half_open_max_calls().to_string() },
    Setting { key: "success_threshold", text: |s| s.success_threshold().to_string() },
    Setting { key: "probe_calls", text: |s| s.probe_calls().to_string() },
    Setting { key: "timeout", text: |s| or_off(s.timeout().map(text::duration)) },
    Setting { key: "pace", text: |s| s.pace().to_string() },
    Setting { key: "ramp", text: |s| or_off(s.ramp().map(text::duration)) },
    Setting { key: "throttle.k", text: |s| throttle(s, |t| factor(t.k_millis())) },
    Setting { key: "throttle.window", text: |s| throttle(s, |t| text::duration(t.window())) },
    Setting { key: "throttle.max", text: |s| throttle(s, |t| t.max().as_f64().to_string()) },
    Setting { key: "ignore", text: |s| kinds(s.ignore().iter()) },
];

fn mode(mode: Mode) -> String {
    let word = MODES.words.iter().find(|(_, known)| *known == mode);
    word.map_or("auto", |(word, _)| word).to_owned()
}

fn or_off(value: Option<impl ToString>) -> String {
    value.map_or_else(|| String::from("off"), |value| value.to_string())
}

fn factor(millis: u32) -> String {
    (f64::from(millis) / 1_000.0).to_string()
}

fn throttle(settings: &Settings, text: impl Fn(Throttle) -> String) -> String {
    or_off(settings.throttle().map(text))
}

fn window(window: WindowSpec) -> String {
    match window {
        WindowSpec::Time(time) => text::duration(time),
        WindowSpec::Calls(calls) => calls.to_string(),
    }
}

fn sequential(rule: Sequential) -> String {
    let base_rate = match rule.base_rate() {
        BaseRate::Known(share) => share.as_f64().to_string(),
        BaseRate::Learned => String::from("\"learned\""),
    };
    let (fault_rate, calls) = (rule.fault_rate().as_f64(), rule.false_trips_per());
    format!("{{ base_rate = {base_rate}, fault_rate = {fault_rate}, false_trips_per = {calls} }}")
}

fn jitter(jitter: Jitter) -> String {
    match jitter {
        Jitter::None => String::from("none"),
        Jitter::Proportional(share) => share.as_f64().to_string(),
        Jitter::Equal => String::from("equal"),
        Jitter::Full => String::from("full"),
    }
}

fn kinds(kinds: impl Iterator<Item = Kind>) -> String {
    let names: Vec<&str> = kinds.map(Kind::name).collect();
    format!("[{}]", names.join(", "))
}

/// The keys that `layer` has a say in.
///
/// A builder does not tell; but laid over two others that agree in nothing, only what it says
/// itself comes out alike.
pub(crate) fn said_by(layer: SettingsBuilder) -> Vec<&'static str> {
    let [a, b] = opposites().map(|below| layer.over(below).build());
    let (Ok(a), Ok(b)) = (a, b) else { return Vec::new() };
    let same = |setting: &&Setting| (setting.text)(&a) == (setting.text)(&b);
    SETTINGS.iter().filter(same).map(|setting| setting.key).collect()
}

/// Two layers that say everything, and everything differently.
fn opposites() -> [SettingsBuilder; 2] {
    let odd = |millis| Duration::from_millis(millis);
    let one = Settings::builder()
        .mode(Mode::Observe)
        .failure_threshold(11)
        .failure_rate(0.11)
        .failure_count(11)
        .min_calls(11)
        .window(11)
        .slow_call_duration(odd(11))
        .slow_call_rate(0.11)
        .sequential(SequentialSpec::default().fault_rate(0.11))
        .adaptive(true)
        .recovery_timeout(odd(11))
        .backoff_multiplier(11.0)
        .backoff_max(odd(11))
        .jitter_share(0.11)
        .max_retry_after(odd(11))
        .half_open_max_calls(11)
        .success_threshold(1)
        .probe_calls(999)
        .timeout(odd(11))
        .pace(true)
        .ramp(odd(11))
        .throttle(11.0)
        .throttle_window(odd(110))
        .throttle_max(0.11)
        .ignore([Kind::Timeout]);
    let other = Settings::builder()
        .mode(Mode::ForcedOpen)
        .failure_threshold(12)
        .failure_rate(0.12)
        .failure_count(12)
        .min_calls(12)
        .window(12)
        .slow_call_duration(odd(12))
        .slow_call_rate(0.12)
        .sequential(SequentialSpec::default().fault_rate(0.12))
        .adaptive(false)
        .recovery_timeout(odd(12))
        .backoff_multiplier(12.0)
        .backoff_max(odd(12))
        .jitter_share(0.12)
        .max_retry_after(odd(12))
        .half_open_max_calls(12)
        .success_threshold(2)
        .probe_calls(1_000)
        .timeout(odd(12))
        .pace(false)
        .ramp(odd(12))
        .throttle(12.0)
        .throttle_window(odd(120))
        .throttle_max(0.12)
        .ignore([Kind::Connect]);
    [one, other]
}

#[cfg(test)]
mod tests {
    use panelboard_core::presets;

    use super::*;
    use crate::describe::Keys;
    use crate::sections::SettingsKeys;

    #[test]
    fn a_layer_is_found_in_exactly_what_it_says() {
        assert!(said_by(Settings::builder()).is_empty());
        let layer = Settings::builder().timeout(None).success_threshold(3).backoff_multiplier(2.0);
        assert_eq!(said_by(layer), ["backoff.multiplier", "success_threshold", "timeout"]);
        let all: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
        for everything in opposites() {
            assert_eq!(said_by(everything), all);
        }
    }

    #[test]
    fn presets_are_found_to_speak_even_where_they_repeat_a_default() {
        let said = said_by(presets::auth());
        assert!(said.contains(&"success_threshold") && said.contains(&"jitter"));
        assert!(!said.contains(&"pace") && !said.contains(&"mode"));
        for (name, preset) in presets::ALL {
            assert!(said_by(preset()).contains(&"recovery_timeout"), "{name}");
        }
    }

    #[test]
    fn every_key_of_a_circuit_can_be_shown() {
        let shown = |name: &str| SETTINGS.iter().any(|setting| setting.key.starts_with(name));
        for field in SettingsKeys::TABLE.fields {
            // What these say is shown as `mode` and `ignore`.
            if !matches!(field.name, "enabled" | "record") {
                assert!(shown(field.name), "{}", field.name);
            }
        }
    }
}
