//! Pictures are well-formed, the same every time, and show what they were given; branches of a layout do not overlap.

use proptest::prelude::*;

use super::coding::CodingPicture;
use super::dot_plot::DotPlot;
use super::heat_map::HeatMap;
use super::layout::{PAIR, Point, planar_layout};
use super::structure::StructurePicture;
use super::svg::{escape, number, shortened};
use crate::decode::coding::cds_windows;
use crate::decode::reading_frame::{reading_frames, refine};
use crate::format::dot_bracket::parse_structure_line;
use crate::structure::Candidate;
use crate::structure::pairs;

fn partners(line: &str) -> Vec<Option<usize>> {
    parse_structure_line(line.as_bytes()).unwrap()
}

/// A nested structure of some length: bits say whether to open, close or go on.
fn nested() -> impl Strategy<Value = Vec<Option<usize>>> {
    // Runs make helices, which single bases hardly do.
    proptest::collection::vec((0_u8..3, 1_usize..8), 1..60).prop_map(|runs| {
        let (mut partners, mut open) = (Vec::new(), Vec::new());
        for (kind, count) in runs {
            for _ in 0..count {
                let here = partners.len();
                partners.push(None);
                match kind {
                    0 => open.push(here),
                    1 => {
                        // No pair without a base between.
                        if let Some(other) = open.pop_if(|other| *other + 3 < here) {
                            partners[other] = Some(here);
                            partners[here] = Some(other);
                        }
                    }
                    _ => {}
                }
            }
        }
        partners
    })
}

/// Whether two line segments without a common end cross.
fn cross(a: (Point, Point), b: (Point, Point)) -> bool {
    let side = |p: Point, q: Point, r: Point| (q.x - p.x) * (r.y - p.y) - (q.y - p.y) * (r.x - p.x);
    let apart = |s: f64, t: f64| (s > 1e-9 && t < -1e-9) || (s < -1e-9 && t > 1e-9);
    apart(side(a.0, a.1, b.0), side(a.0, a.1, b.1)) && apart(side(b.0, b.1, a.0), side(b.0, b.1, a.1))
}

/// The lines that are drawn: backbone and pairs.
fn lines(partners: &[Option<usize>]) -> Vec<(usize, usize)> {
    (1..partners.len()).map(|base| (base - 1, base)).chain(pairs(partners)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_crosses_or_touches_in_the_plane(partners in nested()) {
        let layout = planar_layout(&partners);
        prop_assert_eq!(layout.points.len(), partners.len());
        let points = &layout.points;
        prop_assert!(points.iter().all(|point| point.x.is_finite() && point.y.is_finite()));
        for (i, j) in pairs(&partners) {
            prop_assert!((points[i].distance(points[j]) - PAIR).abs() < 1e-6, "pair {}-{}", i, j);
        }
        for base in 1..points.len() {
            prop_assert!(points[base - 1].distance(points[base]) > 0.9, "bases {} and {}", base - 1, base);
        }
        for out in &layout.outward {
            prop_assert!((out.x.hypot(out.y) - 1.0).abs() < 1e-9);
        }
        let lines = lines(&partners);
        for (number, &(a, b)) in lines.iter().enumerate() {
            for &(c, d) in &lines[..number] {
                if a != c && a != d && b != c && b != d {
                    let crossing = cross((points[a], points[b]), (points[c], points[d]));
                    prop_assert!(!crossing, "{}-{} crosses {}-{}", a, b, c, d);
                }
            }
        }
    }

    #[test]
    fn any_structure_and_any_name_make_a_picture(partners in nested(), id in "\\PC{0,40}", knot in any::<(u16, u16)>()) {
        let mut partners = partners;
        let (i, j) = (knot.0 as usize % partners.len(), knot.1 as usize % partners.len());
        if i != j && partners[i].is_none() && partners[j].is_none() {
            (partners[i], partners[j]) = (Some(j), Some(i));
        }
        let sequence = vec![b'A'; partners.len()];
        let probabilities = vec![0.7; partners.len()];
        let picture = StructurePicture { id: &id, sequence: &sequence, partners: &partners, probabilities: &probabilities };
        let drawn = picture.draw();
        let document = roxmltree::Document::parse(&drawn).unwrap();
        prop_assert_eq!(&drawn, &picture.draw());
        let title = document.descendants().find(|node| node.has_tag_name("title")).unwrap().text().unwrap();
        prop_assert!(title.starts_with("Secondary structure of "));
        let texts = |name: &str| document.descendants().filter(|node| node.has_tag_name(name)).count();
        prop_assert_eq!(texts("circle"), partners.len());
    }
}

/// The elements of this name in a picture.
fn count(picture: &str, name: &str) -> usize {
    let document = roxmltree::Document::parse(picture).unwrap_or_else(|error| panic!("{error}"));
    document.descendants().filter(|node| node.has_tag_name(name)).count()
}

#[test]
fn a_hairpin_stands_upright() {
    let layout = planar_layout(&partners("..(((....)))."));
    let points = &layout.points;
    // The line and the first pair at the bottom, the helix above, the loop on top.
    for base in [0, 1, 2, 11, 12] {
        assert!(points[base].y.abs() < 1e-9, "base {base}");
    }
    assert!((points[4].y - 2.0).abs() < 1e-9 && (points[9].y - 2.0).abs() < 1e-9);
    assert!(points[6].y > 3.0);
    assert!(points[0].x < points[1].x && points[2].x < points[11].x && points[11].x < points[12].x);
    // A loop with as many bases on either side is straight.
    let points = planar_layout(&partners("((..((...))..))")).points;
    let middle = |i: usize, j: usize| (points[i].x + points[j].x) / 2.0;
    assert!((middle(0, 14) - middle(5, 9)).abs() < 1e-9);
}

#[test]
fn pairs_have_arcs_and_lines() {
    let line = "((((..[[[..))))..]]]";
    let partners = partners(line);
    let sequence = vec![b'G'; line.len()];
    let mut probabilities = vec![0.5; line.len()];
    probabilities[0] = 0.994;
    let picture =
        StructurePicture { id: "a<b>&\"c\"", sequence: &sequence, partners: &partners, probabilities: &probabilities };
    let drawn = picture.draw();
    // Backbone, and for each pair a line and an arc.
    assert_eq!(count(&drawn, "path"), 1 + 2 * 7);
    assert_eq!(drawn.matches("G1–G15, probability 0.99<").count(), 2, "{drawn}");
    assert_eq!(drawn.matches(", pseudoknot</title>").count(), 2 * 3);
    assert!(drawn.contains("<title id=\"title\">Secondary structure of a&lt;b&gt;&amp;&quot;c&quot;</title>"));
    assert!(drawn.contains("in pseudoknots</text>"));
}

#[test]
fn short_and_long_rnas() {
    for length in [1_usize, 2, 30, 5_000] {
        let sequence = b"GCAU".repeat(length.div_ceil(4))[..length].to_vec();
        let mut partners = vec![None; length];
        for i in 0..length / 3 {
            let j = length - 1 - i;
            (partners[i], partners[j]) = (Some(j), Some(i));
        }
        let probabilities = vec![0.9; length];
        let picture =
            StructurePicture { id: "x", sequence: &sequence, partners: &partners, probabilities: &probabilities };
        let drawn = picture.draw();
        assert!(count(&drawn, "text") > 2);
        assert!(drawn.len() < 2_000_000, "{length}: {} bytes", drawn.len());
        // Letters only where they can be read.
        assert_eq!(count(&drawn, "circle"), if length == 5_000 { 0 } else { length });

        let some: Vec<Candidate> = pairs(&partners).map(|(i, j)| Candidate { i, j, probability: 0.9 }).collect();
        let dots =
            DotPlot { id: "x", sequence: &sequence, probabilities: &some, partners: &partners, least: 0.01 }.draw();
        assert!(count(&dots, "line") > 0 && dots.len() < 1_000_000);

        let windows = cds_windows(&probabilities, 30, 0.5);
        let code = crate::decode::genetic_code::GeneticCode::default();
        let frames = reading_frames(&sequence, &probabilities, 30, code);
        let chosen = refine(&sequence, &probabilities, &windows, 30, code);
        let (windows, frames, chosen) = (windows.as_slice(), frames.as_slice(), chosen.as_slice());
        let (id, sequence, threshold, probabilities) = ("x", sequence.as_slice(), 0.5, probabilities.as_slice());
        let coding = CodingPicture { id, sequence, code, probabilities, threshold, windows, frames, chosen }.draw();
        assert!(count(&coding, "path") > 0 && coding.len() < 1_000_000);
    }
}

#[test]
fn a_dot_plot_shows_what_it_is_given() {
    let partners = partners("((....))");
    let candidates = [Candidate { i: 0, j: 7, probability: 1.0 }, Candidate { i: 1, j: 6, probability: 0.25 }];
    let plot = DotPlot { id: "x", sequence: b"GGAAAACC", probabilities: &candidates, partners: &partners, least: 0.01 };
    let drawn = plot.draw();
    assert_eq!(drawn, plot.draw());
    // Two colours of probabilities and one of decoded pairs.
    assert_eq!(count(&drawn, "path"), 3);
    let document = roxmltree::Document::parse(&drawn).unwrap();
    let squares: usize = document
        .descendants()
        .filter(|node| node.has_tag_name("path"))
        .map(|path| path.attribute("d").unwrap().matches('M').count())
        .sum();
    assert_eq!(squares, 4);
}

#[test]
fn a_heat_map_shows_each_sign_in_its_colour() {
    let mut map = HeatMap::new(2);
    map.add_row(0, &[1.0, 0.0]);
    map.add_row(1, &[0.0, -1.0]);
    let drawn = map.draw("x", "Retention", "rows", "columns");
    assert!(drawn.contains("<path d=\"M0 0h1v1h-1z\" fill=\"#67001f\"/>"), "{drawn}");
    assert!(drawn.contains("<path d=\"M1 1h1v1h-1z\" fill=\"#053061\"/>"), "{drawn}");
    // Longer than there are cells.
    let mut map = HeatMap::new(1_000);
    (0..1_000).for_each(|row| map.add_row(row, &[0.5; 1_000]));
    assert!(count(&map.draw("x", "Retention", "rows", "columns"), "path") == 1);
    assert_eq!(count(&HeatMap::new(1).draw("x", "Retention", "rows", "columns"), "title"), 1);
}

#[test]
fn text_and_numbers() {
    assert_eq!(escape("a&<>\"'\u{1}\u{ffff}µ"), "a&amp;&lt;&gt;&quot;&#39;\u{fffd}\u{fffd}µ");
    assert_eq!(shortened("abcdef", 4), "abc…");
    assert_eq!(shortened("abcd", 4), "abcd");
    for (value, text) in
        [(0.0, "0"), (-0.001, "0"), (1.0, "1"), (1.5, "1.5"), (-1.05, "-1.05"), (2.345_6, "2.35"), (f64::NAN, "0")]
    {
        assert_eq!(number(value), text);
    }
}
