//! What stands beside a request's body. Query parameters: each is known, given once, and right, or
//! the request is refused.

use std::str::FromStr;

use axum::extract::Query;
use axum::http::{HeaderMap, Uri, header};

use super::error::ApiError;

/// The parameters of one request. Take each that the resource knows, then [`Params::finish`].
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the query of `uri`.
    pub(super) fn of(uri: &Uri) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| bad(format!("Query cannot be read: {error}")))?;
        for (index, (name, _)) in pairs.iter().enumerate() {
            if pairs[..index].iter().any(|(before, _)| before == name) {
                return Err(bad(format!("Parameter {name} is given twice")));
            }
        }
        Ok(Self(pairs))
    }

    /// The text of one parameter.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(found, _)| found == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// One parameter as a number from 0 to `max`.
    pub(super) fn take_number(
        &mut self,
        name: &str,
        default: u64,
        max: u64,
    ) -> Result<u64, ApiError> {
        let Some(text) = self.take(name) else {
            return Ok(default);
        };
        match text.parse::<u64>() {
            Ok(number) if number <= max => Ok(number),
            Ok(_) | Err(_) => Err(bad(format!(
                "{name} must be a number from 0 to {max}, not \"{text}\""
            ))),
        }
    }

    /// One parameter as whatever reads itself from text.
    pub(super) fn take_as<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, ApiError>
    where
        T::Err: std::fmt::Display,
    {
        let text = self.take(name);
        text.map(|text| {
            text.parse()
                .map_err(|error| bad(format!("{name}: {error}")))
        })
        .transpose()
    }

    /// Nothing may be left over.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(bad(format!("There is no parameter \"{name}\" here"))),
        }
    }
}

/// The type of a body, without its parameters, in small letters; empty if none is said.
pub(super) fn content_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let name = kind.split(';').next().unwrap_or_default();
    name.trim().to_ascii_lowercase()
}

/// 400 for a parameter.
pub(super) fn bad(message: impl Into<String>) -> ApiError {
    ApiError::bad_request("bad-parameter", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(query: &str) -> Uri {
        format!("/x?{query}").parse().expect("a URI")
    }

    fn params(query: &str) -> Result<Params, ApiError> {
        Params::of(&uri(query))
    }

    #[test]
    fn parameters_are_taken_once_and_all() {
        let mut taken = params("limit=5&offset=latest").expect("parameters");
        assert_eq!(taken.take("offset").as_deref(), Some("latest"));
        assert_eq!(taken.take_number("limit", 1, 10).ok(), Some(5));
        assert_eq!(taken.take_number("wait_ms", 7, 10).ok(), Some(7));
        assert!(taken.finish().is_ok());
        assert!(params("a=1").expect("parameters").finish().is_err());
        assert!(params("a=1&a=2").is_err());
    }

    #[test]
    fn numbers_have_bounds() {
        for text in ["-1", "11", "", "x", "1.5", "99999999999999999999"] {
            let mut taken = params(&format!("limit={text}")).expect("parameters");
            assert!(taken.take_number("limit", 1, 10).is_err(), "{text}");
        }
    }
}
