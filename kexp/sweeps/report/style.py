"""What the page looks like and does: its style sheet, for light and dark, and a script to sort and to point at rows."""

from __future__ import annotations

__all__ = ["SCRIPT", "STYLE"]

STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1c2128; --soft: #59636e; --rule: #d8dee4; --panel: #f6f8fa;
  --c0: #0b62d6; --c1: #c2410c; --c2: #1a7f4b; --c3: #8a3fbf; --c4: #b8860b; --c5: #d1246f; --c6: #0e7c86; --c7:
  #6b5b4b; --q0: #0a4a9e; --q1: #2f74cc; --q2: #6ea3de; --q3: #a4c4e8; --q4: #cbdcee; --best: #d9480f; --grey: #aeb6bf;
  --good: #1a7f4b; --bad: #b42318; --open: #8a6100; }
@media (prefers-color-scheme: dark) { :root { --page: #14181d; --ink: #e4e8ec; --soft: #9aa5b1; --rule: #323a44;
--panel: #1c2229;
  --c0: #5ea5ff; --c1: #ff8a5c; --c2: #4ccb87; --c3: #c48bf0; --c4: #e3b341; --c5: #ff77ad; --c6: #4cc9d6; --c7:
  #c2ad96; --q0: #a5d0ff; --q1: #68a7ec; --q2: #3f7bc0; --q3: #2e5788; --q4: #28415f; --best: #ff9d5c; --grey: #59636e;
  --good: #4ccb87; --bad: #ff8f85; --open: #e3b341; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI",
Roboto,
  "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1340px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 25px; margin: 0 0 2px; overflow-wrap: anywhere; } h2 { font-size: 18px; margin: 38px 0 6px; }
p { margin: 6px 0; max-width: 88ch; } .soft, .soft p { color: var(--soft); } .small { font-size: 13px; }
.answer { background: var(--panel); border-left: 4px solid var(--c0); padding: 12px 16px; margin: 16px 0; font-size:
16px;
  overflow-wrap: anywhere; }
.note { border-left: 4px solid var(--open); background: var(--panel); padding: 6px 14px; margin: 8px 0; }
.grid2 { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 14px 22px; }
.wide { overflow-x: auto; } .narrow { max-width: 620px; }
svg.chart { display: block; width: 100%; height: auto; overflow: visible; } svg.parallel { overflow: hidden; }
svg text { fill: var(--ink); font-size: 12px; } svg text.tick { fill: var(--soft); font-size: 11px; } svg text.big {
font-size: 12.5px; } svg text.name { font-weight: 600; } svg .under { fill: var(--page); opacity: 0.85; }
svg .grid { stroke: var(--rule); stroke-width: 1; } svg .axis { stroke: var(--soft); stroke-width: 1.2; }
svg polyline { fill: none; stroke-linejoin: round; } svg .line { stroke-width: 1.9; }
svg .rest { stroke: var(--grey); stroke-width: 0.9; opacity: 0.55; } svg .band { opacity: 0.16; } svg .bar { fill:
var(--c0); } .c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); }
.c4 { --c: var(--c4); } .c5 { --c: var(--c5); } .c6 { --c: var(--c6); } .c7 { --c: var(--c7); }
svg .line[class*=" c"] { stroke: var(--c); } svg .band, svg .dot { fill: var(--c); }
.parallel polyline { stroke-width: 1.3; opacity: 0.75; } .parallel .best { stroke: var(--best); stroke-width: 3;
opacity: 1; } .q0 { stroke: var(--q0); } .q1 { stroke: var(--q1); } .q2 { stroke: var(--q2); } .q3 { stroke:
var(--q3); } .q4 { stroke: var(--q4); } svg .hi, svg .hi .line { stroke-width: 4 !important; opacity: 1 !important; }
svg .hi .rest { stroke: var(--ink); } .key { display: flex; flex-wrap: wrap; gap: 3px 20px; list-style: none; padding:
0; margin: 8px 0; font-size: 13px; } .key li { display: flex; align-items: baseline; gap: 7px; overflow-wrap:
anywhere; cursor: default; } .swatch { display: inline-block; flex: none; width: 14px; height: 4px; border-radius:
2px; background: var(--c, transparent);
  transform: translateY(-3px); }
.fifths li { align-items: center; } .swatch.box { width: 18px; height: 9px; transform: none; }
.table { overflow: auto; max-height: 80vh; border: 1px solid var(--rule); border-radius: 6px; }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: 13.5px; font-variant-numeric:
tabular-nums; } th { position: sticky; top: 0; background: var(--panel); text-align: left; white-space: nowrap;
font-weight: 600; z-index: 1; } th[data-sort] { cursor: pointer; } th, td { padding: 5px 11px; border-bottom: 1px
solid var(--rule); } td { white-space: nowrap; } td.wrap { white-space: normal; overflow-wrap: anywhere; min-width:
30ch; } td.param, th.param { max-width: 30ch; overflow: hidden; text-overflow: ellipsis; } .r { text-align: right; }
tbody tr:last-child td { border-bottom: 0; } tr.hi td, tbody tr:hover td { background: var(--panel); }
td svg { display: block; width: 130px; height: 16px; } .whisker { stroke: var(--soft); stroke-width: 1.6; } .mean {
fill: var(--c0); } .best-word { color: var(--c0); font-weight: 600; } .better { color: var(--good); } .worse { color:
var(--bad); } .indistinguishable { color: var(--open); } .lost { color: var(--soft); }
@media print { .table { max-height: none; overflow: visible; } th { position: static; } }
"""

SCRIPT = """
document.querySelectorAll('th[data-sort]').forEach(function (head) {
  head.addEventListener('click', function () {
    var body = head.closest('table').tBodies[0], at = head.cellIndex, up = head.dataset.up !== '1';
    var value = function (row) {
      var cell = row.cells[at];
      return cell.dataset.v === undefined ? cell.textContent : cell.dataset.v;
    };
    var rows = Array.prototype.slice.call(body.rows).sort(function (a, b) {
      var x = value(a), y = value(b), m = parseFloat(x), n = parseFloat(y);
      if (isNaN(m) !== isNaN(n)) { return isNaN(m) ? 1 : -1; }
      var order = isNaN(m) ? x.localeCompare(y) : m - n;
      return up ? order : -order;
    });
    rows.forEach(function (row) { body.appendChild(row); });
    head.dataset.up = up ? '1' : '0';
  });
});
var marked = null;
document.addEventListener('mouseover', function (event) {
  var found = event.target.closest('[data-r]'), place = found ? found.dataset.r : null;
  if (place === marked) { return; }
  document.querySelectorAll('.hi').forEach(function (each) { each.classList.remove('hi'); });
  if (place !== null) {
    document.querySelectorAll('[data-r="' + place + '"]').forEach(function (each) { each.classList.add('hi'); });
  }
  marked = place;
});
"""
