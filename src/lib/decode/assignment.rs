//! The assignment decoder: the maximum-weight assignment of bases to bases, at the cost of its difficult parts only.
//!
//! The published code gives the whole symmetric L x L matrix to the Kuhn-Munkres algorithm: every base is a row and a
//! column, and the chosen cells have the greatest sum; O(L^3). Four observations leave that optimum unchanged:
//!
//! - cells at or under the threshold add nothing, so that only the candidates matter, and each connected component of
//!   the graph of candidates can be solved by itself; a component of one pair is its own solution;
//! - canonical pairs join a purine (A, G) to a pyrimidine (U, C): such a component is bipartite, its matrix falls apart
//!   into two blocks that are each other's transpose, and one of them is enough (the two roles of a base then agree);
//! - a small component goes to [`kuhn_munkres`], dense, as published;
//! - a large one (a low threshold, an untrained model) goes to [`sparse_assignment`], the same algorithm by shortest
//!   augmenting paths over the candidates alone. It is exact too; its worst case is O(rows x candidates x log), but a
//!   search ends at the first way out, so that it mostly sees a small part of the component. Memory is proportional to
//!   the candidates.
//!
//! Where a component is not bipartite (only when other than canonical pairs may form), a base may get one partner as a
//! row and another as a column; then the more probable pair stays.

use std::{cmp::Reverse, collections::BinaryHeap};

use pathfinding::{kuhn_munkres::kuhn_munkres, matrix::Matrix};

use super::base_pairs::greedy;
use crate::structure::Candidate;

/// Components whose matrix has at most this many cells are solved dense.
const DENSE_CELLS: usize = 1024;

/// The partner of each base: see the module's description.
pub(super) fn partners(length: usize, candidates: &[Candidate]) -> Vec<Option<usize>> {
    let chosen = assign(length, candidates);
    // A pair chosen in both directions holds both roles of both its bases, so that it never meets a rival here.
    greedy(length, chosen.into_iter().map(|index| candidates[index]).collect())
}

/// The indices of the candidates chosen by the bipartite assignment of rows to columns. A pair that is chosen as (i, j)
/// and as (j, i) is there twice.
pub(super) fn assign(length: usize, candidates: &[Candidate]) -> Vec<usize> {
    let mut chosen = Vec::new();
    let (components, is_row) = components(length, candidates);
    let mut numbering = Numbering { number: vec![usize::MAX; length] };
    for Component { candidates: indices, bipartite } in components {
        if let &[only] = indices.as_slice() {
            chosen.extend([only, only]);
            continue;
        }
        let directed = indices.iter().flat_map(|&index| {
            let Candidate { i, j, .. } = candidates[index];
            let (row, column) = if is_row[i] || !bipartite { (i, j) } else { (j, i) };
            let back = (!bipartite).then_some((column, row, index));
            std::iter::once((row, column, index)).chain(back)
        });
        let graph = numbering.graph(directed, candidates);
        let picked = if graph.cells() <= DENSE_CELLS { dense_assignment(&graph) } else { sparse_assignment(&graph) };
        for edge in picked.into_iter().flatten() {
            let candidate = graph.edges[edge].candidate;
            chosen.extend(std::iter::repeat_n(candidate, if bipartite { 2 } else { 1 }));
        }
    }
    chosen
}

/// Bases that hang together through candidates.
struct Component {
    /// Indices of its candidates, ascending.
    candidates: Vec<usize>,
    /// Whether its bases fall into two sides with every pair between the sides.
    bipartite: bool,
}

/// The connected components of the graph of candidates in the order of their first bases, and for each base whether it
/// stands on the side of the rows (of use where the component is bipartite).
fn components(length: usize, candidates: &[Candidate]) -> (Vec<Component>, Vec<bool>) {
    // The neighbours of each base, one after another: those of base i are at starts[i]..starts[i + 1].
    let mut starts = vec![0_usize; length + 2];
    for candidate in candidates {
        starts[candidate.i + 2] += 1;
        starts[candidate.j + 2] += 1;
    }
    for base in 1..starts.len() {
        starts[base] += starts[base - 1];
    }
    let mut neighbours = vec![0_usize; 2 * candidates.len()];
    for &Candidate { i, j, .. } in candidates {
        for (base, neighbour) in [(i, j), (j, i)] {
            neighbours[starts[base + 1]] = neighbour;
            starts[base + 1] += 1;
        }
    }
    let mut component_of = vec![usize::MAX; length];
    let mut is_row = vec![true; length];
    let mut components: Vec<Component> = Vec::new();
    let mut queue = Vec::new();
    for first in 0..length {
        if component_of[first] != usize::MAX || starts[first] == starts[first + 1] {
            continue;
        }
        let number = components.len();
        let mut bipartite = true;
        component_of[first] = number;
        queue.push(first);
        while let Some(base) = queue.pop() {
            for &neighbour in &neighbours[starts[base]..starts[base + 1]] {
                if component_of[neighbour] == usize::MAX {
                    component_of[neighbour] = number;
                    is_row[neighbour] = !is_row[base];
                    queue.push(neighbour);
                } else if is_row[neighbour] == is_row[base] {
                    bipartite = false;
                }
            }
        }
        components.push(Component { candidates: Vec::new(), bipartite });
    }
    for (index, candidate) in candidates.iter().enumerate() {
        components[component_of[candidate.i]].candidates.push(index);
    }
    (components, is_row)
}

/// A bipartite graph with weighted edges: rows and columns are numbered from 0.
#[derive(Debug, Default)]
struct Graph {
    /// The edges of row r are `edges[starts[r]..starts[r + 1]]`.
    starts: Vec<usize>,
    edges: Vec<Edge>,
    columns: usize,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    column: usize,
    /// Greater than 0.
    weight: i64,
    /// The index of the candidate that the edge stands for.
    candidate: usize,
}

impl Graph {
    fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    fn cells(&self) -> usize {
        self.rows().saturating_mul(self.columns)
    }

    fn row(&self, row: usize) -> std::ops::Range<usize> {
        self.starts[row]..self.starts[row + 1]
    }
}

/// Numbers the bases of one component after another from 0, without clearing a table of all bases each time.
struct Numbering {
    /// By base; only that of the bases at hand means anything.
    number: Vec<usize>,
}

impl Numbering {
    /// The graph of directed candidates (row's base, column's base, index).
    fn graph(&mut self, directed: impl Iterator<Item = (usize, usize, usize)>, candidates: &[Candidate]) -> Graph {
        let mut directed: Vec<_> = directed.collect();
        directed.sort_unstable();
        let mut columns: Vec<usize> = directed.iter().map(|&(_, column, _)| column).collect();
        columns.sort_unstable();
        columns.dedup();
        for (number, &base) in columns.iter().enumerate() {
            self.number[base] = number;
        }
        let mut graph = Graph { starts: Vec::new(), edges: Vec::with_capacity(directed.len()), columns: columns.len() };
        let mut last_row = None;
        for (row, column, candidate) in directed {
            if last_row != Some(row) {
                graph.starts.push(graph.edges.len());
                last_row = Some(row);
            }
            let weight = candidates[candidate].weight();
            graph.edges.push(Edge { column: self.number[column], weight, candidate });
        }
        graph.starts.push(graph.edges.len());
        graph
    }
}

/// The maximum-weight assignment on the full matrix of the component; for each row the edge that it got.
fn dense_assignment(graph: &Graph) -> Vec<Option<usize>> {
    // The library wants at least as many columns as rows.
    let transposed = graph.rows() > graph.columns;
    let (rows, columns) = if transposed { (graph.columns, graph.rows()) } else { (graph.rows(), graph.columns) };
    let mut weights = Matrix::new(rows, columns, 0_i64);
    for row in 0..graph.rows() {
        for edge in &graph.edges[graph.row(row)] {
            let cell = if transposed { (edge.column, row) } else { (row, edge.column) };
            weights[cell] = edge.weight;
        }
    }
    let (_, assigned) = kuhn_munkres(&weights);
    let mut column_of_row = vec![usize::MAX; graph.rows()];
    for (row, column) in assigned.into_iter().enumerate() {
        let (row, column) = if transposed { (column, row) } else { (row, column) };
        column_of_row[row] = column;
    }
    let edge_of = |row: usize| graph.row(row).find(|&edge| graph.edges[edge].column == column_of_row[row]);
    (0..graph.rows()).map(edge_of).collect()
}

/// Where a row's search for a place ended.
#[derive(Clone, Copy)]
enum WayOut {
    /// A column that no row holds.
    FreeColumn(usize),
    /// A row that gives its column up.
    GivingRow(usize),
}

/// The maximum-weight assignment by successive shortest augmenting paths with dual prices (Kuhn-Munkres as Dijkstra,
/// after Jonker and Volgenant, on a sparse graph); for each row the edge that it got.
///
/// Invariants between two rows: price[row] + price[column] >= weight on every edge of the rows seen so far, equal on
/// assigned edges; all prices >= 0, and 0 where a row or column stays alone. That is complementary slackness, which
/// proves the optimum.
fn sparse_assignment(graph: &Graph) -> Vec<Option<usize>> {
    let rows = graph.rows();
    let mut row_price: Vec<i64> = Vec::with_capacity(rows);
    let mut column_price = vec![0_i64; graph.columns];
    let mut edge_of_row: Vec<Option<usize>> = vec![None; rows];
    let mut row_of_column: Vec<Option<usize>> = vec![None; graph.columns];

    // One search's state, by column; only the columns in `seen` hold anything.
    let mut distance = vec![i64::MAX; graph.columns];
    let mut reached_by: Vec<(usize, usize)> = vec![(0, 0); graph.columns];
    let mut seen = Vec::new();
    let mut settled: Vec<(usize, i64)> = Vec::new();
    let mut heap = BinaryHeap::new();

    for root in 0..rows {
        let edges = &graph.edges[graph.row(root)];
        // The least price that covers the row's edges at the columns' present prices.
        row_price.push(edges.iter().map(|edge| edge.weight - column_price[edge.column]).fold(0, i64::max));

        // Rows of the search tree with their distances; the root is at 0.
        let mut tree_rows = vec![(root, 0_i64)];
        let mut best = (row_price[root], WayOut::GivingRow(root));
        let mut next_row = Some((root, 0_i64));
        while let Some((row, base)) = next_row.take() {
            for edge_index in graph.row(row) {
                let edge = &graph.edges[edge_index];
                let reached = base + row_price[row] + column_price[edge.column] - edge.weight;
                // Farther than a way out that is known already: of no use. At the same distance a free column is
                // better than a row that gives up, so that more pairs form.
                let better_way_out = reached < best.0 || (reached == best.0 && matches!(best.1, WayOut::GivingRow(_)));
                if !better_way_out || reached >= distance[edge.column] {
                    continue;
                }
                if distance[edge.column] == i64::MAX {
                    seen.push(edge.column);
                }
                distance[edge.column] = reached;
                reached_by[edge.column] = (row, edge_index);
                if row_of_column[edge.column].is_none() {
                    best = (reached, WayOut::FreeColumn(edge.column));
                } else {
                    heap.push(Reverse((reached, edge.column)));
                }
            }
            while let Some(Reverse((reached, column))) = heap.pop() {
                if reached > distance[column] {
                    continue;
                }
                if reached > best.0 || (reached == best.0 && matches!(best.1, WayOut::FreeColumn(_))) {
                    heap.clear();
                    break;
                }
                settled.push((column, reached));
                if let Some(holder) = row_of_column[column] {
                    tree_rows.push((holder, reached));
                    if reached + row_price[holder] < best.0 {
                        best = (reached + row_price[holder], WayOut::GivingRow(holder));
                    }
                    next_row = Some((holder, reached));
                    break;
                }
            }
        }
        heap.clear();

        let (shortest, way_out) = best;
        for (row, reached) in tree_rows {
            row_price[row] -= (shortest - reached).max(0);
        }
        for (column, reached) in settled.drain(..) {
            column_price[column] += (shortest - reached).max(0);
        }
        // Back along the path: each column goes to the row that reached it.
        let mut freed = match way_out {
            WayOut::FreeColumn(column) => Some(column),
            WayOut::GivingRow(row) => edge_of_row[row].take().map(|edge| graph.edges[edge].column),
        };
        while let Some(column) = freed {
            let (row, edge_index) = reached_by[column];
            row_of_column[column] = Some(row);
            freed = edge_of_row[row].replace(edge_index).map(|edge| graph.edges[edge].column);
        }
        for column in seen.drain(..) {
            distance[column] = i64::MAX;
        }
    }
    edge_of_row
}
