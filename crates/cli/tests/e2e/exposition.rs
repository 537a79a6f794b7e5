//! A strict reader of the exposition format (`OpenMetrics` 1.0, as scrapers ask for it).

use std::collections::{BTreeMap, BTreeSet};

type Labels = BTreeMap<String, String>;

/// What one scrape brought.
#[derive(Debug)]
pub(crate) struct Exposition {
    /// The type of each family.
    pub(crate) families: BTreeMap<String, String>,
    samples: BTreeMap<(String, Labels), f64>,
}

impl Exposition {
    /// Reads a scrape, and panics over anything that a scraper might stumble on.
    pub(crate) fn read(text: &str) -> Exposition {
        let body = text.strip_suffix("# EOF\n").expect("it ends with `# EOF`");
        let mut families: BTreeMap<String, String> = BTreeMap::new();
        let mut samples = BTreeMap::new();
        let mut helped = BTreeSet::new();
        let mut family = (String::new(), String::new());
        for line in body.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').expect(line);
                assert!(!words.trim().is_empty() && helped.insert(name.to_owned()), "{line}");
            } else if let Some(typed) = line.strip_prefix("# TYPE ") {
                let (name, kind) = typed.split_once(' ').expect(line);
                assert!(helped.contains(name), "explained before it is typed: {line}");
                let again = families.insert(name.to_owned(), kind.to_owned());
                assert!(again.is_none() && is_name(name), "{line}");
                family = (name.to_owned(), kind.to_owned());
            } else {
                let (name, labels, value) = sample(line);
                let suffix = name.strip_prefix(&*family.0);
                let fits = match (&*family.1, suffix.unwrap_or("(another family)")) {
                    ("counter", "_total") | ("histogram", "_sum" | "_count") => value >= 0.0,
                    ("gauge", "") => true,
                    ("info", "_info") => value == 1.0,
                    ("histogram", "_bucket") => labels.contains_key("le"),
                    _ => false,
                };
                assert!(fits, "no sample of the {} `{}`: {line}", family.1, family.0);
                assert!(samples.insert((name, labels), value).is_none(), "twice: {line}");
            }
        }
        let exposition = Exposition { families, samples };
        exposition.check_histograms();
        exposition
    }

    /// The value of one series.
    pub(crate) fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    /// What the series of this name say of one circuit, by the values of their other labels.
    pub(crate) fn of(&self, name: &str, circuit: &str) -> BTreeMap<Vec<String>, f64> {
        let series = self.samples.iter().filter(|((known, labels), _)| {
            known == name && labels.get("circuit").is_some_and(|label| label == circuit)
        });
        series
            .map(|((_, labels), value)| {
                let others = labels.iter().filter(|(label, _)| *label != "circuit");
                (others.map(|(label, value)| format!("{label}={value}")).collect(), *value)
            })
            .collect()
    }

    /// The values that this label has anywhere.
    pub(crate) fn values(&self, label: &str) -> BTreeSet<&str> {
        self.samples.keys().filter_map(|(_, labels)| labels.get(label)).map(|v| &**v).collect()
    }

    /// Buckets add up, and the last takes everything.
    fn check_histograms(&self) {
        for (family, _) in self.families.iter().filter(|(_, kind)| *kind == "histogram") {
            let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
            for ((name, labels), count) in &self.samples {
                if *name == format!("{family}_bucket") {
                    let mut labels = labels.clone();
                    let bound = labels.remove("le").unwrap();
                    buckets.entry(labels).or_default().push((number(&bound), *count));
                }
            }
            for (labels, mut counts) in buckets {
                counts.sort_by(|a, b| a.0.total_cmp(&b.0));
                assert!(counts.is_sorted_by(|a, b| a.1 <= b.1), "{family} {labels:?}: {counts:?}");
                let (bound, count) = *counts.last().unwrap();
                assert!(bound.is_infinite(), "{family} {labels:?} has no bucket for the rest");
                let total = self.samples.get(&(format!("{family}_count"), labels.clone()));
                assert_eq!(total, Some(&count), "{family} {labels:?}");
                assert!(self.samples.contains_key(&(format!("{family}_sum"), labels)));
            }
        }
    }
}

/// `name{label="value"} 1`
fn sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).expect(line);
    let (name, rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest, line),
        None => (Labels::new(), rest),
    };
    let value = value.strip_prefix(' ').expect(line);
    (name.to_owned(), labels, number(value))
}

/// Reads `label="value",…}` and returns what is behind it.
fn labels<'a>(mut rest: &'a str, line: &str) -> (Labels, &'a str) {
    let mut labels = Labels::new();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return (labels, rest);
        }
        let (name, after) = rest.split_once("=\"").expect(line);
        assert!(is_name(name) && !name.contains(':'), "{line}");
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().expect(line) {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().expect(line).1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    c => panic!("`\\{c}` is no escape: {line}"),
                }),
                (_, c) => value.push(c),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "{line}");
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

fn number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        // What Rust reads as a number beyond that is none in this format.
        _ if text.contains(['i', 'n', 'N']) => panic!("`{text}` is no number"),
        _ => text.parse().unwrap_or_else(|_| panic!("`{text}` is no number")),
    }
}

fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}
