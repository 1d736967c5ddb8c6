//! Where one document of a file ends and the next begins.

/// The documents of a file, each with the line it begins at. `---` in the first column ends a document wherever it
/// stands, also inside a block of text (YAML 1.2 §9.1.2), so no parser is needed to find it.
pub(super) fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut start, mut first, mut offset) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if index > 0 && is_marker(line) {
            found.push((first, &text[start..offset]));
            (start, first) = (offset, index + 1);
        }
        offset += line.len();
    }
    found.push((first, &text[start..]));
    found
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_told_apart_by_their_markers() {
        let text = "# head\n---\na: |\n  --- no\n  text\n--- # two\nb: 1\n";
        let found = documents(text);
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2, 6]);
        assert_eq!(found[1].1, "---\na: |\n  --- no\n  text\n");
        assert_eq!(documents("a: 1"), [(1, "a: 1")]);
    }
}
