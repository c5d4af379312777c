//! The list of images in a `srcset`, by the HTML standard: "parse a srcset attribute".

/// Returns the addresses of a list. A comma may be part of an address, and ends it only at its end.
pub(crate) fn urls(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
        let (url, behind) = rest.split_at(end);
        let bare = url.trim_end_matches(',');
        // An address that ends with a comma has no descriptors.
        rest = if bare.len() < url.len() { behind } else { behind_descriptors(behind) };
        Some(bare)
    })
}

/// Returns the list behind the next comma that is outside of parentheses.
fn behind_descriptors(list: &str) -> &str {
    let mut is_inside = false;
    for (at, c) in list.char_indices() {
        match c {
            '(' => is_inside = true,
            ')' => is_inside = false,
            ',' if !is_inside => return &list[at + 1..],
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_is_part_of_an_address_unless_it_ends_it() {
        for (list, right) in [
            ("a.png", &["a.png"][..]),
            ("a.png 1x, b.png 2x", &["a.png", "b.png"]),
            ("a,b.png 2x,c.png", &["a,b.png", "c.png"]),
            ("a.png, b.png,, c.png", &["a.png", "b.png", "c.png"]),
            (" ,\n a.png 100w 50h ,\tb.png", &["a.png", "b.png"]),
            ("a.png (x, y) 2x, b.png", &["a.png", "b.png"]),
            ("data:image/png;base64,AA== 1x", &["data:image/png;base64,AA=="]),
            ("a.png,b.png", &["a.png,b.png"]),
            ("", &[]),
            (" , ", &[]),
        ] {
            assert_eq!(urls(list).collect::<Vec<_>>(), right, "{list:?}");
        }
    }
}
