//! The manual page: one for the program and all its commands, made from the table of flags.

use std::io;

use clap_mangen::Man;

use crate::{args, reference};

/// The section that the commands stand before.
const LAST_SECTION: &str = "\n.SH VERSION\n";

/// What no table knows.
const REST: &str = r".SH SIGNALS
.TP
\fBSIGTERM\fR, \fBSIGINT\fR
Stop: no new sessions, and transfers that run get the time that shutdown_grace allows. A second one stops at once.
.TP
\fBSIGHUP\fR
Read certificates again, and open log files again. A changed configuration file takes a restart.
.SH EXIT STATUS
0 after a stop that was asked for, 1 when something failed while running, 2 when a flag, a key or a file is wrong.
";

/// The page in roff.
///
/// The commands are written here: what makes the rest refers to a page of its own for each.
///
/// # Errors
/// Never yet: what is written to is memory.
pub(crate) fn page() -> io::Result<String> {
    let table = args::table().disable_help_subcommand(true).subcommand_value_name("command");
    let mut page = Vec::new();
    Man::new(table.clone().mut_subcommands(|command| command.hide(true))).render(&mut page)?;
    let page = String::from_utf8_lossy(&page);
    let (before, after) = page.split_once(LAST_SECTION).unwrap_or((&page, ""));
    let (variables, commands) = (variables(&table), commands(table));
    let (configuration, last) = (reference::page(), LAST_SECTION.trim_start());
    Ok(format!(
        "{before}\n.SH ENVIRONMENT\n{variables}.SH COMMANDS\n{commands}{REST}.SH CONFIGURATION\n{configuration}{last}{after}"
    ))
}

/// The variable of each flag, which gives its value where the flag does not.
fn variables(table: &clap::Command) -> String {
    let pairs = table.get_arguments().filter_map(|flag| Some((flag.get_env()?, flag.get_long()?)));
    let entry = |(variable, flag): (&std::ffi::OsStr, &str)| {
        let variable = variable.to_string_lossy();
        format!(".TP\n\\fB{}\\fR\nStands for \\-\\-{}.\n", escaped(&variable), escaped(flag))
    };
    pairs.map(entry).collect()
}

fn commands(mut table: clap::Command) -> String {
    table.build();
    let shown = table.get_subcommands_mut().filter(|command| !command.is_hide_set());
    shown
        .map(|command| {
            let usage = command.render_usage().to_string();
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let usage = usage.trim_start_matches("Usage: ");
            format!(".TP\n\\fB{}\\fR\n{}\n", escaped(usage), escaped(&about))
        })
        .collect()
}

/// Text of one line, none of which roff takes for a command unless it begins with a dot or an apostrophe.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_there_and_no_page_that_is_not() {
        let page = page().unwrap();
        let (before, commands) = page.split_once("\n.SH COMMANDS\n").unwrap();
        let (commands, _) = commands.split_once(".SH SIGNALS\n").unwrap();
        let entries = commands.split(".TP\n").skip(1).map(|entry| entry.lines().collect());
        let entries: Vec<Vec<&str>> = entries.collect();
        let mut titles = entries.iter().map(|entry| entry[0]);
        for name in [
            "check [OPTIONS]",
            r"hash\-password",
            r"self\-signed \-\-out <DIR> <NAME>...",
            "completions <SHELL>",
            "man",
        ] {
            assert_eq!(titles.next(), Some(format!("\\fBwharf {name}\\fR").as_str()));
        }
        assert_eq!(titles.next(), None);
        assert!(entries.iter().all(|entry| entry.len() == 2), "{commands}");
        assert!(before.contains("[\\fIcommand\\fR]") && before.contains("\n.SH OPTIONS\n"), "{before}");
        assert!(
            before.contains("\n.SH ENVIRONMENT\n.TP\n\\fBWHARF_CONFIG\\fR\nStands for \\-\\-config.\n"),
            "{before}"
        );
        assert!(page.contains("\n.SH EXIT STATUS\n0 after"), "{page}");
        assert!(!page.contains("(1)") && !page.contains("SUBCOMMANDS"), "{page}");
    }
}
