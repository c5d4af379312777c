//! How much of a resource is in use over time.

use std::fmt::Write;

use super::{Canvas, MARGIN, escaped, fitted};
use crate::timeline::picture::{Nanos, Resource, Use};

/// Draws how much of a resource is in use, with its queue on top.
pub(super) fn draw_resource(canvas: &mut Canvas<'_>, resource: &Resource) {
    const HEIGHT: f64 = 30.0;
    let end = canvas.picture.end;
    let name = format!("{} {}", resource.kind, resource.title);
    if canvas.is_wide() {
        let name = fitted(&name, 12.0, canvas.left - MARGIN - 14.0);
        canvas.text("n", (MARGIN + 4.0, canvas.y + HEIGHT - 4.0), &name);
    } else {
        let name = fitted(&name, 12.0, canvas.width - 2.0 * MARGIN);
        canvas.text("n", (MARGIN, canvas.y + 11.0), &name);
        canvas.y += 16.0;
    }
    let (top, bottom) = (canvas.y, canvas.y + HEIGHT);
    let most = resource
        .uses
        .iter()
        .map(|used| used.capacity.max(used.in_use) + used.waiting)
        .max()
        .unwrap_or(1)
        .max(1);
    let queue = match resource.kind {
        "pool" => "pool",
        "concurrency limit" => "limit",
        _ => "wait",
    };
    let y = |amount: u64| bottom - (HEIGHT - 4.0) * amount as f64 / most as f64;
    let (mut area, mut line, mut queues) = (String::new(), String::new(), String::new());
    let begin = canvas.scale.x(resource.uses.first().map_or(0, |used| used.at));
    let _ = write!(area, "M{begin:.1} {bottom:.1}");
    for (at, used) in resource.uses.iter().enumerate() {
        let to: Nanos = resource.uses.get(at + 1).map_or(end, |next| next.at);
        let (x0, x1) = (canvas.scale.x(used.at), canvas.scale.x(to));
        let height = y(used.in_use);
        let _ = write!(area, "V{height:.1}H{x1:.1}");
        let _ = write!(
            line,
            "{}{height:.1}H{x1:.1}",
            if at == 0 { format!("M{x0:.1} ") } else { "V".to_owned() }
        );
        if used.waiting > 0 {
            let from = used.capacity.max(used.in_use);
            let (low, high) = (y(from), y(from + used.waiting));
            let _ = write!(queues, "M{x0:.1} {low:.1}V{high:.1}H{x1:.1}V{low:.1}z");
        }
    }
    let _ = write!(area, "V{bottom:.1}z");
    let title = escaped(&about_use(resource));
    let _ = writeln!(
        canvas.body,
        "<path class=\"use\" d=\"{area}\"><title>{title}</title></path><path class=\"usel\" d=\"{line}\"/>"
    );
    if !queues.is_empty() {
        let _ = writeln!(
            canvas.body,
            "<path class=\"{queue} bare\" d=\"{queues}\"><title>{title}</title></path>"
        );
    }
    let capacity = resource.uses.last().map_or(0, |used| used.capacity);
    let (left, right, line) = (canvas.left, canvas.right, y(capacity));
    let _ = writeln!(canvas.body, "<path class=\"cap\" d=\"M{left:.1} {line:.1}H{right:.1}\"/>");
    canvas.text("e", (right + 6.0, (line + 4.0).max(top + 8.0)), &format!("of {capacity}"));
    canvas.y = bottom + 8.0;
}

/// Says how much of a resource was in use.
fn about_use(resource: &Resource) -> String {
    let most = |amount: fn(&Use) -> u64| resource.uses.iter().map(amount).max().unwrap_or(0);
    let (in_use, waiting) = (most(|used| used.in_use), most(|used| used.waiting));
    let capacity = resource.uses.last().map_or(0, |used| used.capacity);
    format!("{} {}: at most {in_use} of {capacity} in use, {waiting} waiting", resource.kind, resource.title)
}
