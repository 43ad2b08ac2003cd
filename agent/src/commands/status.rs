//! `headwater-agent status`: asks the running agent over its HTTP address.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::Value;

use super::{DONE, FAILED, fail, print};
use crate::config::Config;
use crate::{log, run};

const TIMEOUT: Duration = Duration::from_secs(5);
/// A status is some KiB; whatever answers there may be no agent.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Prints the status; exit code 1 if no agent answers.
pub(super) fn status(config: &Config, json: bool) -> u8 {
    match fetch(&config.http) {
        Ok((_, status)) if let Some(error) = other_agent(config, &status) => fail(&error, FAILED),
        Ok((text, status)) => {
            print(&if json { text } else { summary(&status) });
            DONE
        }
        Err(error) => fail(
            &format!("No agent answers on http://{}: {error}", config.http),
            FAILED,
        ),
    }
}

/// An agent answers, but not the one whose log lies in this data directory.
fn other_agent(config: &Config, status: &Value) -> Option<String> {
    let dir = run::data_dir(config.data_dir.as_deref());
    let device = log::device_of(&dir).ok().flatten()?;
    (status["device"].as_str() != Some(&device)).then(|| {
        format!(
            "The agent on http://{} is device {}, the log in {} belongs to \"{device}\"",
            config.http,
            status["device"],
            dir.display()
        )
    })
}

fn fetch(address: &str) -> io::Result<(String, Value)> {
    let mut found = address.to_socket_addrs()?;
    let address = found
        .next()
        .ok_or_else(|| io::Error::other("no such address"))?;
    let mut socket = TcpStream::connect_timeout(&address, TIMEOUT)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    let request = format!("GET /status HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes())?;
    let mut answer = String::new();
    socket.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    let body = answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned());
    let body = body.filter(|_| answer.starts_with("HTTP/1.1 200"));
    let body = body.ok_or_else(|| io::Error::other("it is something else"))?;
    let status = serde_json::from_str(&body)?;
    Ok((body, status))
}

/// For people: a line for the link, one for the log, one per lane, source and alarm.
fn summary(status: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let error = |value: &Value| match value["error"].as_str() {
        Some(error) => format!("  {error}"),
        None => String::new(),
    };
    let list = |name: &str| status[name].as_array().cloned().unwrap_or_default();
    let link = &status["link"];
    let mut lines = vec![
        format!(
            "device  {}  (agent {})",
            text(&status["device"]),
            text(&status["version"])
        ),
        format!("link    {}{}", text(&link["state"]), error(link)),
        format!(
            "log     {} of {} bytes",
            status["log"]["bytes"], status["log"]["max_bytes"]
        ),
    ];
    for lane in list("lanes") {
        lines.push(format!(
            "lane    {}/{}  {}  {} events, {} bytes to send, {} lost{}{}",
            text(&lane["stream"]),
            text(&lane["lane"]),
            text(&lane["state"]),
            lane["events"],
            lane["bytes"],
            lane["lost_events"],
            forecast(&lane),
            error(&lane)
        ));
    }
    for source in list("sources") {
        lines.push(format!(
            "source  {}  {}  {} events, {} rejected{}",
            text(&source["name"]),
            text(&source["state"]),
            source["events"],
            source["rejected"],
            error(&source)
        ));
    }
    for alarm in list("alarms") {
        lines.push(format!(
            "alarm   {}  {}",
            text(&alarm["code"]),
            text(&alarm["text"])
        ));
    }
    lines.join("\n")
}

/// When the lane will be sent, and when the log will be full, as far as that can be told.
fn forecast(lane: &Value) -> String {
    let within = |name: &str, what: &str| match lane[name].as_u64() {
        Some(seconds) => format!(", {what} in {seconds} s"),
        None => String::new(),
    };
    let sent = within("drain_s", "sent");
    sent + &within("overflow_s", "log full")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_a_line_for_each_thing() {
        let status = serde_json::json!({
            "device": "gw-1", "version": "0.1.0", "link": {"state": "down", "error": "Nobody"},
            "log": {"bytes": 1, "max_bytes": 2},
            "lanes": [{"stream": "events", "lane": "main", "state": "open", "events": 3,
                "bytes": 4, "lost_events": 0, "drain_s": 6, "error": null}],
            "sources": [{"name": "mqtt", "state": "running", "events": 5, "rejected": 0}],
        });
        let summary = summary(&status);
        assert!(summary.contains("link    down  Nobody"), "{summary}");
        assert!(
            summary.contains("events/main  open  3 events, 4 bytes to send, 0 lost, sent in 6 s")
        );
        assert_eq!(summary.lines().count(), 5);
    }
}
