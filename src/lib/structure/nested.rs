//! The nested decoder: the set of candidates that do not cross with the greatest summed probability.
//!
//! Nussinov's recursion on the candidates alone. With the weight w(i, k) of a candidate, the best sum between bases i
//! and j is
//!
//! W(i, j) = max( W(i+1, j), max over candidates (i, k), k <= j, of w(i, k) + W(i+1, k-1) + W(k+1, j) ).
//!
//! W changes with i only at bases that open a candidate and with j only at bases that close one, so that the table has
//! one row per opening base and one column per closing base. A candidate (i, k) whose closed sum does not beat the
//! W(i, k) found without it can never be part of a better W(i, j) either, since W(i, k) + W(k+1, j) <= W(i, j); this
//! skips most of them. Inside a pair no two bases are further apart than the bases of the longest candidate, so that rows
//! end there; what is outside all pairs is a single column, W(i, last). Time: one pass over a row for each candidate that is
//! not skipped. Memory: at most 8 bytes per pair of an opening and a later closing base within the longest span (twice the
//! pair map in the worst case).

use multiversion::multiversion;

use super::{Candidate, pairs};

/// The best sums, one row per opening base; what lies left of a row's first closing base is not stored.
struct Table {
    /// The opening bases, ascending.
    opening: Vec<usize>,
    /// The closing bases, ascending.
    closing: Vec<usize>,
    /// By opening base: where its row starts in `sums`, and the first closing base (its number) after it.
    rows: Vec<(usize, usize)>,
    sums: Vec<i64>,
    /// By opening base, and 0 after the last: the best sum over the candidates that open there or later.
    rest: Vec<i64>,
}

/// Stands for the end of the sequence in the place of a closing base's number.
const END: usize = usize::MAX;

impl Table {
    /// The best sum over the candidates that open at the opening base number `from` or later and close before the
    /// closing base number `until` (one past the last), which is within the longest span of it or [`END`].
    fn sum(&self, from: usize, until: usize) -> i64 {
        match self.rows.get(from) {
            _ if until == END => self.rest[from],
            Some(&(start, first)) if until > first => self.sums[start + until - 1 - first],
            _ => 0,
        }
    }

    /// The number of the first opening base at or after `base`.
    fn opening_from(&self, base: usize) -> usize {
        self.opening.partition_point(|&opening| opening < base)
    }

    /// The number of closing bases before `base`.
    fn closing_before(&self, base: usize) -> usize {
        self.closing.partition_point(|&closing| closing < base)
    }
}

/// The partner of each base in the best nested structure; among equal ones a fixed choice.
pub(crate) fn partners(length: usize, candidates: &[Candidate]) -> Vec<Option<usize>> {
    let mut opening: Vec<usize> = candidates.iter().map(|candidate| candidate.i).collect();
    opening.dedup();
    let mut closing: Vec<usize> = candidates.iter().map(|candidate| candidate.j).collect();
    closing.sort_unstable();
    closing.dedup();
    let longest = candidates.iter().map(|candidate| candidate.j - candidate.i).max().unwrap_or(0);
    let (rows, rest) = (vec![(0, 0); opening.len()], vec![0; opening.len() + 1]);
    let mut table = Table { rows, rest, opening, closing, sums: Vec::new() };

    // The candidates of each opening base, which come in the order of (i, j), with the numbers that the table knows.
    let numbered: Vec<Numbered> = candidates.iter().map(|candidate| Numbered::new(candidate, &table)).collect();
    let by_opening: Vec<&[Numbered]> = numbered.chunk_by(|a, b| a.opening == b.opening).collect();

    // The closing bases of a row, by their numbers.
    let row =
        |table: &Table, opening: usize| table.closing_before(opening + 1)..table.closing_before(opening + longest + 1);
    let cells = table.opening.iter().map(|&opening| row(&table, opening).len()).sum();
    table.sums.reserve_exact(cells);
    // From the last opening base to the first; each row is begun as a copy of the one after it, on whose right its own
    // first closing bases may lie further left.
    for (number, candidates) in by_opening.iter().enumerate().rev() {
        let std::ops::Range { start: first, end } = row(&table, table.opening[number]);
        let start = table.sums.len();
        table.sums.resize(start + end - first, 0);
        if let Some(&(next_start, next_first)) = table.rows.get(number + 1) {
            let length = end.saturating_sub(next_first);
            table.sums.copy_within(next_start..next_start + length, start + next_first.min(end) - first);
        }
        table.rest[number] = table.rest[number + 1];
        for candidate in candidates.iter() {
            let closed = candidate.weight + table.sum(number + 1, candidate.closing);
            table.rest[number] = table.rest[number].max(closed + table.rest[candidate.after]);
            let here = start + candidate.closing - first;
            if closed <= table.sums[here] {
                continue;
            }
            // Up to the first closing base after the row that follows the pair, nothing is added to the closed sum.
            let (done, row) = table.sums.split_at_mut(start);
            let row = &mut row[candidate.closing - first..];
            let (after_start, after_first) = table.rows.get(candidate.after).copied().unwrap_or((0, end));
            let plain = after_first.min(end) - candidate.closing;
            raise(&mut row[..plain], closed);
            raise_with(&mut row[plain..], closed, &done[after_start..]);
        }
        table.rows[number] = (start, first);
    }

    // Back through the table: the stretches still to be explained, as numbers of opening and closing bases.
    let mut partners = vec![None; length];
    let mut stretches = vec![(0, END)];
    while let Some((mut from, until)) = stretches.pop() {
        let sum = table.sum(from, until);
        if sum == 0 {
            continue;
        }
        while table.sum(from + 1, until) == sum {
            from += 1;
        }
        let pair = by_opening[from].iter().take_while(|candidate| candidate.closing < until).find(|candidate| {
            let inside = table.sum(from + 1, candidate.closing);
            candidate.weight + inside + table.sum(candidate.after, until) == sum
        });
        if let Some(pair) = pair {
            partners[table.opening[from]] = Some(table.closing[pair.closing]);
            partners[table.closing[pair.closing]] = Some(table.opening[from]);
            stretches.push((from + 1, pair.closing));
            stretches.push((pair.after, until));
        }
    }
    partners
}

/// Raises every sum to at least `closed`. With AVX-512 where the machine has it: the comparison of 64-bit integers is
/// an instruction only there.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn raise(sums: &mut [i64], closed: i64) {
    for sum in sums {
        *sum = closed.max(*sum);
    }
}

/// Raises every sum to at least `closed` and the sum that stands after it.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn raise_with(sums: &mut [i64], closed: i64, after: &[i64]) {
    for (sum, &after) in sums.iter_mut().zip(after) {
        *sum = (closed + after).max(*sum);
    }
}

/// A candidate in the table's numbers.
#[derive(Clone, Copy)]
struct Numbered {
    /// Number of its opening base.
    opening: usize,
    /// Number of its closing base.
    closing: usize,
    /// Number of the first opening base after the pair.
    after: usize,
    weight: i64,
}

impl Numbered {
    fn new(candidate: &Candidate, table: &Table) -> Self {
        Self {
            opening: table.opening_from(candidate.i),
            closing: table.closing_before(candidate.j),
            after: table.opening_from(candidate.j + 1),
            weight: candidate.weight(),
        }
    }
}

/// The largest part of a structure that has no pseudoknots: as many of its pairs as can be kept so that no two cross.
pub fn without_pseudoknots(partners: &[Option<usize>]) -> Vec<Option<usize>> {
    let candidates: Vec<Candidate> = pairs(partners).map(|(i, j)| Candidate { i, j, probability: 1.0 }).collect();
    self::partners(partners.len(), &candidates)
}
