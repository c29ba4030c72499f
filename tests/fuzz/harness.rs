//! Runs a target: many damaged inputs, one after another, each of which must be answered soon, in little memory and
//! without a panic.
//!
//! By default a short pass with the same inputs every time. `FUZZ_SECONDS=120` runs each target for that long, on other
//! inputs every time; `tests/fuzz.sh` does so.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Inputs of the short pass.
const SHORT: u32 = 400;
/// Inputs between two looks at the clock.
const ROUND: u32 = 200;
/// No input of a few kilobytes takes longer.
const TOO_LONG: Duration = Duration::from_secs(30);
/// No such input takes more memory: buffers and decompressors, whatever the input says of sizes.
const TOO_MUCH: usize = 160 << 20;

/// Counts what a thread allocates.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // Nothing is counted while a thread ends.
    let held = HELD.try_with(|held| {
        held.set(held.get() + change);
        held.get()
    });
    if let Ok(held) = held {
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held)));
    }
}

// SAFETY: every call goes to the system's allocator as it is; the counters are cells without destructors or allocations.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the pointer came from `System`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs `check` on inputs from `inputs`. It fails by returning an error, by a panic, by too much memory or time.
pub fn run<S: Strategy>(name: &str, inputs: S, check: impl Fn(S::Value) -> Result<(), TestCaseError>)
where
    S::Value: Debug,
{
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let config = Config {
        cases: if seconds.is_some() { ROUND } else { SHORT },
        max_shrink_iters: 4096,
        failure_persistence: None,
        ..Config::default()
    };
    let begun = Instant::now();
    let watch = Watch::new(name);
    let mut rounds = 0;
    loop {
        let rng = match seconds {
            None => TestRng::deterministic_rng(RngAlgorithm::ChaCha),
            Some(_) => TestRng::from_seed(RngAlgorithm::ChaCha, &rand::random::<[u8; 32]>()),
        };
        // A runner is done after its cases.
        let mut runner = TestRunner::new_with_rng(config.clone(), rng);
        let outcome = runner.run(&inputs, |input| {
            watch.begin(&input);
            let before = HELD.get();
            PEAK.set(before);
            let outcome = check(input);
            let taken = (PEAK.get() - before).max(0) as usize;
            watch.end();
            outcome?;
            prop_assert!(taken <= TOO_MUCH, "it took {taken} bytes of memory");
            Ok(())
        });
        if let Err(TestError::Fail(reason, input)) = outcome {
            panic!("{name}: {reason}\ninput: {input:?}");
        }
        rounds += 1;
        if seconds.is_none_or(|seconds| begun.elapsed() >= seconds) {
            break;
        }
    }
    println!("{name}: {} inputs in {:.1?}", rounds * if seconds.is_some() { ROUND } else { SHORT }, begun.elapsed());
}

/// Ends the process, and says on which input, where one takes too long: a hang cannot be caught.
struct Watch {
    present: Arc<Mutex<Option<(Instant, String)>>>,
    done: Arc<AtomicBool>,
}

impl Watch {
    fn new(name: &str) -> Self {
        let watch = Self { present: Arc::default(), done: Arc::default() };
        let (present, done, name) = (watch.present.clone(), watch.done.clone(), name.to_owned());
        std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(200));
                if let Ok(Some((begun, input))) = present.lock().as_deref()
                    && begun.elapsed() > TOO_LONG
                {
                    eprintln!("{name}: no answer after {TOO_LONG:?}\ninput: {input}");
                    std::process::abort();
                }
            }
        });
        watch
    }

    fn begin(&self, input: &impl Debug) {
        if let Ok(mut present) = self.present.lock() {
            *present = Some((Instant::now(), format!("{input:?}")));
        }
    }

    fn end(&self) {
        if let Ok(mut present) = self.present.lock() {
            *present = None;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}
