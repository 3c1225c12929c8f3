//! The page's style and its one script, which tells the browser check what has a size.

/// Colours of the first Xen, the second, Xenolith.
pub const OLD: &str = "#8795a6";
/// See above.
pub const NEW: &str = "#c3ccd6";
/// See above.
pub const OURS: &str = "#2563eb";
/// Good, tolerated, bad.
pub const GOOD: &str = "#1a936f";
/// See above.
pub const TOLERATED: &str = "#e0a100";
/// See above.
pub const BAD: &str = "#d1344b";

/// The style sheet.
pub const SHEET: &str = "
:root { color-scheme: light; --ink: #1b2430; --soft: #5b6878; --line: #e3e8ee; }
* { box-sizing: border-box; }
body { margin: 0; background: #f5f7fa; color: var(--ink); font: 15px/1.5 system-ui, 'DejaVu Sans', sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 36px 24px 60px; }
h1 { font-size: 30px; margin: 0 0 4px; letter-spacing: -.01em; }
h2 { font-size: 20px; margin: 0 0 2px; }
p { margin: 4px 0 12px; color: var(--soft); }
section { background: #fff; border: 1px solid var(--line); border-radius: 12px; padding: 22px 24px; margin-top: 22px; }
.cards { display: grid; grid-template-columns: repeat(5, 1fr); gap: 14px; margin-top: 20px; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 12px; padding: 14px 16px; }
.card b { display: block; font-size: 27px; line-height: 1.2; letter-spacing: -.02em; }
.card span { color: var(--soft); font-size: 13px; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 22px; }
svg { display: block; width: 100%; height: auto; }
svg text { font: 12px system-ui, 'DejaVu Sans', sans-serif; fill: var(--ink); paint-order: stroke; stroke: #fff; stroke-width: 3px; }
svg text.soft { fill: var(--soft); }
svg text.right { text-anchor: end; }
svg text.middle { text-anchor: middle; }
svg text.white { fill: #fff; stroke: none; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: left; padding: 4px 10px 4px 0; border-top: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; border-top: 0; }
.legend { white-space: nowrap; }
.key { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin: 0 5px 0 14px; }
code { font: 12px ui-monospace, 'DejaVu Sans Mono', monospace; }
";

/// Counts the plots, those without a size, and the labels that run into another or out of their plot.
pub const SCRIPT: &str = "
const plots = [...document.querySelectorAll('svg')];
const empty = plots.filter(plot => { const box = plot.getBoundingClientRect();
    return box.width < 20 || box.height < 20 || plot.children.length === 0; });
const boxes = plot => [...plot.querySelectorAll('text')].map(text => text.getBoundingClientRect());
const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
const leaves = (box, all) => box.right > all.right + 1 || box.left < all.left - 1 || box.bottom > all.bottom + 1;
const collisions = plots.map(plot => { const all = boxes(plot), frame = plot.getBoundingClientRect();
    return all.filter((box, i) => leaves(box, frame) || all.some((other, j) => j > i && meet(box, other))).length; });
document.body.dataset.collisions = plots.map((plot, i) => plot.getAttribute('aria-label') + ': ' + collisions[i])
    .filter((words, i) => collisions[i] > 0).join(', ');
document.body.dataset.height = Math.ceil(document.documentElement.scrollHeight);
document.body.dataset.plots = plots.length + ' empty=' + empty.length;
";
