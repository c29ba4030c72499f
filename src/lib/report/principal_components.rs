//! Principal component analysis: the two directions in which vectors differ most.
//!
//! The covariance matrix is multiplied with a vector again and again, which turns it to the first direction, and then with
//! one that is kept at right angles to it. Where two directions are nearly as strong as one another, any mixture of them
//! is as good a map.

/// Multiplications for each direction: a second one that is a twentieth weaker has vanished by then.
const ROUNDS: usize = 300;

/// Places of vectors on the first two principal components.
pub(super) struct Map {
    /// The place of each vector.
    pub(super) places: Vec<[f64; 2]>,
    /// The part of the variance that lies on either component, 0 to 1.
    pub(super) explained: [f64; 2],
}

/// The map of vectors of `dimension` numbers each, one after the other in `values`; `None` where there are fewer than three
/// vectors, or where they are all the same.
///
/// The sign of a component is chosen so that its greatest loading is positive: the same vectors give the same map.
pub(super) fn map(values: &[f32], dimension: usize) -> Option<Map> {
    if dimension < 2 || values.len() < 3 * dimension {
        return None;
    }
    let vectors = values.chunks_exact(dimension);
    let count = vectors.len() as f64;
    let mut mean = vec![0.0_f64; dimension];
    for vector in vectors.clone() {
        mean.iter_mut().zip(vector).for_each(|(sum, &value)| *sum += f64::from(value) / count);
    }
    let centred = |vector: &[f32]| -> Vec<f64> {
        vector.iter().zip(&mean).map(|(&value, mean)| f64::from(value) - mean).collect()
    };
    let mut covariance = vec![0.0; dimension * dimension];
    for vector in vectors.clone() {
        let vector = centred(vector);
        for (row, &factor) in covariance.chunks_exact_mut(dimension).zip(&vector) {
            row.iter_mut().zip(&vector).for_each(|(sum, value)| *sum += factor * value / count);
        }
    }
    let total: f64 = (0..dimension).map(|place| covariance[place * dimension + place]).sum();
    // Vectors that are all the same differ by rounding alone.
    if !total.is_finite() || total <= 1e-12 * dot(&mean, &mean) {
        return None;
    }
    let (first, most) = direction(&covariance, dimension, None);
    let (second, next) = direction(&covariance, dimension, Some(&first));
    let place = |vector: &[f32]| {
        let vector = centred(vector);
        [dot(&first, &vector), dot(&second, &vector)]
    };
    Some(Map {
        places: vectors.map(place).collect(),
        explained: [most, next].map(|part| (part / total).clamp(0.0, 1.0)),
    })
}

/// The direction in which the variance is greatest, among those at right angles to `other`, and the variance along it.
fn direction(covariance: &[f64], dimension: usize, other: Option<&[f64]>) -> (Vec<f64>, f64) {
    // Any start will do that is not at right angles to the direction; this one is the same every time.
    let mut vector: Vec<f64> = (0..dimension).map(|place| 1.0 + (place as f64).sin()).collect();
    let mut variance = 0.0;
    for _ in 0..ROUNDS {
        let mut turned: Vec<f64> = covariance.chunks_exact(dimension).map(|row| dot(row, &vector)).collect();
        if let Some(other) = other {
            let along = dot(&turned, other);
            turned.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
        }
        let size = dot(&turned, &turned).sqrt();
        // Nothing is left across the other direction.
        if size <= f64::MIN_POSITIVE {
            return (vec![0.0; dimension], 0.0);
        }
        vector = turned.iter().map(|value| value / size).collect();
        variance = size;
    }
    let greatest = vector.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(1.0);
    vector.iter_mut().for_each(|value| *value *= greatest.signum());
    (vector, variance)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_axes_of_a_cloud_are_found() {
        // A flat cloud in three dimensions: far along (3, 4, 0) / 5, less along (0, 0, 1), nothing across.
        let (mut values, mut expected) = (Vec::new(), Vec::new());
        for step in -10_i16..=10 {
            let (far, near) = (f32::from(step), f32::from(step * step % 7) - 2.0);
            values.extend([0.6 * far + 5.0, 0.8 * far - 1.0, near]);
            expected.push([f64::from(far), f64::from(near)]);
        }
        let found = map(&values, 3).expect("a map");
        let mean = expected.iter().map(|place| place[1]).sum::<f64>() / expected.len() as f64;
        for (found, expected) in found.places.iter().zip(&expected) {
            assert!((found[0] - expected[0]).abs() < 1e-5, "{found:?} {expected:?}");
            assert!((found[1] - (expected[1] - mean)).abs() < 1e-5, "{found:?} {expected:?}");
        }
        assert!((found.explained.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_lies_on_a_line_has_one_component() {
        let values: Vec<f32> = (0..10_u8).flat_map(|step| [f32::from(step), 2.0 * f32::from(step), 0.0]).collect();
        let found = map(&values, 3).expect("a map");
        assert!((found.explained[0] - 1.0).abs() < 1e-9 && found.explained[1] < 1e-9, "{:?}", found.explained);
        assert!(found.places.iter().all(|place| place[1].abs() < 1e-6));
    }

    #[test]
    fn without_differences_there_is_no_map() {
        assert!(map(&[1.0; 30], 3).is_none());
        assert!(map(&[1.0, 2.0, 3.0, 4.0], 2).is_none());
        assert!(map(&[], 2).is_none());
    }
}
