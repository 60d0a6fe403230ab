//! Dialogues with the session, one file per subject: `tests/transcripts/*.txt`.
//!
//! Each line of a file begins with a sign:
//!
//! ```text
//! #    a remark
//! ---  a new session begins; its subject
//! =    a setting: of all sessions of the file at its top, of one session behind `---`
//! <    a line from the client; `<<` sends no CRLF
//! >    a line of a reply
//! ?    what else the session asks for
//! !    what the driver answers, or what else happens to the session
//! ~    time passes
//! ```
//!
//! Bytes are written `\r`, `\n`, `\\` and `\x1b`, nine of the letter A `\[9 A]`. The words behind `?`, `!` and `=` are in
//! `support`. A file is played by handing in its `<`, `!` and `~` lines; what comes out must be its `>` and `?` lines.
//! With `WHARF_BLESS=1` in the environment what comes out is written into the file instead, to be read and kept.

#![allow(clippy::unwrap_used)] // what fails here fails the test

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};

use support::Stage;
use support::settings::Settings;

fn main() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut files: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let trials = files.into_iter().map(|path| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Trial::test(name, move || check(&path))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

/// Plays a file and compares what comes out with what it says.
fn check(path: &Path) -> Result<(), Failed> {
    let script = fs::read_to_string(path)?;
    let played = play(&script).map_err(|error| format!("{}:{error}", path.display()))?;
    if std::env::var_os("WHARF_BLESS").is_some() {
        return Ok(fs::write(path, played)?);
    }
    let mut lines = script.lines().zip(played.lines()).enumerate();
    match lines.find(|(_, (expected, found))| expected != found) {
        None if script == played => Ok(()),
        None => Err(format!("{}: the end differs", path.display()).into()),
        Some((number, (expected, found))) => {
            let line = number + 1;
            Err(format!("{}:{line}: the file says\n  {expected}\nbut it is\n  {found}", path.display())
                .into())
        }
    }
}

/// The script as it really goes.
fn play(script: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut common = Settings::default();
    let mut settings = Settings::default();
    let mut in_section = false;
    let mut stage: Option<Stage> = None;
    for (number, line) in script.lines().enumerate() {
        let at = |error: String| format!("{}: {error}", number + 1);
        let (sign, rest) = line.split_once(' ').unwrap_or((line, ""));
        match sign {
            ">" | "?" => continue,
            "---" => {
                (in_section, stage) = (true, None);
                settings = common.clone();
            }
            "=" if !in_section => {
                common.set(rest).map_err(at)?;
                settings = common.clone();
            }
            "=" => settings.set(rest).map_err(at)?,
            "<" | "<<" | "!" | "~" => {
                let stage = match &mut stage {
                    Some(stage) => stage,
                    empty => {
                        let stage = empty.insert(Stage::new(&settings));
                        out.push_str(&stage.take_outputs());
                        stage
                    }
                };
                out.push_str(&format!("{line}\n"));
                stage.act(sign, rest).map_err(at)?;
                out.push_str(&stage.take_outputs());
                continue;
            }
            "" | "#" => {}
            _ => return Err(at(format!("no such sign: {sign}"))),
        }
        out.push_str(&format!("{line}\n"));
    }
    Ok(out)
}
