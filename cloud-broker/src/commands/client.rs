//! A broker that runs, over HTTP: what the commands for users speak.

mod link;
mod target;

use std::io::Write;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode, header};
use serde_json::Value;

use super::Failure;
use link::Link;
use target::Target;

pub(super) use target::Address;

/// The most that is taken of an answer that is held whole; pages are far below.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// How often a broker that has no time is asked again.
const TRIES_MAX: u32 = 30;
/// After how long, if it does not say.
const RETRY_AFTER_S: u64 = 1;

/// Asks one broker, over one connection as long as it lasts.
#[derive(Debug)]
pub(super) struct Client {
    target: Target,
    link: Option<Link>,
}

/// What the broker said, whole.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    /// When to try again, s.
    retry_after: Option<u64>,
    body: Value,
}

/// Why there is nothing to follow.
#[derive(Debug)]
pub(super) enum NotFollowed {
    /// Nobody answered.
    Lost(Failure),
    /// The broker has no time, or cannot now.
    Busy,
    /// The broker will say the same again.
    Refused(Failure),
}

impl Client {
    /// Reads the certificates that `args` name; connects with the first request.
    pub(super) fn new(args: &Address) -> Result<Self, Failure> {
        Ok(Self {
            target: Target::new(args)?,
            link: None,
        })
    }

    /// The JSON of `GET path`, as soon as the broker has time for it.
    pub(super) async fn get(&mut self, path: &str) -> Result<Value, Failure> {
        let may_come_later = Answer::is_transient;
        self.patiently("GET", path, None, may_come_later).await
    }

    /// The JSON of an answer that is good news. A broker that said what `again` takes is asked
    /// again, as often as somebody who types would.
    pub(super) async fn patiently(
        &mut self,
        method: &str,
        path: &str,
        body: Option<(&str, Bytes)>,
        again: impl Fn(&Answer) -> bool,
    ) -> Result<Value, Failure> {
        let mut tries = 0;
        loop {
            let answer = self.request(method, path, body.clone()).await?;
            tries += 1;
            if !again(&answer) || tries == TRIES_MAX {
                return answer.success();
            }
            let seconds = answer.retry_after.unwrap_or(RETRY_AFTER_S);
            // If stderr is closed, nobody is kept waiting in the dark.
            drop(writeln!(
                std::io::stderr(),
                "The broker is busy, trying again"
            ));
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
    }

    /// Sends one request, with a body of a content type, and waits for all of the answer.
    pub(super) async fn request(
        &mut self,
        method: &str,
        path: &str,
        body: Option<(&str, Bytes)>,
    ) -> Result<Answer, Failure> {
        let response = self.send(method, path, body, &[]).await?;
        self.whole(response).await
    }

    async fn whole(&self, response: Response<Incoming>) -> Result<Answer, Failure> {
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let body = axum::body::to_bytes(Body::new(response.into_body()), ANSWER_BYTES_MAX).await;
        let body = body.map_err(|error| self.target.lost(error))?;
        let body = match body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&body).map_err(|_| self.target.stranger())?,
        };
        Ok(Answer {
            status,
            retry_after,
            body,
        })
    }

    /// The body of `GET path` as it comes, after the head has said that all is well.
    ///
    /// # Errors
    /// [`NotFollowed`].
    pub(super) async fn follow(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<BodyDataStream, NotFollowed> {
        let sent = self.send("GET", path, None, headers).await;
        let response = sent.map_err(NotFollowed::Lost)?;
        if response.status().is_success() {
            return Ok(Body::new(response.into_body()).into_data_stream());
        }
        let refused = self.whole(response).await;
        let refused = refused.map_err(NotFollowed::Lost)?;
        Err(match refused.is_transient() {
            true => NotFollowed::Busy,
            false => NotFollowed::Refused(refused.failure()),
        })
    }

    async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: Option<(&str, Bytes)>,
        headers: &[(&str, &str)],
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.target.host());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            None => Body::empty(),
            Some((kind, body)) => {
                request = request.header(header::CONTENT_TYPE, kind);
                Body::from(body)
            }
        };
        let request = request.body(body).map_err(Failure::failed)?;
        // A connection that has ended since the last answer is replaced before anything is sent.
        let link = self.link.take().filter(Link::is_open);
        let mut link = match link {
            Some(link) => link,
            None => Link::open(&self.target).await?,
        };
        let sent = link.send(request).await;
        let response = sent.map_err(|error| self.target.lost(error))?;
        self.link = Some(link);
        Ok(response)
    }
}

impl Answer {
    /// What was said if it is good news.
    pub(super) fn success(self) -> Result<Value, Failure> {
        match self.status.is_success() {
            true => Ok(self.body),
            false => Err(self.failure()),
        }
    }

    /// Whether other requests were in the way, and this one changed nothing.
    pub(super) fn is_busy(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
    }

    /// Whether it may be otherwise later: others are in the way, or the broker cannot now.
    fn is_transient(&self) -> bool {
        self.is_busy() || self.status.is_server_error()
    }

    fn failure(&self) -> Failure {
        let error = &self.body["error"];
        let message = error["message"].as_str().unwrap_or("The broker refuses");
        let code = error["code"].as_str().unwrap_or("no code");
        Failure::failed(format_args!("{message} ({} {code})", self.status.as_u16()))
    }
}

/// `text` as a part of a path or query.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => {
                escaped.push('%');
                for digit in [byte >> 4, byte & 15] {
                    let digit = char::from_digit(digit.into(), 16).unwrap_or('0');
                    escaped.push(digit.to_ascii_uppercase());
                }
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_means_itself() {
        assert_eq!(escape("events.v1-_~"), "events.v1-_~");
        assert_eq!(escape("a/b c+\u{fc}"), "a%2Fb%20c%2B%C3%BC");
    }
}
