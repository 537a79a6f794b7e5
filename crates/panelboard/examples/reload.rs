//! Runs on a configuration file and follows it: `cargo run -p panelboard --example reload`.
//!
//! A better file is taken up while calls go on, and the streak so far is kept. A worse one is
//! refused with what is wrong and where, and the running settings stay.

use panelboard::Registry;
use panelboard_config::{Format, Input, Source, TextStyle, check};

fn main() {
    let registry = Registry::new();
    let auth = registry.breaker("auth");

    apply(&registry, "[circuit_breaker.circuits.auth]\nfailure_threshold = 5\n");
    for _ in 0..2 {
        let _ = auth.call(|| Err::<(), _>("connection refused"));
    }
    show(&registry);

    // In production, `panelboard_config::load` finds the file and `FileWatch` says when it changed.
    apply(&registry, "[circuit_breaker.circuits.auth]\nfailure_threshold = 3\n");
    show(&registry);

    apply(&registry, "[circuit_breaker.circuits.auth]\nfailure_treshold = 0\nwindow = 'soon'\n");
    show(&registry);

    let _ = auth.call(|| Err::<(), _>("connection refused"));
    println!("\n{}", auth.explain());
}

fn apply(registry: &Registry, text: &str) {
    match check(Input::new().file(Source::new("panelboard.toml", text))).into_result() {
        Ok((config, _secrets, _warnings)) => registry.apply(&config),
        Err(problems) => {
            let style = TextStyle { color: false, unicode: true, width: 90 };
            println!(
                "the running configuration is kept:\n{}",
                problems.render(Format::Text(style))
            );
        }
    }
}

fn show(registry: &Registry) {
    for circuit in registry.snapshots() {
        println!(
            "{}: {}, {} failures in a row of {:?}",
            circuit.name,
            circuit.phase,
            circuit.streak,
            circuit.settings.failure_threshold(),
        );
    }
}
