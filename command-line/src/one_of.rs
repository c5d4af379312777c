//! One of a few words.

use crate::suggest::closest;

/// Returns the choice that a word names.
///
/// # Errors
///
/// The choices, and the one that was meant if one is near.
pub fn one_of<'a>(word: &str, choices: &[&'a str]) -> Result<&'a str, String> {
    if let Some(choice) = choices.iter().find(|choice| **choice == word) {
        return Ok(choice);
    }
    let all = match choices {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    };
    let meant = closest(word, choices.iter().copied());
    let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
    Err(format!("takes {all}, not `{word}`{meant}"))
}

#[cfg(test)]
mod tests {
    use super::one_of;

    #[test]
    fn a_wrong_word_is_answered_with_the_right_ones() {
        let choices = ["none", "default", "all"];
        assert_eq!(one_of("all", &choices), Ok("all"));
        assert_eq!(one_of("some", &choices).unwrap_err(), "takes none, default or all, not `some`");
        let error = one_of("defualt", &choices).unwrap_err();
        assert_eq!(error, "takes none, default or all, not `defualt`; did you mean `default`?");
    }
}
