//! The words of a command, as a shell splits them.

/// Splits at spaces that are not in quotes.
pub(crate) fn split(command: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in command.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t' | '\n') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    if quote.is_some() { Err(format!("`{command}` has a quote without an end")) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_are_those_of_a_shell() {
        assert_eq!(
            split("python3  my_adapter.py "),
            Ok(vec!["python3".to_owned(), "my_adapter.py".to_owned()])
        );
        assert_eq!(split(r#"a 'b "c' d"e f"'' "" "#).unwrap_or_default(), ["a", "b \"c", "de f", ""]);
        assert_eq!(split("").unwrap_or_default(), Vec::<String>::new());
        assert!(split("a 'b").is_err());
    }
}
