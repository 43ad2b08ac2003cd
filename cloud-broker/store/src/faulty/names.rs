//! The fake disk's directories: names as the system sees them, and the changes that are not
//! durable yet.

use std::collections::BTreeMap;
use std::io;

use super::random::Random;
use crate::disk::{DirEntry, parent};

/// What has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Its place in the table of contents.
    File(usize),
    Directory,
}

/// All names, with their directories.
#[derive(Debug, Default)]
pub(super) struct Names {
    now: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    pending: Vec<Pending>,
}

#[derive(Clone, Debug)]
enum Pending {
    Put(String, Node),
    Move(String, String, Node),
    Remove(String),
}

impl Names {
    pub(super) fn file(&self, path: &str) -> io::Result<usize> {
        match self.now.get(path) {
            Some(Node::File(at)) => Ok(*at),
            Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn is_dir(&self, path: &str) -> bool {
        path.is_empty() || self.now.get(path) == Some(&Node::Directory)
    }

    pub(super) fn put(&mut self, path: &str, node: Node) -> io::Result<()> {
        if self.now.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !self.is_dir(parent(path)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.do_pending(Pending::Put(path.to_owned(), node));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let at = self.file(from)?;
        if !self.is_dir(parent(to)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.do_pending(Pending::Move(
            from.to_owned(),
            to.to_owned(),
            Node::File(at),
        ));
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> io::Result<()> {
        if !self.now.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if !self.list(path).is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.do_pending(Pending::Remove(path.to_owned()));
        Ok(())
    }

    /// Makes the changes in `directory` durable, and with each what it builds upon.
    pub(super) fn sync(&mut self, directory: &str) -> io::Result<()> {
        if !self.is_dir(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut wanted: Vec<String> = Vec::new();
        let mut kept = Vec::new();
        let mut durable = Vec::new();
        for change in std::mem::take(&mut self.pending).into_iter().rev() {
            let here = change.paths().any(|path| parent(path) == directory);
            if here
                || change
                    .paths()
                    .any(|path| wanted.iter().any(|wanted| wanted == path))
            {
                wanted.extend(change.paths().map(str::to_owned));
                durable.push(change);
            } else {
                kept.push(change);
            }
        }
        durable
            .iter()
            .rev()
            .for_each(|change| change.apply(&mut self.durable));
        kept.reverse();
        self.pending = kept;
        Ok(())
    }

    /// Each change that is not durable has happened or not. A name whose directory is gone is
    /// gone too.
    pub(super) fn lose_power(&mut self, random: &mut Random) {
        for change in std::mem::take(&mut self.pending) {
            if random.coin() {
                change.apply(&mut self.durable);
            }
        }
        let names: Vec<String> = self.durable.keys().cloned().collect();
        for name in names {
            let directory = parent(&name);
            if !directory.is_empty() && !self.durable.contains_key(directory) {
                self.durable.remove(&name);
            }
        }
        self.now.clone_from(&self.durable);
    }

    pub(super) fn list(&self, directory: &str) -> Vec<DirEntry> {
        let inside = |path: &&String| parent(path) == directory;
        let names = self.now.iter().filter(|(path, _)| inside(path));
        names
            .map(|(path, node)| DirEntry {
                name: path.rsplit('/').next().unwrap_or_default().to_owned(),
                is_dir: *node == Node::Directory,
            })
            .collect()
    }

    pub(super) fn files(&self) -> Vec<String> {
        let files = self
            .now
            .iter()
            .filter(|(_, node)| **node != Node::Directory);
        files.map(|(path, _)| path.clone()).collect()
    }

    pub(super) fn insert_durable(&mut self, path: &str, at: usize) {
        for names in [&mut self.now, &mut self.durable] {
            for (end, _) in path.match_indices('/') {
                names.insert(path[..end].to_owned(), Node::Directory);
            }
            names.insert(path.to_owned(), Node::File(at));
        }
    }

    pub(super) fn lose(&mut self, path: &str) {
        self.now.remove(path);
        self.durable.remove(path);
        self.pending
            .retain(|change| change.paths().all(|changed| changed != path));
    }

    fn do_pending(&mut self, change: Pending) {
        change.apply(&mut self.now);
        self.pending.push(change);
    }
}

impl Pending {
    fn apply(&self, names: &mut BTreeMap<String, Node>) {
        match self {
            Self::Put(path, node) => drop(names.insert(path.clone(), *node)),
            Self::Move(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
            Self::Remove(path) => drop(names.remove(path)),
        }
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        let (first, second) = match self {
            Self::Put(path, _) | Self::Remove(path) => (path, None),
            Self::Move(from, to, _) => (from, Some(to)),
        };
        std::iter::once(first).chain(second).map(String::as_str)
    }
}
