//! The page: one file that needs nothing else.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::outcome::Outcome;
use super::plots::{self, thousands};
use super::style::{BAD, GOOD, NEW, OLD, OURS, SCRIPT, SHEET, TOLERATED};

/// Makes the page.
pub fn render(outcome: &Outcome) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Xenolith beside Xen" }
                style { (PreEscaped(SHEET)) }
            }
            body {
                main {
                    h1 { "Xenolith beside Xen" }
                    p { @for (index, (name, value)) in outcome.setting.iter().enumerate() {
                        @if index > 0 { " · " } (name) ": " b { (value) }
                    } }
                    (cards(outcome))
                    (conformance(outcome))
                    (costs(outcome))
                    (boots(outcome))
                    div.pair { (memory(outcome)) (images(outcome)) }
                    (mitigations(outcome))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
    .into_string()
}

fn card(figure: &str, words: &str) -> Markup {
    html! { div.card { b { (figure) } span { (words) } } }
}

fn ratio(value: Option<f64>) -> String {
    value.map_or("–".into(), |value| format!("{value:.2}"))
}

fn cards(outcome: &Outcome) -> Markup {
    let (same, allowed) = outcome.answers();
    let differing: usize = outcome.conformance.iter().map(|row| row.differing.len()).sum();
    let all = (same + allowed + differing).max(1);
    html! {
        div.cards {
            (card(&format!("{:.2} %", same as f64 / all as f64 * 100.0), &format!("of {} answers are Xen's", thousands(all as u64))))
            (card(&format!("{:.2}", outcome.costs_summary.mean), "instructions, geometric mean against the better Xen"))
            (card(&ratio(Outcome::ratio(&outcome.boots, |boot| boot.total())), "time to dom0's first process"))
            (card(&ratio(Outcome::ratio(&outcome.memory, |memory| memory.own() as f64)), "memory of its own"))
            (card(&ratio(Outcome::ratio(&outcome.images, |image| image.compressed as f64)), "compressed image"))
        }
    }
}

fn key(colour: &str, words: &str) -> Markup {
    html! { " " span.legend { span.key style=(format!("background:{colour}")) {} (words) } }
}

fn conformance(outcome: &Outcome) -> Markup {
    html! {
        section {
            h2 { "Does a guest see Xen?" }
            p { "Each test guest runs as dom0 on both; what Xen answers is the expected value."
                (key(GOOD, "the same")) (key(TOLERATED, "differs as allowed-differences.toml says")) (key(BAD, "differs")) }
            (plots::conformance(&outcome.conformance))
            @for row in outcome.conformance.iter().filter(|row| !row.passed()) {
                details open[row.differing.len() <= 5] {
                    summary { b { (row.guest) } ": what differs" }
                    @for line in row.differing.iter().chain(&row.complaints).take(200) { div { code { (line) } } }
                }
            }
        }
    }
}

fn costs(outcome: &Outcome) -> Markup {
    let mut rows: Vec<_> = outcome.costs.iter().collect();
    rows.sort_by(|left, right| right.ratio().partial_cmp(&left.ratio()).unwrap_or(std::cmp::Ordering::Equal));
    html! {
        section {
            h2 { "What does an operation cost?" }
            p { "Instructions, the caller's few included, counted exactly by the emulator; logarithmic. On the right the ratio to the better Xen."
                (key(OLD, "Xen 4.17")) (key(NEW, "Xen 4.20")) (key(OURS, "Xenolith")) }
            p { (outcome.costs_summary.to_string()) "." }
            (plots::costs(&rows))
            @for (name, reason) in &outcome.costs_missing { p { "Missing: " (name) " (" (reason) ")." } }
        }
    }
}

fn boots(outcome: &Outcome) -> Markup {
    html! {
        section {
            h2 { "How long does dom0 take to come up?" }
            p { "Debian's 6.1 kernel with one CPU, by the clock of the test machine, from power-on to its first process; one boot each." }
            @match &outcome.boots_missing {
                Some(why) => p { "Missing: " (why) "." },
                None => (plots::boots(&outcome.boots)),
            }
        }
    }
}

fn memory(outcome: &Outcome) -> Markup {
    let rows: Vec<_> = outcome.memory.iter().map(|memory| (memory.on.clone(), memory.own())).collect();
    html! {
        section {
            h2 { "Memory of its own" }
            p { "What the firmware gave, less dom0's pages and the free heap." }
            (plots::bars("memory", &rows, "KiB"))
        }
    }
}

fn images(outcome: &Outcome) -> Markup {
    let rows: Vec<_> = outcome.images.iter().map(|image| (image.of.clone(), image.compressed / 1024)).collect();
    html! {
        section {
            h2 { "Image" }
            p { "As it lies in /boot, compressed by gzip -9." }
            (plots::bars("image size", &rows, "KiB"))
        }
    }
}

fn mitigations(outcome: &Outcome) -> Markup {
    html! {
        section {
            h2 { "Mitigations" }
            p { "What each hypervisor's boot log says it does against speculation on the CPU models of the tests. Costs are from EPYC-Milan." }
            table {
                tr { th { "hypervisor" } th { "CPU model" } th { "lines" } }
                @for row in &outcome.mitigations {
                    tr {
                        td { (row.on) } td { (row.cpu) }
                        td {
                            @for line in &row.lines { div { code { (line) } } }
                            @if row.lines.is_empty() { "its log says nothing: none is active" }
                        }
                    }
                }
            }
        }
    }
}
