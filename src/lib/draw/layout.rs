//! Where the bases of a structure without pseudoknots go in the plane.
//!
//! Helices are ladders, loops are circles, and helices leave their loop at right angles to it, as in drawings made by
//! hand. To keep branches apart, every branch (a helix with all that hangs on it) is given a sector of the circle that it
//! leaves from, as wide as the branch looks from the circle's centre, and none may hang down to where its loop's own helix
//! begins. Where the sectors and the unpaired bases need more than the whole turn, the circle grows until they do not.
//! Nothing therefore crosses anything, at any depth. A loop with two helices and about as many bases on either side is
//! drawn straight.
//!
//! What no pair encloses lies on a line under the helices where it is short, and otherwise on a circle that is open at
//! the bottom. Everything runs clockwise from 5' to 3'. Distances are in units of the backbone, y points up.

use std::f64::consts::{PI, TAU};

use crate::structure::pairs;

/// Distance of paired bases.
pub const PAIR: f64 = 1.4;
/// Distance of neighbours along the backbone.
const STEP: f64 = 1.0;
/// Half the distance that branches keep from each other.
const CLEARANCE: f64 = 0.75;
/// Width of the opening between the 5' and the 3' end of an outer circle.
const OPENING: f64 = 4.0;
/// Widest outer line.
const LONGEST_LINE: f64 = 60.0;
/// Steps in which a branch that hangs down is turned up, in radians.
const TURN: f64 = 0.05;
/// Loops with two helices are straight where the numbers of bases on their sides differ by no more.
const STRAIGHT: usize = 2;

/// A point or a direction.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Up.
    pub y: f64,
}

impl Point {
    fn new(x: f64, y: f64) -> Self {
        Self { x, y }
    }

    /// The distance from another point.
    pub fn distance(self, other: Self) -> f64 {
        (self.x - other.x).hypot(self.y - other.y)
    }
}

/// Where a branch stands: the middle of its outermost pair, and the direction in which it grows.
#[derive(Clone, Copy, Debug)]
struct Frame {
    origin: Point,
    up: Point,
}

impl Frame {
    /// A point given in the branch's own coordinates.
    fn place(&self, point: Point) -> Point {
        // To the right of `up`.
        let right = Point::new(self.up.y, -self.up.x);
        Point::new(
            self.origin.x + point.x * right.x + point.y * self.up.x,
            self.origin.y + point.x * right.y + point.y * self.up.y,
        )
    }

    fn direction(&self, point: Point) -> Point {
        Frame { origin: Point::default(), up: self.up }.place(point)
    }
}

/// The bases' places, and for each the direction away from the structure, where a number may stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanarLayout {
    /// By base.
    pub points: Vec<Point>,
    /// By base, of length 1.
    pub outward: Vec<Point>,
}

/// A helix and the loop at its far end.
struct Helix {
    /// Its outermost pair.
    first: usize,
    last: usize,
    /// Number of its pairs.
    pairs: usize,
    /// The helices that leave its loop, by number.
    branches: Vec<usize>,
    /// Unpaired bases before the first branch, between branches, and after the last.
    unpaired: Vec<usize>,
    circle: Circle,
    /// Corners around everything that hangs on it, in its own coordinates: its outermost pair stands on the x axis.
    hull: Vec<Point>,
}

/// A loop drawn as a circle: angles are clockwise from its closing pair, which is at the bottom.
#[derive(Default)]
struct Circle {
    radius: f64,
    /// Of the middle of each branch.
    angles: Vec<f64>,
}

/// A layout of the structure with these partners.
///
/// # Panics
/// Where pairs cross.
pub fn planar_layout(partners: &[Option<usize>]) -> PlanarLayout {
    let mut helices = helices(partners);
    // Inner helices come after those that enclose them.
    for number in (0..helices.len()).rev() {
        let Helix { branches, unpaired, pairs, .. } = &helices[number];
        let foot = (pairs - 1) as f64 * STEP;
        helices[number].circle = Circle::around(&helices, branches, unpaired, PAIR, Some(foot));
        helices[number].hull = helices[number].corners(&helices);
    }
    let mut layout = PlanarLayout {
        points: vec![Point::default(); partners.len()],
        outward: vec![Point::new(0.0, -1.0); partners.len()],
    };
    let mut frames = place_outer(&helices, partners, &mut layout);
    for number in 0..helices.len() {
        place_helix(&helices, number, &mut frames, &mut layout);
    }
    layout
}

/// All helices by their first base. A pair belongs to the helix of the pair right outside of it.
fn helices(partners: &[Option<usize>]) -> Vec<Helix> {
    let mut helices: Vec<Helix> = Vec::new();
    for (i, j) in pairs(partners) {
        match helices.last_mut() {
            Some(helix) if i == helix.first + helix.pairs && j + helix.pairs == helix.last => helix.pairs += 1,
            _ => helices.push(Helix {
                first: i,
                last: j,
                pairs: 1,
                branches: Vec::new(),
                unpaired: Vec::new(),
                circle: Circle::default(),
                hull: Vec::new(),
            }),
        }
    }
    for number in 0..helices.len() {
        let (inner, end) =
            (helices[number].first + helices[number].pairs, helices[number].last + 1 - helices[number].pairs);
        let (branches, unpaired) = around(&helices, number + 1, inner, end);
        (helices[number].branches, helices[number].unpaired) = (branches, unpaired);
    }
    helices
}

/// The outermost helices within bases `start..end`, the first of which is number `from` or later, and the numbers of
/// unpaired bases before, between and after them.
fn around(helices: &[Helix], from: usize, start: usize, end: usize) -> (Vec<usize>, Vec<usize>) {
    let (mut branches, mut unpaired) = (Vec::new(), Vec::new());
    let (mut at, mut number) = (start, from);
    while let Some(helix) = helices.get(number).filter(|helix| helix.first < end) {
        branches.push(number);
        assert!(helix.first >= at && helix.last < end, "crossing pairs");
        unpaired.push(helix.first - at);
        at = helix.last + 1;
        number += helices[number..].partition_point(|other| other.first < at);
    }
    unpaired.push(end - at);
    (branches, unpaired)
}

/// Half of the angle that a chord of this length takes of a circle.
fn half_angle(chord: f64, radius: f64) -> f64 {
    (chord / 2.0 / radius).min(1.0).asin()
}

impl Circle {
    /// The smallest circle on which everything has its place, closed by a chord of length `closing`. `foot` is how far
    /// below that chord the loop's own helix begins; `None` for what has no helix.
    fn around(helices: &[Helix], branches: &[usize], unpaired: &[usize], closing: f64, foot: Option<f64>) -> Self {
        let arrange = |radius: f64| Self::arrange(helices, branches, unpaired, closing, foot, radius);
        let mut least = closing.max(PAIR) / 2.0 * 1.000_001;
        let mut most = least;
        let mut angles = arrange(most);
        while angles.is_none() {
            least = most;
            most *= 2.0;
            angles = arrange(most);
        }
        for _ in 0..40 {
            let middle = (least + most) / 2.0;
            match arrange(middle) {
                None => least = middle,
                found => (most, angles) = (middle, found),
            }
        }
        Self { radius: most, angles: angles.unwrap_or_default() }
    }

    /// The angles of the branches on a circle of this radius; `None` where it is too small.
    fn arrange(
        helices: &[Helix],
        branches: &[usize],
        unpaired: &[usize],
        closing: f64,
        foot: Option<f64>,
        radius: f64,
    ) -> Option<Vec<f64>> {
        let mut needs = Self::needs(helices, branches, unpaired, closing, radius);
        // Of the centre over where the helix begins.
        let centre = foot.map(|foot| foot + (radius * radius - closing * closing / 4.0).max(0.0).sqrt());
        let hangs = |branch: usize, angle: f64| {
            centre.is_some_and(|centre| helices[branch].lowest(radius, angle) + centre < CLEARANCE)
        };
        if let (Some(_), [branch], true) =
            (foot, branches, unpaired[0].abs_diff(unpaired[unpaired.len() - 1]) <= STRAIGHT)
        {
            return (needs.iter().all(|&need| need <= PI) && !hangs(*branch, PI)).then(|| vec![PI]);
        }
        // The first and the last branch are turned up until they do not hang down.
        if let [first, .., last] | [first @ last] = branches {
            let end = needs.len() - 1;
            for (branch, gap, side) in [(*first, 0, 1.0), (*last, end, -1.0)] {
                while needs[gap] <= PI && hangs(branch, side * needs[gap]) {
                    needs[gap] += TURN;
                }
            }
        }
        let spare = TAU - needs.iter().sum::<f64>();
        if spare < 0.0 {
            return None;
        }
        // What is left is shared out.
        let share = spare / needs.len() as f64;
        let mut angle = 0.0;
        let angles: Vec<f64> = needs[..branches.len()]
            .iter()
            .map(|need| {
                angle += need + share;
                angle
            })
            .collect();
        (!branches.iter().zip(&angles).any(|(&branch, &angle)| hangs(branch, angle))).then_some(angles)
    }

    /// The least angles from the closing pair to the first branch, between branches, and back to the closing pair, on a
    /// circle of this radius.
    fn needs(helices: &[Helix], branches: &[usize], unpaired: &[usize], closing: f64, radius: f64) -> Vec<f64> {
        let (step, pair) = (2.0 * half_angle(STEP, radius), half_angle(PAIR, radius));
        let closing = half_angle(closing, radius);
        let sectors: Vec<(f64, f64)> = branches.iter().map(|&branch| helices[branch].sector(radius)).collect();
        (0..=branches.len())
            .map(|gap| {
                let before = if gap == 0 { (closing, closing) } else { (pair, sectors[gap - 1].1) };
                let after = if gap == branches.len() { (closing, closing) } else { (pair, sectors[gap].0) };
                let bases = before.0 + after.0 + (unpaired[gap] + 1) as f64 * step;
                bases.max(before.1 + after.1)
            })
            .collect()
    }

    /// Distance of the centre from the closing pair.
    fn height(&self, closing: f64) -> f64 {
        (self.radius * self.radius - closing * closing / 4.0).max(0.0).sqrt()
    }
}

impl Helix {
    /// The angles that this branch takes to its left and to its right on a circle that it leaves from, seen from the
    /// centre.
    fn sector(&self, radius: f64) -> (f64, f64) {
        let height = (radius * radius - PAIR * PAIR / 4.0).max(0.0).sqrt();
        let (left, right) = self.hull.iter().fold((0.0, 0.0), |(left, right): (f64, f64), point| {
            let (x, y) = (point.x, point.y + height);
            let angle = x.atan2(y);
            let spread = (CLEARANCE / x.hypot(y)).min(1.0).asin();
            (left.max(spread - angle), right.max(spread + angle))
        });
        // What looks wider than half a turn surrounds the centre: no sector is wide enough.
        if left + right < PI { (left, right) } else { (TAU, TAU) }
    }

    /// How far over the centre the lowest of this branch is, where it leaves a circle at this angle.
    fn lowest(&self, radius: f64, angle: f64) -> f64 {
        let circle = Circle { radius, angles: Vec::new() };
        let frame = on_circle(Point::default(), &circle, angle);
        self.hull.iter().map(|&point| frame.place(point).y).fold(f64::INFINITY, f64::min)
    }

    /// The centre of its loop, in its own coordinates.
    fn centre(&self) -> Point {
        Point::new(0.0, (self.pairs - 1) as f64 * STEP + self.circle.height(PAIR))
    }

    /// How the branch `place` of its loop stands, in its own coordinates.
    fn branch_frame(&self, place: usize) -> Frame {
        on_circle(self.centre(), &self.circle, self.circle.angles[place])
    }

    /// The corners of the convex hull of all its bases and its branches'.
    fn corners(&self, helices: &[Helix]) -> Vec<Point> {
        let half = PAIR / 2.0;
        let far = (self.pairs - 1) as f64 * STEP;
        let mut points =
            vec![Point::new(-half, 0.0), Point::new(half, 0.0), Point::new(-half, far), Point::new(half, far)];
        loop_bases(self.centre(), &self.circle, &self.unpaired, PAIR, |_, _, point, _| points.push(point));
        for (place, &branch) in self.branches.iter().enumerate() {
            let frame = self.branch_frame(place);
            points.extend(helices[branch].hull.iter().map(|&point| frame.place(point)));
        }
        convex_hull(points)
    }
}

/// The frame of a branch that leaves a circle at this angle.
fn on_circle(centre: Point, circle: &Circle, angle: f64) -> Frame {
    let up = Point::new(-angle.sin(), -angle.cos());
    let height = circle.height(PAIR);
    Frame { origin: Point::new(centre.x + height * up.x, centre.y + height * up.y), up }
}

/// Calls `found` with the gap, the number within the gap, the place and the outward direction of every unpaired base of a
/// loop.
fn loop_bases(
    centre: Point,
    circle: &Circle,
    unpaired: &[usize],
    closing: f64,
    mut found: impl FnMut(usize, usize, Point, Point),
) {
    let (pair, closing) = (half_angle(PAIR, circle.radius), half_angle(closing, circle.radius));
    for (gap, &count) in unpaired.iter().enumerate() {
        let from = if gap == 0 { closing } else { circle.angles[gap - 1] + pair };
        let to = circle.angles.get(gap).map_or(TAU - closing, |angle| angle - pair);
        for number in 0..count {
            let angle = from + (to - from) * (number + 1) as f64 / (count + 1) as f64;
            let out = Point::new(-angle.sin(), -angle.cos());
            let point = Point::new(centre.x + circle.radius * out.x, centre.y + circle.radius * out.y);
            found(gap, number, point, out);
        }
    }
}

/// The convex hull, by Andrew's monotone chain.
fn convex_hull(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y)));
    let turn = |a: Point, b: Point, c: Point| (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
    let mut hull: Vec<Point> = Vec::new();
    for half in 0..2 {
        let begin = hull.len();
        for &point in &points {
            while hull.len() >= begin + 2 && turn(hull[hull.len() - 2], hull[hull.len() - 1], point) <= 0.0 {
                hull.pop();
            }
            hull.push(point);
        }
        hull.pop();
        if half == 0 {
            points.reverse();
        }
    }
    hull
}

/// Places what no pair encloses, and gives the frames of the helices, of which those that leave it are set.
fn place_outer(helices: &[Helix], partners: &[Option<usize>], layout: &mut PlanarLayout) -> Vec<Frame> {
    let upright = Frame { origin: Point::default(), up: Point::new(0.0, 1.0) };
    let mut frames = vec![upright; helices.len()];
    let (branches, unpaired) = around(helices, 0, 0, partners.len());
    // The first base of each gap.
    let starts: Vec<usize> =
        std::iter::once(0).chain(branches.iter().map(|&branch| helices[branch].last + 1)).collect();
    let (middles, length) = outer_line(helices, &branches, &unpaired);
    if length <= LONGEST_LINE {
        for (&branch, &x) in branches.iter().zip(&middles) {
            frames[branch].origin = Point::new(x, 0.0);
        }
        for (gap, &count) in unpaired.iter().enumerate() {
            let from = if gap == 0 { None } else { Some(middles[gap - 1] + PAIR / 2.0) };
            let to = middles.get(gap).map(|middle| middle - PAIR / 2.0);
            for number in 0..count {
                let x = match (from, to) {
                    (Some(from), Some(to)) => from + (to - from) * (number + 1) as f64 / (count + 1) as f64,
                    (Some(from), None) => from + (number + 1) as f64 * STEP,
                    (None, Some(to)) => to - (count - number) as f64 * STEP,
                    (None, None) => number as f64 * STEP,
                };
                layout.points[starts[gap] + number] = Point::new(x, 0.0);
            }
        }
        return frames;
    }
    let circle = Circle::around(helices, &branches, &unpaired, OPENING, None);
    let centre = Point::default();
    for (&branch, &angle) in branches.iter().zip(&circle.angles) {
        frames[branch] = on_circle(centre, &circle, angle);
    }
    loop_bases(centre, &circle, &unpaired, OPENING, |gap, number, point, out| {
        layout.points[starts[gap] + number] = point;
        layout.outward[starts[gap] + number] = out;
    });
    frames
}

/// The middles of the outermost helices on a line, and the length of the line.
fn outer_line(helices: &[Helix], branches: &[usize], unpaired: &[usize]) -> (Vec<f64>, f64) {
    let mut middles = Vec::new();
    let mut length = unpaired[0] as f64 * STEP;
    // How far right the branches so far reach.
    let mut reach = f64::NEG_INFINITY;
    for (place, &branch) in branches.iter().enumerate() {
        let hull = &helices[branch].hull;
        let left = hull.iter().map(|point| point.x).fold(0.0, f64::min);
        let right = hull.iter().map(|point| point.x).fold(0.0, f64::max);
        let middle = (length + PAIR / 2.0).max(reach + 2.0 * CLEARANCE - left);
        middles.push(middle);
        reach = middle + right;
        length = middle + PAIR / 2.0 + (unpaired[place + 1] + 1) as f64 * STEP;
    }
    (middles, length.max(reach))
}

/// Places the bases of a helix and its loop, and sets the frames of its branches.
fn place_helix(helices: &[Helix], number: usize, frames: &mut [Frame], layout: &mut PlanarLayout) {
    let helix = &helices[number];
    let frame = frames[number];
    for pair in 0..helix.pairs {
        let y = pair as f64 * STEP;
        for (base, side) in [(helix.first + pair, -1.0), (helix.last - pair, 1.0)] {
            layout.points[base] = frame.place(Point::new(side * PAIR / 2.0, y));
            layout.outward[base] = frame.direction(Point::new(side, 0.0));
        }
    }
    let inner = helix.first + helix.pairs;
    let starts: Vec<usize> =
        std::iter::once(inner).chain(helix.branches.iter().map(|&branch| helices[branch].last + 1)).collect();
    loop_bases(helix.centre(), &helix.circle, &helix.unpaired, PAIR, |gap, count, point, out| {
        layout.points[starts[gap] + count] = frame.place(point);
        layout.outward[starts[gap] + count] = frame.direction(out);
    });
    for (place, &branch) in helix.branches.iter().enumerate() {
        let own = helix.branch_frame(place);
        frames[branch] = Frame { origin: frame.place(own.origin), up: frame.direction(own.up) };
    }
}
