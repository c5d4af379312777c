//! The word that was meant.

/// Returns the candidate that a word was meant to be, if one is near enough: a few letters are wrong, missing, too many or
/// swapped, or one of the two words begins with the other.
#[must_use]
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bare = |word: &str| word.trim_start_matches('-').to_lowercase();
    let wanted = bare(word);
    let rank = |candidate: &&str| {
        let candidate = bare(candidate);
        let letters = wanted.chars().count().max(candidate.chars().count());
        let distance = strsim::osa_distance(&wanted, &candidate);
        let begins = wanted.len() >= 2 && candidate.starts_with(&wanted)
            || candidate.len() >= 3 && wanted.starts_with(&candidate);
        if distance <= (letters / 3).max(1) && distance < letters {
            Some(distance)
        } else {
            begins.then_some(letters)
        }
    };
    let ranked = candidates.into_iter().filter_map(|candidate| Some((rank(&candidate)?, candidate)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn the_word_that_was_meant_is_found() {
        let commands = ["demo", "test", "ci", "bench", "report", "conformance", "servers", "soak"];
        for (word, meant) in [
            ("tset", Some("test")),
            ("tests", Some("test")),
            ("TEST", Some("test")),
            ("te", Some("test")),
            ("benchmark", Some("bench")),
            ("benhc", Some("bench")),
            ("server", Some("servers")),
            ("conformence", Some("conformance")),
            ("cu", Some("ci")),
            ("build", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(closest(word, commands), meant, "{word}");
        }
        assert_eq!(closest("--quik", ["--quick", "--queue"]), Some("--quick"));
        assert_eq!(closest("-quick", ["--quick", "--queue"]), Some("--quick"));
    }
}
