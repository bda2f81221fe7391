//! The record for people: one page of HTML, drawn from what was checked and from nothing else.
//!
//! No script, no style from elsewhere, nothing fetched. Names are their owners' words: every
//! character that could be markup, or that turns or hides text, is shown for what it is.

use plenary_certs::profile::MemberProfile;

use super::{
    evidence::Checked,
    utc,
    verify::{Said, verdict},
};

const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
<meta name=\"generator\" content=\"plenary page 1\">\n\
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
<title>Record of custody</title>\n<style>\n\
body { font: 15px/1.5 sans-serif; margin: 2em; max-width: 70em }\n\
table { border-collapse: collapse }\n\
th, td { text-align: left; vertical-align: top; padding: 0.3em 1em 0.3em 0; border-bottom: 1px solid #ccc }\n\
code { font: 13px monospace; overflow-wrap: anywhere }\n\
</style>\n</head>\n<body>\n";

const FOOT: &str = "<h2>What this page rests on</h2>\n\
<p>It was drawn from the signed files beside it. Check them with <code>plenary verify FOLDER --root1 \
HASH</code>, on any machine, without a network; the hash of ROOT 1 is published by the network's Board. \
Every statement is signed by the acting device's custody key, every device is vouched for in the \
Board's ledger, names fit the ledger's hashes. The server's time is its signed word that it had seen \
the statement by then and held sealed bytes with this root; it could read neither.</p>\n\
</body>\n</html>\n";

const STAMPS: &str = "<h2>Time stamps (RFC 3161)</h2>\n\
<p>Each is signed by the key of the certificate named. Whether that is a time-stamping service's is \
told by <code>plenary verify FOLDER --tsa-ca FILE</code>, with the certificate of an authority that you \
trust.</p>\n<table>\n\
<tr><th>By the service's clock</th><th>Signer</th><th>Number</th><th>SHA-256 of its certificate</th>\
<th>Statement</th></tr>\n";

/// In every page, with the version of how it is drawn.
const VERSION_MARK: &str = "<meta name=\"generator\" content=\"plenary page ";
const VERSION: &str = "1";

/// Whether a page is of this program's version. Another one is not drawn again and compared.
pub(super) fn is_of_this_version(page: &str) -> bool {
    let rest = page.split_once(VERSION_MARK).map(|(_, rest)| rest);
    let version = rest.and_then(|rest| rest.split_once('"'));
    version.is_none_or(|(version, _)| version == VERSION)
}

/// The page.
pub(crate) fn render(checked: &Checked) -> String {
    let found = verdict(checked);
    let mut html = HEAD.to_owned();
    html.push_str(&format!(
        "<h1>Record of custody</h1>\n<p><bdi>{}</bdi></p>\n<table>\n",
        escape(&found.name)
    ));
    let facts = checked.record.facts();
    let channel = match &checked.channel {
        Some(profile) => format!("{} ({})", profile.name, facts.channel),
        None => facts.channel.to_string(),
    };
    let sender = found
        .sender
        .map(|member| match checked.people.get(&member) {
            Some(profile) => format!("{}, {} ({member})", profile.name, profile.state),
            None => member.to_string(),
        });
    let label = checked.described.label();
    let rows = [
        ("SHA-256", found.sha256.to_string()),
        ("Bytes", found.size.to_string()),
        ("Media type", checked.described.media_type().to_owned()),
        (
            "Label",
            label.map(|label| label.to_string()).unwrap_or_default(),
        ),
        ("Malware", yes(checked.described.carries_malware())),
        ("Handed over by", sender.unwrap_or_default()),
        ("In channel", channel),
        ("Item", found.item.to_string()),
        ("Root over the sealed bytes", found.root.to_string()),
        ("Original in this bundle", yes(found.original)),
        ("Network", found.network.to_string()),
        ("ROOT 1", found.root1.to_string()),
        ("Statements of the Board", checked.ledger.len().to_string()),
    ];
    for (name, value) in rows {
        html.push_str(&format!(
            "<tr><th>{name}</th><td><code><bdi>{}</bdi></code></td></tr>\n",
            escape(&value)
        ));
    }
    html.push_str(
        "</table>\n<h2>Who did what, and when</h2>\n<table>\n<tr><th>By the device's clock</th>\
         <th>By the server's clock</th><th>What</th><th>Who</th><th>Device</th><th>Statement</th></tr>\n",
    );
    for said in &found.statements {
        html.push_str(&row(said, checked.people.get(&said.member)));
    }
    html.push_str("</table>\n");
    html.push_str(&stamps(&found.statements));
    if !found.missing.is_empty() {
        html.push_str(
            "<p><strong>Not whole: others refer to statements that are not here:</strong>",
        );
        for id in &found.missing {
            html.push_str(&format!(" <code>{id}</code>"));
        }
        html.push_str("</p>\n");
    }
    html.push_str(FOOT);
    html
}

fn row(said: &Said, profile: Option<&MemberProfile>) -> String {
    let server = match said.server_time {
        Some(time) => utc::moment(time),
        None => "not countersigned".to_owned(),
    };
    let who = match profile {
        Some(profile) => format!("{}, {}", profile.name, profile.state),
        None => said.member.to_string(),
    };
    format!(
        "<tr><td>{}</td><td>{server}</td><td>{}</td><td><bdi>{}</bdi></td><td><code>{}</code></td>\
         <td><code>{}</code></td></tr>\n",
        utc::moment(said.time),
        said.act,
        escape(&who),
        said.device,
        said.id
    )
}

/// Time stamps, if there are any. Not whether they lead to an authority: that is the reader's.
fn stamps(statements: &[Said]) -> String {
    let rows = statements.iter().flat_map(|said| {
        said.stamps.iter().map(|stamp| {
            format!(
                "<tr><td>{}</td><td><bdi>{}</bdi></td><td><code>{}</code></td><td><code>{}</code></td>\
                 <td><code>{}</code></td></tr>\n",
                utc::moment(stamp.time),
                escape(&stamp.signer),
                escape(&stamp.serial),
                stamp.certificate,
                said.id
            )
        })
    });
    let rows: String = rows.collect();
    match rows.is_empty() {
        true => rows,
        false => format!("{STAMPS}{rows}</table>\n"),
    }
}

fn yes(is: bool) -> String {
    match is {
        true => "yes".to_owned(),
        false => "no".to_owned(),
    }
}

/// Text that stays text.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() || turns_or_hides(c) => {
                out.push_str(&format!("&lt;U+{:04X}&gt;", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

fn turns_or_hides(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}
