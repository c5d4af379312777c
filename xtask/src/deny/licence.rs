//! Licence expressions: `MIT OR Apache-2.0`, `(MIT OR Apache-2.0) AND Unicode-3.0`, `A WITH exception`.

use std::iter::Peekable;

/// Whether the terms of `expression` can be met with `allowed` licences alone.
pub(super) fn is_allowed(expression: &str, allowed: &[String]) -> Result<bool, String> {
    // The slash is how crates wrote OR before there were expressions.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let result = either(&mut words, allowed)?;
    match words.next() {
        None => Ok(result),
        Some(word) => Err(format!("unexpected `{word}`")),
    }
}

fn either<'a>(
    words: &mut Peekable<impl Iterator<Item = &'a str>>,
    allowed: &[String],
) -> Result<bool, String> {
    let mut result = both(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        result |= both(words, allowed)?;
    }
    Ok(result)
}

fn both<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>, allowed: &[String]) -> Result<bool, String> {
    let mut result = single(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        result &= single(words, allowed)?;
    }
    Ok(result)
}

fn single<'a>(
    words: &mut Peekable<impl Iterator<Item = &'a str>>,
    allowed: &[String],
) -> Result<bool, String> {
    match words.next() {
        Some("(") => {
            let result = either(words, allowed)?;
            words.next_if_eq(&")").ok_or("a bracket is not closed")?;
            Ok(result)
        }
        None | Some(")" | "OR" | "AND" | "WITH") => Err("a licence is missing".to_owned()),
        Some(name) => {
            let mut name = name.to_owned();
            if words.next_if_eq(&"WITH").is_some() {
                name = format!("{name} WITH {}", words.next().ok_or("an exception is missing")?);
            }
            Ok(allowed.contains(&name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn expressions_are_weighed() {
        let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
        for (expression, expected) in [
            ("MIT", Ok(true)),
            ("GPL-3.0", Ok(false)),
            ("GPL-3.0 OR MIT", Ok(true)),
            ("GPL-3.0/MIT", Ok(true)),
            ("GPL-3.0 AND MIT", Ok(false)),
            ("(GPL-3.0 OR MIT) AND ISC", Ok(true)),
            ("MIT OR GPL-3.0 AND ISC", Ok(true)),
            ("(MIT OR GPL-3.0) AND Zlib", Ok(false)),
            ("Apache-2.0", Ok(false)),
            ("Apache-2.0 WITH LLVM-exception", Ok(true)),
            ("Apache-2.0 WITH LLVM-exception OR Apache-2.0", Ok(true)),
            ("", Err("a licence is missing")),
            ("MIT OR", Err("a licence is missing")),
            ("(MIT", Err("a bracket is not closed")),
            ("MIT ISC", Err("unexpected `ISC`")),
            ("MIT WITH", Err("an exception is missing")),
        ] {
            assert_eq!(is_allowed(expression, &allowed), expected.map_err(str::to_owned), "{expression}");
        }
    }
}
