//! The convergence plot: how far each constraint was from its targets, iteration by iteration.

use std::sync::Arc;

use kuva::backend::raster::RasterBackend;
use kuva::backend::svg::SvgBackend;
use kuva::plot::{LinePlot, ScatterPlot};
use kuva::render::figure::Figure;
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;
use kuva::render::render::Scene;

/// One constraint at one iteration.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvergencePoint {
    /// Iteration, from 1.
    pub iteration: u32,
    /// Name of the constraint.
    pub constraint: String,
    /// Largest |current - target| / target over the constraint's cells; no unit.
    pub max_violation: f64,
    /// Largest |factor - 1| over the factors this step applied; no unit.
    pub max_update: f64,
}

/// Okabe-Ito colors that also differ in lightness, darkest first; readable for every common kind
/// of color blindness and in print.
const COLORS: [&str; 6] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];
/// Below this, differences are rounding of `f64` and the axis ends.
const SMALLEST_DECADE: i32 = -17;
/// Most labeled lines of the vertical axis, beside the lowest.
const MOST_LINES: i32 = 9;
/// Width and height of a panel, in units of the drawing.
const PANEL_SIZE: (f64, f64) = (860.0, 380.0);
/// Pixels of a PNG per unit of the drawing.
const PNG_SCALE: f32 = 2.0;

/// The plot as SVG, with its font inside (about 1 MB), so that it looks the same anywhere.
///
/// The upper panel shows the violations and the tolerance, the lower one the factor updates, with
/// one color per constraint. Vertical axes are logarithmic; zeros and anything below 1e-17 lie on
/// the lowest line, labeled 0. Values that are not finite are left out.
pub fn convergence_svg(history: &[ConvergencePoint], tolerance: f64) -> String {
    let svg = SvgBackend::new().with_embedded_font(true).render_scene(&draw(history, tolerance));
    keep_regular_face(&svg)
}

/// The plot of [`convergence_svg`] as PNG, twice as many pixels.
pub fn convergence_png(history: &[ConvergencePoint], tolerance: f64) -> Vec<u8> {
    RasterBackend::new()
        .with_scale(PNG_SCALE)
        .render_scene(&draw(history, tolerance))
        .expect("a drawing of fixed size can be rasterized")
}

/// A logarithmic axis of whole decades that has a place for 0.
#[derive(Clone, Copy, Debug, PartialEq)]
struct LogAxis {
    /// Exponent of the lowest line, a multiple of `step`.
    low: i32,
    /// Exponent of the highest line, a multiple of `step`.
    high: i32,
    /// Decades between labeled lines.
    step: i32,
    /// Whether the lowest line stands for 0.
    has_zero: bool,
}

impl LogAxis {
    /// The axis for these values, all finite and at least 0.
    fn covering(values: impl Iterator<Item = f64> + Clone) -> Self {
        let negligible = 10_f64.powi(SMALLEST_DECADE);
        let has_zero = values.clone().any(|v| v < negligible);
        let logs = values.filter(|&v| v >= negligible).map(f64::log10);
        let (mut low, mut high) = logs
            .map(|log| (log.floor() as i32, log.ceil() as i32))
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
            .unwrap_or((-1, 0));
        high = high.max(low + 1);
        if has_zero {
            low -= 1;
        }
        let step = (high - low + MOST_LINES - 1) / MOST_LINES;
        low = low.div_euclid(step) * step;
        high = -(-high).div_euclid(step) * step;
        Self { low, high, step, has_zero }
    }

    /// Height of a value on the axis, in decades.
    fn place(&self, value: f64) -> f64 {
        let lowest = f64::from(self.low);
        if value > 0.0 { value.log10().max(lowest) } else { lowest }
    }

    /// Text beside the line at this height.
    fn label(&self, height: f64) -> String {
        let decade = height.round() as i32;
        if self.has_zero && decade <= self.low { "0".into() } else { power_of_ten(decade) }
    }
}

/// `10` with a superscript exponent, `1` and `10` written out.
fn power_of_ten(exponent: i32) -> String {
    match exponent {
        0 => "1".into(),
        1 => "10".into(),
        _ => exponent
            .to_string()
            .chars()
            .map(|c| match c {
                '-' => '⁻',
                '1' => '¹',
                '2' => '²',
                '3' => '³',
                digit => char::from_u32('⁰' as u32 + digit as u32 - '0' as u32).unwrap_or(digit),
            })
            .fold("10".to_owned(), |text, c| text + &c.to_string()),
    }
}

/// Names of the constraints in the order of their first point.
fn constraints(history: &[ConvergencePoint]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for point in history {
        if !names.contains(&point.constraint.as_str()) {
            names.push(&point.constraint);
        }
    }
    names
}

/// The two panels, one above the other: both quantities of one constraint often lie so close that
/// they would hide each other in one.
fn draw(history: &[ConvergencePoint], tolerance: f64) -> Scene {
    let tolerance = Some(tolerance).filter(|t| t.is_finite() && *t > 0.0);
    let values = history
        .iter()
        .flat_map(|point| [point.max_violation, point.max_update])
        .chain(tolerance)
        .filter(|v| v.is_finite());
    let axis = LogAxis::covering(values);
    let last = history.iter().map(|point| point.iteration).max().unwrap_or(1).max(2);

    let mut violations = panel(history, &axis, |point| point.max_violation);
    if let Some(tolerance) = tolerance {
        let height = axis.place(tolerance);
        violations.push(Plot::Line(
            LinePlot::new()
                .with_data([(0.0, height), (f64::from(last), height)])
                .with_color("#444444")
                .with_stroke_width(1.0)
                .with_dashed()
                .with_legend(format!("tolerance {tolerance:e}")),
        ));
    }
    let updates = panel(history, &axis, |point| point.max_update);
    let layouts = vec![
        layout(axis, last)
            .with_title("Distance from the targets")
            .with_y_label("Largest |current − target| / target"),
        layout(axis, last)
            .with_title("Change of the factors")
            .with_x_label("Iteration")
            .with_y_label("Largest |factor − 1|"),
    ];
    Figure::new(2, 1)
        .with_plots(vec![violations, updates])
        .with_layouts(layouts)
        .with_cell_size(PANEL_SIZE.0, PANEL_SIZE.1)
        .with_spacing(0.0)
        .with_shared_legend_bottom()
        .render()
}

/// One line per constraint.
fn panel(
    history: &[ConvergencePoint],
    axis: &LogAxis,
    value: impl Fn(&ConvergencePoint) -> f64,
) -> Vec<Plot> {
    let mut plots = Vec::new();
    for (constraint, color) in constraints(history).into_iter().zip(COLORS.into_iter().cycle()) {
        let points: Vec<(f64, f64)> = history
            .iter()
            .filter(|point| point.constraint == constraint && value(point).is_finite())
            .map(|point| (f64::from(point.iteration), axis.place(value(point))))
            .collect();
        if points.len() == 1 {
            // A line through one point is invisible.
            let dot = ScatterPlot::new().with_data(points.clone()).with_size(4.0);
            plots.push(Plot::Scatter(dot.with_color(color)));
        }
        let line = LinePlot::new().with_data(points).with_color(color).with_stroke_width(1.8);
        plots.push(Plot::Line(line.with_legend(constraint)));
    }
    if plots.is_empty() {
        // A panel without a plot would not be drawn at all.
        plots.push(Plot::Line(LinePlot::new()));
    }
    plots
}

/// Axes of a panel; both panels have the same.
fn layout(axis: LogAxis, last: u32) -> Layout {
    let (low, high) = (f64::from(axis.low), f64::from(axis.high));
    Layout::new((0.0, f64::from(last)), (low, high))
        .with_x_axis_min(0.0)
        .with_x_axis_max(f64::from(last))
        .with_y_axis_min(low)
        .with_y_axis_max(high)
        .with_y_tick_step(f64::from(axis.step))
        .with_x_tick_step(f64::from(whole_step(last)))
        .with_x_tick_format(TickFormat::Integer)
        .with_y_tick_format(TickFormat::Custom(Arc::new(move |height| axis.label(height))))
}

/// Iterations between labeled ticks: 1, 2 or 5 times a power of ten, at most ten ticks.
fn whole_step(last: u32) -> u32 {
    (0..9)
        .flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u32.pow(power)))
        .find(|step| last / step <= 10)
        .unwrap_or(u32::MAX)
}

/// Drops the embedded faces that the plot does not use: bold, italic and monospace would be three
/// quarters of the file.
fn keep_regular_face(svg: &str) -> String {
    let mut faces = svg.split("@font-face");
    let mut kept = faces.next().unwrap_or_default().to_owned();
    for face in faces {
        let (rule, rest) = face.split_at(face.find('}').map_or(face.len(), |end| end + 1));
        let regular = rule.contains("'DejaVu Sans'")
            && rule.contains("font-weight:normal")
            && rule.contains("font-style:normal");
        if regular {
            kept.push_str("@font-face");
            kept.push_str(rule);
        }
        kept.push_str(rest);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(iterations: i32, value: impl Fn(i32) -> f64) -> Vec<ConvergencePoint> {
        (1..=iterations)
            .flat_map(|iteration| {
                let point = |name: &str, scale: f64| ConvergencePoint {
                    iteration: iteration.unsigned_abs(),
                    constraint: name.into(),
                    max_violation: scale * value(iteration),
                    max_update: 0.5 * scale * value(iteration),
                };
                [point("county populations of the year", 1.0), point("rows <before>", 0.2)]
            })
            .collect()
    }

    /// Vertical text positions are not checked; which texts there are is.
    fn texts(svg: &str) -> Vec<&str> {
        svg.split("<text")
            .skip(1)
            .map(|t| &t[t.find('>').unwrap() + 1..t.find("</text>").unwrap()])
            .collect()
    }

    #[test]
    fn everything_is_named_and_the_font_is_inside_once() {
        let svg = convergence_svg(&history(60, |i| 0.1 * 0.7_f64.powi(i)), 1e-9);
        let texts = texts(&svg);
        for expected in [
            "Iteration",
            "Largest |current − target| / target",
            "Largest |factor − 1|",
            "tolerance 1e-9",
            "10⁻⁸",
            "county populations of the year",
            "rows &lt;before&gt;",
        ] {
            assert!(texts.contains(&expected), "no `{expected}` in {texts:?}");
        }
        assert_eq!(svg.matches("@font-face").count(), 1);
    }

    #[test]
    fn zeros_get_a_line_of_their_own() {
        let axis = LogAxis::covering([0.0, 1e-30, 3e-12, 0.4].into_iter());
        assert_eq!(axis, LogAxis { low: -14, high: 0, step: 2, has_zero: true });
        assert_eq!([axis.place(0.0), axis.place(1e-30)], [-14.0, -14.0]);
        assert_eq!([axis.label(-14.0), axis.label(-12.0), axis.label(0.0)], ["0", "10⁻¹²", "1"]);
        let without = LogAxis::covering([1e-3].into_iter());
        assert_eq!(without, LogAxis { low: -3, high: -2, step: 1, has_zero: false });
        assert_eq!(without.label(-3.0), "10⁻³");
    }

    #[test]
    fn ticks_are_whole_iterations() {
        let steps = [2, 10, 12, 262, 3000, u32::MAX].map(whole_step);
        assert_eq!(steps, [1, 1, 2, 50, 500, 500_000_000]);
    }

    #[test]
    fn odd_histories_are_drawn() {
        for (history, tolerance) in [
            (Vec::new(), 1e-9),
            (history(1, |_| 0.0), 1e-9),
            (history(2, |_| f64::NAN), 0.0),
            (history(3, |_| f64::INFINITY), f64::NAN),
        ] {
            let svg = convergence_svg(&history, tolerance);
            assert!(texts(&svg).contains(&"Iteration"));
            let drawing = svg.split("</style>").last().unwrap();
            assert!(!drawing.contains("NaN") && !drawing.contains("inf"), "{drawing}");
            let png = convergence_png(&history, tolerance);
            assert_eq!(png[..8], *b"\x89PNG\r\n\x1a\n");
        }
    }
}
