//! Binomial and Poisson probabilities.

/// The whole number below, at most what there is room for.
#[expect(clippy::cast_sign_loss, reason = "negative numbers become 0, as they should")]
pub(crate) fn whole(number: f64) -> u32 {
    number as u32
}

/// ln n!, by Stirling's series where it is long exact enough.
pub(super) fn ln_factorial(n: f64) -> f64 {
    if n < 16.0 {
        return (2..=whole(n)).map(|i| f64::from(i).ln()).sum();
    }
    let inverse = 1.0 / n;
    let series = inverse / 12.0 - inverse.powi(3) / 360.0 + inverse.powi(5) / 1_260.0;
    n * n.ln() - n + 0.5 * (std::f64::consts::TAU * n).ln() + series
}

/// P(X = k) for X binomial with `n` trials of probability `p`.
pub(super) fn binomial(n: f64, k: f64, p: f64) -> f64 {
    if k < 0.0 || k > n {
        return 0.0;
    }
    if p <= 0.0 || p >= 1.0 {
        let sure = if p <= 0.0 { 0.0 } else { n };
        return if (k - sure).abs() < 0.5 { 1.0 } else { 0.0 };
    }
    let ways = ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
    (ways + k * p.ln() + (n - k) * (-p).ln_1p()).exp()
}

/// P(X = k) for X Poisson with this mean.
pub(super) fn poisson(mean: f64, k: f64) -> f64 {
    if mean <= 0.0 {
        return if k < 0.5 { 1.0 } else { 0.0 };
    }
    (k * mean.ln() - mean - ln_factorial(k)).exp()
}

/// P(X ≤ k) for X Poisson with this mean, for every k until there is nothing more to add.
pub(super) fn poisson_cumulated(mean: f64) -> Vec<f64> {
    let most = whole(mean + 12.0 * mean.sqrt() + 40.0);
    // Each from the one before: far cheaper than by itself. Beyond, e^−mean would be no number.
    let by_steps = mean < 700.0;
    let (mut sum, mut term) = (0.0, (-mean).exp());
    (0..=most)
        .map(|k| {
            sum += if by_steps { term } else { poisson(mean, f64::from(k)) };
            term *= mean / f64::from(k + 1);
            f64::min(sum, 1.0)
        })
        .collect()
}

/// P(X ≥ k) for X binomial with `n` trials of probability `p`.
///
/// ```
/// use panelboard_config::forecast::binomial_tail;
///
/// let three_of_three = binomial_tail(3, 3, 0.5);
/// assert!((three_of_three - 0.125).abs() < 1e-12);
/// ```
pub fn binomial_tail(n: u32, k: u32, p: f64) -> f64 {
    let (least, most) = (f64::from(k), f64::from(n));
    if k == 0 {
        return 1.0;
    }
    if least <= most * p {
        // The shorter sum, and the one that loses nothing.
        let below: f64 = (0..k).map(|i| binomial(most, f64::from(i), p)).sum();
        return (1.0 - below).max(0.0);
    }
    (k..=n).map(|i| binomial(most, f64::from(i), p)).take_while(|term| *term > 0.0).sum()
}

/// P(X ≥ k) for X Poisson with this mean.
pub fn poisson_tail(mean: f64, k: u32) -> f64 {
    if f64::from(k) > mean + 40.0 * mean.sqrt() + 200.0 {
        return 0.0;
    }
    if f64::from(k) < mean - 12.0 * mean.sqrt() {
        return 1.0;
    }
    let cumulated = poisson_cumulated(mean);
    match k {
        0 => 1.0,
        k if f64::from(k) <= mean => {
            (1.0 - cumulated.get(k as usize - 1).copied().unwrap_or(1.0)).max(0.0)
        }
        k => (k..k + 400).map(|i| poisson(mean, f64::from(i))).sum::<f64>().min(1.0),
    }
}
