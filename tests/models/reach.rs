//! Liveness, as what can still be reached: from every state that faults can lead to, a good one,
//! without any fault.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use stateright::Model;

/// What was found.
#[derive(Debug)]
pub struct Reach<S> {
    /// States looked at.
    pub states: usize,
    /// Good ones among them.
    pub good: usize,
    /// Those at the bounds, from where it was not followed.
    pub at_bounds: usize,
    /// Whether the limit of states ended the search, and nothing can be said.
    pub is_cut: bool,
    /// A state from which no good one can be reached.
    pub stuck: Option<S>,
}

/// Looks at all states, at most `states_max`. `helps` says whether a step may be counted on.
pub fn reach<M>(
    model: &M,
    states_max: usize,
    is_good: impl Fn(&M::State) -> bool,
    helps: impl Fn(&M::State, &M::Action) -> bool,
) -> Reach<M::State>
where
    M: Model,
    M::State: Hash + Clone,
{
    let mut graph = Graph::default();
    let mut front = Vec::new();
    for state in model.init_states() {
        front.push((graph.add(&state, is_good(&state)), state));
    }
    let mut steps = Vec::new();
    while let Some((at, state)) = front.pop() {
        model.actions(&state, &mut steps);
        for step in steps.drain(..) {
            let helps = helps(&state, &step);
            let Some(next) = model.next_state(&state, step) else {
                continue;
            };
            if !model.within_boundary(&next) {
                graph.nodes[at].is_at_bounds = true;
                continue;
            }
            let known = graph.nodes.len();
            let to = graph.add(&next, is_good(&next));
            if helps {
                graph.nodes[to].from.push(index(at));
            }
            if to == known {
                front.push((to, next));
            }
        }
        if graph.nodes.len() > states_max {
            return graph.result(true, None);
        }
    }
    let stuck = graph.stuck();
    let state = stuck.map(|at| find(model, &graph, at));
    graph.result(false, state)
}

#[derive(Default)]
struct Graph {
    numbers: HashMap<u64, u32>,
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    is_good: bool,
    is_at_bounds: bool,
    from: Vec<u32>,
}

impl Graph {
    fn add(&mut self, state: &impl Hash, is_good: bool) -> usize {
        let new = index(self.nodes.len());
        let number = *self.numbers.entry(fingerprint(state)).or_insert(new);
        if number == new {
            self.nodes.push(Node {
                is_good,
                ..Node::default()
            });
        }
        number as usize
    }

    /// A state from which neither a good one nor the bounds can be reached.
    fn stuck(&self) -> Option<usize> {
        let is_start = |node: &Node| node.is_good || node.is_at_bounds;
        let mut is_fine: Vec<bool> = self.nodes.iter().map(is_start).collect();
        let mut left: Vec<usize> = (0..is_fine.len()).filter(|at| is_fine[*at]).collect();
        while let Some(at) = left.pop() {
            for from in self.nodes[at].from.iter().map(|from| *from as usize) {
                if !std::mem::replace(&mut is_fine[from], true) {
                    left.push(from);
                }
            }
        }
        is_fine.iter().position(|is_fine| !is_fine)
    }

    fn result<S>(&self, is_cut: bool, stuck: Option<S>) -> Reach<S> {
        Reach {
            states: self.nodes.len(),
            good: self.nodes.iter().filter(|node| node.is_good).count(),
            at_bounds: self.nodes.iter().filter(|node| node.is_at_bounds).count(),
            is_cut,
            stuck,
        }
    }
}

/// The state itself: the graph keeps fingerprints only.
fn find<M>(model: &M, graph: &Graph, at: usize) -> M::State
where
    M: Model,
    M::State: Hash + Clone,
{
    let mut seen = vec![false; graph.nodes.len()];
    let mut front = model.init_states();
    while let Some(state) = front.pop() {
        let Some(number) = graph
            .numbers
            .get(&fingerprint(&state))
            .map(|number| *number as usize)
        else {
            continue;
        };
        if number == at {
            return state;
        }
        if !std::mem::replace(&mut seen[number], true) {
            front.extend(model.next_states(&state));
        }
    }
    unreachable!("a state of the graph is reached again")
}

fn fingerprint(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

fn index(at: usize) -> u32 {
    u32::try_from(at).expect("fewer states than memory has bytes")
}
