#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ramson_fuzz_targets::sam_request(data));
