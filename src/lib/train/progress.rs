//! The progress bar of a run, on standard error and only where that is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over the steps of a run, with the time that is left.
pub struct TrainingBar(ProgressBar);

impl TrainingBar {
    /// A bar of `total` steps (unknown: a spinner) that starts at `step`. Hidden if `quiet` or where standard error is
    /// no terminal.
    pub fn new(total: Option<u64>, step: u64, quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(total, target);
        let template = match total {
            Some(_) => "{bar:30} step {pos}/{len} [{elapsed_precise}, {eta} left] {msg}",
            None => "{spinner} step {pos} [{elapsed_precise}] {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        // The steps of an earlier part of the run say nothing about the speed of this one.
        bar.set_position(step);
        bar.reset_eta();
        Self(bar)
    }

    /// Shows that `step` steps are done, with the latest figures.
    pub fn at(&self, step: u64, loss: f64, tokens_per_second: f64) {
        self.0.set_position(step);
        self.0.set_message(format!("loss {loss:.4}, {tokens_per_second:.0} tokens/s"));
    }
}

impl Drop for TrainingBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
