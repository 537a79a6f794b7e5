//! Counts the steps of what grows with a configuration, for a test that it does not grow faster.

/// So many more steps were taken.
#[cfg(not(test))]
pub(crate) fn count(_: usize) {}

#[cfg(test)]
pub(crate) use counted::count;

#[cfg(test)]
mod counted {
    use std::cell::Cell;
    use std::fmt::Write as _;

    use crate::{Input, Source, View, list};

    thread_local! {
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    pub(crate) fn count(steps: usize) {
        STEPS.set(STEPS.get() + steps);
    }

    /// A configuration of so many circuits, on one line.
    fn json(circuits: usize) -> String {
        let mut text = String::from("{\"circuit_breaker\":{\"circuits\":{");
        for i in 0..circuits {
            let comma = if i == 0 { "" } else { "," };
            let from = i.saturating_sub(i % 7);
            let extends =
                if i % 7 == 0 { String::new() } else { format!("\"extends\":\"c{from}\",") };
            let _ = write!(
                text,
                "{comma}\"c{i}\":{{{extends}\"timeout\":5,\"fallback\":\"default\",\
                 \"expected_rate\":50,\"expected_error_rate\":0.01}}"
            );
        }
        text.push_str("}},\"env\":{\"staging\":{\"circuit_breaker\":{\"circuits\":{");
        for i in 0..circuits {
            let comma = if i == 0 { "" } else { "," };
            let _ = write!(text, "{comma}\"c{i}\":{{\"recovery_timeout\":9}}");
        }
        text.push_str("}}}}}");
        text
    }

    /// The steps to check and list it, with the environment laid over it.
    fn steps(circuits: usize) -> usize {
        let source = Source::new("panelboard.json", json(circuits));
        STEPS.set(0);
        let listing = list(Input::new().file(source).env("staging"), View::Effective).unwrap();
        assert_eq!(listing.config.circuits().len(), circuits);
        STEPS.get()
    }

    #[test]
    fn ten_times_the_circuits_take_ten_times_the_steps() {
        let (some, many) = (steps(300), steps(3_000));
        assert!(some > 3_000, "{some} steps: something is not counted");
        assert!(many < 12 * some, "{some} steps for 300 circuits, {many} for 3,000");
    }
}
