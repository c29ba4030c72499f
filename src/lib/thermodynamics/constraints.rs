//! What is known of a structure beforehand: which bases pair, and which do not.
//!
//! As RNAfold's option -C has it: one character for each base. `.` says nothing; `x` forbids to pair; `<` and `>` allow only
//! partners after, or before, the base; `(` and `)` name a pair. Pairs that conflict with any of this cannot form; a base may
//! still stay unpaired where that is better. So `|`, which says that a base is paired, forbids nothing.

/// What is known of each base of a sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    bases: Vec<Base>,
}

/// What is known of a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Base {
    /// Whether it may pair with bases before it, and after it.
    before: bool,
    after: bool,
    /// The base that it is paired with.
    partner: Option<u32>,
    /// The first base of the innermost pair around it.
    within: Option<u32>,
}

impl Constraints {
    /// Reads a line of constraints.
    ///
    /// # Errors
    /// What is wrong at which position, 0-based.
    pub fn parse(line: &[u8]) -> std::result::Result<Self, (usize, String)> {
        let mut bases = Vec::with_capacity(line.len());
        let mut open: Vec<u32> = Vec::new();
        for (position, &character) in line.iter().enumerate() {
            let within = open.last().copied();
            let base = |before, after| Base { before, after, partner: None, within };
            let base = match character {
                b'.' | b'|' => base(true, true),
                b'x' => base(false, false),
                b'<' => base(false, true),
                b'>' => base(true, false),
                b'(' => {
                    open.push(position as u32);
                    base(false, true)
                }
                b')' => {
                    let Some(partner) = open.pop() else {
                        return Err((position, "`)` without a `(` before it".into()));
                    };
                    let first: &mut Base = &mut bases[partner as usize];
                    first.partner = Some(position as u32);
                    Base { before: true, after: false, partner: Some(partner), within: first.within }
                }
                other => {
                    return Err((position, format!("`{}` is no constraint: . | x < > ( )", other.escape_ascii())));
                }
            };
            bases.push(base);
        }
        match open.pop() {
            Some(position) => Err((position as usize, "`(` is never closed".into())),
            None => Ok(Self { bases }),
        }
    }

    /// Number of bases.
    pub fn length(&self) -> usize {
        self.bases.len()
    }

    /// Whether the bases i < j are allowed to pair.
    #[inline]
    pub fn allow(&self, i: usize, j: usize) -> bool {
        let (first, second) = (&self.bases[i], &self.bases[j]);
        match (first.partner, second.partner) {
            (None, None) => first.after && second.before && first.within == second.within,
            (partner, _) => partner == Some(j as u32),
        }
    }

    /// Whether the pair i < j is named.
    pub fn names(&self, i: usize, j: usize) -> bool {
        self.bases[i].partner == Some(j as u32)
    }

    /// The pairs that are named, i < j.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let partners = self.bases.iter().enumerate();
        partners.filter_map(|(i, base)| base.partner.map(|j| (i, j as usize))).filter(|(i, j)| i < j)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_that_conflict_are_not_allowed() {
        let constraints = Constraints::parse(b".x<>(.|.).").expect("constraints");
        let allowed: Vec<(usize, usize)> =
            (0..10).flat_map(|j| (0..j).map(move |i| (i, j))).filter(|&(i, j)| constraints.allow(i, j)).collect();
        // 5, 6 and 7 are within the pair (4, 8); 0, 2, 3 and 9 outside.
        assert_eq!(allowed, [(0, 3), (2, 3), (5, 6), (5, 7), (6, 7), (4, 8), (0, 9), (2, 9)]);
        assert_eq!(constraints.pairs().collect::<Vec<_>>(), [(4, 8)]);
    }

    #[test]
    fn defects_have_a_place() {
        for (line, position) in [("..(", 2), ("(.))", 3), ("..A", 2)] {
            assert_eq!(Constraints::parse(line.as_bytes()).map_err(|(position, _)| position), Err(position), "{line}");
        }
    }
}
