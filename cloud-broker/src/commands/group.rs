//! `group`: the consumer groups of a running broker.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Failure;
use super::asked::{Asked, Named};
use super::output::{self, cell, rows, table};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All groups, and how far each is behind
    List(Asked),
    /// One group: its members, and how far it has read
    Describe(Named),
    /// Forget a group that has no members, and how far it has read
    Delete(Named),
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(asked) => {
            let groups = asked.ask("GET", "/api/v1/groups", None)?;
            output::print(asked.output, &groups, list)
        }
        Command::Describe(named) => {
            let group = named.asked.ask("GET", &named.path("groups"), None)?;
            output::print(named.asked.output, &group, describe)
        }
        Command::Delete(named) => {
            named.asked.ask("DELETE", &named.path("groups"), None)?;
            let deleted = json!({ "deleted": named.name });
            output::print(named.asked.output, &deleted, |_| {
                format!("Group \"{}\" deleted", named.name)
            })
        }
    }
}

fn list(answer: &Value) -> String {
    let columns = ["group", "state", "members", "lag"];
    table(
        &["GROUP", "STATE", "MEMBERS", "LAG"],
        &rows(&answer["groups"], &columns),
    )
}

fn describe(group: &Value) -> String {
    let mut text = format!(
        "Group:  {}\nState:  {}\n",
        cell(&group["group"]),
        cell(&group["state"])
    );
    let columns = ["id", "instance", "client", "host"];
    let members = rows(&group["members"], &columns);
    if !members.is_empty() {
        text += "\n";
        text += &table(&["MEMBER", "INSTANCE", "CLIENT", "HOST"], &members);
    }
    let columns = ["stream", "partition", "next", "end", "lag"];
    let offsets = rows(&group["offsets"], &columns);
    if !offsets.is_empty() {
        text += "\n";
        text += &table(&["STREAM", "PARTITION", "NEXT", "END", "LAG"], &offsets);
    }
    text
}
