//! The built-in discussion. All people, cases and figures are invented.

use plenary_client::Person;

use super::script::{Post, Script};

const ENCRYPTION: usize = 0;
const METAVERSE: usize = 1;
const CRYPTO: usize = 2;

const INGRID: usize = 0;
const MATEUS: usize = 1;
const AIKO: usize = 2;
const CLAIRE: usize = 3;
const TOMASZ: usize = 4;

/// Name, State, languages, field. The last two only read: the first of them is revoked at the end,
/// the other is away for a while.
const PEOPLE: [(&str, &str, &[&str], &str); 7] = [
    (
        "Ingrid Solheim",
        "Norway",
        &["nb", "en"],
        "electronic evidence",
    ),
    (
        "Mateus Carvalho",
        "Portugal",
        &["pt", "en"],
        "mutual legal assistance",
    ),
    ("Aiko Tanaka", "Japan", &["ja", "en"], "virtual worlds"),
    (
        "Claire Dumont",
        "Luxembourg",
        &["fr", "de", "en"],
        "asset recovery",
    ),
    (
        "Tomasz Wierzbicki",
        "Poland",
        &["pl", "en"],
        "encrypted communication",
    ),
    ("Viktor Lang", "Austria", &["de", "en"], "crypto assets"),
    ("Elena Petrescu", "Romania", &["ro", "en"], "data retention"),
];

/// Author, channel, thread, the post answered, text. A thread's first post opens it.
type Said = (usize, usize, &'static str, Option<usize>, &'static str);

const SAID: [Said; 27] = [
    (
        INGRID,
        ENCRYPTION,
        "Device unlocking ordered by a court",
        None,
        "Our Supreme Court decided last week that a suspect may be ordered to unlock a phone by fingerprint, but not to disclose a passcode. I would like to collect how other States stand before our guideline is revised.",
    ),
    (
        TOMASZ,
        ENCRYPTION,
        "Device unlocking ordered by a court",
        Some(0),
        "Poland: neither may be compelled from a suspect. From a witness both may, with a fine as the only means. In practice we rely on forensic extraction and plan seizures so that the device is unlocked when we take it.",
    ),
    (
        MATEUS,
        ENCRYPTION,
        "Device unlocking ordered by a court",
        Some(0),
        "Portugal: the same line as Norway since 2023. The order must name the device, and the act is recorded on video. Defence counsel has contested every one so far; two appeals are pending.",
    ),
    (
        INGRID,
        ENCRYPTION,
        "Device unlocking ordered by a court",
        Some(2),
        "Would you share an anonymised order as a model? The recording is a safeguard that our guideline lacks.",
    ),
    (
        MATEUS,
        ENCRYPTION,
        "Device unlocking ordered by a court",
        Some(3),
        "Yes. I shall have it translated and hand it over here by Friday.",
    ),
    (
        AIKO,
        METAVERSE,
        "Preserving evidence in a virtual room",
        None,
        "We have a fraud case in which the victims were led into a private room of a social platform. The operator keeps positions and voice for 24 hours only. Has anyone obtained preservation in time?",
    ),
    (
        CLAIRE,
        CRYPTO,
        "Freezing at a foreign exchange",
        None,
        "An exchange established in three States refuses to say which of its companies holds our suspect's wallet. Each of them names another one. Has this group a contact point there that works?",
    ),
    (
        TOMASZ,
        METAVERSE,
        "Preserving evidence in a virtual room",
        Some(5),
        "Once, through the 24/7 network of the Budapest Convention: four hours from our call to the operator's confirmation. The request must name the room's identifier; the display name was not enough.",
    ),
    (
        AIKO,
        METAVERSE,
        "Preserving evidence in a virtual room",
        Some(7),
        "Where did you find the identifier? The victims' application does not show it.",
    ),
    (
        TOMASZ,
        METAVERSE,
        "Preserving evidence in a virtual room",
        Some(8),
        "In the invitation link that the victim had kept. Failing that, in the headset's local log: our laboratory wrote a short note on its format, and I can hand it over.",
    ),
    (
        INGRID,
        CRYPTO,
        "Freezing at a foreign exchange",
        Some(6),
        "We had the same answer in spring. What helped was to ask all three companies on the same day, each with the text of the others' replies attached. The one in the EU then acted within two days.",
    ),
    (
        CLAIRE,
        CRYPTO,
        "Freezing at a foreign exchange",
        Some(10),
        "Thank you, we shall do the same on Monday. The wallet holds about 1.9 million euro in stablecoins, so the issuer is our second way: it can freeze by contract.",
    ),
    (
        MATEUS,
        CRYPTO,
        "Freezing at a foreign exchange",
        Some(11),
        "The issuer asks for a court order and, in our experience, takes a prosecutor's order with a letter in which the court's decision is promised within 72 hours. Keep that promise: they do not extend it.",
    ),
    (
        AIKO,
        ENCRYPTION,
        "Live forensics during a search",
        None,
        "A practical question: which of your laboratories send an examiner along to a search when full-disk encryption is expected? Ours does so in one case of ten and we think that it should be more.",
    ),
    (
        CLAIRE,
        ENCRYPTION,
        "Live forensics during a search",
        Some(13),
        "Luxembourg: always when the suspect works in IT. We lost two servers in 2022 to a switch under the desk.",
    ),
    (
        INGRID,
        ENCRYPTION,
        "Live forensics during a search",
        Some(13),
        "Norway: examiners are on call, within two hours by car in the south, not at all in the north. We give the police there a small kit with written steps instead: memory first, then the running disk.",
    ),
    (
        TOMASZ,
        METAVERSE,
        "Who has jurisdiction over a virtual place",
        None,
        "A second matter for this channel. The operator argues that a room is a document and lies where its servers are. Our court followed the effect on the victim instead. Is there a decision elsewhere that goes as far as ours?",
    ),
    (
        MATEUS,
        METAVERSE,
        "Who has jurisdiction over a virtual place",
        Some(16),
        "Lisbon, first instance, May: the place where the victim puts on the headset. It rests on the rule for threats by telephone, which is older than all of us.",
    ),
    (
        AIKO,
        METAVERSE,
        "Who has jurisdiction over a virtual place",
        Some(16),
        "Japan: no decision yet. 大阪 has a case that will be heard in autumn, and I shall report here.",
    ),
    (
        CLAIRE,
        CRYPTO,
        "Privacy coins in confiscation",
        None,
        "Has anybody confiscated a privacy coin and sold it? Our agency hesitates: it cannot prove to the auditor that the coins which it sold are those that were seized.",
    ),
    (
        TOMASZ,
        CRYPTO,
        "Privacy coins in confiscation",
        Some(19),
        "We exchanged them at once under the court's supervision and seized the proceeds. The protocol shows the view key, the balance before and after, and the rate. The auditor accepted it.",
    ),
    (
        CLAIRE,
        CRYPTO,
        "Privacy coins in confiscation",
        Some(20),
        "Excellent, the view key is the idea that we lacked. May I quote this to our Ministry without naming you or Poland?",
    ),
    (
        TOMASZ,
        CRYPTO,
        "Privacy coins in confiscation",
        Some(21),
        "Please do, on exactly that condition.",
    ),
    (
        INGRID,
        ENCRYPTION,
        "Device unlocking ordered by a court",
        Some(4),
        "I have four answers now and shall put a table together. States that did not answer yet: a line suffices, also \"no rule\".",
    ),
    (
        AIKO,
        ENCRYPTION,
        "Device unlocking ordered by a court",
        Some(23),
        "Japan: no rule. A bill is expected next year.",
    ),
    (
        MATEUS,
        METAVERSE,
        "Preserving evidence in a virtual room",
        Some(9),
        "Please hand the note over to this channel. We have the same headset in two cases.",
    ),
    (
        CLAIRE,
        CRYPTO,
        "Freezing at a foreign exchange",
        Some(12),
        "Done: frozen by the issuer this morning, 31 hours after the request. Thank you all. Merci, obrigada, takk, dziękuję, ありがとう.",
    ),
];

/// The built-in discussion: five members of five States, three channels, six threads.
pub(super) fn story() -> Script {
    let people = PEOPLE.iter().map(|(name, state, languages, field)| Person {
        name: (*name).to_owned(),
        state: (*state).to_owned(),
        languages: languages.iter().map(|tag| (*tag).to_owned()).collect(),
        expertise: vec![(*field).to_owned()],
    });
    let posts = SAID.iter().enumerate().map(|(index, said)| {
        let (author, channel, thread, reply_to, text) = *said;
        let opens = SAID[..index].iter().all(|earlier| earlier.2 != thread);
        Post {
            author,
            channel,
            thread: thread.to_owned(),
            title: opens.then(|| thread.to_owned()),
            text: text.to_owned(),
            reply_to,
        }
    });
    Script {
        people: people.collect(),
        posts: posts.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_answer_earlier_posts_of_their_thread() {
        let story = story();
        for (index, post) in story.posts.iter().enumerate() {
            let Some(answered) = post.reply_to else {
                assert!(post.title.is_some(), "{index} opens a thread");
                continue;
            };
            assert!(answered < index);
            assert_eq!(story.posts[answered].thread, post.thread, "{index}");
            assert_eq!(story.posts[answered].channel, post.channel, "{index}");
        }
        assert!(story.away().is_some());
    }
}
