//! The targets of fragments on a page, as hashes: eight bytes for each, in the store as well.

use std::borrow::Cow;

/// The targets of fragments on a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Anchors(Vec<u64>);

impl Anchors {
    pub(crate) fn insert(&mut self, name: &str) {
        self.0.push(hash(name.as_bytes()));
    }

    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Sorts the targets, as [`contains`](Self::contains) and the store need them.
    pub(crate) fn sort(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.binary_search(&hash(name.as_bytes())).is_ok()
    }

    /// Whether a fragment leads to a place on the page, by the HTML standard: as it is written first, decoded second.
    /// No fragment and `top` lead to the top.
    pub(crate) fn have(&self, fragment: &str) -> bool {
        // The directive behind it, such as a text to look for, is no part of the fragment.
        let fragment = fragment.split(":~:").next().unwrap_or_default();
        if fragment.is_empty() || self.contains(fragment) {
            return true;
        }
        let decoded = decoded(fragment);
        self.contains(&decoded) || decoded.eq_ignore_ascii_case("top")
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|hash| hash.to_le_bytes()).collect()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.as_chunks().0.iter().map(|&hash| u64::from_le_bytes(hash)).collect())
    }
}

/// FNV-1a with 64 bits, and a final mix. The store has these, so they never change.
fn hash(name: &[u8]) -> u64 {
    let mut hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}

fn decoded(fragment: &str) -> Cow<'_, str> {
    if !fragment.contains('%') {
        return fragment.into();
    }
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let [first, behind @ ..] = rest {
        let digit = |at: usize| behind.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchors(names: &[&str]) -> Anchors {
        let mut anchors = Anchors::default();
        names.iter().for_each(|name| anchors.insert(name));
        anchors.sort();
        anchors
    }

    #[test]
    fn a_fragment_is_compared_as_written_first_and_decoded_second() {
        let rustdoc = anchors(&["impl-From%3CT%3E-for-T", "new one", "é"]);
        for fragment in [
            "impl-From%3CT%3E-for-T",
            "new%20one",
            "%C3%A9",
            "",
            "top",
            "TOP",
            "%74op",
            "impl-From%253CT%253E-for-T",
        ] {
            assert!(rustdoc.have(fragment), "{fragment}");
        }
        for fragment in ["impl-From<T>-for-T", "new", "12-34", "e", "%zz", "impl-From%25253CT"] {
            assert!(!rustdoc.have(fragment), "{fragment}");
        }
    }

    #[test]
    fn a_directive_is_no_part_of_a_fragment() {
        assert!(anchors(&["a"]).have("a:~:text=x") && anchors(&[]).have(":~:text=x"));
        assert!(!anchors(&[]).have("a:~:text=x"));
    }

    #[test]
    fn the_bytes_of_the_store_never_change() {
        let two = anchors(&["method.new", "a"]);
        assert_eq!(Anchors::from_bytes(&two.to_bytes()), two);
        assert_eq!(two.to_bytes().len(), 16);
        assert_eq!((hash(b""), hash(b"a")), (18_284_041_282_127_212_159, 3_384_403_655_233_400_689));
    }
}
