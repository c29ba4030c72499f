//! Structures drawn from the ensemble, each as often as it is probable (Ding and Lawrence, NAR 31:7280, 2003).

use rand::Rng;

use super::super::conditions::Conditions;
use super::super::energies::{LONGEST_LOOP, SHORTEST_HAIRPIN};
use super::super::factors::Factors;
use super::exterior::Exterior;
use super::first_scale;
use super::inside::{Inside, inside};
use super::problem::{Partner, Problem};
use crate::Result;

/// The ensemble of a sequence, ready to be drawn from.
pub struct Sampler<'a> {
    problem: Problem<'a>,
    inside: Inside,
    exterior: Exterior,
}

/// A part of a structure that is still to be drawn.
#[derive(Clone, Copy)]
enum Part {
    /// What is between the bases of a pair.
    Pair(usize, usize),
    /// At least one helix of a multiloop within i..=j.
    Multiloop(usize, usize),
    /// A helix of a multiloop that begins at i and ends up to j.
    Helix(usize, usize),
}

/// Takes terms off a number until nothing is left: the term at which that happens was drawn.
struct Draw(f64);

impl Draw {
    fn takes(&mut self, term: f64) -> bool {
        self.0 -= term;
        term > 0.0 && self.0 <= 0.0
    }
}

impl<'a> Sampler<'a> {
    /// That of a sequence of ACGUN under some conditions.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where the sums do not fit in memory.
    pub fn new(factors: &'a Factors, sequence: &'a [u8], conditions: &'a Conditions) -> Result<Self> {
        let mut scale = first_scale(sequence);
        loop {
            let problem = Problem::new(factors, sequence, conditions, None, scale);
            if let Some(inside) = inside(&problem)? {
                let exterior = Exterior::new(&problem, &inside);
                return Ok(Self { problem, inside, exterior });
            }
            scale += 0.5;
        }
    }

    /// The partners of the bases of a structure.
    pub fn draw(&self, random: &mut impl Rng) -> Vec<Option<usize>> {
        let Self { problem, inside, exterior } = self;
        let mut found = vec![None; problem.length()];
        let mut parts = Vec::new();
        let mut partners: Vec<Partner> = Vec::new();
        let mut i = 0;
        while i < problem.length() {
            let mut draw = Draw(random.random::<f64>());
            problem.partners(i, &mut partners);
            let helix = partners.iter().find(|&&(j, kind)| {
                let paired = inside.paired[inside.row(i, j - i)];
                draw.takes(paired * problem.exterior_helix(kind, i, j) * exterior.goes_on(i, j))
            });
            // What is left is that the base is unpaired.
            i = helix.map_or(i + 1, |&(j, _)| {
                parts.push(Part::Pair(i, j));
                j + 1
            });
        }
        while let Some(part) = parts.pop() {
            match part {
                Part::Pair(i, j) => {
                    (found[i], found[j]) = (Some(j), Some(i));
                    self.pair(i, j, &mut parts, random);
                }
                Part::Multiloop(i, j) => self.multiloop(i, j, &mut parts, random),
                Part::Helix(i, j) => parts.push(self.helix(i, j, &mut partners, random)),
            }
        }
        found
    }

    fn pair(&self, i: usize, j: usize, parts: &mut Vec<Part>, random: &mut impl Rng) {
        let Self { problem, inside, .. } = self;
        let kind = problem.kind(i, j);
        let mut draw = Draw(random.random::<f64>() * inside.paired[inside.row(i, j - i)]);
        if draw.takes(problem.hairpin(kind, i, j)) {
            return;
        }
        for five in 0..=LONGEST_LOOP {
            let k = i + 1 + five;
            for three in 0..=LONGEST_LOOP - five {
                let Some(l) = j.checked_sub(1 + three).filter(|l| *l > k + SHORTEST_HAIRPIN) else { break };
                let paired = inside.paired[inside.row(k, l - k)];
                if paired > 0.0 && draw.takes(paired * problem.interior((kind, i, j), (problem.kind(k, l), k, l))) {
                    parts.push(Part::Pair(k, l));
                    return;
                }
            }
        }
        let closing = problem.multiloop_closing(kind, i, j);
        let (from, to) = (i + 1, j - 1);
        for last in from + SHORTEST_HAIRPIN + 2..to.saturating_sub(SHORTEST_HAIRPIN) {
            let before = inside.multiloop[inside.row(from, last - 1 - from)];
            if draw.takes(closing * before * inside.one_helix[inside.column(to, to - last)]) {
                parts.extend([Part::Multiloop(from, last - 1), Part::Helix(last, to)]);
                return;
            }
        }
        // Nothing was drawn but for a rounding error: a hairpin.
    }

    fn multiloop(&self, i: usize, j: usize, parts: &mut Vec<Part>, random: &mut impl Rng) {
        let Self { problem, inside, .. } = self;
        let mut draw = Draw(random.random::<f64>() * inside.multiloop[inside.row(i, j - i)]);
        let mut unpaired = 1.0;
        let mut first = None;
        for last in i..j.saturating_sub(SHORTEST_HAIRPIN) {
            let helix = inside.one_helix[inside.column(j, j - last)];
            if helix > 0.0 {
                first = first.or(Some(last));
                if draw.takes(unpaired * helix) {
                    parts.push(Part::Helix(last, j));
                    return;
                }
                if last > i && draw.takes(inside.multiloop[inside.row(i, last - 1 - i)] * helix) {
                    parts.extend([Part::Multiloop(i, last - 1), Part::Helix(last, j)]);
                    return;
                }
            }
            unpaired *= problem.unpaired;
        }
        // A rounding error: any helix that there is.
        parts.extend(first.map(|first| Part::Helix(first, j)));
    }

    fn helix(&self, i: usize, j: usize, partners: &mut Vec<Partner>, random: &mut impl Rng) -> Part {
        let Self { problem, inside, .. } = self;
        let mut draw = Draw(random.random::<f64>() * inside.one_helix[inside.column(j, j - i)]);
        problem.partners(i, partners);
        let mut end = i + SHORTEST_HAIRPIN + 1;
        for &(l, kind) in partners.iter().take_while(|(l, _)| *l <= j) {
            let paired = inside.paired[inside.row(i, l - i)];
            if paired > 0.0 {
                end = l;
                let rest = problem.unpaired.powi((j - l) as i32);
                if draw.takes(paired * problem.multiloop_helix(kind, i, l) * rest) {
                    break;
                }
            }
        }
        Part::Pair(i, end)
    }
}
