//! The figures: medians of rounds taken by turns, as a table and as JSON.

use serde_json::{Value, json};

/// One figure of both servers.
#[derive(Debug, Clone)]
pub struct Row {
    pub work: String,
    pub unit: &'static str,
    /// One a round; empty where there is nothing to compare with.
    pub bare: Vec<f64>,
    pub ours: Vec<f64>,
    /// What is wanted: against the bare server, or as it is.
    pub goal: Goal,
}

/// What a figure is wanted to be.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// At most so many times the bare server's.
    Times(f64),
    /// At least so much of the bare server's.
    Part(f64),
    /// At least.
    Least(f64),
    /// It is only told.
    None,
}

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
    /// Ours to bare, of each round.
    fn ratios(&self) -> Vec<f64> {
        let both = self.ours.iter().zip(&self.bare);
        both.map(|(ours, bare)| ours / bare).collect()
    }

    /// Whether the goal is met; `None` without one.
    pub fn met(&self) -> Option<bool> {
        let (ours, ratio) = (median(&self.ours), median(&self.ratios()));
        match self.goal {
            Goal::Times(most) => Some(ratio <= most),
            Goal::Part(least) => Some(ratio >= least),
            Goal::Least(least) => Some(ours >= least),
            Goal::None => None,
        }
    }

    fn goal_words(&self) -> String {
        match self.goal {
            Goal::Times(most) => format!("<= {most:.2}x"),
            Goal::Part(least) => format!(">= {least:.2}x"),
            Goal::Least(least) => format!(">= {}", short(least)),
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
        let bare = match self.bare.is_empty() {
            true => String::new(),
            false => short(median(&self.bare)),
        };
        let met = match self.met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        format!(
            "{:<44} {:>9} {:>9}  {:<18} {:>10} {:<6} {}",
            self.work,
            bare,
            short(median(&self.ours)),
            ratio,
            self.goal_words(),
            met,
            self.unit
        )
    }

    fn json(&self) -> Value {
        json!({
            "work": self.work, "unit": self.unit, "bare": self.bare, "ours": self.ours,
            "median_bare": median(&self.bare), "median_ours": median(&self.ours),
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

pub fn head() -> String {
    format!(
        "{:<44} {:>9} {:>9}  {:<18} {:>10} {:<6} unit",
        "work", "bare", "ours", "ratio (range)", "goal", ""
    )
}

/// Prints a part of the table.
pub fn print(rows: &[Row]) {
    for row in rows {
        println!("{}", row.line());
    }
}

/// Everything in one line.
pub fn json_of(rows: &[Row], notes: &[String]) -> Value {
    json!({
        "bench": "server",
        "rows": rows.iter().map(Row::json).collect::<Vec<_>>(),
        "notes": notes,
    })
}
