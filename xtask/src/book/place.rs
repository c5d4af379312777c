//! Paths of files from the root, with slashes on every system, and links between them.

/// Returns the folder that a file lies in; empty for the root.
pub(super) fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Returns where a link in a folder leads.
pub(super) fn joined(folder: &str, link: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Returns the link from a folder to a file.
pub(super) fn relative(folder: &str, path: &str) -> String {
    let mut from: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    let mut to: Vec<&str> = path.split('/').collect();
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    from.drain(..common);
    to.drain(..common);
    from.iter().map(|_| "..").chain(to).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::{folder, joined, relative};

    #[test]
    fn links_lead_there_and_back() {
        assert_eq!((folder("a/b/c.md"), folder("c.md")), ("a/b", ""));
        assert_eq!(joined("a/b", "../c/./d.md#e"), "a/c/d.md#e");
        assert_eq!(joined("a", "../../b"), "../b");
        for (from, to, link) in
            [("a/b", "a/c/d.md", "../c/d.md"), ("", "a.md", "a.md"), ("a", "a/b.md", "b.md")]
        {
            assert_eq!(relative(from, to), link);
            assert_eq!(joined(from, link), to);
        }
    }
}
