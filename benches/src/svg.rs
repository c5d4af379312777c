//! The shapes of all pictures, in one place, so that the README and the report look alike.

use std::fmt::{self, Write as _};

/// The source of the colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    /// Fixed colors for a light background, in a file of its own.
    Light,
    /// Fixed colors for a dark background.
    Dark,
    /// The variables of the page around the picture.
    Page,
}

/// The purpose of a shape, which sets its color.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    Text,
    Faint,
    Better,
    Worse,
    Same,
}

impl Ink {
    pub(crate) const ALL: [Self; 5] = [Self::Text, Self::Faint, Self::Better, Self::Worse, Self::Same];

    pub(crate) const fn variable(self) -> &'static str {
        match self {
            Self::Text => "--text",
            Self::Faint => "--faint",
            Self::Better => "--better",
            Self::Worse => "--worse",
            Self::Same => "--same",
        }
    }

    /// The colors are distinct also for people with red-green color blindness.
    pub(crate) const fn color(self, dark: bool) -> &'static str {
        match (self, dark) {
            (Self::Text, false) => "#1f2328",
            (Self::Text, true) => "#e6edf3",
            (Self::Faint, false) => "#8c959f",
            (Self::Faint, true) => "#7d8590",
            (Self::Better, false) => "#0b7285",
            (Self::Better, true) => "#3bc9db",
            (Self::Worse, false) => "#c2530a",
            (Self::Worse, true) => "#ffa94d",
            (Self::Same, false) => "#8c959f",
            (Self::Same, true) => "#7d8590",
        }
    }
}

pub(crate) struct Svg {
    width: f64,
    height: f64,
    theme: Theme,
    body: String,
}

/// The end of a text that its position refers to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub(crate) fn new(width: f64, height: f64, theme: Theme) -> Self {
        Self { width, height, theme, body: String::new() }
    }

    fn ink(&self, ink: Ink) -> String {
        match self.theme {
            Theme::Page => format!("var({})", ink.variable()),
            theme => ink.color(theme == Theme::Dark).to_owned(),
        }
    }

    /// Adds a bar with a tooltip.
    pub(crate) fn bar(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), ink: Ink, tip: &str) {
        let (fill, tip) = (self.ink(ink), Escaped(tip));
        let _ = write!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="2" fill="{fill}"><title>{tip}</title></rect>"#
        );
    }

    pub(crate) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), ink: Ink) {
        let stroke = self.ink(ink);
        let _ = write!(self.body, r#"<path d="M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}" stroke="{stroke}"/>"#);
    }

    pub(crate) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, ink: Ink, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let (fill, text) = (self.ink(ink), Escaped(text));
        let _ = write!(
            self.body,
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{fill}">{text}</text>"#
        );
    }

    /// Returns the picture; its title is read by screen readers.
    pub(crate) fn finish(self, title: &str) -> String {
        let Self { width, height, body, .. } = self;
        let title = Escaped(title);
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" font-family="system-ui,sans-serif" font-size="12"><title>{title}</title>{body}</svg>"#
        )
    }
}

/// Escapes text for HTML and SVG, also within quotes.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let mut svg = Svg::new(10.0, 10.0, Theme::Light);
        svg.text((0.0, 0.0), Anchor::Start, Ink::Text, "<script>&\"");
        let picture = svg.finish("a & b");
        assert!(
            picture.contains("&lt;script&gt;&amp;&quot;") && picture.contains("<title>a &amp; b</title>")
        );
    }

    #[test]
    fn a_page_brings_its_own_colours() {
        let draw = |theme| {
            let mut svg = Svg::new(10.0, 10.0, theme);
            svg.bar((0.0, 0.0), (5.0, 5.0), Ink::Better, "tip");
            svg.finish("")
        };
        assert!(draw(Theme::Page).contains("var(--better)"));
        assert!(draw(Theme::Light) != draw(Theme::Dark));
    }
}
