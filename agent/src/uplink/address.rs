//! In which order brokers are tried: all in random order, each by its name first, then each
//! address of the name by itself.

use std::net::{IpAddr, SocketAddr};

use crate::config::Url;

/// One way to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) url: Url,
    /// One of the name's addresses; `None`: whichever the system takes.
    pub(super) address: Option<IpAddr>,
}

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// The candidates, in turn, without end.
#[derive(Debug)]
pub(super) struct Candidates {
    urls: Vec<Url>,
    /// Those of this round that were not tried, last one first.
    left: Vec<Candidate>,
}

impl Candidates {
    pub(super) fn new(urls: Vec<Url>) -> Self {
        Self {
            urls,
            left: Vec::new(),
        }
    }

    /// The next to try; `None` once after each round, and then a new round begins.
    pub(super) async fn next(&mut self) -> Option<Candidate> {
        if let Some(candidate) = self.left.pop() {
            if candidate.address.is_none() {
                self.add_addresses(&candidate.url).await;
            }
            return Some(candidate);
        }
        let mut urls = self.urls.clone();
        shuffle(&mut urls, crate::status::random_u32);
        self.left = urls
            .into_iter()
            .map(|url| Candidate { url, address: None })
            .collect();
        None
    }

    /// A name with several addresses: should the name as such fail, each is tried.
    async fn add_addresses(&mut self, url: &Url) {
        if url.host.parse::<IpAddr>().is_ok() {
            return;
        }
        let Ok(found) = tokio::net::lookup_host((url.host.as_str(), url.port)).await else {
            return;
        };
        let addresses: Vec<IpAddr> = found.map(|address: SocketAddr| address.ip()).collect();
        if addresses.len() > 1 {
            let each = addresses.into_iter().take(ADDRESSES_MAX);
            self.left.extend(each.map(|address| Candidate {
                url: url.clone(),
                address: Some(address),
            }));
        }
    }
}

fn shuffle<T>(items: &mut [T], random: impl Fn() -> u32) {
    for end in (1..items.len()).rev() {
        let range = u32::try_from(end + 1).unwrap_or(u32::MAX);
        let index = usize::try_from(random() % range).unwrap_or(0);
        items.swap(end, index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_round_tries_every_url_once() {
        let url = |text| Url::parse(text).unwrap();
        let urls = vec![url("mqtt://127.0.0.1:1"), url("mqtt://127.0.0.1:2")];
        let mut candidates = Candidates::new(urls);
        assert_eq!(candidates.next().await, None);
        for _ in 0..3 {
            let mut ports = Vec::new();
            while let Some(candidate) = candidates.next().await {
                ports.push(candidate.url.port);
            }
            ports.sort_unstable();
            assert_eq!(ports, [1, 2]);
        }
    }

    #[test]
    fn a_shuffle_keeps_all() {
        let mut items = [1, 2, 3, 4];
        shuffle(&mut items, || 7);
        let mut sorted = items;
        sorted.sort_unstable();
        assert_eq!(sorted, [1, 2, 3, 4]);
    }
}
