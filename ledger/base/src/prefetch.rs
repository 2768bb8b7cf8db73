//! Asking for memory before it is needed.

/// Hints that `value`'s cache line will be read soon. Never faults; does nothing on machines
/// without the instruction.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch has no effect on memory, and the address comes from a reference.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Hints that the cache line at `at` will be written soon, so that nobody waits for what it holds
/// now. Never faults, whatever the address; does nothing on machines without the instruction.
#[inline(always)]
pub fn prefetch_write<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect on memory, and faults at no address. The compiler's own
    // hint becomes one for reading where the processor is not known to have this instruction;
    // those without it take it for none.
    unsafe {
        std::arch::asm!("prefetchw [{at}]", at = in(reg) at,
            options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
