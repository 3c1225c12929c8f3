//! The plots, as SVG in the page.

use maud::{Markup, html};

use super::outcome::{Boot, Conformance, Cost, Outcome};
use super::style::{BAD, GOOD, NEW, OLD, OURS, TOLERATED};
use crate::xtf::Row;
use crate::xtf::verdict::Verdict;

/// Width of a plot over the whole page, in its own units.
const WIDE: f64 = 1110.0;
/// Width of one of two plots side by side.
const HALF: f64 = 520.0;

/// A number with a comma after each three digits.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn rectangle(x: f64, y: f64, width: f64, height: f64, colour: &str) -> Markup {
    html! { rect x=(format!("{x:.1}")) y=(format!("{y:.1}")) width=(format!("{:.1}", width.max(1.0)))
    height=(format!("{height:.1}")) rx="2" fill=(colour) {} }
}

fn text(x: f64, y: f64, class: &str, words: &str) -> Markup {
    html! { text x=(format!("{x:.1}")) y=(format!("{y:.1}")) class=(class) { (words) } }
}

fn vertical(x: f64, from: f64, to: f64, colour: &str) -> Markup {
    html! { line x1=(format!("{x:.1}")) x2=(format!("{x:.1}")) y1=(format!("{from:.1}")) y2=(format!("{to:.1}"))
    stroke=(colour) stroke-dasharray="3 3" {} }
}

fn plot(width: f64, height: f64, label: &str, contents: Markup) -> Markup {
    html! { svg viewBox=(format!("0 0 {width:.0} {height:.0}")) role="img" aria-label=(label) { (contents) } }
}

/// The conformance matrix: a line a guest, verdicts on both, answers as one bar.
pub fn conformance(label: &str, rows: &[Conformance]) -> Markup {
    const LINE: f64 = 26.0;
    let (names, verdicts, bars) = (240.0, 110.0, 470.0);
    let end = WIDE - 200.0;
    let cell = |x: f64, y: f64, word: Option<&str>| {
        let (colour, shown) = match word {
            Some("SUCCESS") => (GOOD, "pass"),
            Some(_) => (BAD, "fail"),
            None => (OLD, "not run"),
        };
        html! { (rectangle(x, y + 3.0, 96.0, 20.0, colour)) (text(x + 48.0, y + 17.0, "middle white", shown)) }
    };
    plot(
        WIDE,
        24.0 + LINE * rows.len() as f64,
        label,
        html! {
            (text(names, 14.0, "soft", "reference"))
            (text(names + verdicts, 14.0, "soft", "Xenolith"))
            (text(bars, 14.0, "soft", "answers"))
            @for (index, row) in rows.iter().enumerate() {
                @let y = 22.0 + LINE * index as f64;
                @let total = (row.same + row.allowed + row.differing.len()).max(1) as f64;
                @let same = (end - bars) * row.same as f64 / total;
                @let allowed = (end - bars) * row.allowed as f64 / total;
                (text(0.0, y + 17.0, "", &row.guest))
                (cell(names, y, row.reference.as_deref()))
                (cell(names + verdicts, y, Some(if row.passed() { row.xenolith.as_str() } else { "FAILURE" })))
                @if row.same > 0 { (rectangle(bars, y + 6.0, same, 14.0, GOOD)) }
                @if row.allowed > 0 { (rectangle(bars + same, y + 6.0, allowed.max(3.0), 14.0, TOLERATED)) }
                @if !row.differing.is_empty() {
                    (rectangle(bars + same + allowed, y + 6.0, (end - bars - same - allowed).max(3.0), 14.0, BAD))
                }
                (text(end + 12.0, y + 17.0, "", &answers(row)))
            }
        },
    )
}

/// XTF's verdicts: two columns of tests, each with a box for Xen and one for Xenolith.
pub fn verdicts(rows: &[Row]) -> Markup {
    const LINE: f64 = 26.0;
    let lines = rows.len().div_ceil(2);
    let half = WIDE / 2.0 + 10.0;
    let cell = |x: f64, y: f64, verdict: Verdict, is_less: bool| {
        let colour = match verdict {
            _ if is_less => BAD,
            Verdict::Skip => OLD,
            other if other.is_pass() => GOOD,
            _ => TOLERATED,
        };
        html! { (rectangle(x, y + 3.0, 130.0, 20.0, colour)) (text(x + 65.0, y + 17.0, "middle white", verdict.word())) }
    };
    plot(
        WIDE,
        LINE * lines as f64,
        "XTF",
        html! {
            @for (index, row) in rows.iter().enumerate() {
                @let (x, y) = ((index / lines) as f64 * half, LINE * (index % lines) as f64);
                (text(x, y + 17.0, "", &row.name))
                (cell(x + 240.0, y, row.xen, false))
                (cell(x + 380.0, y, row.xenolith, row.is_less()))
            }
        },
    )
}

fn answers(row: &Conformance) -> String {
    let mut words = format!("{} same", thousands(row.same as u64));
    if row.allowed > 0 {
        words.push_str(&format!(", {} allowed", row.allowed));
    }
    if !row.differing.is_empty() {
        words.push_str(&format!(", {} differ", row.differing.len()));
    }
    words
}

/// What the powers of ten are called, from a hundred on.
const DECADES: [&str; 8] = ["100", "1,000", "10,000", "100,000", "1 M", "10 M", "100 M", "1,000 M"];

/// Costs: for each operation a bar for each hypervisor on a logarithmic scale, and the ratio to the better Xen.
pub fn costs(rows: &[&Cost]) -> Markup {
    const LINE: f64 = 30.0;
    let (bars, bars_end, ratios, end) = (400.0, 745.0, 840.0, WIDE - 50.0);
    let longest = rows.iter().flat_map(|row| [row.xen_4_17, row.xen_4_20, row.xenolith]).flatten().max().unwrap_or(10);
    let decades = (longest as f64).log10().ceil().max(3.0) - 2.0;
    let length = |figure: u64| ((figure.max(100) as f64).log10() - 2.0) / decades * (bars_end - bars);
    let scale = |ratio: f64| ratios + ratio.min(1.5) / 1.5 * (end - ratios);
    let height = 34.0 + LINE * rows.len() as f64;
    plot(
        WIDE,
        height,
        "costs",
        html! {
            @for decade in 0..=decades as u32 {
                @let x = bars + f64::from(decade) / decades * (bars_end - bars);
                (vertical(x, 22.0, height, "#e3e8ee"))
                (text(x, 14.0, "soft middle", DECADES.get(decade as usize).copied().unwrap_or_default()))
            }
            @for (ratio, colour) in [(0.6, GOOD), (1.0, BAD)] {
                (vertical(scale(ratio), 22.0, height, colour))
                (text(scale(ratio), 14.0, "soft middle", &format!("{ratio:.2}")))
            }
            @for (index, row) in rows.iter().enumerate() {
                @let y = 28.0 + LINE * index as f64;
                (text(0.0, y + 15.0, "", &short(&row.name)))
                @for (offset, figure, colour) in [(0.0, row.xen_4_17, OLD), (7.0, row.xen_4_20, NEW), (14.0, row.xenolith, OURS)] {
                    @if let Some(figure) = figure { (rectangle(bars, y + offset, length(figure), 6.0, colour)) }
                }
                @if let Some(own) = row.xenolith { (text(bars_end + 84.0, y + 15.0, "right", &thousands(own))) }
                @if let Some(ratio) = row.ratio() {
                    (rectangle(ratios, y + 3.0, scale(ratio) - ratios, 14.0, colour_of(ratio)))
                    (text(scale(ratio) + 6.0, y + 15.0, "", &format!("{ratio:.2}")))
                }
            }
        },
    )
}

const fn colour_of(ratio: f64) -> &'static str {
    if ratio <= 0.6 {
        GOOD
    } else if ratio <= 1.0 {
        TOLERATED
    } else {
        BAD
    }
}

fn short(name: &str) -> String {
    const ROOM: usize = 62;
    if name.len() <= ROOM { name.into() } else { format!("{}…", name.chars().take(ROOM).collect::<String>()) }
}

/// Boots: stages one after the other.
pub fn boots(boots: &[Boot]) -> Markup {
    const LINE: f64 = 54.0;
    const COLOURS: [&str; 4] = [NEW, OURS, GOOD, TOLERATED];
    let longest = boots.iter().map(Boot::total).fold(0.1, f64::max);
    let length = |seconds: f64| seconds / longest * (WIDE - 190.0);
    plot(
        WIDE,
        10.0 + LINE * boots.len() as f64,
        "boot time line",
        html! {
            @for (index, boot) in boots.iter().enumerate() {
                @let y = 6.0 + LINE * index as f64;
                @let starts: Vec<f64> = boot.stages.iter().scan(0.0, |at, (_, seconds)| {
                    let start = *at;
                    *at += seconds;
                    Some(start)
                }).collect();
                (text(0.0, y + 21.0, "", &boot.on))
                @for (((name, seconds), start), colour) in boot.stages.iter().zip(&starts).zip(COLOURS) {
                    @let x = 100.0 + length(*start);
                    (rectangle(x, y, length(*seconds), 32.0, colour))
                    @if length(*seconds) > 90.0 {
                        (text(x + 8.0, y + 20.0, if colour == NEW { "" } else { "white" }, &format!("{name}: {seconds:.1} s")))
                    }
                }
                (text(108.0 + length(boot.total()), y + 21.0, "", &format!("{:.1} s", boot.total())))
            }
        },
    )
}

/// Work: for each piece a bar for each hypervisor, as parts of what the first Xen needs.
pub fn work(outcome: &Outcome) -> Markup {
    const LINE: f64 = 50.0;
    const COLOURS: [&str; 3] = [NEW, OLD, OURS];
    let Some(reference) = outcome.work.get(1) else { return Markup::default() };
    let unit = (WIDE - 330.0) / 1.25;
    plot(
        WIDE,
        10.0 + LINE * reference.figures.len() as f64,
        "work of a dom0",
        html! {
            (vertical(240.0 + unit, 0.0, 10.0 + LINE * reference.figures.len() as f64, BAD))
            @for (index, (name, mark)) in reference.figures.iter().enumerate() {
                @let y = 8.0 + LINE * index as f64;
                (text(0.0, y + 21.0, "", name))
                @for ((place, of), colour) in outcome.work.iter().enumerate().zip(COLOURS) {
                    @if let Some(figure) = of.figures.get(name) {
                        @let part = *figure as f64 / (*mark).max(1) as f64;
                        @let at = y + 13.0 * place as f64;
                        (rectangle(240.0, at, part.min(1.25) * unit, 10.0, colour))
                        (text(246.0 + part.min(1.25) * unit, at + 9.0, "soft", &format!("{part:.2}")))
                    }
                }
            }
        },
    )
}

/// A bar a hypervisor; the last one is ours.
pub fn bars(label: &str, rows: &[(String, u64)], unit: &str) -> Markup {
    const LINE: f64 = 40.0;
    let longest = rows.iter().map(|(_, figure)| *figure).max().unwrap_or(1).max(1) as f64;
    plot(
        HALF,
        6.0 + LINE * rows.len() as f64,
        label,
        html! {
            @for (index, (name, figure)) in rows.iter().enumerate() {
                @let y = 4.0 + LINE * index as f64;
                @let width = *figure as f64 / longest * (HALF - 230.0);
                (text(0.0, y + 20.0, "", name))
                (rectangle(100.0, y + 3.0, width, 26.0, if index + 1 == rows.len() { OURS } else { OLD }))
                (text(108.0 + width, y + 20.0, "", &format!("{} {unit}", thousands(*figure))))
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::{bars, thousands};

    #[test]
    fn digits_go_in_threes() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn names_are_escaped() {
        assert!(bars("x", &[("<b>".into(), 1)], "KiB").into_string().contains("&lt;b&gt;"));
    }
}
