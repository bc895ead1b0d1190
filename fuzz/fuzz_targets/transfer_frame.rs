#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ramson_fuzz_targets::transfer_frame(data));
