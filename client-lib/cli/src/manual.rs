//! What programs may rely on, and why the command line is as it is.
//!
//! # JSON
//!
//! With `--json` every result is one object a line on standard output; fields are added, never
//! renamed or given another meaning. What is not known is `null`. Ids are lower-case hex, times
//! RFC 3339 in UTC. Control characters and marks that turn the reading direction are escaped, so a
//! line is safe on a terminal, too.
//!
//! | command | fields |
//! |---|---|
//! | `network found` | `request`, `board` |
//! | `network submit` | `founded` |
//! | `invite` | `invitation` |
//! | `join` | `fingerprint`; then with `--wait` a line with `admission` |
//! | `requests` | `invitation`, `fingerprint`, `member`, `device`, `claims` (the name of the member they say to be already), `name`, `state`, `languages`, `expertise`, `capacity`, `nominated_by`, `reason` |
//! | `board keygen` | `key`, `public`, `member`, `public_key` |
//! | `board request`, `board show` | `statements` (in words), `request` |
//! | `board sign` | `signature`, `member`, `statements` (how many) |
//! | `board submit` | `ledger` (its length), `hash` |
//! | `board heartbeat` | `vouched` (up to which statement), `time`; remarks as `{"heartbeat"}`, refusals as alarms to standard error |
//! | `ledger check` | `file`, `statement`, `known` (position), `missing`, `misuse` (in words), `proof`, `refused` |
//! | `ledger confirm` | `confirmed` (where the recovery lies) |
//! | `members` | `member`, `name`, `state`, `languages`, `expertise`, `capacity`, `standing`, `board`, `self`, `devices` (`device`, `standing`) |
//! | `audience` | `channel`, `digest`, `persons`, `states`, `observers`, `experts`, `members` (`member`, `name`, `state`), `change` (`first`, `same` or `changed`), `joined`, `left` |
//! | `board clean-break` | `file`, `network`, `issuer`, `issued`, `ledger`, `member`, `statement` (`seq`, `hash`), `since`, `complete`, `gone` (`channel`, `device`, `entered`, `last_record`, `epoch`, `removal`, `hash`, `time`, `by`, `ledger`, `signed`), `pending`, `unexamined`, `exposure` (`channel`, `after`, `through`, `whole`, `messages`, `items`) |
//! | `channels` | `channel`, `name`, `purpose`, `rule`, `ceiling`, `owner`, `presence`, `why`, `with`, `head`, `queued`, `missing` (pairs of numbers: what lies between was missed) |
//! | `enter` | `channel`, `name`, `presence` |
//! | `channel remove` | `channel`, `member`, `state` (`removed` or `asked`) |
//! | `direct` | `channel` |
//! | `devices` | `device`, `name`, `self`, `standing`, `added`, `added_by` (`null`: the Board), `last_message`, `fingerprint`, `falls_with_it`, `revocable` |
//! | `devices link` | `link`, `code`, `expires`; then a line as of `devices requests`; then `linked`, `name` |
//! | `devices requests` | `link`, `device`, `name`, `fingerprint` |
//! | `devices accept` | `linked`, `name` |
//! | `devices refuse` | `refused`, `name` |
//! | `devices name` | `device`, `name` |
//! | `devices revoke` | `revoked`, `fell` |
//! | `devices vouch` | `vouched` |
//! | `link` | `fingerprint`; then a line with `linked` |
//! | `send`, `reply` | `id`, `channel`, `state` (`delivered` or `queued`), `seq` |
//! | `send-file` | as `send`, and `file`, `item`, `size`, `sha256` |
//! | `get` | `path`, `name`, `item`, `size`, `media_type`, `sha256`, `malware` |
//! | `receipts` | `item`, `name`, `deposited`, `withdrawn`, `recipients` (`member`, `name`, `state`, `offered`, `collected`, `verified`, `exported`, `deleted`) |
//! | `withdraw` | `withdrawn` (the item), `collected_by` (how many members) |
//! | `export-sample` | `path`, `malware` |
//! | `custody show` | `item`, `act`, `member`, `name`, `device`, `time`, `server_time`, `id` |
//! | `custody export` | `bundle`, `root1` |
//! | `custody delete` | `deleted` (the file, or null) |
//! | `tail`, `talk` | `channel`, `channel_name`, `seq`, `time`, `member`, `device`, `sender`, `id`, `message_id`, `thread`, `thread_title`, `label`, `notice`, `kind`, `text`, `item`, `in_reply_to`, `in_reply_to_seq`, `replaces`, `replaces_seq`, `handed_by` |
//! | `status`, `sync` | `profile`, `network`, `root1`, `member`, `device`, `name`, `state`, `standing`, `online`, `caught_up`, `ledger`, `heartbeat` (`time`, `ledger`), `freshness` (`unkept`, `fresh`, `lapsed`), `recovery`, `clock`, `queued`, `messages` |
//! | `audit` | a line for the ledger: `ledger`, `wrong`, `channels`; then one a channel: `channel`, `channel_name`, `records`, `stretches`, `heads`, `vouched`, `messages`, `wrong`, `at`, `proof` |
//! | `audit --compare` | `channel`, `channel_name`, `shared`, `differs`, `proof` |
//! | `audit --export` | `exported`, `bytes` |
//! | `verify` | of a proof `proven` (`two-logs`), `words`; of a bundle `verified` (`custody`), `network`, `root1`, `root1_given`, `item`, `name`, `size`, `sha256`, `root`, `original`, `sender`, `sender_name`, `statements`, `missing`, `page` |
//!
//! `kind` is `text`, `markdown`, `item`, `reaction`, `deletion` or `other`; `item` has `item`,
//! `name`, `size`, `media_type`, `sha256`, `malware`. Failures go to standard error as
//! `{"error": {"code", "message"}}`, alarms as `{"alarm": {"code", "channel", "what"}}`.
//!
//! News of one's own devices go to standard error, once, by whichever command connects next:
//! `{"device_news": {"device", "change", "by", "time", "ledger"}}`, and
//! `{"linking_code_used_again": true}`.
//!
//! A statement of custody is an object of `time` (the device's clock), `server_time` (null where the
//! server did not countersign), `device` and `id`.
//!
//! # Why
//!
//! **A new device is accepted by its fingerprint.** On a terminal both screens show the digits and
//! somebody says yes; a script cannot look at two screens, so `devices accept` wants the digits of the
//! new device and compares them itself. A wrong one refuses the request: another machine asked.
//!
//! **No passphrase in an argument or a variable.** Both are seen by other processes and kept in
//! histories. A file is refused when others may read it; a pipe (`<(...)`) passes.
//!
//! **What others wrote is escaped piece by piece** where a line is built ([`crate::output::Line`]),
//! not where it is printed: there our own colours could no longer be told from theirs. The second
//! and further lines of a text are marked, so that no text can pass for a message of somebody else.
//!
//! **One process has a profile open.** Two engines on one MLS state would use a key twice. A second
//! command waits a little and then says so; `talk` discusses, hands over and fetches in one process.
//!
//! **Reading commands show what is stored when the server cannot be reached**, and end with 6, so
//! that a script is never taken in by old data.
