//! The text format that was there before `OpenMetrics`, for whoever does not ask for the latter.
//!
//! Samples look the same in both. What differs is the name a counter is announced by, a type that
//! the older does not know, and the end.

/// The same metrics in the text format 0.0.4.
pub(super) fn plain(openmetrics: &str) -> String {
    let mut out = String::with_capacity(openmetrics.len());
    let mut help = "";
    for line in openmetrics.lines() {
        if let Some(words) = line.strip_prefix("# HELP ") {
            help = words.split_once(' ').map_or("", |(_, words)| words);
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|typed| typed.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            let lines = [
                format!("# HELP {name}{suffix} {help}\n"),
                format!("# TYPE {name}{suffix} {kind}\n"),
            ];
            out.extend(lines);
        } else if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_announced_by_the_names_of_their_samples() {
        let openmetrics = "\
            # HELP calls Calls, by outcome.\n# TYPE calls counter\ncalls_total{outcome=\"# x\"} 1\n\
            # HELP build The version.\n# TYPE build info\nbuild_info{version=\"1\"} 1\n\
            # HELP up Up.\n# TYPE up gauge\nup 1.0\n# EOF\n";
        let expected = "\
            # HELP calls_total Calls, by outcome.\n# TYPE calls_total counter\n\
            calls_total{outcome=\"# x\"} 1\n\
            # HELP build_info The version.\n# TYPE build_info gauge\nbuild_info{version=\"1\"} 1\n\
            # HELP up Up.\n# TYPE up gauge\nup 1.0\n";
        assert_eq!(plain(openmetrics), expected);
    }
}
