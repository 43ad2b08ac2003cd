//! One question to a running broker, and the flags that every such command has.

use axum::body::Bytes;
use clap::Args as ClapArgs;
use serde_json::Value;

use super::client::{self, Client, escape};
use super::output::Output;
use super::{Failure, block_on};

#[derive(Debug, ClapArgs)]
pub(super) struct Asked {
    #[command(flatten)]
    broker: client::Address,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t)]
    pub(super) output: Output,
}

/// The same about one thing.
#[derive(Debug, ClapArgs)]
pub(super) struct Named {
    /// Its name
    pub(super) name: String,
    #[command(flatten)]
    pub(super) asked: Asked,
}

impl Asked {
    /// Sends a request, with a body of JSON, and gives the JSON that is answered.
    pub(super) fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Value, Failure> {
        let mut client = Client::new(&self.broker)?;
        let body = body.map(|body| ("application/json", body));
        block_on(client.request(method, path, body))??.success()
    }
}

impl Named {
    /// Where the thing of this kind is found.
    pub(super) fn path(&self, kind: &str) -> String {
        format!("/api/v1/{kind}/{}", escape(&self.name))
    }
}
