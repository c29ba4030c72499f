//! How the sum over all structures changes with the sum between the bases of each pair: the inside sums in reverse.

use multiversion::multiversion;

use super::super::energies::SHORTEST_HAIRPIN;
use super::exterior::Exterior;
use super::inside::Inside;
use super::loop_sums::LoopSums;
use super::problem::Problem;
use super::{SMALL_LOOPS, SMALLEST};
use crate::{Result, memory};

/// Span of the shortest pair.
const SHORTEST: usize = SHORTEST_HAIRPIN + 1;

/// What is less probable is left out.
const NEGLIGIBLE: f64 = 1e-13;

/// target += factor * source.
#[inline(always)]
fn add_scaled(target: &mut [f64], factor: f64, source: &[f64]) {
    for (x, y) in target.iter_mut().zip(source) {
        *x += factor * y;
    }
}

/// How the logarithm of the whole sum changes with each pair's sum, by [`Inside::row`].
///
/// # Errors
/// [`crate::Error::OutOfMemory`] where they do not fit.
pub fn outside(problem: &Problem, inside: &Inside, exterior: &mut Exterior) -> Result<Vec<f64>> {
    let mut derivatives = memory::zeros(inside.paired.len())?;
    let mut one_helix = memory::zeros(inside.paired.len())?;
    fill(problem, inside, exterior, &mut derivatives, &mut one_helix);
    Ok(derivatives)
}

/// `one_helix`: how it changes with [`Inside::one_helix`].
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn fill(problem: &Problem, inside: &Inside, exterior: &mut Exterior, derivatives: &mut [f64], one_helix: &mut [f64]) {
    let length = problem.length();
    let unpaired = problem.unpaired;
    let mut loops = LoopSums::new(problem.band);
    let mut partners = Vec::new();
    let mut helices = vec![0f64; problem.band];
    let mut any_place = vec![0f64; length];
    let mut multiloop = vec![0f64; length];
    let (mut two_helices, mut two_helices_after) = (vec![0f64; length], vec![0f64; length]);
    for i in 0..length {
        std::mem::swap(&mut two_helices, &mut two_helices_after);
        let spans = problem.spans(i);
        let end = i + spans;
        two_helices_after[i..(end + 1).min(length)].fill(0.0);
        multiloop[i..end].fill(0.0);
        loops.begin::<true>(i, spans, problem);
        let mut from_longer = 0.0;
        for (span, helix) in helices[..spans].iter_mut().enumerate().rev() {
            let j = i + span;
            let two = two_helices[j] + multiloop[j];
            any_place[j] = any_place[j] * unpaired + multiloop[j];
            // As a fraction of all structures at most.
            if span > 2 * SHORTEST && two * inside.multiloop[inside.row(i, span)] > NEGLIGIBLE {
                let count = span - 2 * SHORTEST;
                let before = inside.row(i, SHORTEST);
                let last = inside.column(j, span - SHORTEST - 1);
                let from = i + SHORTEST;
                add_scaled(&mut multiloop[from..from + count], two, &inside.one_helix[last..last + count]);
                add_scaled(&mut one_helix[last..last + count], two, &inside.multiloop[before..before + count]);
            }
            *helix = one_helix[inside.column(j, span)] + any_place[j] + from_longer;
            from_longer = *helix * unpaired;
        }
        problem.partners(i, &mut partners);
        exterior.pass_on(i);
        for &(j, kind) in &partners {
            let span = j - i;
            let place = inside.row(i, span);
            let paired = inside.paired[place];
            if paired <= SMALLEST {
                continue;
            }
            let derivative = exterior.pass_on_over((i, j), paired, problem.exterior_helix(kind, i, j))
                + helices[span] * problem.multiloop_helix(kind, i, j)
                + loops.sum(span, problem.inner_ends(kind, i, j))
                + small_loops(problem, inside, derivatives, kind, i, j);
            derivatives[place] = derivative;
            // What lies inside is multiplied by the pair's bonus too.
            let within = derivative * problem.pair(i, j);
            loops.keep(i, span, within, problem.outer_ends(kind, i, j));
            two_helices_after[j - 1] = within * problem.multiloop_closing(kind, i, j);
        }
    }
}

/// Derivative of (k, l) through the pairs around it whose loops are looked up one by one.
#[inline(always)]
fn small_loops(problem: &Problem, inside: &Inside, derivatives: &[f64], kind: usize, k: usize, l: usize) -> f64 {
    let mut sum = 0.0;
    for (five, three) in SMALL_LOOPS {
        let (Some(i), j) = (k.checked_sub(1 + five), l + 1 + three) else { continue };
        if j >= problem.length() || j - i >= problem.band {
            continue;
        }
        let derivative = derivatives[inside.row(i, j - i)];
        if derivative > 0.0 {
            let factor = problem.interior((problem.kind(i, j), i, j), (kind, k, l));
            sum += derivative * problem.pair(i, j) * factor;
        }
    }
    sum
}
