//! Which segments of a shard lie in pages, so that its manifest stays small: the oldest do, in
//! pages that are written again only when something in them has changed.

use std::collections::BTreeMap;
use std::ops::Range;

use headwater_store::format::Kept;
use headwater_store::format::manifest::{Fields, Page, Segment};
use headwater_store::format::page;
use headwater_store::traits::Blobs;
use headwater_store::{StoreError, names, pages};

/// The pages of a manifest, in order. Together they list the first of its segments.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    all: Vec<Paged>,
}

/// One page, and what its segments are.
#[derive(Clone, Debug)]
struct Paged {
    page: Kept<Page>,
    segments: Vec<Listed>,
}

/// A segment as a page lists it: what is said of one may change while its name stays.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Listed {
    name: String,
    /// Of all that is said of it.
    hash: u64,
}

impl From<&Kept<Segment>> for Listed {
    fn from(segment: &Kept<Segment>) -> Self {
        Self {
            name: segment.name.clone(),
            hash: page::hash_of(segment),
        }
    }
}

/// Names for new pages, and those that were given since somebody asked for them.
#[derive(Debug, Default)]
pub(super) struct Names {
    last: u32,
    pub(super) given: Vec<String>,
}

impl Names {
    fn next(&mut self, fields: &Fields) -> String {
        self.last += 1;
        let inc = fields.owner().unwrap_or_default();
        let name = names::page(fields.shard, fields.epoch, inc, self.last);
        self.given.push(name.clone());
        name
    }
}

/// How segments are spread over pages.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// The page of this number, as it is.
    Same(usize),
    /// A new page of the segments at these places.
    New(Range<usize>),
}

impl Pages {
    /// Reads the pages that `fields` names, and puts their segments before its own.
    pub(super) fn unfold(blobs: &dyn Blobs, fields: &mut Fields) -> Result<Self, StoreError> {
        let mut pages = Self::default();
        let mut segments = Vec::new();
        for page in &fields.pages {
            let found = pages::read(blobs, fields.shard, page, |name, error| {
                tracing::error!("A copy of a page is damaged: {name}: {error}");
            })?;
            pages.all.push(Paged {
                page: page.clone(),
                segments: found.iter().map(Listed::from).collect(),
            });
            segments.extend(found);
        }
        segments.append(&mut fields.segments);
        fields.segments = segments;
        Ok(pages)
    }

    /// Segments that lie in pages.
    pub(super) fn segments(&self) -> usize {
        self.all.iter().map(|paged| paged.segments.len()).sum()
    }

    /// Names of all copies of all pages.
    pub(super) fn names(&self) -> impl Iterator<Item = String> + '_ {
        let copies = { self.all.iter() }.flat_map(|paged| [&paged.page.name, &paged.page.copy]);
        copies.filter(|name| !name.is_empty()).cloned()
    }

    /// The pages for what `fields` lists now, which it names afterwards. Those that are new are
    /// written, each twice; `names` makes their names and has them afterwards, whatever happens.
    /// `page_bytes`: about what a page has, and half of what the manifest itself may list, before
    /// compression.
    pub(super) fn fold(
        &self,
        blobs: &dyn Blobs,
        fields: &mut Fields,
        page_bytes: usize,
        names: &mut Names,
    ) -> Result<Self, StoreError> {
        let known: BTreeMap<&Listed, usize> = { self.all.iter().enumerate() }
            .flat_map(|(at, paged)| paged.segments.iter().map(move |listed| (listed, at)))
            .collect();
        let page_of = |segment| known.get(&Listed::from(segment)).copied();
        let places: Vec<Option<usize>> = fields.segments.iter().map(page_of).collect();
        let mut folded = Self::default();
        let lengths: Vec<usize> = self.all.iter().map(|paged| paged.segments.len()).collect();
        for part in spread(&fields.segments, &places, &lengths, page_bytes) {
            folded.all.push(match part {
                Part::Same(at) => self.all[at].clone(),
                Part::New(places) => write(blobs, fields, places, names)?,
            });
        }
        fields.pages = folded.all.iter().map(|paged| paged.page.clone()).collect();
        Ok(folded)
    }
}

/// `places`: the page of each segment, if one says of it what is said now; `lengths`: how many each
/// page has.
fn spread(
    segments: &[Kept<Segment>],
    places: &[Option<usize>],
    lengths: &[usize],
    page_bytes: usize,
) -> Vec<Part> {
    let page_of = |at: usize| places[at];
    let bytes = |places: Range<usize>| page::bytes_of(&segments[places]);
    let paged = (0..segments.len()).rfind(|at| page_of(*at).is_some());
    let paged = paged.map_or(0, |last| last + 1);
    let mut parts = Vec::new();
    let mut from = 0;
    while from < paged {
        // Up to where the next page begins; one that is too small goes on.
        let mut page = None;
        let mut whole = true;
        let mut at = from;
        while at < paged {
            match (page, page_of(at)) {
                (None, found) => page = found.inspect(|_| whole &= at == from),
                (Some(page), Some(found)) if page != found => {
                    let is_same = whole && at - from == lengths[page];
                    if is_same || bytes(from..at) >= page_bytes / 4 {
                        break;
                    }
                    whole = false;
                }
                (Some(_), None) => whole = false,
                (Some(_), Some(_)) => {}
            }
            at += 1;
        }
        let same = page.filter(|page| whole && at - from == lengths[*page]);
        match same {
            Some(page) => parts.push(Part::Same(page)),
            None if at == paged && bytes(from..at) < page_bytes / 4 => break,
            None => parts.push(Part::New(from..at)),
        }
        from = at;
    }
    let mut left = bytes(from..segments.len());
    while left > 2 * page_bytes {
        let (mut at, mut taken) = (from, 0);
        while at + 1 < segments.len() && taken < page_bytes {
            taken += bytes(at..at + 1);
            at += 1;
        }
        if at == from {
            break;
        }
        parts.push(Part::New(from..at));
        (from, left) = (at, left - taken);
    }
    parts
}

fn write(
    blobs: &dyn Blobs,
    fields: &Fields,
    places: Range<usize>,
    names: &mut Names,
) -> Result<Paged, StoreError> {
    let segments = fields.segments[places].to_vec();
    let listed: Vec<_> = segments.iter().map(Listed::from).collect();
    let page = page::Fields {
        shard: fields.shard,
        segments,
    };
    let bytes = page::encode(&page.into()).map_err(|error| {
        StoreError::format("Cannot encode a page of shard", fields.shard, error)
    })?;
    let mut copy = || {
        let name = names.next(fields);
        blobs.put_new(&name, &bytes).map(|()| name)
    };
    let page = Page {
        name: copy()?,
        copy: copy()?,
        bytes: bytes.len() as u64,
        segments: u32::try_from(listed.len()).unwrap_or(u32::MAX),
    };
    Ok(Paged {
        page: page.into(),
        segments: listed,
    })
}

#[cfg(test)]
mod tests;
