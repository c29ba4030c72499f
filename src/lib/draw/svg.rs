//! A small writer of SVG: elements, escaped text, and numbers with two decimals.

use std::fmt::Write;

/// The fonts of all text; a browser takes the first that it has.
const FONTS: &str = "Helvetica, Arial, 'Liberation Sans', sans-serif";

/// Text and line colours.
pub(super) const INK: &str = "#222222";
pub(super) const GREY: &str = "#8a8a8a";
pub(super) const PALE: &str = "#e4e4e4";

/// An SVG file in the making.
pub(super) struct Svg {
    width: f64,
    height: f64,
    title: String,
    description: String,
    body: String,
}

impl Svg {
    /// A picture of this size. `title` and `description` are plain text.
    pub(super) fn new(width: f64, height: f64, title: &str, description: &str) -> Self {
        let (title, description) = (escape(title), escape(description));
        Self { width, height, title, description, body: String::new() }
    }

    /// Appends a piece of SVG as it stands, on a line of its own.
    pub(super) fn raw(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }

    /// Opens a group: `attributes` as they stand.
    pub(super) fn open(&mut self, attributes: &str) {
        let _ = writeln!(self.body, "<g {attributes}>");
    }

    pub(super) fn close(&mut self) {
        self.raw("</g>");
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), attributes: &str) {
        let (x1, y1, x2, y2) = (number(from.0), number(from.1), number(to.0), number(to.1));
        let attributes = spaced(attributes);
        let _ = writeln!(self.body, r#"<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"{attributes}/>"#);
    }

    pub(super) fn rectangle(&mut self, corner: (f64, f64), size: (f64, f64), attributes: &str) {
        let (x, y, width, height) = (number(corner.0), number(corner.1), number(size.0), number(size.1));
        let attributes = spaced(attributes);
        let _ = writeln!(self.body, r#"<rect x="{x}" y="{y}" width="{width}" height="{height}"{attributes}/>"#);
    }

    /// A path of the commands `d`. `tip` is what a browser shows where the pointer rests on it; empty for nothing.
    pub(super) fn path(&mut self, d: &str, attributes: &str, tip: &str) {
        let attributes = spaced(attributes);
        let _ = match tip {
            "" => writeln!(self.body, r#"<path d="{d}"{attributes}/>"#),
            _ => writeln!(self.body, r#"<path d="{d}"{attributes}><title>{}</title></path>"#, escape(tip)),
        };
    }

    /// Text whose anchor (start, middle, end) is at a point. Without further attributes it has the picture's size and ink.
    pub(super) fn text(&mut self, at: (f64, f64), anchor: &str, text: &str, attributes: &str) {
        let (x, y, text, attributes) = (number(at.0), number(at.1), escape(text), spaced(attributes));
        let anchor = if anchor == "start" { String::new() } else { format!(r#" text-anchor="{anchor}""#) };
        let _ = writeln!(self.body, r#"<text x="{x}" y="{y}"{anchor}{attributes}>{text}</text>"#);
    }

    /// The whole file.
    pub(super) fn finish(self) -> String {
        let Self { width, height, title, description, body } = self;
        let (width, height) = (number(width.ceil()), number(height.ceil()));
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"title description\" \
             font-family=\"{FONTS}\" font-size=\"11\" fill=\"{INK}\">\n\
             <title id=\"title\">{title}</title>\n\
             <desc id=\"description\">{description}</desc>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
             {body}</svg>\n"
        )
    }
}

fn spaced(attributes: &str) -> String {
    if attributes.is_empty() { String::new() } else { format!(" {attributes}") }
}

/// A number with at most two decimals, and no sign before a zero.
pub(super) fn number(value: f64) -> String {
    let hundredths = (value * 100.0).round();
    // Also what is no number: it never comes, and must not break the file.
    let hundredths = if hundredths.is_finite() { hundredths as i64 } else { 0 };
    let (sign, size) = (if hundredths < 0 { "-" } else { "" }, hundredths.unsigned_abs());
    match (size / 100, size % 100) {
        (whole, 0) => format!("{sign}{whole}"),
        (whole, rest) if rest % 10 == 0 => format!("{sign}{whole}.{}", rest / 10),
        (whole, rest) => format!("{sign}{whole}.{rest:02}"),
    }
}

/// Text without what XML gives a meaning to, and without characters that XML does not have.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ if c.is_control() => escaped.push('\u{fffd}'),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// Text cut to at most `most` characters, with an ellipsis where something is missing.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}
