//! Everything at random, by seed: clients that join, sync, commit, leave, fall silent and come
//! back, writes that take long or fail, and a coordinator that dies. The books say what must hold:
//! in one generation each partition is at most one member's, commits count only from the current
//! generation and are there when they are told, and in the end nobody waits and all is shared.

use super::*;

const SEEDS: u64 = 400;
const STEPS: usize = 150;
const PARTITIONS: usize = 5;

#[test]
fn whatever_happens_parts_are_disjoint_and_nobody_waits_for_ever() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 1..=SEEDS {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.calm_down();
        seen.extend(world.seen);
    }
    assert!(seen.len() >= 16, "too little happened: {seen:?}");
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Join(u64),
    Sync(u64),
    Commit(u64, i64),
}

/// A client that follows the rules, as far as the world lets it.
#[derive(Clone, Debug, Default)]
struct Client {
    name: String,
    instance: bool,
    old: bool,
    id: String,
    joined: Option<Joined>,
    parts: Option<Vec<usize>>,
    waits: Option<Waits>,
    lives: bool,
}

struct World {
    seed: u64,
    random: u64,
    fresh: u64,
    desk: Desk,
    clients: Vec<Client>,
    /// By generation and partition: whose it is (static members by their instance).
    owners: BTreeMap<(i32, usize), String>,
    newest: i32,
    /// Offsets that were acknowledged, and what may have become durable since.
    acknowledged: i64,
    next_offset: i64,
    seen: std::collections::BTreeSet<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let client = |number: usize| Client {
            name: format!("c{number}"),
            instance: number.is_multiple_of(3),
            old: number.is_multiple_of(4),
            ..Client::default()
        };
        let mut desk = Desk::new();
        desk.prompt = false;
        Self {
            seed,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            fresh: 0,
            desk,
            clients: (0..5).map(client).collect(),
            owners: BTreeMap::new(),
            newest: 0,
            acknowledged: 0,
            next_offset: 1,
            seen: std::collections::BTreeSet::new(),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    fn step(&mut self) {
        match self.below(20) {
            0 => {
                let ms = [10, 700, 4000, 11_000][usize::try_from(self.below(4)).unwrap()];
                self.desk.wait(ms);
            }
            1..5 => {
                let durable = self.below(8) > 0;
                self.desk.write(durable);
                self.desk.settle();
            }
            5 if self.below(4) == 0 => self.restart(),
            6 => {
                let at = usize::try_from(self.below(5)).unwrap();
                self.vanish(at);
            }
            _ => {
                let at = usize::try_from(self.below(5)).unwrap();
                self.act(at);
            }
        }
        self.listen();
    }

    /// The coordinator dies; a part of what was being written had become durable.
    fn restart(&mut self) {
        self.seen.insert("restart".to_owned());
        while self.below(2) == 0 && self.desk.write(true).is_some() {}
        self.desk.restart();
        // Connections end; clients ask again.
        self.clients
            .iter_mut()
            .for_each(|client| client.waits = None);
        self.check_offset();
    }

    /// A process is killed: its connection ends, its id is forgotten.
    fn vanish(&mut self, at: usize) {
        if let Some(Waits::Join(token) | Waits::Sync(token)) = self.clients[at].waits {
            self.desk.groups.handle_gone(self.desk.now, "g", token);
            self.desk.settle();
            self.desk.answers.remove(&token);
            self.seen.insert("gone while waiting".to_owned());
        }
        let Client {
            name,
            instance,
            old,
            ..
        } = self.clients[at].clone();
        self.clients[at] = Client {
            name,
            instance,
            old,
            ..Client::default()
        };
    }

    fn act(&mut self, at: usize) {
        let client = self.clients[at].clone();
        if client.waits.is_some() {
            return;
        }
        match (&client.joined, &client.parts) {
            (None, _) => self.join(at),
            (Some(joined), None) => self.sync(at, joined),
            (Some(joined), Some(_)) => match self.below(8) {
                0 => self.leave(at, joined),
                1..4 => self.commit(at, joined),
                4 => self.join(at),
                _ => self.beat(at, joined),
            },
        }
    }

    fn join(&mut self, at: usize) {
        self.fresh += 1;
        let client = &self.clients[at];
        let join = Join {
            member: client.id.clone(),
            instance: client.instance.then(|| client.name.clone()),
            fresh: self.fresh.to_string(),
            id_required: !client.old,
            may_skip_assignment: !client.old,
            ..old_join(&client.name)
        };
        let token = self.desk.join(join);
        let client = &mut self.clients[at];
        client.lives = true;
        (client.joined, client.parts) = (None, None);
        client.waits = Some(Waits::Join(token));
    }

    /// The leader deals the partitions out in turn.
    fn sync(&mut self, at: usize, joined: &Joined) {
        let mut parts: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        if joined.leader == joined.member && !joined.skip_assignment && !joined.members.is_empty() {
            for partition in 0..PARTITIONS {
                let (id, ..) = &joined.members[partition % joined.members.len()];
                let number = u8::try_from(partition).unwrap();
                parts.entry(id.as_str()).or_default().push(number);
            }
        }
        let parts = parts
            .into_iter()
            .map(|(id, part)| (id.to_owned(), Bytes::from(part)));
        let sync = Sync {
            caller: self.caller(at, joined),
            assignments: parts.collect(),
            ..Sync::default()
        };
        let token = self.desk.ask(Request::Sync(sync));
        self.clients[at].waits = Some(Waits::Sync(token));
    }

    fn caller(&self, at: usize, joined: &Joined) -> Caller {
        let client = &self.clients[at];
        Caller {
            instance: client.instance.then(|| client.name.clone()),
            ..caller(joined)
        }
    }

    fn beat(&mut self, at: usize, joined: &Joined) {
        let caller = self.caller(at, joined);
        let Answer::Heartbeat(result) = self.desk.told(Request::Heartbeat(caller)) else {
            panic!("not an answer to a heartbeat");
        };
        self.saw("beat", &result);
        if let Err(error) = result {
            self.fall_back(at, error);
        }
    }

    fn leave(&mut self, at: usize, joined: &Joined) {
        let instance = self.caller(at, joined).instance;
        let result = self.desk.leave(&joined.member, instance.as_deref());
        self.saw("leave", &result);
        let Client {
            name,
            instance,
            old,
            ..
        } = self.clients[at].clone();
        self.clients[at] = Client {
            name,
            instance,
            old,
            ..Client::default()
        };
    }

    /// Commits, now and then for a generation that is over.
    fn commit(&mut self, at: usize, joined: &Joined) {
        let mut caller = self.caller(at, joined);
        caller.generation -= i32::from(self.below(6) == 0);
        let current = self
            .desk
            .groups
            .groups
            .get("g")
            .map(|group| group.generation);
        let stale = Some(caller.generation) != current;
        let offset = self.next_offset;
        self.next_offset += 1;
        let token = self.desk.ask(Request::Commit(commit(caller, 0, offset)));
        match self.desk.answer(token) {
            None => {
                assert!(!stale, "seed {}: a commit of another generation", self.seed);
                self.clients[at].waits = Some(Waits::Commit(token, offset));
            }
            Some(Answer::Commit(Err(error))) => {
                self.saw("commit", &error);
                self.fall_back(at, error);
            }
            other => panic!("seed {}: {other:?}", self.seed),
        }
    }

    /// What a client does about an error.
    fn fall_back(&mut self, at: usize, error: GroupError) {
        let client = &mut self.clients[at];
        match error {
            GroupError::UnknownMember | GroupError::Fenced => {
                client.id.clear();
                (client.joined, client.parts) = (None, None);
            }
            GroupError::Rebalancing | GroupError::IllegalGeneration | GroupError::NotAvailable => {
                (client.joined, client.parts) = (None, None);
            }
            other => panic!("seed {}: {other:?}", self.seed),
        }
    }

    /// Everybody reads its answers.
    fn listen(&mut self) {
        for at in 0..self.clients.len() {
            let waits = self.clients[at].waits;
            let Some(Waits::Join(token) | Waits::Sync(token) | Waits::Commit(token, _)) = waits
            else {
                continue;
            };
            let Some(answer) = self.desk.answer(token) else {
                continue;
            };
            let waits = self.clients[at].waits.take();
            match answer {
                Answer::Join(Ok(joined)) => self.has_joined(at, joined),
                Answer::Join(Err(JoinRefused { error, member })) => {
                    self.saw("join", &error);
                    match error {
                        GroupError::MemberIdRequired => self.clients[at].id = member,
                        other => self.fall_back(at, other),
                    }
                }
                Answer::Sync(Ok(synced)) => self.has_part(at, &synced),
                Answer::Sync(Err(error)) => {
                    self.saw("sync", &error);
                    self.fall_back(at, error);
                }
                Answer::Commit(Ok(_)) => {
                    let Some(Waits::Commit(_, offset)) = waits else {
                        continue;
                    };
                    self.acknowledged = self.acknowledged.max(offset);
                    self.saw("commit", &"durable");
                    self.check_offset();
                }
                Answer::Commit(Err(error)) => self.saw("commit", &error),
                other => panic!("seed {}: {other:?}", self.seed),
            }
        }
    }

    fn has_joined(&mut self, at: usize, joined: Joined) {
        self.saw("joined", &joined.skip_assignment);
        self.clients[at].id.clone_from(&joined.member);
        self.clients[at].joined = Some(joined);
    }

    fn has_part(&mut self, at: usize, synced: &Synced) {
        let client = &mut self.clients[at];
        let generation = client.joined.as_ref().expect("it has joined").generation;
        let owner = if client.instance {
            client.name.clone()
        } else {
            client.id.clone()
        };
        client.parts = Some(
            synced
                .assignment
                .iter()
                .map(|number| usize::from(*number))
                .collect(),
        );
        assert!(
            generation >= self.newest,
            "seed {}: a generation comes back",
            self.seed
        );
        self.newest = generation;
        for partition in synced.assignment.iter().map(|number| usize::from(*number)) {
            let before = self.owners.insert((generation, partition), owner.clone());
            let same = before.is_none_or(|before| before == owner);
            assert!(
                same,
                "seed {}: two have partition {partition} of generation {generation}",
                self.seed
            );
        }
    }

    /// What was acknowledged is there, also after a restart.
    fn check_offset(&mut self) {
        let stored = self.desk.fetch().first().map_or(0, |(_, offset)| *offset);
        assert!(
            stored >= self.acknowledged,
            "seed {}: {stored} for {}",
            self.seed,
            self.acknowledged
        );
    }

    fn saw(&mut self, what: &str, result: &impl std::fmt::Debug) {
        self.seen.insert(format!("{what} {result:?}"));
    }

    /// From here on all goes well: soon every client that ever came has its part, and the parts
    /// are all there is.
    fn calm_down(&mut self) {
        self.desk.prompt = true;
        self.desk.settle();
        self.listen();
        self.clients[0].lives = true;
        for _ in 0..200 {
            for at in 0..self.clients.len() {
                let client = self.clients[at].clone();
                if !client.lives || client.waits.is_some() {
                    continue;
                }
                match (&client.joined, &client.parts) {
                    (None, _) => self.join(at),
                    (Some(joined), None) => self.sync(at, joined),
                    (Some(joined), Some(_)) => self.beat(at, joined),
                }
                self.listen();
            }
            self.desk.wait(1000);
            self.listen();
        }
        let living = || self.clients.iter().filter(|client| client.lives);
        assert!(
            living().all(|client| client.waits.is_none()),
            "seed {}: {:?}",
            self.seed,
            self.clients
        );
        let mut all: Vec<usize> = living()
            .flat_map(|client| client.parts.clone().unwrap_or_default())
            .collect();
        all.sort_unstable();
        assert_eq!(
            all,
            (0..PARTITIONS).collect::<Vec<_>>(),
            "seed {}: {:?}",
            self.seed,
            self.clients
        );
        assert_eq!(self.desk.state(), GroupState::Stable, "seed {}", self.seed);
    }
}
