//! Signals that batch systems send before they end a job: write a checkpoint, then leave.
//!
//! SLURM sends SIGTERM at the time limit, or SIGUSR1 ahead of it (`--signal=USR1@120`); SIGINT is Ctrl-C. Each of them
//! lets the step in hand end, writes a checkpoint, and makes the process exit with [`INTERRUPTED`], which tells a batch
//! script that the same command line continues the run. A second signal of the same kind ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

use crate::{Error, Result};

/// The exit status of a run that a signal interrupted and that can be resumed.
pub const INTERRUPTED: u8 = 3;

/// Whether one of the signals has arrived.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// An interrupt that the signals SIGTERM, SIGUSR1 and SIGINT raise.
    pub fn on_signals() -> Result<Self> {
        let interrupt = Self::default();
        for signal in [SIGTERM, SIGUSR1, SIGINT] {
            // In this order: a signal that finds the flag already raised ends the process.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, interrupt.0.clone())
                .and_then(|_| signal_hook::flag::register(signal, interrupt.0.clone()))
                .map_err(|source| Error::Failed(format!("cannot listen for signal {signal}: {source}")))?;
        }
        Ok(interrupt)
    }

    /// True once a signal has arrived.
    pub fn raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Gives up what is being computed once a signal has arrived.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn check(&self) -> Result<()> {
        if self.raised() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Raises the interrupt from inside the program.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_raises_the_interrupt() {
        let interrupt = Interrupt::on_signals().expect("signals can be listened to");
        assert!(!interrupt.raised());
        signal_hook::low_level::raise(SIGUSR1).expect("a process can signal itself");
        assert!(interrupt.raised());
    }
}
