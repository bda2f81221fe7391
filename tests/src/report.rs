//! The figures of a bench: medians of rounds taken by turns, as a table and as JSON.

use serde_json::{Value, json};

/// One figure, of what is measured beside ours and of ours.
#[derive(Debug, Clone)]
pub struct Row {
    /// What is measured.
    pub work: String,
    /// Of the figures.
    pub unit: &'static str,
    /// One a round; empty where there is nothing to compare with.
    pub beside: Vec<f64>,
    /// One a round.
    pub ours: Vec<f64>,
    /// What is wanted: against the other, or as it is.
    pub goal: Goal,
}

/// What a figure is wanted to be.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// At most so many times the other's.
    Times(f64),
    /// At least so much of the other's.
    Part(f64),
    /// At least.
    Least(f64),
    /// At most.
    Most(f64),
    /// It is only told.
    None,
}

/// The middle one; of two the mean, of none zero.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

impl Row {
    /// Ours to beside, of each round.
    fn ratios(&self) -> Vec<f64> {
        let both = self.ours.iter().zip(&self.beside);
        both.map(|(ours, beside)| ours / beside).collect()
    }

    /// Whether the goal is met; `None` without one.
    pub fn met(&self) -> Option<bool> {
        let (ours, ratio) = (median(&self.ours), median(&self.ratios()));
        match self.goal {
            Goal::Times(most) => Some(ratio <= most),
            Goal::Part(least) => Some(ratio >= least),
            Goal::Least(least) => Some(ours >= least),
            Goal::Most(most) => Some(ours <= most),
            Goal::None => None,
        }
    }

    fn goal_words(&self) -> String {
        match self.goal {
            Goal::Times(most) => format!("<= {most:.2}x"),
            Goal::Part(least) => format!(">= {least:.2}x"),
            Goal::Least(least) => format!(">= {}", short(least)),
            Goal::Most(most) => format!("<= {}", short(most)),
            Goal::None => String::new(),
        }
    }

    fn line(&self) -> String {
        let ratios = self.ratios();
        let ratio = match ratios.is_empty() {
            true => String::new(),
            false => {
                let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
                let most = ratios.iter().copied().fold(0.0, f64::max);
                format!("{:.2} ({least:.2}-{most:.2})", median(&ratios))
            }
        };
        let beside = match self.beside.is_empty() {
            true => String::new(),
            false => short(median(&self.beside)),
        };
        let met = match self.met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        format!(
            "{:<44} {:>9} {:>9}  {:<18} {:>10} {:<6} {}",
            self.work,
            beside,
            short(median(&self.ours)),
            ratio,
            self.goal_words(),
            met,
            self.unit
        )
    }

    fn json(&self) -> Value {
        json!({
            "work": self.work, "unit": self.unit, "beside": self.beside, "ours": self.ours,
            "median_beside": median(&self.beside), "median_ours": median(&self.ours),
            "median_ratio": median(&self.ratios()), "goal": self.goal_words(), "met": self.met(),
        })
    }
}

/// Three significant digits.
fn short(figure: f64) -> String {
    match figure.abs() {
        f if f >= 100.0 => format!("{figure:.0}"),
        f if f >= 10.0 => format!("{figure:.1}"),
        f if f >= 1.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

/// The first line of the table; what is measured beside ours.
pub fn head(beside: &str) -> String {
    format!(
        "{:<44} {:>9} {:>9}  {:<18} {:>10} {:<6} unit",
        "work", beside, "ours", "ratio (range)", "goal", ""
    )
}

/// Prints a part of the table.
pub fn print(rows: &[Row]) {
    for row in rows {
        println!("{}", row.line());
    }
}

/// Everything in one line.
pub fn json_of(bench: &str, rows: &[Row]) -> Value {
    json!({
        "bench": bench,
        "rows": rows.iter().map(Row::json).collect::<Vec<_>>(),
    })
}
