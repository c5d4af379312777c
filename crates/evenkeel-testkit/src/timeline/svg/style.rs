//! The colors and patterns of an SVG.

use crate::timeline::picture::BarKind;

pub(super) fn class(kind: BarKind) -> &'static str {
    match kind {
        BarKind::Limit => "limit",
        BarKind::Rate => "rate",
        BarKind::Pool => "pool",
        BarKind::Backoff => "back",
        BarKind::Slot => "slot",
        BarKind::Join => "join",
        BarKind::Database => "db",
        BarKind::Other => "wait",
        BarKind::Hold => "hold",
        BarKind::Span => "span",
        BarKind::Call => "call",
    }
}

// Several pictures may be in one page: all rules begin with the class of the picture.
pub(super) const STYLE: &str = concat!(
    ".ekt{color-scheme:light dark;--bg:#fff;--ink:#1c2128;--quiet:#57606a;--grid:#e4e8ec;--life:#d5dce4;--life2:#aeb8c4;",
    "--limit:#d98e00;--rate:#9c8a00;--pool:#b8578a;--back:#1f86c7;--slot:#c2410c;--join:#8b95a1;--db:#005a94;--hold:#008a64;",
    "--span:#0a66a8;--call:#6b4fbb;--bad:#c2330a;--halo:#ffffffd9}",
    "@media(prefers-color-scheme:dark){.ekt{--bg:#16191d;--ink:#e8ebee;--quiet:#9aa5b1;--grid:#2a3036;--life:#3a434d;--life2:#5b6773;",
    "--limit:#f0ad2e;--rate:#e8d944;--pool:#e08fbb;--back:#63bdf0;--slot:#f5804f;--join:#7f8a96;--db:#5aa9e0;--hold:#2fc296;",
    "--span:#6cb4ee;--call:#ab95f0;--bad:#ff8560;--halo:#16191dd9}}",
    ".ekt text{font:11px system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;fill:var(--ink)}",
    ".ekt .bg{fill:var(--bg)}.ekt .t{font-size:16px;font-weight:600}.ekt .h{font-size:12px;font-weight:600}.ekt .h tspan{font-weight:400;fill:var(--quiet)}",
    ".ekt .n{font-size:12px}.ekt .q{font-size:11.5px;fill:var(--quiet)}.ekt .bad{font-size:11.5px;fill:var(--bad)}",
    ".ekt .tick{text-anchor:middle;fill:var(--quiet)}.ekt .brk{text-anchor:middle;fill:var(--quiet);font-style:italic}",
    ".ekt .l{paint-order:stroke;stroke:var(--halo);stroke-width:3.6px;stroke-linejoin:round}.ekt .le{text-anchor:end}",
    ".ekt .e{fill:var(--quiet)}.ekt .eb{fill:var(--bad);font-weight:600}",
    ".ekt .grid{stroke:var(--grid)}.ekt .axis{stroke:var(--life2)}.ekt .zig{fill:none;stroke:var(--life2);stroke-width:1.2}",
    ".ekt .life{fill:var(--life)}.ekt .more{fill:var(--life2)}",
    ".ekt .limit{fill:url(#ekt-limit);stroke:var(--limit)}.ekt .rate{fill:url(#ekt-rate);stroke:var(--rate)}",
    ".ekt .pool{fill:url(#ekt-pool);stroke:var(--pool)}.ekt .back{fill:url(#ekt-back);stroke:var(--back)}",
    ".ekt .slot{fill:url(#ekt-slot);stroke:var(--slot)}.ekt .join{fill:url(#ekt-join);stroke:var(--join)}",
    ".ekt .db{fill:url(#ekt-db);stroke:var(--db)}.ekt .wait{fill:url(#ekt-wait);stroke:var(--quiet)}",
    ".ekt .hold{fill:var(--hold)}.ekt .span{fill:var(--span);fill-opacity:.18;stroke:var(--span)}",
    ".ekt .call{fill:var(--call);fill-opacity:.18;stroke:var(--call);stroke-dasharray:4 2}",
    ".ekt .isbad{fill:var(--bad);stroke:var(--bad);fill-opacity:.22}",
    ".ekt .p{fill:var(--bg)}.ekt .f1{fill:none;stroke:var(--limit)}.ekt .f2{fill:none;stroke:var(--rate)}",
    ".ekt .f3{fill:none;stroke:var(--pool)}.ekt .f4{fill:var(--back)}.ekt .f5{fill:none;stroke:var(--slot)}",
    ".ekt .f6{fill:var(--join)}.ekt .f7{fill:none;stroke:var(--db)}.ekt .f8{fill:none;stroke:var(--quiet)}",
    ".ekt .mark{fill:var(--ink)}.ekt .fault{fill:none;stroke:var(--bad);stroke-width:2.2;stroke-linecap:round}",
    ".ekt .ok{fill:var(--life2)}.ekt .off{fill:var(--bg);stroke:var(--bad);stroke-width:1.6}",
    ".ekt .give{fill:none;stroke:var(--hold);stroke-width:1.2}.ekt .giveh{fill:var(--hold)}",
    ".ekt .cut{fill:none;stroke:var(--bad);stroke-width:1.2;stroke-dasharray:3 2}.ekt .cuth{fill:var(--bad)}",
    ".ekt .use{fill:var(--hold);fill-opacity:.3}.ekt .usel{fill:none;stroke:var(--hold);stroke-width:1.4}",
    ".ekt .bare{stroke:none}.ekt .cap{stroke:var(--quiet);stroke-dasharray:2 3}",
);

pub(super) const PATTERNS: &str = concat!(
    "<defs>",
    "<pattern id=\"ekt-limit\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">",
    "<path class=\"p\" d=\"M0 0h6v6h-6z\"/><path class=\"f1\" stroke-width=\"2.4\" d=\"M1.5 0v6\"/></pattern>",
    "<pattern id=\"ekt-rate\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">",
    "<path class=\"p\" d=\"M0 0h5v5h-5z\"/><path class=\"f2\" stroke-width=\"1.8\" d=\"M1.5 0v5\"/></pattern>",
    "<pattern id=\"ekt-pool\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">",
    "<path class=\"p\" d=\"M0 0h6v6h-6z\"/><path class=\"f3\" stroke-width=\"1.4\" d=\"M1.5 0v6M0 1.5h6\"/></pattern>",
    "<pattern id=\"ekt-back\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">",
    "<path class=\"p\" d=\"M0 0h6v6h-6z\"/><path class=\"f4\" d=\"M1 1h2.2v2.2H1zM4 4h2v2.2H4z\"/></pattern>",
    "<pattern id=\"ekt-slot\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(-45)\">",
    "<path class=\"p\" d=\"M0 0h6v6h-6z\"/><path class=\"f5\" stroke-width=\"2.2\" d=\"M1.5 0v6\"/></pattern>",
    "<pattern id=\"ekt-join\" width=\"7\" height=\"6\" patternUnits=\"userSpaceOnUse\">",
    "<path class=\"p\" d=\"M0 0h7v6h-7z\"/><path class=\"f6\" d=\"M2 2.2h1.6v1.6H2z\"/></pattern>",
    "<pattern id=\"ekt-db\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">",
    "<path class=\"p\" d=\"M0 0h6v6h-6z\"/><path class=\"f7\" stroke-width=\"1.6\" d=\"M0 4.5L3 1.5L6 4.5\"/></pattern>",
    "<pattern id=\"ekt-wait\" width=\"6\" height=\"4\" patternUnits=\"userSpaceOnUse\">",
    "<path class=\"p\" d=\"M0 0h6v4h-6z\"/><path class=\"f8\" stroke-width=\"1.2\" d=\"M0 1.5h6\"/></pattern>",
    "</defs>",
);
