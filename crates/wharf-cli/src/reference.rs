//! The reference of the configuration in roff, for the manual page: what the document about it says of values and keys.

use crate::manual::escaped;

/// The document. It is the one place where keys are explained.
const DOCUMENT: &str = include_str!("../../../docs/configuration.md");

/// Where the part about the file begins; it goes on to the end.
const BEGINNING: &str = "## How values are written\n";

/// The section's content.
pub(crate) fn page() -> String {
    let (_, text) = DOCUMENT.split_once(BEGINNING).unwrap_or_default();
    let mut page = String::from("The file that \\-\\-config names is TOML.\n");
    text.lines().map(roff).for_each(|line| page.push_str(&line));
    page
}

/// A line of the document in roff.
fn roff(line: &str) -> String {
    let heading = line.strip_prefix("### ").or_else(|| line.strip_prefix("## "));
    if let Some(title) = heading {
        return format!(".SS \"{}\"\n", plain(title));
    }
    if let Some(item) = line.strip_prefix("* ") {
        return format!(".IP \\(bu 2\n{}\n", plain(item));
    }
    let Some(row) = line.strip_prefix("| ") else {
        return match line.trim_start() {
            "" => String::new(),
            ruler if ruler.starts_with("|--") => String::new(),
            text => format!("{}\n", plain(text)),
        };
    };
    let cells: Vec<String> = row.trim_end_matches(" |").split("| ").map(|cell| plain(cell.trim())).collect();
    match cells.as_slice() {
        [title, ..] if title == "key" => String::new(),
        [key, kind, default, meaning] => {
            let default = match default.as_str() {
                "" => String::new(),
                default => format!("; default: {default}"),
            };
            format!(".TP\n\\fB{key}\\fR ({kind}{default})\n{meaning}\n")
        }
        _ => String::new(),
    }
}

/// Text without its marks.
fn plain(text: &str) -> String {
    let parts = text.split('`').enumerate();
    // Every other part is code, in which brackets are brackets.
    let words = parts.map(|(at, part)| if at % 2 == 1 { part.to_owned() } else { without_links(part) });
    let words = escaped(&words.collect::<String>());
    if words.starts_with(['.', '\'']) { format!("\\&{words}") } else { words }
}

/// Links become what they are called.
fn without_links(text: &str) -> String {
    let mut parts = text.split('[');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |words, part| {
        let link = part.split_once("](").and_then(|(name, rest)| Some((name, rest.split_once(')')?.1)));
        match link {
            Some((name, rest)) => words + name + rest,
            None => words + "[" + part,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_roff() {
        for (line, expected) in [
            ("### `[limits]`", ".SS \"[limits]\"\n"),
            ("* Ports: `\"60000\"`, or a list", ".IP \\(bu 2\nPorts: \"60000\", or a list\n"),
            ("  and so on", "and so on\n"),
            (".like this", "\\&.like this\n"),
            ("| key | type | default | meaning |", ""),
            ("|---|---|---|---|", ""),
            ("", ""),
            (
                "| `a.b` | list | `[]` | `[x]`; [tls.md](guide/tls.md) says more |",
                ".TP\n\\fBa.b\\fR (list; default: [])\n[x]; tls.md says more\n",
            ),
            ("| `a.b` | list | | in \\ it |", ".TP\n\\fBa.b\\fR (list)\nin \\e it\n"),
        ] {
            assert_eq!(roff(line), expected, "{line}");
        }
    }
}
