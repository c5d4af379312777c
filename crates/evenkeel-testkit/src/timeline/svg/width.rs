//! About how wide a text is: the fonts of the reader are not known.

use crate::timeline::words::clean;

/// Returns about how wide a text is, in a font of this size: rather more than less.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(char_width).sum::<f64>() * size
}

/// Returns the width of a character in a font of size 1: that of Arial and its like for the letters of most names, and of wider
/// fonts, as DejaVu Sans, for what is rare.
fn char_width(char: char) -> f64 {
    match char {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.3,
        ' ' | 'f' | 'r' | 't' | '(' | ')' | '/' | '-' => 0.38,
        'm' | 'w' | 'M' | 'W' | '…' => 0.9,
        '@' | '%' => 1.0,
        '#' | '&' | '+' | '<' | '=' | '>' | '^' | '~' => 0.84,
        'A'..='Z' => 0.68,
        _ if char.is_ascii() => 0.57,
        'æ' | 'œ' | 'ж' | 'м' | 'ф' | 'ш' | 'щ' | 'ы' | 'ю' => 1.0,
        _ if char < '\u{1100}' => {
            if char.is_uppercase() {
                1.0
            } else {
                0.7
            }
        }
        _ => 1.05,
    }
}

/// Returns a text, of which the begin is cut off, to a width.
pub(super) fn fitted_end(text: &str, size: f64, width: f64) -> String {
    let reversed: String = clean(text, 400).chars().rev().collect();
    fitted(&reversed, size, width).chars().rev().collect()
}

/// Returns a text, cut to a width.
pub(super) fn fitted(text: &str, size: f64, width: f64) -> String {
    let text = clean(text, 400);
    if text_width(&text, size) <= width {
        return text;
    }
    let mut room = width / size - char_width('…');
    let fits = |char: &char| {
        room -= char_width(*char);
        room >= 0.0
    };
    let cut: String = text.chars().take_while(fits).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::{fitted, fitted_end, text_width};

    /// The widths are those of DejaVu Sans, a wide font that many systems have for `system-ui`.
    #[test]
    fn a_text_is_about_as_wide_as_in_a_wide_font() {
        for (text, wide) in [
            ("fetch the orders", 8.02),
            ("src/main.rs:17", 7.18),
            ("permit of api", 6.43),
            ("POST /orders → 503", 9.88),
            ("<b>&\"'</b>", 6.47),
            ("100 % @ 5+3=8", 8.40),
            ("@@@@@", 5.0),
            ("%%%%", 3.8),
            ("ЩЩЩЩ", 4.38),
            ("жмшю фывап", 7.23),
            ("ÄÖÜ æœÆŒ", 6.57),
            ("ααωΩ", 2.92),
            ("שלום", 2.21),
            ("مرحبا", 2.97),
        ] {
            let width = text_width(text, 1.0);
            assert!(
                (wide * 0.9..wide * 1.35).contains(&width),
                "{text}: {width:.2}, and {wide} in DejaVu Sans"
            );
        }
    }

    #[test]
    fn a_text_is_cut_to_its_width() {
        assert_eq!(fitted("worker", 10.0, 100.0), "worker");
        assert_eq!(fitted("@@@@@", 10.0, 40.0), "@@@…");
        assert_eq!(fitted_end("src/main.rs", 10.0, 40.0), "…ain.rs");
        assert_eq!(fitted("worker", 10.0, 0.0), "…");
    }
}
