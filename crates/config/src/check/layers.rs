//! The layers of a circuit's settings, laid over each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use panelboard_core::{Mode, Settings, SettingsBuilder, SettingsError, presets};

use crate::context::{At, Context};
use crate::effective::said_by;
use crate::kinds::JitterValue;
use crate::listing::origin;
use crate::model::{Layer, Origins};
use crate::sections::{SequentialKeys, SettingsKeys};
use crate::source::Span;

/// One layer: what it says, and where.
#[derive(Clone)]
pub(super) struct Sheet {
    layer: Layer,
    builder: SettingsBuilder,
    enabled: Option<At<bool>>,
    said: Vec<(&'static str, Span)>,
    /// Where the parts of `sequential` were said, which is one setting.
    sequential: Vec<(&'static str, Span)>,
}

/// Layers laid over each other.
pub(super) struct Laid {
    pub(super) result: Result<Settings, SettingsError>,
    pub(super) origins: Origins,
    /// Where each setting was said, to point at.
    pub(super) places: BTreeMap<&'static str, Span>,
}

impl Sheet {
    /// What a table of settings says.
    pub(super) fn of_keys(keys: &SettingsKeys, layer: Layer) -> Sheet {
        let mut sheet = Sheet {
            layer,
            builder: Settings::builder(),
            enabled: keys.enabled.clone(),
            said: Vec::new(),
            sequential: Vec::new(),
        };
        /// Takes over the keys that the builder has under the same name.
        macro_rules! take {
            ($($key:ident),+ $(,)?) => {
                $(sheet.take(stringify!($key), keys.$key.as_ref(), SettingsBuilder::$key);)+
            };
        }
        take!(
            mode,
            failure_threshold,
            failure_rate,
            failure_count,
            min_calls,
            window,
            slow_call_duration,
            slow_call_rate,
            adaptive,
            recovery_timeout,
            max_retry_after,
            half_open_max_calls,
            success_threshold,
            probe_calls,
            timeout,
            pace,
            ramp,
        );
        if let Some(backoff) = keys.backoff.as_ref().map(|at| &at.value) {
            let multiplier = backoff.multiplier.as_ref();
            sheet.take("backoff.multiplier", multiplier, SettingsBuilder::backoff_multiplier);
            sheet.take("backoff.max", backoff.max.as_ref(), SettingsBuilder::backoff_max);
        }
        if let Some(throttle) = keys.throttle.as_ref().map(|at| &at.value) {
            sheet.take("throttle.k", Some(&throttle.k), SettingsBuilder::throttle);
            let window = throttle.window.as_ref();
            sheet.take("throttle.window", window, SettingsBuilder::throttle_window);
            sheet.take("throttle.max", throttle.max.as_ref(), SettingsBuilder::throttle_max);
        }
        sheet.take("jitter", keys.jitter.as_ref(), |builder, jitter| match jitter {
            JitterValue::Named(jitter) => builder.jitter(jitter),
            JitterValue::Share(share) => builder.jitter_share(share),
        });
        sheet.take("sequential", keys.sequential.as_ref(), |builder, rule| {
            builder.sequential(rule.as_ref().map(SequentialKeys::spec))
        });
        if let Some(rule) = keys.sequential.as_ref().and_then(|at| at.value.as_ref()) {
            sheet.sequential.extend(rule.places());
        }
        // Two ways to say one setting.
        sheet.take("ignore", keys.ignore.as_ref(), |builder, kinds| {
            builder.ignore(kinds.into_iter().map(|at| at.value))
        });
        sheet.take("ignore", keys.record.as_ref(), |builder, kinds| {
            builder.record(kinds.into_iter().map(|at| at.value))
        });
        sheet
    }

    /// What a preset says.
    pub(super) fn of_preset(name: &str) -> Option<Sheet> {
        let builder = presets::by_name(name)?;
        let said = said_by(builder).into_iter().map(|key| (key, Span::NOWHERE)).collect();
        let (layer, enabled) = (Layer::Preset(Arc::from(name)), None);
        Some(Sheet { layer, builder, enabled, said, sequential: Vec::new() })
    }

    fn take<T: Clone>(
        &mut self,
        key: &'static str,
        said: Option<&At<T>>,
        set: impl FnOnce(SettingsBuilder, T) -> SettingsBuilder,
    ) {
        if let Some(At { value, span }) = said {
            self.builder = set(self.builder, value.clone());
            self.said.push((key, *span));
        }
    }
}

/// Lays the sheets over each other, the first on top.
pub(super) fn lay<'s>(
    sheets: impl DoubleEndedIterator<Item = &'s Sheet> + Clone,
    cx: &Context,
) -> Laid {
    let mut builder =
        sheets.clone().rev().fold(Settings::builder(), |below, sheet| sheet.builder.over(below));
    let mut origins = Origins::default();
    let mut places = BTreeMap::new();
    let enabled = sheets.clone().find_map(|s| Some((s.enabled.as_ref()?, &s.layer)));
    if let Some((At { value: false, span }, layer)) = enabled {
        builder = builder.mode(Mode::ForcedClosed);
        origins.add("mode", origin(layer, *span, cx));
        places.insert("mode", *span);
    }
    for sheet in sheets {
        if !places.contains_key("sequential") {
            places.extend(sheet.sequential.iter().copied());
        }
        for (key, span) in &sheet.said {
            origins.add(key, origin(&sheet.layer, *span, cx));
            places.entry(*key).or_insert(*span);
        }
    }
    Laid { result: builder.build(), origins, places }
}
