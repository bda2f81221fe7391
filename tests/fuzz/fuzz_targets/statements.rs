//! Statements of the Board: canonical or refused; requests, as text, never harm who reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plenary_certs::{
    board::Request,
    ledger::{SignedStatement, Statement},
};

fuzz_target!(|data: &[u8]| {
    if let Ok(statement) = Statement::decode(data) {
        assert_eq!(statement.encode(), data);
    }
    let _ = SignedStatement::decode(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Request::parse(text);
    }
});
