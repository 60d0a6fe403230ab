//! Commands that inform, and those that set parameters.

use crate::TransferType;
use crate::command::Command;
use crate::event::Event;
use crate::listing::FactSet;
use crate::reply::Reply;
use crate::text;

use super::Session;
use super::login::Who;

impl Session {
    /// Commands whose answer never changes.
    pub(super) fn simple(&mut self, command: &Command) {
        self.finish(match command {
            Command::Acct => text::ACCOUNT_SUPERFLUOUS,
            Command::Allo => text::ALLOCATION_SUPERFLUOUS,
            Command::Stru => text::STRUCTURE_FILE,
            Command::Mode => text::MODE_STREAM,
            Command::Syst => text::SYSTEM,
            Command::OptsUtf8 => text::UTF8_ALWAYS_ON,
            Command::Unimplemented => text::NOT_IMPLEMENTED,
            _ => text::OK,
        });
    }

    /// CLNT: no RFC knows it, and many clients say it.
    pub(super) fn client(&mut self, name: Box<[u8]>) {
        self.finish(text::CLIENT_NOTED);
        self.emit(Event::ClientNamed(name));
    }

    pub(super) fn set_type(&mut self, transfer_type: TransferType) {
        self.parameters.transfer_type = transfer_type;
        self.finish(match transfer_type {
            TransferType::Ascii => text::TYPE_ASCII,
            TransferType::Binary => text::TYPE_BINARY,
        });
    }

    pub(super) fn rest(&mut self, offset: u64) {
        if self.parameters.transfer_type == TransferType::Ascii {
            return self.finish(text::REST_IN_ASCII);
        }
        self.parameters.restart = offset;
        self.finish(Reply::new(text::code(350), format!("Restarting at position {offset}.")));
    }

    pub(super) fn opts_mlst(&mut self, facts: FactSet) {
        self.parameters.facts = facts;
        self.finish(Reply::new(text::code(200), format!("MLST OPTS {}", facts.selected())));
    }

    pub(super) fn feat(&mut self) {
        let lines = self.rules.commands.features(&self.parameters.facts);
        // What is switched off would send clients the wrong way (RFC 2389 §3.2).
        let offered = |line: &&String| self.rules.active.enabled || *line != "EPRT";
        let lines = lines.iter().filter(offered).map(String::as_bytes);
        self.finish(Reply::multi(text::code(211), "Features supported:", lines, "End FEAT."));
    }

    pub(super) fn help(&mut self, topic: Option<&str>) {
        let commands = &self.rules.commands;
        let reply = match topic {
            None => text::help("The following commands are recognized:", &commands.help_rows()),
            Some(topic) => text::help_on(commands.help_for(topic), "Unrecognized command."),
        };
        self.finish(reply);
    }

    pub(super) fn site_help(&mut self, topic: Option<&str>) {
        let commands = &self.rules.commands;
        let reply = match topic {
            None => text::help("The following SITE commands are recognized:", &commands.site_help_rows()),
            Some(topic) => {
                let found = commands.help_for(&format!("SITE {topic}")).or_else(|| commands.help_for(topic));
                text::help_on(found, "Unrecognized SITE command.")
            }
        };
        self.finish(reply);
    }

    /// STAT without an argument.
    pub(super) fn status(&mut self) {
        let user = match &self.who {
            Who::Ready(ready) => format!("Logged in as: {}", ready.account.name),
            Who::Guest { user: Some(_) } => "Waiting for password.".to_owned(),
            Who::Guest { user: None } => "Waiting for username.".to_owned(),
        };
        let mut lines = vec![
            format!("Connected to: {}", self.peer.local),
            user,
            format!("TYPE: {}; STRUcture: File; MODE: Stream", self.parameters.transfer_type),
        ];
        if self.security.secured {
            let data = if self.security.private_data { "private" } else { "clear" };
            lines.push(format!("Control connection under TLS; data connections {data}"));
        }
        lines.extend(self.data.describe(self.now));
        let lines = lines.iter().map(String::as_bytes);
        self.finish(Reply::multi(text::code(211), "FTP server status:", lines, "End of status."));
    }
}
