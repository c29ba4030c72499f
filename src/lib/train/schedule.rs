//! The learning rate at each step: linear warm-up, then cosine annealing with warm restarts.

/// Warm-up followed by cosine cycles of equal length (Loshchilov and Hutter 2017, with T_mult = 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The rate at the start of each cycle.
    pub peak: f64,
    /// The rate that a cycle falls to.
    pub minimum: f64,
    /// Steps of the linear warm-up, 0 for none.
    pub warmup_steps: u64,
    /// Steps of one cosine cycle.
    pub cycle_steps: u64,
}

impl Schedule {
    /// The rate of the update that makes step `step` out of step `step` - 1; the first update is step 1.
    ///
    /// The first step of a cycle has the peak rate; the last one stands one step before the minimum, as in PyTorch's
    /// `CosineAnnealingWarmRestarts`.
    pub fn rate(&self, step: u64) -> f64 {
        let done = step.saturating_sub(1);
        if done < self.warmup_steps {
            return self.peak * (done + 1) as f64 / (self.warmup_steps + 1) as f64;
        }
        let cycle = self.cycle_steps.max(1);
        let part = ((done - self.warmup_steps) % cycle) as f64 / cycle as f64;
        self.minimum + (self.peak - self.minimum) * 0.5 * (1.0 + (std::f64::consts::PI * part).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_cycles_restart_at_the_peak() {
        let schedule = Schedule { peak: 1e-4, minimum: 1e-5, warmup_steps: 0, cycle_steps: 50_000 };
        assert_eq!(schedule.rate(1), 1e-4);
        assert!((schedule.rate(25_001) - 5.5e-5).abs() < 1e-12);
        assert!((schedule.rate(50_000) - 1e-5).abs() < 1e-12);
        assert_eq!(schedule.rate(50_001), 1e-4);
        // torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(T_0=10, eta_min=1e-5) from 1e-4 after 3 steps.
        let short = Schedule { peak: 1e-4, minimum: 1e-5, warmup_steps: 0, cycle_steps: 10 };
        assert!((short.rate(4) - 8.145_033_635_316e-5).abs() < 1e-16);
    }

    #[test]
    fn warm_up_rises_linearly_and_meets_the_peak() {
        let schedule = Schedule { peak: 1.0, minimum: 0.1, warmup_steps: 3, cycle_steps: 100 };
        let rates: Vec<f64> = (1..=5).map(|step| schedule.rate(step)).collect();
        assert_eq!(&rates[..4], &[0.25, 0.5, 0.75, 1.0]);
        assert!(rates[4] < 1.0);
    }
}
