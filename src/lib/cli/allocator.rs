//! The allocator of the tools, which ends a run in good order where memory that it cannot do without is not to be had.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mimalloc::MiMalloc;

use super::signals;
use crate::memory::can_fail;

/// The allocator of the tools: mimalloc. Tensors come and go by the thousand: glibc hands large ones back to the system and
/// asks for them again each time, which costs up to a third of the training time, and musl is slower yet.
///
/// Where memory is not to be had, Rust would abort the process: a signal, a core, temporary files left. What is estimated
/// and what is reserved with [`crate::memory::reserve`] fails as an error before that. Anything else that fails ends here:
/// temporary files are removed, one line says so, and the exit status is 1.
pub struct Allocator;

// SAFETY: every method hands its arguments to mimalloc's, whose results are returned as they are; where there is none
// and the caller could not go on, the process ends. Nothing unwinds: `end` returns to nobody.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that are asked for.
        had(unsafe { MiMalloc.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that are asked for.
        had(unsafe { MiMalloc.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promises are those that are asked for.
        had(unsafe { MiMalloc.realloc(pointer, layout, size) }, size)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are those that are asked for.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }
}

/// What the last line calls the tool.
static TOOL: OnceLock<String> = OnceLock::new();

/// Names the tool for the line that [`Allocator`] may have to write.
pub(super) fn name_tool(name: &str) {
    let _ = TOOL.set(name.to_owned());
}

#[inline]
fn had(memory: *mut u8, size: usize) -> *mut u8 {
    if memory.is_null() && !can_fail() {
        end(size);
    }
    memory
}

/// Ends the process. Little is needed for that, and it is not to be had either perhaps: what needs memory comes last, and
/// where that fails too, this is called again by the same thread and ends at once.
#[cold]
fn end(size: usize) -> ! {
    static ENDING: AtomicBool = AtomicBool::new(false);
    thread_local! {
        static ENDING_HERE: Cell<bool> = const { Cell::new(false) };
    }
    if !ENDING.swap(true, Ordering::SeqCst) {
        ENDING_HERE.set(true);
        let mut line = [0_u8; 320];
        let mut rest = &mut line[..];
        let tool = TOOL.get().map_or("rnaret", String::as_str);
        // Cut off where it does not fit.
        let _ = writeln!(
            rest,
            "{tool}: error: memory is used up: {size} bytes more are not to be had; allow the process more, or give smaller \
             batches (--batch-tokens), fewer threads (-t) or shorter records"
        );
        let left = rest.len();
        let length = line.len() - left;
        // SAFETY: the address is that of as many bytes; nobody is left to tell if the call fails.
        unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), length) };
        signals::remove_unfinished_now();
    } else if !ENDING_HERE.get() {
        // Another thread was first, and is to finish what it does.
        std::thread::sleep(Duration::from_secs(10));
    }
    // SAFETY: the function ends the process, and runs nothing of it any more.
    unsafe { libc::_exit(1) }
}
