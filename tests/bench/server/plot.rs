//! Draws a [`Curve`] as SVG: both axes logarithmic, so that a straight line is a power.

use std::{ops::Range, path::Path};

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::growth::Curve;

const SIZE: (u32, u32) = (720, 420);
const COLOURS: [RGBColor; 4] = [
    RGBColor(0x99, 0x99, 0x99),
    RGBColor(0x1B, 0x5E, 0x9B),
    RGBColor(0xB4, 0x53, 0x09),
    RGBColor(0x2E, 0x7D, 0x32),
];

/// Writes `folder/NAME.svg`.
pub fn draw(curve: &Curve, folder: &Path) -> Result<()> {
    let path = folder.join(curve.name).with_extension("svg");
    let area = SVGBackend::new(&path, SIZE).into_drawing_area();
    drawn(curve, &area).map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))
}

type Fault = Box<dyn std::error::Error>;

fn drawn(
    curve: &Curve,
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
) -> Result<(), Fault> {
    area.fill(&WHITE)?;
    let all = || curve.lines.iter().flat_map(|(_, points)| points);
    let (x, y) = (
        span(all().map(|point| point.0)),
        span(all().map(|point| point.1)),
    );
    let mut chart = ChartBuilder::on(area)
        .caption(curve.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(x.log_scale(), y.log_scale())?;
    chart
        .configure_mesh()
        .x_desc(curve.across)
        .y_desc(curve.up)
        .light_line_style(WHITE)
        .x_label_formatter(&number)
        .y_label_formatter(&number)
        .draw()?;
    for ((name, points), colour) in curve.lines.iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)).point_size(3))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    Ok(area.present()?)
}

/// From a little below the least to a little above the most.
fn span(figures: impl Iterator<Item = f64> + Clone) -> Range<f64> {
    let least = figures.clone().fold(f64::INFINITY, f64::min);
    let most = figures.fold(f64::MIN_POSITIVE, f64::max);
    least.max(1e-6) / 1.3..most * 1.6
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape is the library's"
)]
fn number(figure: &f64) -> String {
    match *figure {
        f if f >= 1e6 => format!("{}M", f / 1e6),
        f if f >= 1e3 => format!("{}k", f / 1e3),
        f => format!("{f}"),
    }
}
