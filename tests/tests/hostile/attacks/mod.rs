//! The attacks by name. Each is a test `hostile_NAME`; the table in `HOSTILE.md` lists them all.

mod answers;
mod control;
mod groups;
mod joining;
mod ledger;
mod messages;
mod views;

use crate::trial::over_seeds;

macro_rules! attacks {
    ($($file:ident :: $name:ident,)+) => {
        /// Every attack.
        pub const NAMES: &[&str] = &[$(stringify!($name),)+];

        $(
            #[test]
            fn $name() {
                over_seeds(stringify!($name), $file::$name);
            }
        )+
    };
}

attacks! {
    control::hostile_control,
    ledger::hostile_forged_statement,
    ledger::hostile_ghost_member,
    ledger::hostile_replayed_statement,
    ledger::hostile_retired_root,
    ledger::hostile_swapped_device_keys,
    ledger::hostile_device_vouched_by_stolen,
    ledger::hostile_ledger_kept_back,
    ledger::hostile_withheld_revocation,
    ledger::hostile_rolled_back_ledger,
    ledger::hostile_other_ledger_at_hello,
    ledger::hostile_wrong_server_key,
    ledger::hostile_other_network,
    ledger::hostile_split_ledger,
    groups::hostile_commit_names_ledger_to_come,
    messages::hostile_dropped_message,
    messages::hostile_withheld_message,
    messages::hostile_rewritten_message,
    messages::hostile_cut_message,
    messages::hostile_record_claims_another_sender,
    messages::hostile_record_with_another_mark,
    messages::hostile_record_with_another_time,
    messages::hostile_reordered_messages,
    messages::hostile_doubled_frames,
    messages::hostile_replayed_message,
    messages::hostile_replayed_to_its_sender,
    messages::hostile_message_moved_to_another_channel,
    messages::hostile_invented_message,
    messages::hostile_acknowledged_without_storing,
    messages::hostile_acknowledged_elsewhere,
    messages::hostile_head_not_signed,
    messages::hostile_rolled_back_channel,
    messages::hostile_envelope_of_another,
    messages::hostile_content_is_noise,
    joining::hostile_replayed_welcome,
    joining::hostile_welcome_from_non_owner,
    joining::hostile_welcome_replaces_direct_channel,
    joining::hostile_key_package_of_another_device,
    joining::hostile_key_package_with_another_key,
    joining::hostile_key_package_of_weaker_suite,
    joining::hostile_key_package_is_noise,
    joining::hostile_key_package_given_twice,
    joining::hostile_exhausted_key_packages,
    joining::hostile_wrong_tree,
    joining::hostile_wrong_group_info,
    joining::hostile_group_of_another_channel,
    joining::hostile_group_of_another_network,
    joining::hostile_downgraded_suite,
    joining::hostile_ghost_in_tree,
    joining::hostile_old_group_to_joiner,
    views::hostile_two_views,
    views::hostile_stale_heartbeat,
    answers::hostile_garbage_frames,
    answers::hostile_oversized_frames,
    answers::hostile_answers_of_another_kind,
    answers::hostile_unasked_answers,
    answers::hostile_unasked_pushes,
    answers::hostile_swapped_profiles,
    answers::hostile_altered_profile,
    answers::hostile_planted_roster_key,
    groups::hostile_ghost_device,
    groups::hostile_ghost_key,
    groups::hostile_ghost_enters,
    groups::hostile_external_commit_into_granted,
    groups::hostile_external_commit_into_direct,
    groups::hostile_add_by_non_owner,
    groups::hostile_add_by_non_owner_in_direct,
    groups::hostile_remove_by_non_owner,
    groups::hostile_commit_by_revoked,
    groups::hostile_external_commit_by_revoked,
    groups::hostile_commit_leaves_revoked,
    groups::hostile_two_commits_in_one_epoch,
    groups::hostile_commit_for_another_channel,
    groups::hostile_bad_path_secrets,
    groups::hostile_bad_path_secrets_in_the_log,
    groups::hostile_wrong_tags,
    groups::hostile_rewritten_commit,
    groups::hostile_proposal_by_reference,
    groups::hostile_proposal_from_outside,
    groups::hostile_group_changes_itself,
    groups::hostile_commit_goes_back,
    groups::hostile_commit_names_another_ledger,
    messages::hostile_trimmed_too_early,
}

/// `HOSTILE.md` has one row for each attack here, and none besides; every test it names elsewhere
/// exists.
#[test]
fn hostile_table_lists_every_attack() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = std::fs::read_to_string(folder.join("HOSTILE.md")).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with('|') && line.contains('`'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let mut listed = Vec::new();
    for row in &rows {
        let [attack, does, test] = row[..] else {
            panic!("not three columns: {row:?}")
        };
        assert!(!attack.is_empty() && !does.is_empty(), "{row:?}");
        // A code in the table is one that there is.
        for code in does.split('`').skip(1).step_by(2) {
            let known = plenary_client::AlarmKind::from_code(code).is_some();
            assert!(known, "{code} is no alarm");
        }
        let test = test.trim_matches('`');
        match test.split_once("::") {
            None => listed.push(test),
            Some((file, name)) => {
                let source = std::fs::read_to_string(folder.join("..").join(file)).unwrap();
                assert!(
                    source.contains(&format!("fn {name}(")),
                    "{file} has no {name}"
                );
            }
        }
    }
    let mut names: Vec<_> = NAMES.to_vec();
    names.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, names);
}
