//! The backup drill, as `plenary-demo --backup-drill` runs it. More messages by the command:
//! `cargo run --bin plenary-demo -- --backup-drill --messages 2000 --json`.

use std::path::Path;

use anyhow::Result;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_made_under_load_is_restored_and_takes_over() -> Result<()> {
    let program = Path::new(env!("CARGO_BIN_EXE_plenary-demo"));
    let drilled = Box::pin(plenary_tests::drill::drill(program, "info", 60)).await?;
    assert!(drilled.acknowledged_before >= 60);
    assert!(drilled.under_load.records >= 60 && drilled.under_load.items == 1);
    assert!(drilled.at_rest.records > drilled.under_load.records);
    assert!(drilled.read_after >= drilled.acknowledged_before + drilled.acknowledged_meanwhile);
    Ok(())
}
