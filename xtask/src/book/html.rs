//! Links of the built pages.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::{links::is_address, place};
use crate::Result;

/// Returns the links of the HTML files below a folder that lead nowhere, and how many there are in all.
pub(super) fn broken(folder: &Path) -> Result<(Vec<String>, usize)> {
    let mut texts = BTreeMap::new();
    let mut files = BTreeSet::new();
    walk(folder, "", &mut |path| {
        if path.ends_with(".html") {
            texts.insert(path.to_owned(), fs::read_to_string(folder.join(path))?);
        }
        files.insert(path.to_owned());
        Ok(())
    })?;
    let anchors: BTreeMap<&str, BTreeSet<&str>> =
        texts.iter().map(|(path, text)| (path.as_str(), values(text, "id").collect())).collect();
    let (mut found, mut links) = (Vec::new(), 0);
    for (path, text) in &texts {
        for link in ["href", "src", "srcset"].into_iter().flat_map(|name| values(text, name)) {
            links += 1;
            let link = link.replace("&amp;", "&");
            if let Err(why) = leads(path, &link, &files, &anchors) {
                found.push(format!("{path}: the link `{link}` is broken: {why}"));
            }
        }
    }
    found.sort();
    found.dedup();
    Ok((found, links))
}

fn leads(
    from: &str,
    link: &str,
    files: &BTreeSet<String>,
    anchors: &BTreeMap<&str, BTreeSet<&str>>,
) -> std::result::Result<(), String> {
    if let Some((scheme, rest)) = link.split_once("://") {
        return is_address(scheme, rest).then_some(()).ok_or_else(|| "it is no address".to_owned());
    }
    if link.starts_with("data:") || link.starts_with("mailto:") {
        return Ok(());
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { from.to_owned() } else { place::joined(place::folder(from), file) };
    if !files.contains(&path) {
        return Err(format!("there is no {path}"));
    }
    match (anchor, anchors.get(path.as_str())) {
        (Some(anchor), Some(known)) if !anchor.is_empty() && !known.contains(anchor) => {
            Err(format!("{path} has no `{anchor}`"))
        }
        _ => Ok(()),
    }
}

/// Returns the values of an attribute, outside of scripts.
fn values<'a>(html: &'a str, name: &'static str) -> impl Iterator<Item = &'a str> {
    let elements = html.split('<').filter_map(|part| part.split_once('>').map(|(element, _)| element));
    let opened = elements.filter(|element| !element.starts_with(['/', '!']));
    opened.filter_map(move |element| {
        let at = element.find(&format!(" {name}=\""))? + name.len() + 3;
        element[at..].split('"').next()
    })
}

fn walk(folder: &Path, below: &str, each: &mut dyn FnMut(&str) -> Result) -> Result {
    for entry in fs::read_dir(folder.join(below))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.file_type()?.is_dir() { walk(folder, &path, each)? } else { each(&path)? }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::broken;

    #[test]
    fn broken_links_of_pages_are_found() {
        let folder = env::temp_dir().join(format!("evenkeel-book-{}", process::id()));
        fs::create_dir_all(folder.join("a")).unwrap();
        let index = "<h1 id=\"top\"></h1><a class=\"x\" href=\"a/b.html#c\">1</a><a href=\"a/b.html#d\">2</a><img src=\"no.svg\">\
                     <a href=\"https://example.com/?a=1&amp;b=2\">3</a><a href=\"#top\">4</a><a href=\"no://x\">5</a>";
        fs::write(folder.join("index.html"), index).unwrap();
        fs::write(folder.join("a/b.html"), "<p id=\"c\"><a href=\"../index.html\">1</a></p>").unwrap();
        let (found, links) = broken(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let expected = [
            "index.html: the link `a/b.html#d` is broken: a/b.html has no `d`",
            "index.html: the link `no.svg` is broken: there is no no.svg",
            "index.html: the link `no://x` is broken: it is no address",
        ];
        assert_eq!((found.as_slice(), links), (expected.map(str::to_owned).as_slice(), 7));
    }
}
