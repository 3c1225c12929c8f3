//! The page: one file that needs nothing else.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::outcome::{Conformance, Outcome};
use super::plots::{self, thousands};
use super::style::{BAD, GOOD, NEW, OLD, OURS, SCRIPT, SHEET, TOLERATED};
use crate::xtf::suite;

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
                    (scenarios(outcome))
                    (xtf(outcome))
                    (costs(outcome))
                    (boots(outcome))
                    (work(outcome))
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
    let (same, allowed, differing) = Outcome::answers(&outcome.conformance);
    let all = (same + allowed + differing).max(1);
    html! {
        div.cards {
            (card(&format!("{:.2} %", same as f64 / all as f64 * 100.0), &format!("of {} answers are Xen's", thousands(all as u64))))
            (card(&format!("{:.2}", outcome.costs_summary.mean), "of the better Xen's instructions, geometric mean"))
            (card(&ratio(Outcome::ratio(&outcome.boots, |boot| boot.total())), "of Xen's time to dom0's first process"))
            (card(&ratio(Outcome::ratio(&outcome.memory, |memory| memory.own() as f64)), "of Xen's own memory"))
            (card(&ratio(Outcome::ratio(&outcome.images, |image| image.compressed as f64)), "of Xen's compressed image"))
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
                (key(GOOD, "the same")) (key(TOLERATED, "differs for a listed reason")) (key(BAD, "differs")) }
            (plots::conformance("conformance", &outcome.conformance))
            (differences(&outcome.conformance))
        }
    }
}

/// What differs that must not, and what differs for a reason.
fn differences(rows: &[Conformance]) -> Markup {
    html! {
        @for row in rows.iter().filter(|row| !row.passed()) {
            details open[row.differing.len() <= 5] {
                summary { b { (row.guest) } ": what differs" }
                @for line in row.differing.iter().chain(&row.complaints).take(200) { div { code { (line) } } }
            }
        }
        @for row in rows.iter().filter(|row| !row.reference_fails.is_empty()) {
            p { "The reference itself fails " b { (row.guest) } ": " (row.reference_fails.join(", ")) "." }
        }
        @if rows.iter().any(|row| !row.reasons.is_empty()) {
            details {
                summary { "What may differ, and why" }
                table {
                    @for row in rows {
                        @for (reason, count) in &row.reasons { tr { td { (row.guest) } td { (count) } td { (reason) } } }
                    }
                }
            }
        }
    }
}

fn scenarios(outcome: &Outcome) -> Markup {
    html! {
        section {
            h2 { "Does a user of Debian's toolstack see Xen?" }
            p { "The same scripts in the same Debian dom0 on both: xl, libvirt, xenstored and Xen's own test programs. "
                "What a user sees on Xen is the expected value; of a journey, which takes a guest from one machine to another, each machine's own judgement counts." }
            @if !outcome.scenarios.is_empty() { (plots::conformance("scenarios", &outcome.scenarios)) }
            (differences(&outcome.scenarios))
            @if !outcome.scenarios_left_out.is_empty() {
                p { "Not run (OPTIONS=\"--scenarios all\"): " (outcome.scenarios_left_out.join(", ")) "." }
            }
            @if !outcome.figures.is_empty() { (figures(outcome)) }
        }
    }
}

fn figures(outcome: &Outcome) -> Markup {
    let number = |figure: Option<u64>| figure.map_or("–".into(), thousands);
    html! {
        table {
            tr { th { "scenario" } th { "figure" } th { "reference" } th { "Xenolith" } th { "Xenolith / reference" } }
            @for row in &outcome.figures {
                @let part = row.reference.zip(row.xenolith).map(|(mark, own)| own as f64 / mark.max(1) as f64);
                tr {
                    td { (row.scenario) } td { (row.name) } td { (number(row.reference)) } td { (number(row.xenolith)) }
                    td { b { (ratio(part)) } }
                }
            }
        }
    }
}

fn xtf(outcome: &Outcome) -> Markup {
    html! {
        section {
            h2 { "Xen's own test framework" }
            @match outcome.xtf.as_deref() {
                Some(rows) => {
                    p { "XTF's 64-bit PV tests as dom0, on Xen 4.17 (left) and on Xenolith (right); compat-tests/README.md explains those that do not pass on Xen. "
                        (suite::sum_up(rows)) "." }
                    (plots::verdicts(rows))
                }
                None => p { "Missing: no built checkout was named (make compare XTF=<checkout>)." },
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
            p { "Debian's 6.1 kernel with one CPU, by the clock of the test machine, from power-on to its first process; the shortest of three boots each, in turn. A busy machine makes all of them longer." }
            @match &outcome.boots_missing {
                Some(why) => p { "Missing: " (why) "." },
                None => (plots::boots(&outcome.boots)),
            }
        }
    }
}

fn work(outcome: &Outcome) -> Markup {
    let [bare, reference, ours] = outcome.work.as_slice() else {
        return html! { section { h2 { "What does a whole dom0 cost?" } p { "Missing: left out by --no-work." } } };
    };
    let million = |figure: Option<&u64>| figure.map_or("–".into(), |figure| thousands(figure / 1_000_000));
    html! {
        section {
            h2 { "What does a whole dom0 cost?" }
            p { "Millions of instructions for a fixed piece of work in the same kernel, one CPU. The kernel's boot has waiting in it, which counts like work. Without a hypervisor the kernel unpacks itself after its entry; the hypervisors do that before." }
            table {
                tr { th { "work" } th { (bare.on) } th { (reference.on) } th { (ours.on) } th { "Xenolith / Xen" } th { "Xenolith / bare" } }
                @for (name, figure) in &ours.figures {
                    @let part = |of: &super::outcome::Work| of.figures.get(name).map(|mark| *figure as f64 / (*mark).max(1) as f64);
                    tr {
                        td { (name) } td { (million(bare.figures.get(name))) } td { (million(reference.figures.get(name))) }
                        td { (million(Some(figure))) } td { b { (ratio(part(reference))) } } td { (ratio(part(bare))) }
                    }
                }
            }
            (plots::work(outcome))
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
            p { "What each hypervisor's boot log says it does against speculation on the CPU models of the tests. Costs are from EPYC-Milan. "
                "Retpolines and branch hardening are how Debian's Xens are built; compat-tests/README.md tells what the costs are without them." }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::outcome::{Boot, Conformance, Cost, Figure, Image, Memory, Outcome, Part, Work};
    use super::render;
    use crate::budgets::Summary;
    use crate::xtf::Row;
    use crate::xtf::verdict::Verdict;

    fn failing(name: &str) -> Conformance {
        Conformance {
            guest: name.into(),
            about: String::new(),
            reference: Some("SUCCESS".into()),
            xenolith: "none".into(),
            same: 3,
            allowed: 1,
            reasons: BTreeMap::from([("not there yet".into(), 1)]),
            differing: vec!["a: xen 1 xenolith 2".into()],
            reference_fails: vec!["periodic".into()],
            complaints: Vec::new(),
        }
    }

    fn example() -> Outcome {
        let on = |name: &str| name.to_owned();
        let work = |name: &str, figure: u64| Work {
            on: on(name),
            figures: BTreeMap::from([("forks".into(), figure)]),
            complaints: Vec::new(),
        };
        Outcome {
            setting: vec![("emulator".into(), "<QEMU>".into())],
            conformance: vec![failing("smoke")],
            scenarios: vec![failing("xl-list")],
            scenarios_left_out: vec!["crash".into(), "journey stream".into()],
            figures: vec![Figure {
                scenario: on("speed"),
                name: on("disk"),
                reference: Some(2000),
                xenolith: Some(3000),
            }],
            xtf: Some(vec![Row {
                name: on("selftest"),
                category: on("special"),
                xen: Verdict::Success,
                xenolith: Verdict::Skip,
            }]),
            parts: vec![Part { name: on("boots"), seconds: 2.0 }],
            steps: Vec::new(),
            costs: vec![Cost {
                guest: "cost".into(),
                name: "null".into(),
                xen_4_17: Some(250),
                xen_4_20: None,
                xenolith: Some(125),
            }],
            costs_summary: Summary::of([0.5].into_iter()),
            costs_missing: BTreeMap::new(),
            boots: ["Xen 4.17", "Xenolith"]
                .map(|name| Boot { on: on(name), stages: vec![("hypervisor".into(), 2.0)] })
                .into(),
            boots_missing: None,
            memory: ["Xen 4.17", "Xenolith"].map(|name| Memory { on: on(name), total: 9, dom0: 4, free: 3 }).into(),
            work: vec![work("bare QEMU", 1_000_000), work("Xen 4.17", 4_000_000), work("Xenolith", 2_000_000)],
            images: vec![Image { of: on("Xenolith"), plain: 2048, compressed: 1024 }],
            mitigations: Vec::new(),
        }
    }

    #[test]
    fn a_page_has_all_plots_and_no_foreign_markup() {
        let page = render(&example());
        assert_eq!(page.matches("<svg").count(), 8);
        assert_eq!(page.matches("not there yet").count(), 2);
        assert!(page.contains("crash, journey stream.") && page.contains("1.50") && page.contains("1 do less"));
        assert!(page.contains("&lt;QEMU&gt;") && !page.contains("NaN") && !page.contains("inf"));
        assert!(page.contains("The reference itself fails"));
        assert!(page.contains("what differs") && !page.contains("http"), "one page that needs nothing else");
    }

    #[test]
    fn what_was_left_out_is_said() {
        let mut outcome = example();
        outcome.work.clear();
        outcome.xtf = None;
        outcome.scenarios.clear();
        outcome.boots_missing = Some("left out".into());
        let page = render(&outcome);
        assert!(page.contains("left out by --no-work") && page.contains("Missing: left out."));
        assert!(page.contains("Missing: no built checkout"));
        assert_eq!(page.matches("<svg").count(), 4);
    }

    #[test]
    fn a_hypervisor_that_takes_more_memory_is_a_complaint() {
        let mut outcome = example();
        assert!(outcome.heavier_than_xen().is_empty());
        outcome.memory.iter_mut().skip(1).for_each(|memory| memory.free = 1);
        assert_eq!(outcome.heavier_than_xen().len(), 1);
        assert_eq!(outcome.work_ratios(), [("forks", 0.5)]);
    }
}
